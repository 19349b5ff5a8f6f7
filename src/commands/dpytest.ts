/**
 * `dpytest`: the runs a system still has to do, or all test names. `synctestnames`: registers the tests of the folder now,
 * which else happens by itself. Source: COMPATIBILITY 3.9.
 */
import * as v from 'valibot'
import type { RunRow } from '../store/run-rows.ts'
import { defineCommand } from './definition.ts'
import { formatTime } from './dpysystem.ts'
import { runView, viewRun } from './run-view.ts'
import { nothing } from './schema.ts'
import { selectSystems } from './selection.ts'

/** More than any queue holds. */
const queueMax = 100_000

const named = v.strictObject({ name: v.string() })
const namesView = v.strictObject({
  tests: v.array(v.strictObject({ name: v.string(), available: v.boolean() })),
  /** Those that nexttest takes as `@name`, and as `tag:name`; by name. */
  suites: v.array(named),
  tags: v.array(named),
})
const queueView = v.strictObject({
  systems: v.array(v.strictObject({ name: v.string(), runs: v.array(runView) })),
})

export const dpytest = defineCommand({
  name: 'dpytest',
  summary: 'Show what a system still has to test, or list all tests',
  usage: 'pxemngr dpytest <system name>|-l',
  positionals: [{ key: 'name', usage: '<system name>', required: true, complete: ['system'] }],
  options: [{ name: 'list', short: 'l', summary: 'list the names of all tests', alone: true }],
  args: v.strictObject({ name: v.exactOptional(v.string()) }),
  result: v.union([queueView, namesView]),
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr dpytest web01', text: 'requested and not handed out yet, newest first' },
    { line: 'pxemngr dpytest -l', text: 'all tests, oldest first' },
  ],
  async prepare(typed) {
    return typed['name'] === undefined ? {} : { name: typed['name'] }
  },
  run({ daemon }, { name }) {
    const { queries } = daemon.store
    if (name === undefined) {
      const { tests } = daemon
      const tags = new Set(tests.names().flatMap((test) => tests.times(test)?.tags ?? []))
      const named = (names: Iterable<string>) => [...names].sort().map((each) => ({ name: each }))
      return {
        tests: queries.listTests().map((test) => ({ name: test.name, available: test.available })),
        suites: named(tests.suiteNames()),
        tags: named(tags),
      }
    }
    const waiting = (system: number): RunRow[] => queries.runs({ system, states: ['requested'], limit: queueMax })
    return {
      systems: selectSystems(queries, name).map((system) => ({
        name: system.name,
        runs: waiting(system.id).map((run) => viewRun(daemon, run)),
      })),
    }
  },
  print(result, out) {
    if ('tests' in result) {
      for (const { name } of result.tests) out.line(name)
      return
    }
    for (const { name, runs } of result.systems) {
      out.line(`Name: ${name}`)
      for (const { requested, test } of runs) out.line(`${formatTime(requested ?? '')} ${test} R`)
    }
  },
})

export const synctestnames = defineCommand({
  name: 'synctestnames',
  summary: 'Register the tests of the folder now',
  usage: 'pxemngr synctestnames',
  positionals: [],
  options: [],
  args: nothing,
  result: v.strictObject({ registered: v.array(v.string()), missing: v.array(v.string()) }),
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr synctestnames', text: 'prints the name of every test' },
    { line: 'pxemngr synctestnames --json', text: 'the same for programs' },
  ],
  run: ({ daemon }) => daemon.tests.sync(),
  print({ registered, missing }, out) {
    for (const name of registered) out.line(`registering ${name}`)
    if (missing.length > 0) out.line('you must add a wait test')
  },
})
