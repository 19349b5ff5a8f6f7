/**
 * The figures of the bench: medians, ratios paired by round, targets. Source: scripts/bench/figures.ts.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Metric, Sample, Target } from '../scripts/bench/cell.ts'
import { figureOf, judge } from '../scripts/bench/figures.ts'
import { formatFigure } from '../scripts/bench/report.ts'

const metrics: readonly Metric[] = [
  { key: 'rate', label: 'reads/s', better: 'more', digits: 0 },
  { key: 'cpu', label: 'CPU', better: 'less', digits: 1 },
]
const rounds = (of: Record<string, readonly Sample[]>): Map<string, readonly Sample[]> => new Map(Object.entries(of))
const target: Target = { subject: 'a', metric: 'rate', against: ['b', 'c'], atLeast: 1.5 }

test('a median of an even number of values is the mean of the two in the middle', () => {
  assert.deepEqual(figureOf([9, 1, 4, 2]), { median: 3, min: 1, max: 9 })
  assert.deepEqual(figureOf([10, 9, 2]), { median: 9, min: 2, max: 10 })
  assert.equal(figureOf([]), undefined)
})

test('a ratio is taken within a round, against the best there', () => {
  const taken = rounds({
    a: [{ rate: 30 }, { rate: 10 }, { rate: 100 }],
    b: [{ rate: 10 }, { rate: 5 }, { rate: 20 }],
    c: [{ rate: 15 }, { rate: 2 }, { rate: 50 }],
  })
  const { figure, reached } = judge(target, metrics, taken)
  assert.deepEqual(figure, { median: 2, min: 2, max: 2 })
  assert.equal(reached, true)
})

test('the best of a metric of which less is better is the smallest', () => {
  const taken = rounds({ a: [{ cpu: 4 }], b: [{ cpu: 8 }], c: [{ cpu: 2 }] })
  const verdict = judge({ subject: 'a', metric: 'cpu', against: ['b', 'c'], atMost: 1 }, metrics, taken)
  assert.deepEqual([verdict.figure?.median, verdict.reached], [2, false])
})

test('an absent peer is named in the target and left out of it', () => {
  const verdict = judge(target, metrics, rounds({ a: [{ rate: 30 }], b: [{ rate: 10 }] }))
  assert.equal(verdict.text, 'a: reads/s ≥ 1.5 × best of b, c (without c)')
  assert.deepEqual([verdict.figure?.median, verdict.reached], [3, true])
})

test('without anybody to compare with, or without the figure, nothing is said to be reached', () => {
  const alone = judge(target, metrics, rounds({ a: [{ rate: 30 }] }))
  const uncounted = judge(target, metrics, rounds({ a: [{ cpu: 1 }], b: [{ rate: 1 }] }))
  const missing = judge(target, metrics, rounds({ b: [{ rate: 1 }] }))
  for (const { figure, reached } of [alone, uncounted, missing])
    assert.deepEqual([figure, reached], [undefined, undefined])
})

test('a limit itself is reached', () => {
  const verdict = judge({ subject: 'a', metric: 'cpu', atMost: 4 }, metrics, rounds({ a: [{ cpu: 4 }] }))
  assert.equal(verdict.reached, true)
})

test('a target that names a metric its cell lacks is a bug and says so', () => {
  assert.throws(() => judge({ ...target, metric: 'speed' }, metrics, rounds({})), /the metric speed/)
})

test('figures are printed with their range, unless there is one value', () => {
  assert.equal(formatFigure({ median: 19_800.4, min: 18_100, max: 21_000 }, 0), '19,800 (18,100–21,000)')
  assert.equal(formatFigure({ median: 1, min: 1, max: 1 }, 2), '1.00')
  assert.equal(formatFigure(undefined, 2), '–')
})
