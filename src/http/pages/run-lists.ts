/**
 * Pages that are lists of runs: `/tests/<version>/`, `/testname/<id>/`, `/queue`, `/search`. Each answers its question in
 * the first line; filter and page are in the URL, and CSV and JSON are the rows that are shown. Sources: WEB.md,
 * COMPATIBILITY 4.6 (the URLs of 0.8).
 */
import type { Daemon } from '../../commands/daemon.ts'
import { failingSince, flakyScore } from '../../domain/compare.ts'
import { runStates, verdicts } from '../../domain/verdict.ts'
import type { Named, VersionRow } from '../../store/run-rows.ts'
import type { Frame } from './render.ts'
import type { ListQuery } from './run-selection.ts'
import { pickRuns, type TableOptions, viewRunTable } from './run-table.ts'
import { bootPlaces } from './setup-checks.ts'
import { type Trend, viewTrend } from './trend.ts'
import type { VersionIndex } from './version-index.ts'
import { commandLine, formatCount, plural, queueWords, sentence, share, visible } from './words.ts'

/** Runs that the first line judges by: the newest. */
const judgedMax = 100
/** Late runs that are counted. */
const lateMax = 1000
/** Missing results named one by one. */
const missingShown = 100

export interface ListPage {
  readonly data: object
  readonly frame: Omit<Frame, 'access'>
}

/** A list of runs, or of links. */
export interface Section {
  readonly id: string
  readonly title: string
  readonly count: string
  /** For `runtable.eta`. */
  readonly table?: object
  readonly links?: readonly { readonly text: string; readonly href: string; readonly note: string }[]
  readonly more?: string
  /** How it goes on: words, and a line to type. */
  readonly hint?: { readonly text: string; readonly command?: string }
}

/** For `runs.eta`. */
export interface ListData {
  readonly heading: string
  readonly tone: 'fail' | 'pass' | 'running'
  readonly glyph: string
  /** The first line. */
  readonly answer: string
  readonly sections: readonly Section[]
  readonly trend?: Trend | undefined
  readonly kept?: boolean
  /** Where the form to keep the version goes. */
  readonly keep?: string
}

/** The runs of a version. */
export function tableOfVersion(version: Named, query: ListQuery): TableOptions {
  return {
    path: `/tests/${version.id}/`,
    section: 'runs',
    only: { version: version.id },
    query,
    defaults: { sort: 'id', descending: true },
    without: 'version',
    empty: 'It has no run any more.',
    searchLabel: 'Only machines and tests with',
    withMissing: true,
  }
}

export async function viewVersion(
  daemon: Daemon,
  index: VersionIndex,
  version: VersionRow,
  query: ListQuery,
  nowMs: number,
  mayChange: boolean,
): Promise<ListPage> {
  const { queries } = daemon.store
  const counts = await index.counts(version.id)
  const results = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const failing = counts.fail ?? 0
  const lacking = await index.missing(version.id)
  const options = tableOfVersion(version, query)
  const picked = pickRuns(queries, options)
  const table = viewRunTable(daemon, options, picked, nowMs)
  const name = visible(version.name)
  const systems = (await index.systems(version.id)).size
  const answer =
    results === 0
      ? `${name} has no result yet.`
      : `${failing === 0 ? 'Nothing fails' : sentence(`${share(failing, results, 'test')} ${failing === 1 ? 'fails' : 'fail'}`)} on ${plural(systems, 'machine')}${lacking.length > 0 ? `; ${plural(lacking.length, 'result is', 'results are')} missing` : ''}.`
  const runs: Section = { id: 'runs', title: `Test reports for version ${name}`, count: '', table }
  const gone: Section = {
    id: 'missing',
    title: 'Missing',
    count: formatCount(lacking.length),
    links: lacking.slice(0, missingShown).map(({ system, test, suite }) => ({
      text: `${visible(system.name)}: ${visible(test.name)}`,
      href: `/system/${system.id}/`,
      note: `expected by ${visible(suite)}`,
    })),
    ...(lacking.length > missingShown ? { more: `and ${formatCount(lacking.length - missingShown)} more` } : {}),
  }
  const showsMissing = lacking.length > 0 && (query.standing === undefined || query.standing === 'missing')
  const data: ListData = {
    heading: name,
    tone: failing > 0 ? 'fail' : 'pass',
    glyph: failing > 0 ? verdicts.fail.glyph : verdicts.pass.glyph,
    answer,
    sections: [runs, ...(showsMissing ? [gone] : [])],
    kept: version.kept,
    ...(mayChange && !version.kept ? { keep: `/tests/${version.id}/keep` } : {}),
  }
  return {
    data,
    frame: {
      title: failing > 0 ? `${verdicts.fail.glyph} ${failing} · ${name}` : name,
      state: failing > 0 ? 'fail' : 'ok',
      place: 'results',
      crumbs: [{ text: 'Results', href: '/versions' }, { text: name }],
      seq: daemon.store.seq,
    },
  }
}

/** The runs of a test. */
export function tableOfTest(test: Named, query: ListQuery): TableOptions {
  return {
    path: `/testname/${test.id}/`,
    section: 'runs',
    only: { test: test.id },
    query,
    defaults: { sort: 'id', descending: true },
    without: 'test',
    empty: 'It has not been asked for yet. To ask:',
    command: commandLine('pxemngr', 'nexttest', 'NAME', test.name),
    searchLabel: 'Only machines and versions with',
  }
}

