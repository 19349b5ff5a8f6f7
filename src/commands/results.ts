/**
 * `results`: runs by system, test, version, verdict, tag and time, newest first; with `--verdict missing` what suites
 * expect and nothing has a result for. Source: RUNS "Commands", "Results" (suites).
 */
import * as v from 'valibot'
import { durationAllowed, parseDuration } from '../domain/duration.ts'
import { Refusal } from '../domain/errors.ts'
import type { Verdict } from '../domain/verdict.ts'
import type { RunFilter, RunRow, VersionRow } from '../store/run-rows.ts'
import type { Queries } from '../store/store.ts'
import type { Daemon } from './daemon.ts'
import { defineCommand } from './definition.ts'
import {
  printRuns,
  type RunView,
  runState,
  runsView,
  runVerdict,
  stateWords,
  verdictWords,
  viewMissing,
  viewRun,
} from './run-view.ts'
import { selectSystems } from './selection.ts'

/** Runs shown unless told otherwise: a few screens. */
const limitDefault = 100
/** Most that one call may ask for: some 50 MB of JSON. */
const limitMax = 100_000
/** Rows looked at in one turn of the event loop. */
const rowsPerTurn = 500

const args = v.strictObject({
  systems: v.exactOptional(v.array(v.string())),
  test: v.exactOptional(v.string()),
  version: v.exactOptional(v.string()),
  verdict: v.exactOptional(v.array(runVerdict)),
  state: v.exactOptional(v.array(runState)),
  tag: v.exactOptional(v.string()),
  since: v.exactOptional(v.string()),
  limit: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(limitMax))),
})
type Args = v.InferOutput<typeof args>

export const results = defineCommand({
  name: 'results',
  summary: 'List runs and their verdicts, newest first',
  usage:
    'pxemngr results [<system name>...] [--test T] [--version V] [--verdict W] [--state S] [--tag T] [--since TIME] [--limit N]',
  positionals: [{ key: 'systems', usage: '<system name>', required: false, variadic: true, complete: ['system'] }],
  options: [
    { name: 'test', value: 'TEST', complete: ['test'], summary: 'only runs of this test' },
    { name: 'version', value: 'VERSION', complete: ['version'], summary: 'only runs that count for this version' },
    {
      name: 'verdict',
      value: 'VERDICT',
      words: verdictWords,
      repeatable: true,
      summary: 'only these: fail, lost, infra, warn, pass, skip; missing: expected by a suite, and not there',
    },
    {
      name: 'state',
      value: 'STATE',
      words: stateWords,
      repeatable: true,
      summary: `only these: ${stateWords.join(', ')}`,
    },
    { name: 'tag', value: 'TAG', complete: ['tag'], summary: 'only runs of tests that have this tag' },
    { name: 'since', value: 'TIME', summary: 'only runs requested since: 2h (ago), 2026-11-23, 2026-11-23T08:00' },
    { name: 'limit', short: 'n', value: 'N', summary: `at most the newest N (default ${limitDefault})` },
  ],
  args,
  result: runsView,
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr results --verdict fail --since 2d', text: 'what failed since the day before yesterday' },
    { line: 'pxemngr results web01 --version 4.2', text: 'every run of web01 for the version 4.2' },
  ],
  async prepare(typed) {
    const limit = typed['limit']
    const words = (key: string) => {
      const given = typed[key]
      if (given === undefined) return {}
      const list = (Array.isArray(given) ? given : [given]).flatMap((each) => String(each).split(','))
      return { [key]: list }
    }
    return {
      ...typed,
      ...words('verdict'),
      ...words('state'),
      ...(typeof limit === 'string' && /^\d{1,15}$/.test(limit) ? { limit: Number(limit) } : {}),
    }
  },
  async run({ daemon }, wanted) {
    return { runs: await findRuns(daemon, wanted) }
  },
  print(result, out) {
    printRuns(result.runs, out)
    if (result.runs.length === 0 && out.terminal) out.note('no run fits: pxemngr nexttest NAME TEST asks for one')
  },
})

