/**
 * The newest records of one system, for its page: what `history` would say, without walking through the journal.
 */
import assert from 'node:assert/strict'
import { appendFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { recentKept } from '../../src/store/recent.ts'
import type { Store } from '../../src/store/store.ts'
import { addParts, emit, requested, uploaded } from '../harness/run-events.ts'
import { makeFolder, open } from '../harness/store-folder.ts'

/** Small, so that a few records fill many. */
const segmentMaxBytes = 2000

const seqs = async (store: Store, system: number, recent: boolean, limit = recentKept): Promise<number[]> =>
  (await store.history({ systems: [system], limit, recent })).map(({ seq }) => seq)

async function fill(store: Store, runs: number): Promise<void> {
  for (let run = 1; run <= runs; run++) {
    await emit(store, requested(run, 1 + (run % 3), 1))
    await emit(store, uploaded(run, 'pass', 'v1'))
  }
}

test('it is the end of the history, run by run, in this life of the store and in the next', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir, { segmentMaxBytes })
  await addParts(store, 3, 1)
  await fill(store, 12)
  assert.ok(readdirSync(join(dir, 'journal')).length > 3)
  for (const system of [1, 2, 3]) assert.deepEqual(await seqs(store, system, true), await seqs(store, system, false))
  assert.deepEqual((await seqs(store, 2, true, 3)).length, 3)
  await store.close()
  const again = await open(t, dir, { segmentMaxBytes })
  await emit(again, { type: 'system.renamed', system: 2, name: 'other', was: 's2' })
  const found = await again.history({ systems: [2], recent: true })
  assert.deepEqual(found.at(-1)?.events, [{ type: 'system.renamed', system: 2, name: 'other', was: 's2' }])
  const all = await seqs(again, 2, false)
  assert.deepEqual(
    found.map(({ seq }) => seq),
    all.slice(-found.length),
  )
  assert.ok(found.length > 1)
})

test('what was before the start is found, however much was written before the first question', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir, { segmentMaxBytes })
  await addParts(store, 2, 1)
  await emit(store, requested(1, 1, 1))
  const before = await seqs(store, 1, false)
  await store.close()
  const again = await open(t, dir, { segmentMaxBytes })
  const segments = readdirSync(join(dir, 'journal')).length
  for (let run = 2; run <= 80; run++) await emit(again, requested(run, 2, 1))
  assert.ok(readdirSync(join(dir, 'journal')).length > segments + 8)
  assert.deepEqual(await seqs(again, 1, true), before)
  assert.deepEqual(await seqs(again, 1, false), before)
})

test('no more are kept than a page lists, and a system that nobody knows has none', async (t) => {
  const store = await open(t, makeFolder(t))
  await addParts(store, 1, 1)
  for (let run = 1; run <= recentKept + 5; run++) await emit(store, requested(run, 1, 1))
  assert.equal((await seqs(store, 1, true, 1000)).length, recentKept)
  assert.equal((await seqs(store, 1, true, 1000)).at(-1), store.seq)
  assert.deepEqual(await seqs(store, 99, true), [])
})

test('what is behind the end of an acknowledged segment is not shown', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir)
  await addParts(store, 1, 1)
  const before = await seqs(store, 1, true)
  const [segment = ''] = readdirSync(join(dir, 'journal'))
  appendFileSync(join(dir, 'journal', segment), '{"seq":3,"kept":2,"half a rec')
  assert.deepEqual(await seqs(store, 1, true), before)
})
