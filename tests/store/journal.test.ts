/**
 * The journal on disk: replay, cuts and flipped bytes. What is read is what was written, or it is called torn or damaged.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { Refusal } from '../../src/domain/errors.ts'
import type { JournalRecord } from '../../src/domain/event.ts'
import { silentLog } from '../../src/log.ts'
import { realDisk } from '../../src/store/disk.ts'
import { dataFolder } from '../../src/store/folder.ts'
import { formatRecord, parseLine } from '../../src/store/line.ts'
import { dumpContent } from '../../src/store/schema.ts'
import { listSegments } from '../../src/store/segment.ts'
import { startUp } from '../../src/store/startup.ts'
import { type Survey, surveySegments } from '../../src/store/survey.ts'
import { randomCommands, runCommand } from '../harness/random-commands.ts'
import {
  addSystem,
  contentFromNothing,
  copyFolder,
  journalFiles,
  makeFolder,
  open,
  operator,
} from '../harness/store-folder.ts'

/** Starts up without a store: content, last number, codes. The directory is left as a real start leaves it. */
async function start(dir: string): Promise<{ content: string; seq: number; codes: string[] }> {
  const parts = { folder: dataFolder(dir), disk: realDisk, log: silentLog, now: () => new Date(), writable: true }
  const { database, seq, degradations } = await startUp(parts)
  try {
    return { content: dumpContent(database), seq, codes: degradations.map(({ code }) => code) }
  } finally {
    database.close()
  }
}

/** A directory with several segments, killed (`clean` false: no closing record), and its content after each record. */
async function filled(t: TestContext, clean: boolean): Promise<{ dir: string; contents: string[] }> {
  const source = makeFolder(t)
  const store = await open(t, source, { segmentMaxBytes: 700 })
  for (let i = 0; i < 12; i += 1) {
    await store.commit(operator, (tx) => addSystem(tx, `c${i}`, `52:54:00:00:00:${10 + i}`, '10.34'))
  }
  const seq = store.seq
  const dir = clean ? source : copyFolder(t, source)
  await store.close()
  const contents: string[] = []
  for (let last = 0; last <= seq; last += 1) contents.push(await contentFromNothing(source, last))
  for (const name of ['reserve', 'lock']) rmSync(join(dir, name), { force: true })
  return { dir, contents }
}

test('a line is read back as it was written, and any other byte in it makes it unreadable', () => {
  const record: JournalRecord = {
    seq: 7,
    at: '2026-11-23T08:01:56.400Z',
    actor: { who: 'é"\\\u2028', from: 'socket', surface: 'cli' },
    events: [{ type: 'system.removed', system: 4, name: 'c\u0001' }],
  }
  const line = formatRecord(record, 6).subarray(0, -1)
  assert.deepEqual(parseLine(line), { kind: 'record', record, kept: 6 })
  assert.equal(line.includes(10), false)
  for (let at = 0; at < line.length; at += 1) {
    for (const bit of [1, 2, 4, 8, 16, 32, 64, 128]) {
      const flipped = Buffer.from(line)
      flipped[at] = (flipped[at] ?? 0) ^ bit
      assert.equal(parseLine(flipped).kind, 'unreadable', `byte ${at}, bit ${bit}`)
    }
  }
})

test('replayed from nothing, from a snapshot and live, any sequence of commands gives the same content', async (t) => {
  await fc.assert(
    fc.asyncProperty(randomCommands(25), randomCommands(25), randomCommands(10), async (first, second, third) => {
      const dir = makeFolder(t)
      const store = await open(t, dir, { segmentMaxBytes: 2000 })
      for (const commands of [first, second, third]) {
        for (const command of commands) await runCommand(store, command)
        if (commands !== third) await store.snapshot()
      }
      const { seq } = store
      const content = await contentFromNothing(dir, seq)
      const copies = [copyFolder(t, dir), copyFolder(t, dir), copyFolder(t, dir)] as const
      await store.close()
      rmSync(join(copies[1], 'snapshot.sqlite'), { force: true })
      for (const name of ['snapshot.sqlite', 'snapshot.before.sqlite']) rmSync(join(copies[2], name), { force: true })
      for (const [index, copy] of copies.entries()) {
        assert.deepEqual(await start(copy), { content, seq, codes: [] }, `with ${2 - index} snapshots`)
      }
    }),
    { numRuns: 6 },
  )
})

