/**
 * What keeps a million runs affordable: no question of daily work walks through all runs or all of a system's, what is
 * kept of a run is small and whole, and a database grows where it lies. Source: DESIGN "State", `schema-runs.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '../../src/domain/event.ts'
import { applyRecord } from '../../src/store/apply.ts'
import { createQueries } from '../../src/store/queries.ts'
import { emptyState } from '../../src/store/replay.ts'
import { lineRunsKept } from '../../src/store/schema-runs.ts'
import { allocateFile, type Database, openDatabase } from '../../src/store/sqlite.ts'
import type { Queries } from '../../src/store/store.ts'
import { requested, sent, uploaded } from '../harness/run-events.ts'

const actor = { who: 'ann', from: 'socket', surface: 'cli' } as const

async function openState() {
  const database = await emptyState()
  let seq = 0
  const apply = (...events: readonly Event[]) => {
    seq += 1
    applyRecord(database, { seq, at: new Date(1_800_000_000_000 + seq).toISOString(), actor, events: [...events] })
  }
  apply({ type: 'system.added', system: 1, name: 'web01' }, { type: 'test.registered', test: 1, name: 'smoke' })
  return { database, apply, queries: createQueries(database) }
}

/** How SQLite would run the statements behind `ask`. */
function plansOf(database: Database, ask: (queries: Queries) => unknown): string[] {
  const statements = new Map<string, readonly (string | number | Uint8Array | null)[]>()
  const watched: Database = {
    ...database,
    get(sql, values = []) {
      statements.set(sql, values)
      return database.get(sql, values)
    },
    all(sql, values = []) {
      statements.set(sql, values)
      return database.all(sql, values)
    },
  }
  ask(createQueries(watched))
  return [...statements].flatMap(([sql, values]) =>
    database.all(`EXPLAIN QUERY PLAN ${sql}`, values).map((row) => String(row[3])),
  )
}

const run = { id: 5, system: { id: 1 }, test: { id: 1 }, group: 5 } as Parameters<Queries['nextRun']>[0]
const questions: Readonly<Record<string, readonly [(queries: Queries) => unknown, index: string]>> = {
  'the oldest waiting runs of a machine': [(q) => q.oldestRequestedOf([1, 2], 10), 'run_open'],
  'the waiting runs of a machine': [(q) => q.requestedOf([1, 2], 10), 'run_open'],
  'runs past their deadline': [(q) => q.overdueRuns(9e15, 0, 10), 'run_open'],
  'the queue': [(q) => q.openRuns('requested', 10), 'run_open'],
  'what of a system is under way': [(q) => q.runs({ system: 1, states: ['sent', 'running'], limit: 10 }), 'run_open'],
  'how many are open': [(q) => q.countOpen(), 'run_open'],
  'the last results of a system': [(q) => q.lastDoneOf(1, 3), 'run_system'],
  'the runs of a system': [(q) => q.runs({ system: 1, limit: 10 }), 'run_system'],
  'the runs of a test': [(q) => q.runs({ test: 1, before: 100, limit: 10 }), 'run_test'],
  'the runs of a version': [(q) => q.runs({ version: 1, limit: 10 }), 'run_version'],
  'the run before one': [(q) => q.previousRun(run, ['pass', 'fail']), 'run_system'],
  'the run after one': [(q) => q.nextRun(run), 'run_system'],
  'the latest results of a version': [(q) => q.latestOf(1), 'run_version'],
  'a part of them': [(q) => q.latestAfter(1, { system: 1, test: 1 }, 10), 'run_version'],
  'one of them': [(q) => q.latestRun(1, 1, 1), 'run_version'],
  'what is missing of a version': [(q) => q.missingOf(1), 'run_version'],
  'the attempts of a group': [(q) => q.attemptsOf(1), 'run_again'],
}

test('no question walks through all runs: each has its index', async () => {
  const { database } = await openState()
  for (const [name, [ask, index]] of Object.entries(questions)) {
    const plans = plansOf(database, ask)
    const scans = plans.filter((plan) => /^SCAN (r|run)\b/.test(plan) && !plan.includes('run_open'))
    assert.deepEqual(scans, [], name)
    assert.ok(
      plans.some((plan) => plan.includes(index)),
      `${name}: ${plans.join('; ')}`,
    )
  }
})

