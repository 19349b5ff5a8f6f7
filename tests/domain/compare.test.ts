/**
 * Comparison of versions, steadiness of a history, selectors and the JUnit report. Sources: RUNS "Results" (compare),
 * "Commands" (selectors, `--junit`).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classify, compareVersions, failingSince, flakyScore } from '../../src/domain/compare.ts'
import { formatJunit } from '../../src/domain/junit-report.ts'
import { selectNames } from '../../src/domain/selector.ts'
import { letterOf, type Verdict, worstOf } from '../../src/domain/verdict.ts'

test('every pair of outcomes has the word that RUNS gives it', () => {
  const table: readonly (readonly [Verdict | undefined, Verdict | undefined, string | undefined])[] = [
    ['pass', 'fail', 'regression'],
    ['warn', 'fail', 'regression'],
    ['fail', 'pass', 'fixed'],
    ['fail', 'warn', 'fixed'],
    [undefined, 'fail', 'newFailure'],
    ['infra', 'fail', 'newFailure'],
    ['fail', 'fail', 'stillFailing'],
    [undefined, 'pass', 'newPass'],
    ['lost', 'pass', 'newPass'],
    ['pass', 'infra', 'lostCoverage'],
    ['fail', 'lost', 'lostCoverage'],
    ['pass', 'skip', 'lostCoverage'],
    [undefined, 'skip', 'appeared'],
    ['pass', undefined, 'disappeared'],
    ['skip', undefined, 'disappeared'],
    ['pass', 'warn', undefined],
    ['infra', 'lost', undefined],
    [undefined, undefined, undefined],
  ]
  for (const [before, after, kind] of table) assert.equal(classify(before, after), kind, `${before} → ${after}`)
})

test('changes come regressions first, then by system and test, numbers in their order', () => {
  const run = (id: number, system: string, name: string, verdict: Verdict, waived = false) => ({
    run: id,
    system: { id: Number(/\d+$/.exec(system)?.[0]), name: system },
    test: { id: name.length, name },
    verdict,
    waived,
  })
  const changes = compareVersions(
    [run(1, 'n10', 'a', 'pass'), run(2, 'n2', 'a', 'pass'), run(3, 'n2', 'bb', 'fail')],
    [run(4, 'n10', 'a', 'fail'), run(5, 'n2', 'a', 'fail', true), run(6, 'n2', 'bb', 'pass')],
  )
  assert.deepEqual(
    changes.map(({ kind, system, test: name }) => `${kind} ${system} ${name}`),
    ['regression n2 a', 'regression n10 a', 'fixed n2 bb'],
  )
  assert.deepEqual(changes[0]?.after, { run: 5, verdict: 'fail', waived: true })
})

test('the flaky score is 0 for a steady history and 1 for one that turns each time; recent turns weigh more', () => {
  assert.equal(flakyScore([]), 0)
  assert.equal(flakyScore(['fail', 'fail', 'fail']), 0)
  assert.equal(flakyScore(['pass', 'warn', 'pass']), 0)
  assert.equal(flakyScore(['pass', 'fail', 'pass', 'fail']), 1)
  assert.equal(flakyScore(['pass', 'infra', 'lost', 'skip', 'pass']), 0)
  const early = flakyScore(['pass', 'fail', 'fail', 'fail', 'fail', 'fail'])
  const late = flakyScore(['pass', 'pass', 'pass', 'pass', 'pass', 'fail'])
  assert.ok(early < late)
})

test('failing since is the first failure after the last pass, losses in between notwithstanding', () => {
  assert.equal(failingSince(['fail', 'pass', 'fail', 'infra', 'fail']), 2)
  assert.equal(failingSince(['fail', 'pass', 'lost']), undefined)
  assert.equal(failingSince([]), undefined)
})

test('selectors: ranges keep zeros, lists and several brackets, globs; of a range those that exist', () => {
  const names = ['node01', 'node02', 'node10', 'node100', 'rack1-a', 'rack3-a', 'a[1-2]', 'web']
  assert.deepEqual(selectNames('node[01-40]', names), ['node01', 'node02', 'node10'])
  assert.deepEqual(selectNames('node[1-2]', names), [])
  assert.deepEqual(selectNames('node[10,01-02]', names), ['node10', 'node01', 'node02'])
  assert.deepEqual(selectNames('rack[1,3]-*', names), ['rack1-a', 'rack3-a'])
  assert.deepEqual(selectNames('node??', names), ['node01', 'node02', 'node10'])
  assert.deepEqual(selectNames('*', names), names)
  assert.deepEqual(selectNames('web.', names), [])
  assert.deepEqual(selectNames('[9-1]', names), [])
})

test('a selector that would stand for too much, or is hard to match, selects nothing and ends at once', () => {
  assert.deepEqual(selectNames('n[0-999999999]', ['n1']), [])
  assert.deepEqual(selectNames('[1-9999][1-9999]', ['11']), [])
  assert.deepEqual(selectNames(`${'*a'.repeat(12)}b`, ['a'.repeat(200)]), [])
})

test('JUnit: a testsuite a system, a testcase a run, each outcome in its place, nothing breaks the XML', () => {
  const base = { system: 's', reason: '', sentMs: 1000, doneMs: 3500 }
  const xml = formatJunit([
    { ...base, test: 'p', outcome: 'pass' },
    { ...base, test: 'w', outcome: 'warn' },
    { ...base, test: 'f', outcome: 'fail', reason: 'a <b> & "c"\u0001' },
    { ...base, test: 'i', outcome: 'infra' },
    { ...base, test: 't', outcome: 'timed out' },
    { ...base, system: 'é', test: 'k', outcome: 'skip' },
  ])
  assert.match(xml, /<testsuites tests="6" failures="1" errors="2" skipped="1">/)
  assert.match(xml, /<testsuite name="é" tests="1" failures="0" errors="0" skipped="1">/)
  assert.match(xml, /<testcase classname="s" name="p" time="2\.500"\/>/)
  assert.match(xml, /<failure message="fail: a &#60;b&#62; &#38; &#34;c&#34;\ufffd" type="fail"\/>/)
})

test('the worst verdict of a group counts, and only skips are a skip; the letters of 0.8 follow from the state', () => {
  assert.equal(worstOf(['pass', 'skip', 'warn']), 'warn')
  assert.equal(worstOf(['skip', 'skip']), 'skip')
  assert.equal(worstOf(['infra', 'lost', 'pass']), 'lost')
  assert.deepEqual(
    [
      letterOf('requested', false),
      letterOf('running', false),
      letterOf('done', true),
      letterOf('done', false),
      letterOf('expired', false),
    ],
    ['R', 'S', 'D', 'E', 'E'],
  )
})