test('parallel commands of any kind leave the same content live, on disk and after a restart', async (t) => {
  await fc.assert(
    fc.asyncProperty(randomCommands(60), async (commands) => {
      const dir = makeFolder(t)
      const store = await open(t, dir, { segmentMaxBytes: 3000 })
      const applied: number[] = []
      store.onApplied(({ seq }) => applied.push(seq))
      await Promise.all(commands.map((command) => runCommand(store, command)))
      const { seq } = store
      assert.deepEqual(
        applied,
        Array.from({ length: seq }, (_, i) => i + 1),
      )
      const copy = copyFolder(t, dir)
      assert.deepEqual(
        (await store.history({})).map((record) => record.seq),
        applied,
      )
      await store.close()
      const again = await start(copy)
      assert.deepEqual(again, { content: await contentFromNothing(dir, seq), seq, codes: [] })
    }),
    { numRuns: 15 },
  )
})

test('a journal cut at any byte replays exactly the whole records before the cut', async (t) => {
  const { dir, contents } = await filled(t, false)
  const files = inOrder(dir)
  assert.ok(files.length > 2)
  let before = 0
  for (const [index, { path, bytes }] of files.entries()) {
    const copy = copyOf(dir, `cut-${index}`, files.slice(0, index))
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      writeFileSync(join(copy, 'journal', basename(path)), bytes.subarray(0, cut))
      const lines = bytes.subarray(0, cut).filter((byte) => byte === 10).length
      const expected = before + Math.max(0, lines - 1)
      const torn = cut > 0 && bytes[cut - 1] !== 10
      const survey = await surveyOf(copy)
      const damage = survey.segments.flatMap((segment) => segment.damage)
      assert.deepEqual([survey.last, survey.tail !== undefined, damage], [expected, torn, []], `${path} cut at ${cut}`)
      // The whole start where something could go wrong with it: around every end of a line.
      if (![-1, 0, 1].some((by) => bytes[cut - 1 + by] === 10) && cut % 97 !== 0) continue
      const started = await start(copy)
      assert.deepEqual(started, { content: contents[expected], seq: expected, codes: torn ? ['torn-tail'] : [] })
      assert.equal(
        readdirSync(copy).some((name) => name.startsWith('journal.tail-')),
        torn,
      )
      assert.deepEqual((await start(copy)).codes, [], 'a second start finds nothing torn')
      for (const name of readdirSync(copy)) if (name.startsWith('journal.tail-')) rmSync(join(copy, name))
    }
    before += bytes.filter((byte) => byte === 10).length - 1
  }
})

for (const clean of [true, false]) {
  test(`a flipped byte anywhere ${clean ? 'after a clean stop' : 'after a crash'} is damage or a torn tail, never other data`, async (t) => {
    const { dir, contents } = await filled(t, clean)
    const last = clean ? contents.length : contents.length - 1
    const counted = { damage: 0, torn: 0 }
    const files = inOrder(dir)
    for (const { path, bytes } of files) {
      const copy = copyOf(dir, `flip-${basename(path)}`, files)
      for (let at = 0; at < bytes.length; at += 1) {
        const flipped = Buffer.from(bytes)
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
        writeFileSync(join(copy, 'journal', basename(path)), flipped)
        const survey = await surveyOf(copy)
        const damaged = survey.segments.some((segment) => segment.damage.length > 0)
        if (damaged) counted.damage += 1
        else {
          counted.torn += 1
          // Only what nobody claims can be taken for torn: the last record (its closing one, after a clean stop).
          assert.deepEqual(
            [survey.tail?.path, survey.last],
            [join(copy, 'journal', basename(path)), last - 1],
            `byte ${at}`,
          )
        }
        if (at % 61 !== 0 && bytes[at] !== 10) continue
        if (damaged) {
          const text = /^the journal is damaged: .*\.jsonl:\d+: .*pxemngr repair --dry-run --data-dir /
          await assert.rejects(start(copy), (error) => error instanceof Refusal && text.test(error.message))
        } else {
          const started = await start(copy)
          assert.deepEqual([started.seq, started.codes], [last - 1, ['torn-tail']])
          assert.equal(started.content, contents[last - 1])
        }
      }
    }
    assert.ok(counted.damage > 1000 && counted.torn > 50, JSON.stringify(counted))
  })
}

function inOrder(dir: string): { path: string; bytes: Buffer }[] {
  const first = ({ path }: { path: string }) => Number.parseInt(basename(path), 10)
  return journalFiles(dir).sort((a, b) => first(a) - first(b))
}

async function surveyOf(dir: string): Promise<Survey> {
  return surveySegments(await listSegments(dataFolder(dir)), 0)
}

function copyOf(dir: string, name: string, files: readonly { path: string; bytes: Buffer }[]): string {
  const copy = join(dir, name)
  for (const folder of ['journal', 'archive']) mkdirSync(join(copy, folder), { recursive: true })
  for (const { path, bytes } of files) writeFileSync(join(copy, 'journal', basename(path)), bytes)
  return copy
}

