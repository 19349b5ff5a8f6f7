/**
 * Data directories as they lie on disks: one written by each released version, and damaged ones, a folder each.
 *
 * `expected.json` says what a start makes of it: `answers` (the whole state as the queries give it), or `systems` and
 * `codes`, or the `refusal`, with `repaired` = systems after `pxemngr repair`.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Ip4, Mac } from '../../src/domain/address.ts'
import { Refusal } from '../../src/domain/errors.ts'
import { repairDataDir } from '../../src/store/repair.ts'
import type { Store } from '../../src/store/store.ts'
import { addSystem, copyFolder, open, operator } from '../harness/store-folder.ts'

interface Expected {
  readonly title: string
  readonly systems?: string[]
  readonly codes?: string[]
  readonly answers?: unknown
  readonly refusal?: string
  readonly repaired?: string[]
  /** Whether repair has to give a record up. */
  readonly lost?: boolean
}

const fixtures = join(import.meta.dirname, '..', 'fixtures')

function names(store: Store): string[] {
  return store.queries.listSystems().map(({ name }) => name)
}

/** Everything the fixtures' commands touched, as people and machines would learn it. */
async function answersOf(store: Store): Promise<unknown> {
  const { queries } = store
  const ip = '10.34.7.9' as Ip4
  const answers = {
    systems: queries.listSystems().map((system) => ({
      ...system,
      addresses: queries.addressesOf(system.id),
      decisions: queries.decisionsOf(system.id, 100),
    })),
    nextBoot: queries.nextBootOf('52:54:00:00:00:01' as Mac),
    default: queries.defaultNextBoot(),
    remembered: [queries.rememberedFor('52:54:00:00:00:99' as Mac), queries.rememberedFor('10.34.1.1' as Ip4)],
    lastMac: queries.lastMacOf(ip),
    lastIp: queries.lastIpOf('52:54:00:00:00:01' as Mac),
    profiles: queries.listProfiles(),
    tokens: queries.listTokens(),
    history: (await store.history({})).map(({ seq, actor, events }) => [
      seq,
      actor.who,
      ...events.map(({ type }) => type),
    ]),
    nextSystem: undefined as number | undefined,
  }
  answers.nextSystem = await store.commit(operator, (tx) => addSystem(tx, 'next'))
  return JSON.parse(JSON.stringify(answers))
}

for (const name of readdirSync(fixtures).filter((entry) => entry.startsWith('data-'))) {
  const file = join(fixtures, name, 'expected.json')
  const expected = JSON.parse(readFileSync(file, 'utf8')) as Expected
  test(`${name}: ${expected.title}`, async (t) => {
    const dir = copyFolder(t, join(fixtures, name))
    rmSync(join(dir, 'expected.json'))
    if (expected.refusal !== undefined) {
      const text = new RegExp(`^the journal is damaged: .*${expected.refusal}.*pxemngr repair --dry-run --data-dir `)
      await assert.rejects(open(t, dir), (error) => error instanceof Refusal && text.test(error.message))
      assert.equal((await repairDataDir(dir, { dryRun: false })).lostAcknowledged, expected.lost)
      const repaired = await open(t, dir)
      if (expected.repaired) assert.deepEqual(names(repaired), expected.repaired)
      await repaired.commit(operator, (tx) => addSystem(tx, 'after'))
      return
    }
    const store = await open(t, dir)
    const codes = store.degradations().map(({ code }) => code)
    assert.deepEqual([names(store), codes], [expected.systems, expected.codes])
    if (expected.answers === undefined) return
    const answers = await answersOf(store)
    if (process.env['UPDATE_GOLDEN'] === '1') {
      writeFileSync(file, `${JSON.stringify({ ...expected, answers }, null, 2)}\n`)
    } else assert.deepEqual(answers, expected.answers)
  })
}