export function viewTestName(daemon: Daemon, test: Named, query: ListQuery, nowMs: number): ListPage {
  const { queries } = daemon.store
  const name = visible(test.name)
  const options = tableOfTest(test, query)
  const picked = pickRuns(queries, options)
  const table = viewRunTable(daemon, options, picked, nowMs)
  const history = queries.runs({ test: test.id, states: ['done'], limit: judgedMax }).reverse()
  const seen = history.flatMap(({ verdict }) => verdict ?? [])
  const since = failingSince(seen)
  const fault = daemon.tests.fault(test.name) ?? daemon.tests.renderFault(test.name)
  const flips = seen.length > 1 ? ` Flaky score ${Math.round(100 * flakyScore(seen))} %.` : ''
  const failingRun = since === undefined ? undefined : history.filter(({ verdict }) => verdict !== null)[since]
  const answer =
    fault !== undefined
      ? `Quarantined: ${visible(fault)}`
      : seen.length === 0
        ? `${name} has no result yet.`
        : failingRun
          ? `Failing since run ${failingRun.id}${failingRun.version ? `, version ${visible(failingRun.version.name)}` : ''}.${flips}`
          : `Not failing.${flips}`
  const bad = fault !== undefined || failingRun !== undefined
  const data: ListData = {
    heading: name,
    tone: bad ? 'fail' : 'pass',
    glyph: bad ? verdicts.fail.glyph : verdicts.pass.glyph,
    answer,
    // Over what is listed: a filter for one machine draws that machine.
    trend: viewTrend(queries, picked.selection.runs, { namesTests: false }),
    sections: [{ id: 'runs', title: 'Runs', count: '', table }],
  }
  return {
    data,
    frame: {
      title: bad ? `${verdicts.fail.glyph} ${name}` : name,
      state: bad ? 'fail' : 'ok',
      place: 'tests',
      crumbs: [{ text: 'Tests', href: '/queue' }, { text: name }],
      seq: daemon.store.seq,
    },
  }
}

/** What runs and what waits. */
export function tableOfQueue(daemon: Daemon, query: ListQuery): TableOptions {
  return {
    path: '/queue',
    section: 'runs',
    only: { states: ['requested', 'sent', 'running'] },
    query,
    defaults: { group: 'state', sort: 'id', descending: false },
    empty: 'No machine runs a test, and none waits. To ask for one:',
    command: 'pxemngr nexttest NAME TEST',
    searchLabel: 'Only machines and tests with',
    said: ({ test, system }) => daemon.tests.fault(test.name) ?? daemon.tests.renderFault(test.name, system.id),
  }
}

/** `local`: as in `bootPlaces`. */
export function viewQueue(daemon: Daemon, query: ListQuery, local: string, nowMs: number): ListPage {
  const { queries } = daemon.store
  const counts = queries.countOpen()
  const options = tableOfQueue(daemon, query)
  const picked = pickRuns(queries, options)
  const table = viewRunTable(daemon, options, picked, nowMs)
  const late = queries
    .overdueRuns(nowMs, daemon.startedMs, lateMax)
    .filter(({ id }) => (daemon.runs.deadlineMs(id) ?? Number.MAX_SAFE_INTEGER) < nowMs)
  const total = counts.running + counts.sent
  const words = sentence(queueWords(total, counts.requested))
  const answer = `${words}${late.length > 0 ? `, ${plural(late.length, 'is', 'are')} late` : ''}.`
  const tests = queries.listTests().filter(({ available }) => available)
  const { url } = bootPlaces(daemon, local)
  const loop = url === undefined ? undefined : `wget -qO- ${url}/script/run.sh | sh -s -- ${url}`
  const folder = daemon.premises().folders.find(({ key }) => key === 'tests-dir')?.path ?? 'tests-dir'
  const data: ListData = {
    heading: 'Queue',
    tone: late.length > 0 ? 'fail' : 'running',
    glyph: late.length > 0 ? verdicts.lost.glyph : total > 0 ? runStates.running.glyph : '',
    answer,
    sections: [
      {
        id: 'runs',
        title: 'Running and waiting',
        count: '',
        table,
        ...(loop === undefined
          ? {}
          : {
              hint: {
                text: 'A machine gets its tests when it asks for them. What asks, runs and reports is:',
                command: loop,
              },
            }),
      },
      {
        id: 'tests',
        title: 'Tests',
        count: formatCount(tests.length),
        ...(tests.some(({ name }) => name !== 'wait')
          ? {}
          : { hint: { text: `A test is a script NAME.test in ${visible(folder)}. It is here within two seconds.` } }),
        links: tests
          .sort((a, b) => a.name.localeCompare(b.name))
          .map(({ id, name }) => ({
            text: visible(name),
            href: `/testname/${id}/`,
            note: visible(daemon.tests.fault(name) ?? ''),
          })),
      },
    ],
  }
  return {
    data,
    frame: {
      title: late.length > 0 ? `${verdicts.lost.glyph} ${late.length} · Tests` : 'Tests',
      place: 'tests',
      crumbs: [{ text: 'Tests' }],
      seq: daemon.store.seq,
    },
  }
}