test('lists of runs are read in the order of their index, without sorting rows', async () => {
  const { database } = await openState()
  for (const ask of [
    (q: Queries) => q.runs({ system: 1, limit: 10 }),
    (q: Queries) => q.runs({ test: 1, limit: 10 }),
    (q: Queries) => q.lastDoneOf(1, 3),
  ]) {
    assert.deepEqual(
      plansOf(database, ask).filter((plan) => plan.includes('TEMP B-TREE FOR ORDER BY')),
      [],
    )
  }
})

test('lines are kept of the newest runs only; counts and reason of all', async () => {
  const { apply, queries } = await openState()
  const lines = [{ kind: 'E', line: 3, text: 'Disk broke 100%' }] as const
  const newer = 1 + lineRunsKept
  apply(requested(1, 1, 1), uploaded(1, 'fail', 'v1', { lines, reason: 'Disk broke 100%' }))
  assert.deepEqual(queries.getDetail(1).lines, lines)
  apply(requested(newer - 1, 1, 1), uploaded(newer - 1, 'fail', 'v1', { lines }))
  assert.equal(queries.getDetail(1).lines.length, 1)
  apply(requested(newer, 1, 1), uploaded(newer, 'pass', 'v1', { lines: [{ kind: 'I', line: 1, text: 'fine' }] }))
  assert.deepEqual(queries.getDetail(1).lines, [])
  assert.equal(queries.getDetail(1).reason, 'Disk broke 100%')
  assert.equal(queries.getRun(1)?.counts.error, 1)
  assert.deepEqual(
    queries.searchLines('disk broke', 10).map((hit) => [hit.run.id, hit.text]),
    [[newer - 1, 'Disk broke 100%']],
  )
})

test('a search goes through its span piece by piece and finds the same', async () => {
  const { apply, queries } = await openState()
  for (let run = 1; run <= 20; run++)
    apply(
      requested(run, 1, 1),
      uploaded(run, 'fail', null, { lines: [{ kind: 'E', line: 1, text: `broke ${run % 2}` }] }),
    )
  const span = queries.searchSpan()
  assert.deepEqual(span, { first: 1, last: 20 })
  const ids = (found: ReturnType<typeof queries.searchLines>) => found.map(({ run }) => run.id)
  const pieces = [
    [14, 20],
    [7, 13],
    [1, 6],
  ].flatMap(([first = 0, last = 0]) => ids(queries.searchLines('broke 1', 50, { first, last })))
  assert.deepEqual(pieces, ids(queries.searchLines('broke 1', 50)))
  assert.deepEqual(pieces.length, 10)
  assert.deepEqual(ids(queries.searchLines('broke 1', 2, { first: 1, last: 6 })), [5, 3])
})

test('a search takes per cent, underline and backslash as they are', async () => {
  const { apply, queries } = await openState()
  const line = (text: string) => [{ kind: 'E', line: 1, text } as const]
  apply(requested(1, 1, 1), uploaded(1, 'fail', null, { lines: line('at 100% of a_b') }))
  apply(requested(2, 1, 1), uploaded(2, 'fail', null, { lines: line('at 1000 of acb'), reason: 'x_y' }))
  const found = (words: string) => queries.searchLines(words, 10).map((hit) => hit.run.id)
  assert.deepEqual(found('100%'), [1])
  assert.deepEqual(found('a_b'), [1])
  assert.deepEqual(found('x_y'), [2])
  assert.deepEqual(found('\\'), [])
  assert.deepEqual(found('AT 1'.toLowerCase()), [2, 1])
  apply(requested(3, 1, 1), uploaded(3, 'fail', null, { lines: line('no "link" in C:\\boot') }))
  assert.deepEqual(found('"link" in c:\\'), [3])
})

test('a search finds errors and warnings, not what a test says when all is well', async () => {
  const { apply, queries } = await openState()
  const fine = { kind: 'I', line: 1, text: 'link test begins' } as const
  apply(requested(1, 1, 1), uploaded(1, 'pass', null, { lines: [fine] }))
  apply(requested(2, 1, 1), uploaded(2, 'fail', null, { lines: [fine, { kind: 'E', line: 2, text: 'no link' }] }))
  apply(requested(3, 1, 1), uploaded(3, 'warn', null, { lines: [fine, { kind: 'W', line: 2, text: 'link is slow' }] }))
  apply(
    requested(4, 1, 1),
    uploaded(4, 'fail', null, {
      lines: [
        { kind: 'E', line: 1, text: 'bad' },
        { ...fine, line: 2 },
      ],
    }),
  )
  const found = (limit: number) => queries.searchLines('link', limit).map((hit) => [hit.run.id, hit.text])
  const hits = [
    [3, 'link is slow'],
    [2, 'no link'],
  ]
  assert.deepEqual(found(10), hits)
  // Newer ones, where the words stand in what is no error, take nobody's place.
  for (let run = 5; run <= 30; run++) {
    apply(
      requested(run, 1, 1),
      uploaded(run, 'fail', null, {
        lines: [
          { kind: 'E', line: 1, text: 'bad' },
          { ...fine, line: 2 },
        ],
      }),
    )
  }
  for (const limit of [1, 2, 10]) assert.deepEqual(found(limit), hits.slice(0, limit))
})

