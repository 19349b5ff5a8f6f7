/**
 * Figures in the text format of Prometheus. Source: Prometheus text exposition format 0.0.4.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../src/metrics.ts'

test('counters count by labels, which are escaped', () => {
  const metrics = createMetrics()
  const answers = metrics.counter('answers_total', 'Answers\nby \\ kind')
  answers.add()
  answers.add(2, { kind: 'a"b\\c\nd' })
  answers.add(3, { kind: 'a"b\\c\nd' })
  assert.equal(
    metrics.format(),
    '# HELP answers_total Answers\\nby \\\\ kind\n# TYPE answers_total counter\n' +
      'answers_total 1\nanswers_total{kind="a\\"b\\\\c\\nd"} 5\n',
  )
  assert.throws(() => answers.add(-1), /cannot go down/)
  assert.throws(() => answers.add(Number.NaN), /cannot go down/)
})

test('gauges are read when asked for', () => {
  const metrics = createMetrics()
  let value = 1
  metrics.gauge('level', 'Level', () => value)
  value = Number.POSITIVE_INFINITY
  assert.match(metrics.format(), /^level \+Inf$/m)
})

test('histograms give cumulative buckets, sum and count', () => {
  const metrics = createMetrics()
  const seconds = metrics.histogram('wait_seconds', 'Wait', [0.1, 1])
  for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value, { plane: 'x' })
  assert.equal(
    metrics.format(),
    '# HELP wait_seconds Wait\n# TYPE wait_seconds histogram\n' +
      'wait_seconds_bucket{plane="x",le="0.1"} 2\nwait_seconds_bucket{plane="x",le="1"} 3\n' +
      'wait_seconds_bucket{plane="x",le="+Inf"} 4\nwait_seconds_sum{plane="x"} 7.65\nwait_seconds_count{plane="x"} 4\n',
  )
})

test('a figure is declared once, by a name that can be one, and has a bounded number of labels', () => {
  const metrics = createMetrics()
  const counter = metrics.counter('a_total', 'A')
  assert.throws(() => metrics.gauge('a_total', 'A', () => 1), /declared twice/)
  assert.throws(() => metrics.counter('A b', 'A'), /no name/)
  for (let at = 0; at < 1000; at += 1) counter.add(1, { at: String(at) })
  assert.throws(() => counter.add(1, { at: 'one more' }), /more than 1000/)
  counter.add(1, { at: '7' })
})
