/**
 * What may be asked of a machine, as the choices of a form: suites, tests, tags. Quarantined ones are named, with why, and
 * cannot be chosen. What each word means is `commands/run-request.ts`. Source: RUNS "Results" (suites), "Times" (tags).
 */
import type { Daemon } from '../../commands/daemon.ts'
import { plural, visible } from './words.ts'

export interface Choice {
  /** As `nexttest` takes it. */
  readonly value: string
  readonly text: string
  readonly chosen: boolean
  /** Quarantined. */
  readonly faulty: boolean
}

export interface ChoiceGroup {
  readonly label: string
  readonly choices: readonly Choice[]
}

/** The loop of a machine that has nothing to do; nobody asks for it. */
const waitTest = 'wait'

export function listChoices(daemon: Daemon, chosen: string): readonly ChoiceGroup[] {
  const { tests } = daemon
  const names = tests
    .names()
    .filter((name) => name !== waitTest)
    .sort((a, b) => a.localeCompare(b))
  const choice = (value: string, text: string, fault: string | undefined): Choice => ({
    value,
    text: `${visible(text)}${fault === undefined ? '' : ' (quarantined)'}`,
    chosen: value === chosen && fault === undefined,
    faulty: fault !== undefined,
  })
  const suites = [...tests.suiteNames()].sort().map((name) => {
    const suite = tests.suite(name)
    if (suite && 'fault' in suite) return choice(`@${name}`, name, suite.fault)
    return choice(`@${name}`, `${name}, ${plural(suite?.length ?? 0, 'test')}`, undefined)
  })
  const counts = new Map<string, number>()
  for (const name of names) {
    if (tests.fault(name) !== undefined) continue
    for (const tag of tests.times(name)?.tags ?? []) counts.set(tag, (counts.get(tag) ?? 0) + 1)
  }
  const tags = [...counts]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([tag, count]) => choice(`tag:${tag}`, `${tag}, ${plural(count, 'test')}`, undefined))
  return [
    { label: 'Suites', choices: suites },
    { label: 'Tests', choices: names.map((name) => choice(name, name, tests.fault(name))) },
    { label: 'All tests with a tag', choices: tags },
  ].filter(({ choices }) => choices.length > 0)
}