test('a run keeps who got it, its exit status and its size; a second upload replaces all of it', async () => {
  const { apply, queries } = await openState()
  apply(requested(1, 1, 1), sent(1))
  assert.deepEqual(queries.machineOf(1), { mac: '52:54:00:00:00:01', ip: '192.0.2.7' })
  assert.equal(queries.getRun(1)?.graceMs, 1000)
  const many = { exit: 3, sizeBytes: 7000, notes: ['cut'], attachments: [{ name: 'a', sizeBytes: 1 }] }
  apply(uploaded(1, 'fail', 'v1', { ...many, cases: { total: 2, pass: 1, fail: 1, skip: 0, todo: 0 } }))
  const first = queries.getDetail(1)
  assert.deepEqual([first.exit, first.sizeBytes, first.notes, first.cases.fail], [3, 7000, ['cut'], 1])
  assert.deepEqual([first.mac, first.ip], ['52:54:00:00:00:01', '192.0.2.7'])
  assert.equal(queries.reasonOf(1), 'it is fail')
  assert.equal(queries.getRun(1)?.deadlineMs, null)
  apply({ type: 'run.waived', run: 1, why: 'known' })
  apply(uploaded(1, 'pass', 'v2', { exit: 0, sizeBytes: 10 }))
  const second = queries.getDetail(1)
  assert.deepEqual([second.exit, second.sizeBytes, second.notes, second.attachments], [0, 10, [], []])
  assert.deepEqual([second.reason, second.cases.total, second.waived], [null, 0, 'known'])
  assert.equal(queries.getRun(1)?.version?.name, 'v2')
})

test('a run that was sent to nobody known has no machine, and one address alone is enough', async () => {
  const { apply, queries } = await openState()
  apply(requested(1, 1, 1), sent(1, null, null))
  apply(requested(2, 1, 1), sent(2, null, '192.0.2.9'))
  assert.equal(queries.machineOf(1), undefined)
  assert.deepEqual(queries.machineOf(2), { mac: null, ip: '192.0.2.9' })
  assert.deepEqual([queries.getDetail(2).mac, queries.getDetail(2).ip], [null, '192.0.2.9'])
})

test('a removed run leaves no row behind', async () => {
  const { database, apply } = await openState()
  const lines = [{ kind: 'E', line: 1, text: 'x' }] as const
  apply(requested(1, 1, 1), sent(1), uploaded(1, 'fail', 'v1', { lines }))
  apply(requested(2, 1, 1), sent(2), uploaded(2, 'fail', 'v1', { lines }))
  apply({ type: 'run.removed', run: 1 })
  apply({ type: 'system.removed', system: 1, name: 'web01' })
  for (const table of ['run', 'run_detail', 'run_line']) {
    assert.equal(database.get(`SELECT count(*) FROM ${table}`)?.[0], 0, table)
  }
})

test('a database that was given room grows, is read back and is exported like any other', async () => {
  const small = await openDatabase()
  small.script('CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)')
  const image = small.export()
  small.close()
  const bytes = allocateFile(image.length)
  bytes.set(image)
  assert.equal(bytes.length, image.length)
  const grown = await openDatabase(bytes)
  for (let at = 1; at <= 50; at++) grown.run('INSERT INTO t (text) VALUES (?)', ['x'.repeat(100_000)])
  assert.equal(grown.get('PRAGMA integrity_check')?.[0], 'ok')
  const exported = grown.export()
  assert.ok(exported.length > 5_000_000)
  const again = await openDatabase(exported)
  assert.equal(again.get('SELECT sum(length(text)) FROM t')?.[0], 5_000_000)
  assert.equal(grown.get('SELECT count(*) FROM t')?.[0], 50)
  again.close()
  grown.close()
})
