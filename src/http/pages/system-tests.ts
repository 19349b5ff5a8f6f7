/**
 * The tests of one machine on its page: how they are, and the forms to ask for one, to take back what is open and to
 * release a sick machine. What the forms do is `changes.ts`. Sources: WEB.md, RUNS "Commands".
 */
import type { Daemon } from '../../commands/daemon.ts'
import { failingSince, flakyScore } from '../../domain/compare.ts'
import { verdictNames } from '../../domain/verdict.ts'
import type { BriefRun } from '../../store/run-rows.ts'
import type { Queries, SystemRow } from '../../store/store.ts'
import { type FormFault, formatSpan, type RunSpan } from './changes.ts'
import { chipOf, type RunChip } from './run-rows.ts'
import type { ListQuery } from './run-selection.ts'
import type { TableOptions } from './run-table.ts'
import { type Spark, sparkOf } from './spark.ts'
import { listChoices } from './test-choice.ts'
import { viewTrend } from './trend.ts'
import { commandLine, formatCount, formatDuration, plural, visible } from './words.ts'

/** Runs that are judged: the newest. */
const judgedMax = 5000
/** Results of a test that its line draws. */
const sparkMax = 24
/** Runs on a page of the list. */
const runsShown = 25
/** Tests listed. */
const testsShown = 100

/** The runs of a machine. */
export function tableOfSystem(daemon: Daemon, system: SystemRow, query: ListQuery): TableOptions {
  const test = daemon.tests.names().find((name) => name !== 'wait') ?? 'TEST'
  return {
    path: `/system/${system.id}/`,
    section: 'runs',
    only: { system: system.id },
    query,
    defaults: { sort: 'id', descending: true },
    without: 'system',
    rows: runsShown,
    empty: 'None yet. To ask for one:',
    command: commandLine('pxemngr', 'nexttest', system.name, test),
    searchLabel: 'Only tests and versions with',
  }
}

/** How its tests are: a line in words, one row a test, and what changes from version to version. `all`: newest first. */
export function viewSystemTests(daemon: Daemon, all: readonly BriefRun[]): object {
  const { queries } = daemon.store
  const runs = all.filter(({ state }) => state === 'done').slice(0, judgedMax)
  const byTest = new Map<number, BriefRun[]>()
  for (const run of [...runs].reverse()) {
    const own = byTest.get(run.test) ?? []
    own.push(run)
    byTest.set(run.test, own)
  }
  const names = new Map(queries.listTests().map(({ id, name }) => [id, name]))
  const tests = [...byTest].map(([id, own]) => judgeTest(queries, names.get(id) ?? '', own))
  tests.sort((a, b) => a.rank - b.rank || b.flaky - a.flaky || (a.name < b.name ? -1 : 1))
  return {
    said: testsLine(tests),
    tests: tests.slice(0, testsShown),
    more: tests.length > testsShown ? `and ${plural(tests.length - testsShown, 'test')} more` : '',
    trend: viewTrend(queries, runs, { namesTests: true }),
  }
}

interface JudgedTest {
  readonly name: string
  readonly href: string
  readonly chip: RunChip
  readonly last: string
  /** Run and version since when it fails; undefined: it does not. */
  readonly since: { readonly text: string; readonly href: string } | undefined
  readonly flaky: number
  readonly flakyText: string
  readonly spark: Spark
  readonly took: string
  readonly failing: boolean
  /** Place of its last verdict, the worst first. */
  readonly rank: number
}

/** `runs`: done ones of one test, oldest first. */
function judgeTest(queries: Queries, name: string, runs: readonly BriefRun[]): JudgedTest {
  const judged = runs.filter(({ verdict }) => verdict !== null)
  const seen = judged.flatMap(({ verdict }) => verdict ?? [])
  const last = judged.at(-1)
  const at = failingSince(seen)
  const first = at === undefined ? undefined : judged[at]
  const version = first?.version == null ? undefined : queries.getVersion(first.version)?.name
  const flaky = flakyScore(seen)
  const took = judged.findLast(({ tookMs }) => tookMs !== null)?.tookMs
  const words = new URLSearchParams({ q: name })
  return {
    name: visible(name),
    href: `?${words}#runs`,
    chip: chipOf({ state: 'done', verdict: last?.verdict ?? null }),
    last: last ? `/test/${last.id}/` : '',
    since: first && {
      text: version === undefined ? `run ${first.id}` : visible(version),
      href: `/test/${first.id}/`,
    },
    flaky,
    flakyText: seen.length > 1 ? `${Math.round(100 * flaky)} %` : '',
    spark: sparkOf(seen.slice(-sparkMax)),
    took: took == null ? '' : formatDuration(Math.max(0, took)),
    failing: first !== undefined,
    rank: last?.verdict ? verdictNames.indexOf(last.verdict) : verdictNames.length,
  }
}

/** In words: how its tests are now. */
function testsLine(tests: readonly JudgedTest[]): string {
  if (tests.length === 0) return ''
  const failing = tests.filter((test) => test.failing).length
  const lost = tests.filter(({ chip }) => chip.word === 'lost' || chip.word === 'infra').length
  const all = plural(tests.length, 'test')
  return `${failing === 0 ? `Nothing fails of ${all}` : `${formatCount(failing)} of ${all} ${failing === 1 ? 'fails' : 'fail'}`}${lost > 0 ? `; ${formatCount(lost)} gave no result the last time` : ''}.`
}

/** What has just been asked for, and how to take it back. */
export function viewAsked(daemon: Daemon, span: RunSpan): object {
  const count = span.last - span.first + 1
  const run = daemon.store.queries.getRun(span.first)
  return {
    text: count === 1 ? `Run ${span.first}` : `${plural(count, 'run')}, ${span.first} to ${span.last}`,
    href: `/test/${span.first}/`,
    waits: count === 1 ? 'waits' : 'wait',
    what: count === 1 && run ? visible(run.test.name) : '',
    value: formatSpan(span),
  }
}

/** The forms about tests: asking for them, taking back what is open, and that a sick machine has been seen to. */
export function viewTestForms(daemon: Daemon, system: SystemRow, refused: FormFault | undefined): object {
  const { queries } = daemon.store
  const fault = (form: string) => (refused?.form === form ? refused : undefined)
  const open = queries.countRuns({ system: system.id, states: ['requested', 'sent', 'running'] })
  const version = queries.versionOf(system.id)
  return {
    choices: listChoices(daemon, fault('nexttest')?.typed ?? ''),
    version: version === undefined ? '' : visible(version.name),
    open: open === 0 ? undefined : plural(open, 'run'),
    faults: { nexttest: fault('nexttest'), cancel: fault('cancel'), release: fault('release') },
  }
}
