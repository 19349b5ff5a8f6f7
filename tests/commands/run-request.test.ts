/**
 * What is asked for is checked test by test, and each test once, however often it is named. Source: `run-request.ts`; DESIGN
 * "Speed" (a bulk record takes the main loop for 20 ms at most).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Daemon } from '../../src/commands/daemon.ts'
import { checkTests, expandTests, requestTests } from '../../src/commands/run-request.ts'
import { Refusal } from '../../src/domain/errors.ts'
import type { Transaction } from '../../src/store/store.ts'

/** A daemon that knows these tests, with a count of what it was asked. */
function daemonWith(known: readonly string[], files: readonly string[], faults: Readonly<Record<string, string>> = {}) {
  const asked = { names: 0, fault: 0, findTest: 0 }
  const daemon = {
    tests: {
      names() {
        asked.names += 1
        return files
      },
      fault(name: string) {
        asked.fault += 1
        return faults[name]
      },
      tagged: () => ['a', 'b', 'a'],
    },
    store: {
      queries: {
        findTest(name: string) {
          asked.findTest += 1
          return known.includes(name) ? { id: 1 + known.indexOf(name), name, available: true } : undefined
        },
      },
    },
  } as unknown as Daemon
  return { daemon, asked }
}

const thousand = (name: string): string[] => Array.from({ length: 1000 }, () => name)

test('a thousand times the same test: the folder is read once, and order and number stay', () => {
  const { daemon, asked } = daemonWith(['a', 'b'], ['a', 'b'])
  const words = [...thousand('a'), 'tag:x', ...thousand('b')]
  const { tests } = expandTests(daemon, words)
  assert.deepEqual(tests, [...thousand('a'), 'a', 'b', 'a', ...thousand('b')])
  assert.deepEqual(asked, { names: 1, fault: 2, findTest: 2 })
})

test('the first that is refused is named, whatever comes before and behind it', () => {
  const { daemon } = daemonWith(['a', 'gone', 'bad'], ['a', 'new', 'bad'], { bad: 'bad.test:1: no' })
  const refusal = (tests: readonly string[]): string => {
    try {
      checkTests(daemon, tests)
      return ''
    } catch (error) {
      assert.ok(error instanceof Refusal)
      return `${error.kind}: ${error.message}`
    }
  }
  assert.equal(refusal(['a', 'new', 'a']), '')
  assert.equal(refusal(['a', 'a', 'bad', 'nobody']), 'refused: bad.test:1: no')
  assert.match(refusal(['a', 'nobody', 'bad']), /^not-found: Test name nobody not defined$/)
  assert.match(refusal(['a', 'gone']), /^refused: Test name gone has no file gone\.test any more/)
  assert.match(refusal(['../a']), /^not-found: /)
})

test('runs are asked for in order, each test looked up once; an unknown one refuses', () => {
  let looked = 0
  let next = 7
  const emitted: unknown[] = []
  const tx = {
    findTest(name: string) {
      looked += 1
      return name === 'nobody' ? undefined : { id: name === 'a' ? 1 : 2, name, available: true }
    },
    nextId: () => next++,
    emit: (event: unknown) => void emitted.push(event),
    versionOf: () => undefined,
  } as unknown as Transaction
  const tests = [...thousand('a'), 'b', 'a']
  const runs = requestTests(tx, 3, { tests, suites: [] }, null)
  assert.deepEqual(
    runs,
    tests.map((name, at) => ({ id: 7 + at, test: name })),
  )
  assert.equal(looked, 2)
  assert.deepEqual(emitted[1000], {
    ...{ type: 'run.requested', run: 1007, system: 3, test: 2, attempt: 1, group: 1007, version: null },
  })
  assert.throws(() => requestTests(tx, 3, { tests: ['a', 'nobody'], suites: [] }, null), /nobody not defined/)
})
