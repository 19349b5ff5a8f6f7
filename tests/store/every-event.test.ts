/**
 * Every type of event, as a version wrote it: the journals in `tests/fixtures/events-<version>` are kept as they are, and
 * what all later versions make of them is compared row by row.
 *
 * `content.txt` is the database as lines; a new schema changes it (`UPDATE_GOLDEN=1`, then read the difference), the
 * journal never. A new type of event is added to `every-event.ts`; with a new version in package.json, `UPDATE_GOLDEN=1`
 * then writes a folder beside those that are there.
 */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../../src/log.ts'
import { realDisk } from '../../src/store/disk.ts'
import { dataFolder } from '../../src/store/folder.ts'
import { dumpContent } from '../../src/store/schema.ts'
import { startUp } from '../../src/store/startup.ts'
import { writeEveryEvent } from '../harness/every-event.ts'
import { contentFromNothing, copyFolder, journalFiles, makeFolder, open } from '../harness/store-folder.ts'

const fixtures = join(import.meta.dirname, '..', 'fixtures')
const keptNames = (): string[] => readdirSync(fixtures).filter((name) => name.startsWith('events-'))
const update = process.env['UPDATE_GOLDEN'] === '1'

/** The record that was damaged and repaired on purpose is all that is wrong with it. */
const lostOne = ['records-lost']

/** Types of events in the journals of a folder. */
function typesIn(dir: string): string[] {
  const text = journalFiles(dir).map(({ bytes }) => bytes.toString('utf8'))
  const records = text
    .join('')
    .split('\n')
    .filter((line) => line.startsWith('{"seq":'))
  const types = records.flatMap((line) => (JSON.parse(line) as { events: { type: string }[] }).events)
  return [...new Set(types.map(({ type }) => type))].sort()
}

/** Types of events that the program declares. */
function declaredTypes(): string[] {
  const sources = ['event.ts', 'run.ts'].map((name) =>
    readFileSync(join(import.meta.dirname, '..', '..', 'src', 'domain', name), 'utf8'),
  )
  return [...new Set([...sources.join().matchAll(/readonly type: '([a-z.]+)'/g)].map(([, type]) => type ?? ''))].sort()
}

/** What a start makes of the folder: its content, the last number, and what it found wrong. */
async function start(dir: string): Promise<{ content: string; seq: number; codes: string[] }> {
  const parts = { folder: dataFolder(dir), disk: realDisk, log: silentLog, now: () => new Date(), writable: true }
  const { database, seq, degradations } = await startUp(parts)
  try {
    return { content: dumpContent(database), seq, codes: degradations.map(({ code }) => code) }
  } finally {
    database.close()
  }
}

test('written by this version, every type of event is there, and replay gives what was live', async (t) => {
  const dir = makeFolder(t)
  const last = await writeEveryEvent(dir)
  assert.deepEqual(typesIn(dir), declaredTypes())
  const { content, seq, codes } = await start(dir)
  assert.deepEqual([seq, codes], [last, lostOne])
  assert.equal(await contentFromNothing(dir, last), content)
  const { version } = JSON.parse(readFileSync(join(fixtures, '..', '..', 'package.json'), 'utf8')) as {
    version: string
  }
  const kept = join(fixtures, `events-${version.replace(/\.\d+$/, '')}`)
  if (update && !existsSync(kept)) {
    mkdirSync(kept)
    for (const name of ['journal', 'archive', 'snapshot.sqlite'])
      cpSync(join(dir, name), join(kept, name), { recursive: true })
    writeFileSync(join(kept, 'content.txt'), `${content}\n`)
  }
})

test('every type of event is in a journal that is kept', () => {
  const types = keptNames().flatMap((name) => typesIn(join(fixtures, name)))
  assert.deepEqual([...new Set(types)].sort(), declaredTypes())
})

for (const name of keptNames()) {
  test(`${name} gives the whole database that it always gave, with its snapshot and from nothing`, async (t) => {
    const kept = join(fixtures, name)
    const contentFile = join(kept, 'content.txt')
    const { content, seq, codes } = await start(copyFolder(t, kept))
    assert.deepEqual(codes, lostOne)
    if (update) writeFileSync(contentFile, `${content}\n`)
    const expected = readFileSync(contentFile, 'utf8').trimEnd()
    assert.equal(content, expected)
    const bare = copyFolder(t, kept)
    for (const file of readdirSync(bare).filter((entry) => entry.endsWith('.sqlite'))) rmSync(join(bare, file))
    assert.equal((await start(bare)).content, expected)
    assert.equal(await contentFromNothing(bare, seq), expected)
  })
}

test('the store goes on from the journal of 0.9: what it holds is answered, ids are not used again', async (t) => {
  const store = await open(t, copyFolder(t, join(fixtures, 'events-0.9')))
  const { queries } = store
  assert.deepEqual(
    queries.listSystems().map(({ name }) => name),
    ['node é', 'default'],
  )
  assert.deepEqual(
    queries.runs({ limit: 100 }).map(({ id, state, verdict }) => [id, state, verdict]),
    [
      [8, 'requested', null],
      [6, 'done', 'infra'],
      [5, 'expired', null],
      [4, 'cancelled', null],
      [3, 'done', 'fail'],
      [2, 'done', 'warn'],
      [1, 'done', 'pass'],
    ],
  )
  const history = await store.history({})
  assert.ok(history.some(({ events }) => events.some(({ type }) => type === 'record.lost')))
  const next = await store.commit({ who: 'root', from: 'socket', surface: 'cli' }, (tx) => [
    ...(['system', 'decision', 'profile', 'token', 'test', 'run', 'webhook', 'delivery'] as const).map((kind) =>
      tx.nextId(kind),
    ),
  ])
  assert.deepEqual(next, [4, 4, 3, 3, 4, 9, 3, 4])
})
