/**
 * The latest results of each version, kept as they change: after whatever happened they are what the store says.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { compareVersions } from '../../src/domain/compare.ts'
import type { Event } from '../../src/domain/event.ts'
import { createKeptRows } from '../../src/http/pages/matrix-rows.ts'
import { createVersionIndex, type VersionIndex } from '../../src/http/pages/version-index.ts'
import type { LatestRun } from '../../src/store/run-rows.ts'
import { addParts, emit, requested, uploaded } from '../harness/run-events.ts'
import { openStateStore, type StateStore } from '../harness/state-store.ts'

async function openIndex(t: TestContext): Promise<{ store: StateStore; index: VersionIndex }> {
  const store = await openStateStore()
  const index = createVersionIndex(store)
  t.after(async () => {
    index.close()
    await store.close()
  })
  await addParts(store, 3, 3)
  return { store, index }
}

const byPair = (a: LatestRun, b: LatestRun): number => a.system.id - b.system.id || a.test.id - b.test.id

async function assertSame(store: StateStore, index: VersionIndex): Promise<void> {
  const versions = store.queries.listVersions().reverse()
  for (const [at, version] of versions.entries()) {
    const wanted = store.queries.latestOf(version.id)
    assert.deepEqual(
      [...(await index.latest(version.id)).values()].flatMap((runs) => [...runs.values()]).sort(byPair),
      [...wanted].sort(byPair),
      version.name,
    )
    const counts: Record<string, number> = {}
    for (const { verdict } of wanted) counts[verdict] = (counts[verdict] ?? 0) + 1
    assert.deepEqual(await index.counts(version.id), counts)
    for (const [system, results] of await index.systems(version.id)) {
      const own = wanted.filter((run) => run.system.id === system)
      assert.deepEqual(results.system, own[0]?.system)
      assert.deepEqual(
        [...results.failing].sort(),
        own.flatMap(({ verdict, test: { id } }) => (verdict === 'fail' ? [id] : [])),
      )
    }
    assert.deepEqual(await index.missing(version.id), store.queries.missingOf(version.id))
    const before = versions[at - 1]
    if (!before) continue
    const changes = compareVersions(store.queries.latestOf(before.id), wanted)
    const { regressions, fixed } = await index.changes(before.id, version.id)
    assert.equal(regressions, changes.filter(({ kind }) => kind === 'regression').length)
    assert.equal(fixed, changes.filter(({ kind }) => kind === 'fixed').length)
  }
}

const step = fc.record({
  what: fc.constantFrom('run', 'run', 'run', 'again', 'waive', 'unwaive', 'close', 'remove', 'suite', 'rename'),
  system: fc.integer({ min: 1, max: 3 }),
  test: fc.integer({ min: 1, max: 3 }),
  version: fc.constantFrom('v1', 'v2', 'v3'),
  verdict: fc.constantFrom('pass', 'fail', 'warn', 'skip'),
  which: fc.nat(),
})

test('after any sequence of results, second uploads, waivers, removals and suites the index is what the store says', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { store, index } = await openIndex(t)
      const runs: number[] = []
      let last = 0
      for (const { what, system, test: id, version, verdict, which } of steps) {
        const old = runs[which % Math.max(1, runs.length)]
        const events: Event[] = []
        if (what === 'run') {
          last += 1
          events.push(requested(last, system, id), uploaded(last, verdict, version))
          runs.push(last)
        } else if (what === 'suite') {
          events.push({ type: 'suite.given', system, version, suite: 'smoke', tests: [id] })
        } else if (what === 'rename') {
          events.push({ type: 'system.renamed', system, name: `renamed-${which}-${system}-${store.seq}`, was: '' })
        } else if (what === 'close') {
          last += 1
          events.push(requested(last, system, id), { type: 'run.closed', run: last, verdict: 'lost', reason: 'silent' })
          runs.push(last)
        } else if (old !== undefined) {
          if (what === 'again') events.push(uploaded(old, verdict, version))
          else if (what === 'waive') events.push({ type: 'run.waived', run: old, why: 'known' })
          else if (what === 'unwaive') events.push({ type: 'run.waived', run: old, why: null })
          else {
            events.push({ type: 'run.removed', run: old })
            runs.splice(runs.indexOf(old), 1)
          }
        }
        if (events.length > 0) await emit(store, ...events)
        if (which % 3 === 0) await assertSame(store, index)
      }
      await assertSame(store, index)
    }),
    { numRuns: 25 },
  )
})

test('a result that comes while its version is being read is in what was read', async (t) => {
  const { store, index } = await openIndex(t)
  await emit(store, requested(1, 1, 1), uploaded(1, 'pass', 'v1'))
  const reading = index.counts(1)
  await emit(store, requested(2, 2, 2), uploaded(2, 'fail', 'v1'))
  await reading
  assert.deepEqual(await index.counts(1), { pass: 1, fail: 1 })
})

test('what is removed while its version is being read is gone afterwards', async (t) => {
  const { store, index } = await openIndex(t)
  await emit(store, requested(1, 1, 1), uploaded(1, 'pass', 'v1'), requested(2, 2, 1), uploaded(2, 'pass', 'v1'))
  const reading = index.counts(1)
  await emit(store, { type: 'system.removed', system: 2, name: 's2' })
  await reading
  assert.deepEqual(await index.counts(1), { pass: 1 })
})

test('what one system has is the same object until one of its results changes', async (t) => {
  const { store, index } = await openIndex(t)
  await emit(store, requested(1, 1, 1), uploaded(1, 'pass', 'v1'), requested(2, 2, 1), uploaded(2, 'pass', 'v1'))
  const before = new Map(await index.systems(1))
  await emit(store, requested(3, 2, 2), uploaded(3, 'fail', 'v1'))
  const after = await index.systems(1)
  assert.equal(after.get(1), before.get(1))
  assert.deepEqual(after.get(2)?.counts, { pass: 1, fail: 1 })
})

test('a row of the matrix is made again only where what it is made of changed', () => {
  const kept = createKeptRows<{ text: string }>()
  let made = 0
  const row = (scope: string, inputs: readonly unknown[]) =>
    kept.grid(scope).row(1, inputs, () => {
      made += 1
      return { text: String(inputs) }
    })
  const part = {}
  const first = row('a', [part, 1, undefined])
  assert.equal(row('a', [part, 1, undefined]), first)
  assert.notEqual(row('a', [{}, 1, undefined]), first)
  row('a', [part, 1])
  row('b', [part, 1])
  assert.equal(made, 4)
  let rendered = 0
  const html = () =>
    kept.html(first, ({ text }) => {
      rendered += 1
      return `<b>${text}</b>`
    })
  assert.equal(html(), html())
  assert.equal(rendered, 1)
})

test('of the grids only the last few are kept', () => {
  const kept = createKeptRows<object>()
  const row = (scope: string) => kept.grid(scope).row(1, [], () => ({}))
  const first = row('0')
  for (const scope of ['1', '2', '3']) row(scope)
  assert.equal(row('0'), first)
  for (const scope of ['1', '2', '3', '4']) row(scope)
  assert.notEqual(row('0'), first)
})
