/**
 * A journal that somebody removes or moves under the running daemon: the kernel goes on taking writes into a file that no
 * start would find, so nothing may be acknowledged until it is back. Source: DESIGN "Failed writes".
 */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Mac } from '../../src/domain/address.ts'
import { Refusal } from '../../src/domain/errors.ts'
import type { Store } from '../../src/store/store.ts'
import { addSystem, machine, makeFolder, open, operator } from '../harness/store-folder.ts'

const mac = '52:54:00:00:00:01' as Mac
const retryMs = 20

const add = (store: Store, name: string): Promise<number> => store.commit(operator, (tx) => addSystem(tx, name))

function refusal(kind: Refusal['kind'], text: RegExp) {
  return (error: unknown) => error instanceof Refusal && error.kind === kind && text.test(error.message)
}

const codes = (store: Store): string[] => store.degradations().map(({ code }) => code)

async function until(what: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!what()) {
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`)
    await wait(5)
  }
}

/** What can happen to the folder, and how it is undone by a careful person. */
const mishaps: readonly {
  readonly what: string
  happen(journal: string): void
  undo(journal: string): void
}[] = [
  {
    what: 'the folder is moved',
    happen: (journal) => renameSync(journal, `${journal}.old`),
    undo: (journal) => renameSync(`${journal}.old`, journal),
  },
  {
    what: 'the folder is moved and an empty one made in its place',
    happen(journal) {
      renameSync(journal, `${journal}.old`)
      mkdirSync(journal)
    },
    undo(journal) {
      rmSync(journal, { recursive: true })
      renameSync(`${journal}.old`, journal)
    },
  },
  {
    what: 'the file is moved',
    happen: (journal) => renameSync(join(journal, '1.jsonl'), `${journal}.1`),
    undo: (journal) => renameSync(`${journal}.1`, join(journal, '1.jsonl')),
  },
  {
    what: 'the file is replaced by a copy that lacks a record, and then by a whole one',
    happen(journal) {
      const path = join(journal, '1.jsonl')
      const lines = readFileSync(path, 'utf8').split('\n')
      copyFileSync(path, `${journal}.copy`)
      rmSync(path)
      writeFileSync(path, `${lines.slice(0, -2).join('\n')}\n`)
    },
    undo: (journal) => copyFileSync(`${journal}.copy`, join(journal, '1.jsonl')),
  },
]

for (const { what, happen, undo } of mishaps) {
  test(`${what}: nothing is acknowledged until it is back, and a restart knows all that was`, async (t) => {
    const dir = makeFolder(t)
    const journal = join(dir, 'journal')
    const store = await open(t, dir, { retryMs })
    await add(store, 'one')
    await add(store, 'two')
    happen(journal)
    await assert.rejects(add(store, 'lost'), refusal('not-kept', /journal\/1\.jsonl was removed, moved or replaced/))
    await assert.rejects(add(store, 'refused'), refusal('unavailable', /put it back/))
    assert.deepEqual(codes(store), ['writes-refused'])
    await wait(retryMs * 5)
    await assert.rejects(add(store, 'refused'), refusal('unavailable', /put it back/), 'trying again does not mend it')
    const report = store.commit(
      machine,
      (tx) => tx.emit({ type: 'report.remembered', mac, ip: null, system: null, profile: 'local' }),
      { plane: 'machine' },
    )
    await assert.rejects(report, refusal('unavailable', /put it back/))
    assert.deepEqual(codes(store), ['writes-refused', 'reports-in-memory'])
    undo(journal)
    await until(() => codes(store).length === 0)
    await add(store, 'three')
    await store.close()
    const again = await open(t, dir)
    assert.deepEqual(again.degradations(), [])
    const names = ['one', 'two', 'lost', 'refused', 'three'].filter((name) => again.queries.findSystem(name))
    assert.deepEqual(names, ['one', 'two', 'three'])
    assert.equal(again.queries.rememberedFor(mac)?.profile, 'local')
  })
}

test('status knows that the journal is gone although nothing is written', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir, { retryMs })
  await add(store, 'one')
  rmSync(join(dir, 'journal'), { recursive: true })
  await until(() => codes(store).includes('writes-refused'))
})

test('a removed segment is had back from the handle that the refusal names', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir, { retryMs })
  await add(store, 'one')
  const path = join(dir, 'journal/1.jsonl')
  rmSync(path)
  await assert.rejects(add(store, 'lost'), refusal('not-kept', /1\.jsonl/))
  const [, handle = ''] = /still in (\/proc\/\S+\/fd\/\d+)/.exec(store.degradations()[0]?.text ?? '') ?? []
  copyFileSync(handle, path)
  await until(() => codes(store).length === 0)
  await add(store, 'two')
  await store.close()
  const again = await open(t, dir)
  assert.ok(again.queries.findSystem('one') && again.queries.findSystem('two'))
  assert.equal(again.queries.findSystem('lost'), undefined)
})

test('a long segment that is gone is not followed by another', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir, { retryMs, segmentMaxBytes: 1 })
  await add(store, 'one')
  const journal = join(dir, 'journal')
  renameSync(journal, `${journal}.old`)
  mkdirSync(journal)
  await assert.rejects(add(store, 'lost'), /was removed, moved or replaced/)
  rmSync(journal, { recursive: true })
  renameSync(`${journal}.old`, journal)
  await until(() => codes(store).length === 0)
  await add(store, 'two')
})
