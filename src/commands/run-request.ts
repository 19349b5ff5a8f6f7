/**
 * What is asked for → runs: tests by name, `@suite` and `tag:<t>`, checked before anything is changed.
 *
 * A test may be asked for whose file is there and good; a suite tells besides what a version lacks without it.
 * Source: RUNS "Results" (suites), "Times" (tags), COMPATIBILITY 3.9.
 */
import { Refusal } from '../domain/errors.ts'
import { nameFault } from '../domain/name.ts'
import { hintFor } from '../domain/nearest.ts'
import { suiteMark, tagMark } from '../domain/selector.ts'
import type { Transaction } from '../store/store.ts'
import type { Daemon } from './daemon.ts'

/** Tests in the order in which they are handed out, and what suites among them expect. */
export interface RequestedTests {
  readonly tests: readonly string[]
  readonly suites: readonly { readonly name: string; readonly expected: readonly string[] }[]
}

/** Refuses what there is none of (`not-found`) and what is quarantined (`refused`, with file and line). */
export function expandTests(daemon: Daemon, words: readonly string[]): RequestedTests {
  const suites: { name: string; expected: string[] }[] = []
  const tests = words.flatMap((word) => {
    if (word.startsWith(suiteMark)) {
      const name = word.slice(suiteMark.length)
      const suite = getSuite(daemon, name)
      suites.push({
        name,
        expected: suite.filter(({ expected }) => expected).map(({ name }) => name),
      })
      return suite.map(({ name }) => name)
    }
    if (word.startsWith(tagMark)) {
      const tag = word.slice(tagMark.length)
      const tagged = daemon.tests.tagged(tag)
      if (tagged.length === 0) throw new Refusal('not-found', `No test has the tag ${tag}`)
      return tagged
    }
    return [word]
  })
  checkTests(daemon, tests)
  return { tests, suites }
}

function getSuite(daemon: Daemon, name: string): readonly { readonly name: string; readonly expected: boolean }[] {
  const suite = daemon.tests.suite(name)
  if (suite === undefined) {
    throw new Refusal('not-found', `Suite ${name} not defined: there is no file ${name}.suite in the tests folder`)
  }
  if ('fault' in suite) throw new Refusal('refused', suite.fault)
  if (suite.length === 0) throw new Refusal('refused', `Suite ${name} has no test: ${name}.suite names none`)
  return suite
}

/**
 * Refuses a test that nobody registered, whose file is gone, or that is quarantined. The folder is read once and each test
 * looked at once, however often it is named: a thousand runs of one test are asked for in one go.
 */
export function checkTests(daemon: Daemon, tests: Iterable<string>): void {
  const files = new Set(daemon.tests.names())
  for (const test of new Set(tests)) checkTest(daemon, test, files.has(test))
}

function checkTest(daemon: Daemon, test: string, present: boolean): void {
  const known = nameFault(test) === undefined && daemon.store.queries.findTest(test) !== undefined
  if (!known && !present) {
    const hint = hintFor(test, daemon.tests.names(), 'pxemngr dpytest -l')
    throw new Refusal('not-found', `Test name ${test} not defined`, { hint })
  }
  if (!present) {
    throw new Refusal('refused', `Test name ${test} has no file ${test}.test any more: put it back, or choose another`)
  }
  const fault = daemon.tests.fault(test)
  if (fault !== undefined) throw new Refusal('refused', fault)
}

/** One run, at the end of the system's queue; its id. */
export function requestRun(tx: Transaction, system: number, test: number, version: string | null): number {
  const run = tx.nextId('run')
  tx.emit({ type: 'run.requested', run, system, test, attempt: 1, group: run, version })
  return run
}

/**
 * All of it for one system; the runs. What suites expect is written down for the version asked for, else for the
 * last one the system is known to have.
 */
export function requestTests(
  tx: Transaction,
  system: number,
  { tests, suites }: RequestedTests,
  version: string | null,
): { readonly id: number; readonly test: string }[] {
  const ids = new Map<string, number>()
  const idOf = (name: string): number => {
    const id = ids.get(name) ?? tx.findTest(name)?.id
    if (id === undefined) throw new Refusal('not-found', `Test name ${name} not defined`)
    ids.set(name, id)
    return id
  }
  const runs = tests.map((test) => ({ id: requestRun(tx, system, idOf(test), version), test }))
  const counted = version ?? tx.versionOf(system)?.name
  if (counted === undefined) return runs
  for (const suite of suites) {
    tx.emit({ type: 'suite.given', system, version: counted, suite: suite.name, tests: suite.expected.map(idOf) })
  }
  return runs
}