test('a missing segment, and a journal that ends before its snapshot, are damage', async (t) => {
  const { dir } = await filled(t, true)
  const gone = copyFolder(t, dir)
  rmSync(
    join(
      gone,
      'journal',
      readdirSync(join(gone, 'journal'))
        .filter((name) => name !== '1.jsonl')
        .sort()[0] ?? '',
    ),
  )
  await assert.rejects(start(gone), (error) => error instanceof Refusal && /damaged/.test(error.message))
  const store = await open(t, dir, { segmentMaxBytes: 700 })
  await store.snapshot()
  await store.close()
  const bare = copyFolder(t, dir)
  const files = readdirSync(join(bare, 'journal')).sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10))
  const newest = join(bare, 'journal', files[0] ?? '')
  truncateSync(newest, readFileSync(newest).indexOf(10) + 1)
  // Its own record is gone with the cut, so the snapshot is not one that was written down: replay, nothing wrong served.
  const started = await start(bare)
  assert.deepEqual(started.codes, ['snapshot-set-aside'])
})

test('a snapshot with one flipped bit is set aside, and the one before it serves', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir)
  for (const name of ['a', 'b']) {
    await store.commit(operator, (tx) => addSystem(tx, name))
    assert.equal(await store.snapshot(), true)
  }
  const { seq } = store
  await store.close()
  const content = await contentFromNothing(dir, seq + 1)
  const path = join(dir, 'snapshot.sqlite')
  const bytes = readFileSync(path)
  bytes[5000] = (bytes[5000] ?? 0) ^ 4
  writeFileSync(path, bytes)
  const started = await start(dir)
  assert.deepEqual([started.content, started.codes], [content, ['snapshot-set-aside']])
  assert.ok(readdirSync(dir).some((name) => name.startsWith('snapshot.sqlite.damaged-')))
})

test('a change-over of snapshots that was cut short at any step is finished at the next start', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir)
  for (const name of ['a', 'b']) {
    await store.commit(operator, (tx) => addSystem(tx, name))
    assert.equal(await store.snapshot(), true)
  }
  await store.close()
  const whole = await start(dir)
  const newest = readFileSync(join(dir, 'snapshot.sqlite'))
  const before = readFileSync(join(dir, 'snapshot.before.sqlite'))
  const steps: Record<string, Buffer>[] = [
    { 'snapshot.next.sqlite.tmp': newest.subarray(0, 5000), 'snapshot.sqlite': before },
    { 'snapshot.next.sqlite': newest, 'snapshot.sqlite': before },
    { 'snapshot.next.sqlite': newest, 'snapshot.before.sqlite': before },
  ]
  for (const [index, files] of steps.entries()) {
    const copy = copyFolder(t, dir)
    for (const name of ['snapshot.sqlite', 'snapshot.before.sqlite']) rmSync(join(copy, name))
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(copy, name), bytes)
    assert.deepEqual(await start(copy), whole, `step ${index}`)
    const left = readdirSync(copy)
      .filter((name) => name.startsWith('snapshot.'))
      .sort()
    assert.deepEqual(left, index === 0 ? ['snapshot.sqlite'] : ['snapshot.before.sqlite', 'snapshot.sqlite'])
  }
})

test('segments behind the older snapshot are archived, and a damaged one there is only named', async (t) => {
  const dir = makeFolder(t)
  let store = await open(t, dir)
  for (const name of ['a', 'b', 'c']) {
    await store.commit(operator, (tx) => addSystem(tx, name))
    assert.equal(await store.snapshot(), true)
  }
  await store.close()
  const archived = readdirSync(join(dir, 'archive'))
  assert.ok(archived.includes('1.jsonl'))
  const path = join(dir, 'archive', '1.jsonl')
  const bytes = readFileSync(path)
  const middle = bytes.length - 30
  bytes[middle] = (bytes[middle] ?? 0) ^ 1
  writeFileSync(path, bytes)
  store = await open(t, dir)
  assert.deepEqual(
    store.queries.listSystems().map(({ name }) => name),
    ['a', 'b', 'c'],
  )
  assert.deepEqual(store.degradations(), [])
  const history = await store.history({})
  assert.equal(
    history.some(({ seq }) => seq === 1),
    false,
  )
  const [degradation] = store.degradations()
  assert.equal(degradation?.code, 'archive-damaged')
  assert.match(degradation?.text ?? '', /archive\/1\.jsonl:2: /)
  await assert.rejects(
    store.backup(async () => {}),
    (error) => error instanceof Refusal && /record 1/.test(error.message),
  )
})