async function findRuns(daemon: Daemon, wanted: Args): Promise<RunView[]> {
  const { queries } = daemon.store
  const limit = wanted.limit ?? limitDefault
  const systems = selectedIds(queries, wanted.systems)
  const tests = testIds(daemon, wanted)
  const version = wanted.version === undefined ? undefined : getVersion(queries, wanted.version).id
  const sinceMs = wanted.since === undefined ? undefined : parseSince(wanted.since, Date.now())
  const verdicts = wanted.verdict?.filter((verdict) => verdict !== 'missing') as Verdict[] | undefined
  const found: RunView[] = wanted.verdict?.includes('missing')
    ? missingRuns(queries, wanted, systems, tests, version)
    : []
  if (wanted.verdict !== undefined && verdicts?.length === 0) return found.slice(0, limit)
  const filter: Omit<RunFilter, 'limit'> = {
    ...(systems?.size === 1 ? { system: [...systems][0] ?? 0 } : {}),
    ...(tests?.size === 1 ? { test: [...tests][0] ?? 0 } : {}),
    ...(version === undefined ? {} : { version }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(verdicts ? { verdicts } : {}),
    ...(wanted.state ? { states: wanted.state } : {}),
  }
  let before = Number.MAX_SAFE_INTEGER
  while (found.length < limit) {
    const rows = queries.runs({ ...filter, before, limit: rowsPerTurn })
    for (const row of rows) if (found.length < limit && fits(row, systems, tests)) found.push(viewRun(daemon, row))
    if (rows.length < rowsPerTurn) break
    before = rows.at(-1)?.id ?? 0
    await new Promise((resolve) => setImmediate(resolve))
  }
  return found
}

function fits(row: RunRow, systems: ReadonlySet<number> | undefined, tests: ReadonlySet<number> | undefined): boolean {
  return (systems?.has(row.system.id) ?? true) && (tests?.has(row.test.id) ?? true)
}

function selectedIds(queries: Queries, selectors: readonly string[] | undefined): Set<number> | undefined {
  if (!selectors || selectors.length === 0) return undefined
  return new Set(selectors.flatMap((selector) => selectSystems(queries, selector).map(({ id }) => id)))
}

/** Tests by name and tag; undefined: all. */
function testIds(daemon: Daemon, wanted: Args): Set<number> | undefined {
  const { queries } = daemon.store
  let found: Set<number> | undefined
  if (wanted.test !== undefined) {
    const test = queries.findTest(wanted.test)
    if (!test) throw new Refusal('not-found', `Test name ${wanted.test} not defined`)
    found = new Set([test.id])
  }
  if (wanted.tag === undefined) return found
  const tagged = daemon.tests.tagged(wanted.tag).flatMap((name) => queries.findTest(name)?.id ?? [])
  if (tagged.length === 0) throw new Refusal('not-found', `No test has the tag ${wanted.tag}`)
  return new Set(found ? tagged.filter((test) => found.has(test)) : tagged)
}

/** One that any run was for; refuses (`not-found`). */
export function getVersion(queries: Queries, name: string): VersionRow {
  return defined(name, queries.findVersion(name))
}

/** One that `versions` lists; refuses (`not-found`). */
export function getListedVersion(queries: Queries, name: string): VersionRow {
  return defined(name, queries.findListedVersion(name))
}

function defined<V>(name: string, version: V | undefined): V {
  if (!version) throw new Refusal('not-found', `Version ${name} not defined`)
  return version
}

/** A duration back from now, or a date (UTC), with time if wanted, → ms. Refuses (`usage`). */
export function parseSince(text: string, nowMs: number): number {
  const agoMs = parseDuration(text)
  if (agoMs !== undefined) return nowMs - agoMs
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d)?)?$/.exec(text)
  const [, day, minute = '00:00', second = ':00', zone = 'Z'] = parts ?? []
  const at = day === undefined ? Number.NaN : Date.parse(`${day}T${minute}${second}${zone}`)
  // Date.parse takes the 30th of February for the 2nd of March.
  if (Number.isNaN(at) || !new Date(Date.parse(`${day}T00:00:00Z`)).toISOString().startsWith(day ?? '')) {
    throw new Refusal(
      'usage',
      `--since ${JSON.stringify(text)} is not allowed: ${durationAllowed}, or a date such as 2026-11-23 or 2026-11-23T08:00`,
    )
  }
  return at
}

/** Expected by a suite for the version (every version, if none is named), without a result that counts. */
function missingRuns(
  queries: Queries,
  wanted: Args,
  systems: ReadonlySet<number> | undefined,
  tests: ReadonlySet<number> | undefined,
  version: number | undefined,
): RunView[] {
  const versions = version === undefined ? queries.knownVersions() : [{ id: version, name: wanted.version ?? '' }]
  return versions.flatMap(({ id, name }) =>
    queries
      .missingOf(id)
      .filter(({ system, test }) => (systems?.has(system.id) ?? true) && (tests?.has(test.id) ?? true))
      .map(({ system, test, suite }) => viewMissing(system.name, test.name, name, suite)),
  )
}
