/**
 * A search through the lines of the newest runs, from the side of everybody else: it goes piece by piece, and what waits has
 * its turn between two of them. Source: DESIGN "Speed" (nothing on the event loop over 10 ms).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Daemon } from '../../src/commands/daemon.ts'
import { parseListQuery } from '../../src/http/pages/run-selection.ts'
import { tableOfSearch } from '../../src/http/pages/search.ts'

test('the lines of all runs are looked through once, newest first, and others have their turn in between', async () => {
  const spans: { first: number; last: number }[] = []
  const turns: number[] = []
  let turn = 0
  let isOver = false
  const others = () => {
    turn += 1
    if (!isOver) setImmediate(others)
  }
  const searchLines = (_words: string, _limit: number, span: { first: number; last: number }) => {
    spans.push(span)
    turns.push(turn)
    return []
  }
  const queries = { searchSpan: () => ({ first: 1001, last: 51_000 }), searchLines }
  setImmediate(others)
  const { among } = await tableOfSearch(
    { store: { queries } } as unknown as Daemon,
    parseListQuery(new URLSearchParams({ q: 'no such words' })),
  )
  isOver = true
  assert.deepEqual(among, [])
  assert.equal(new Set(turns).size, spans.length, 'a turn for each piece')
  let end = 51_000
  for (const { first, last } of spans) {
    assert.equal(last, end)
    assert.ok(last - first < 5000)
    end = first - 1
  }
  assert.equal(end, 1000)
})
