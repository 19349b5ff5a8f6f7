/**
 * What `.test` and `.suite` files say: settings in the leading comments, tests of a suite; wrong ones with their line.
 * Sources: RUNS "Times", "Results" (suites).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSuite } from '../../src/domain/suite.ts'
import { parseTestSettings } from '../../src/domain/test-settings.ts'

const defaults = { timeoutMs: null, graceMs: null, bootMs: null, retries: 0, tags: [] }

test('settings stand in the leading comments, #! included; several lines count; later ones are text', () => {
  const text =
    '#!/bin/sh\n# pxemngr: timeout=30m grace=2m\n# other\n#pxemngr: boot=20m retries=1 tags=burnin,disk\necho\n# pxemngr: timeout=x\n'
  assert.deepEqual(parseTestSettings(text), {
    timeoutMs: 1_800_000,
    graceMs: 120_000,
    bootMs: 1_200_000,
    retries: 1,
    tags: ['burnin', 'disk'],
  })
  assert.deepEqual(parseTestSettings('echo\n# pxemngr: timeout=1s\n'), defaults)
  assert.deepEqual(parseTestSettings(''), defaults)
})

test('CRLF and blanks make no difference', () => {
  assert.deepEqual(parseTestSettings('#  pxemngr:   timeout=5s  \r\n'), { ...defaults, timeoutMs: 5000 })
})

test('an unknown key, a bare number or a bad value is a fault with its line', () => {
  for (const words of [
    'timeout=30',
    'timeout=',
    'timeout',
    'timeout=-1s',
    'timeout=0s',
    'wait=1s',
    'retries=x',
    'retries=11',
    'tags=',
    'tags=a b',
    'tags=a,,b',
    'retries=1.5',
  ]) {
    const fault = parseTestSettings(`#!/bin/sh\n# pxemngr: ${words}\n`)
    assert.ok('line' in fault, words)
    assert.equal(fault.line, 2, words)
    assert.ok(!fault.text.includes('\n'))
  }
})

test('a suite is one test a line, expected unless optional', () => {
  assert.deepEqual(parseSuite('# all\n\nsmoke\r\ndisk expect\n  a b optional\nlast optional # why\n'), [
    { name: 'smoke', expected: true, line: 3 },
    { name: 'disk', expected: true, line: 4 },
    { name: 'a b', expected: false, line: 5 },
    { name: 'last', expected: false, line: 6 },
  ])
})

test('a suite with a name that cannot be, or one that stands twice, is a fault with its line', () => {
  for (const text of ['a\n../b\n', 'a\na\n', 'a\n-x\n']) {
    const fault = parseSuite(text)
    assert.ok('line' in fault && fault.line === 2, text)
  }
})
