/**
 * Pages that are lists of runs: `/tests/<version>/`, `/testname/<id>/`, `/queue`, `/search`. Each answers its question in
 * the first line; filter and page are in the URL, and CSV and JSON are the rows that are shown. Sources: WEB.md,
 * COMPATIBILITY 4.6 (the URLs of 0.8).
 */
import type { Daemon } from '../../commands/daemon.ts'
import { failingSince, flakyScore } from '../../domain/compare.ts'
import { isVerdict, type Verdict, verdictNames, verdicts } from '../../domain/verdict.ts'
import type { Named, RunRow } from '../../store/run-rows.ts'
import { type Chart, drawChart, type Sample } from './chart.ts'
import type { Frame } from './render.ts'
import { type ShownRun, showRun } from './run-rows.ts'
import type { VersionIndex } from './version-index.ts'
import { formatCount, formatDuration, plural, visible } from './words.ts'

/** Rows of one page. */
const rowsShown = 100
/** Runs that a chart goes over: the newest. */
const chartedMax = 100
/** Rows looked through for a filter by words. */
const lookedMax = 5000
export interface ListPage {
  readonly data: object
  readonly frame: Omit<Frame, 'access'>
  /** What is shown, for CSV and JSON. */
  readonly runs: readonly RunRow[]
}

export interface Section {
  readonly id: string
  readonly title: string
  readonly rows: readonly ShownRun[]
  readonly count: string
  readonly empty: string
  readonly command?: string
  readonly links?: readonly { readonly text: string; readonly href: string; readonly note: string }[]
}

export interface ListQuery {
  readonly words: string
  readonly verdict: Verdict | undefined
  readonly before: number | undefined
}

export function parseListQuery(params: URLSearchParams): ListQuery {
  const verdict = params.get('verdict') ?? ''
  const before = params.get('before') ?? ''
  return {
    words: (params.get('q') ?? '').slice(0, 200),
    verdict: isVerdict(verdict) ? verdict : undefined,
    before: /^[1-9]\d{0,14}$/.test(before) ? Number(before) : undefined,
  }
}

function urlOf(path: string, query: ListQuery, more: Readonly<Record<string, string>> = {}): string {
  const params = new URLSearchParams()
  if (query.words !== '') params.set('q', query.words)
  if (query.verdict) params.set('verdict', query.verdict)
  for (const [key, value] of Object.entries({ ...(query.before ? { before: String(query.before) } : {}), ...more })) {
    params.set(key, value)
  }
  const text = params.toString()
  return text === '' ? path : `${path}?${text}`
}

/** Runs that fit, newest first, at most a page; `more`: there may be older ones. */
function findRuns(daemon: Daemon, only: { readonly version?: number; readonly test?: number }, query: ListQuery) {
  const { queries } = daemon.store
  const verdict = query.verdict ? { verdicts: [query.verdict] } : {}
  const found: RunRow[] = []
  let before = query.before ?? Number.MAX_SAFE_INTEGER
  for (let looked = 0; found.length < rowsShown && looked < lookedMax; looked += rowsShown) {
    const rows = queries.runs({ ...only, ...verdict, before, limit: rowsShown })
    for (const row of rows) if (found.length < rowsShown && hasWords(row, query.words)) found.push(row)
    before = rows.at(-1)?.id ?? 0
    if (rows.length < rowsShown) return { found, more: false }
  }
  return { found, more: true }
}

function hasWords(run: RunRow, words: string): boolean {
  if (words === '') return true
  const text = `${run.system.name} ${run.test.name} ${run.version?.name ?? ''}`.toLowerCase()
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}

export function listData(
  daemon: Daemon,
  path: string,
  query: ListQuery,
  parts: {
    readonly heading: string
    readonly tone: string
    readonly glyph: string
    readonly answer: string
    readonly sections: readonly Section[]
    readonly charts?: readonly Chart[]
    readonly searchLabel?: string
    readonly older?: number
    readonly exported: boolean
  },
): object {
  return {
    charts: [],
    ...parts,
    action: path,
    search: parts.searchLabel === undefined ? undefined : query.words,
    verdicts: parts.searchLabel === undefined ? undefined : verdictNames,
    verdict: query.verdict,
    next: parts.older === undefined ? undefined : urlOf(path, { ...query, before: parts.older }),
    links: parts.exported
      ? { csv: urlOf(path, query, { format: 'csv' }), json: urlOf(path, query, { format: 'json' }) }
      : undefined,
    seq: daemon.store.seq,
  }
}

export async function viewVersion(
  daemon: Daemon,
  index: VersionIndex,
  version: Named,
  query: ListQuery,
  nowMs: number,
): Promise<ListPage> {
  const { queries } = daemon.store
  const path = `/tests/${version.id}/`
  const counts = await index.counts(version.id)
  const results = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const failing = counts.fail ?? 0
  const lacking = query.verdict === undefined ? await index.missing(version.id) : []
  const { found, more } = findRuns(daemon, { version: version.id }, query)
  const name = visible(version.name)
  const systems = (await index.systems(version.id)).size
  const answer =
    results === 0
      ? `${name} has no result yet.`
      : `${failing === 0 ? 'Nothing fails' : `${plural(failing, 'test')} of ${formatCount(results)} fail`} on ${plural(systems, 'machine')}${lacking.length > 0 ? `; ${plural(lacking.length, 'result is', 'results are')} missing` : ''}.`
  const sections: Section[] = [
    {
      id: 'runs',
      title: `Test reports for version ${name}`,
      rows: found.map((run) => showRun(queries, run, nowMs)),
      count: formatCount(found.length),
      empty: 'No run fits.',
    },
  ]
  if (lacking.length > 0) {
    const rows = lacking.slice(0, rowsShown).map(({ system, test }) => ({
      text: `${visible(system.name)}: ${visible(test.name)}`,
      href: `/system/${system.id}/`,
      note: 'missing',
    }))
    sections.push({
      id: 'missing',
      title: 'Missing',
      rows: [],
      links: rows,
      count: formatCount(lacking.length),
      empty: '',
    })
  }
  return {
    runs: found,
    data: listData(daemon, path, query, {
      heading: name,
      tone: failing > 0 ? 'fail' : 'pass',
      glyph: failing > 0 ? verdicts.fail.glyph : verdicts.pass.glyph,
      answer,
      sections,
      searchLabel: 'Only machines and tests with',
      exported: true,
      ...(more && found.length > 0 ? { older: found.at(-1)?.id ?? 0 } : {}),
    }),
    frame: {
      title: failing > 0 ? `${verdicts.fail.glyph} ${failing} · ${name}` : name,
      state: failing > 0 ? 'fail' : 'ok',
      place: 'results',
      crumbs: [{ text: 'Results', href: '/versions' }, { text: name }],
      seq: daemon.store.seq,
    },
  }
}

export function viewTestName(daemon: Daemon, test: Named, query: ListQuery, nowMs: number): ListPage {
  const { queries } = daemon.store
  const path = `/testname/${test.id}/`
  const name = visible(test.name)
  const { found, more } = findRuns(daemon, { test: test.id }, query)
  const history = queries.runs({ test: test.id, states: ['done'], limit: chartedMax }).reverse()
  const seen = history.flatMap(({ verdict }) => verdict ?? [])
  const since = failingSince(seen)
  const fault = daemon.tests.fault(test.name)
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
  return {
    runs: found,
    data: listData(daemon, path, query, {
      heading: name,
      tone: bad ? 'fail' : 'pass',
      glyph: bad ? verdicts.fail.glyph : verdicts.pass.glyph,
      answer,
      charts: chartsOf(daemon, history),
      sections: [
        {
          id: 'runs',
          title: 'Runs',
          rows: found.map((run) => showRun(queries, run, nowMs)),
          count: formatCount(found.length),
          empty: 'No run fits. To ask for one:',
          command: `pxemngr nexttest NAME ${test.name}`,
        },
      ],
      searchLabel: 'Only machines and versions with',
      exported: true,
      ...(more && found.length > 0 ? { older: found.at(-1)?.id ?? 0 } : {}),
    }),
    frame: {
      title: bad ? `${verdicts.fail.glyph} ${name}` : name,
      state: bad ? 'fail' : 'ok',
      place: 'tests',
      crumbs: [{ text: 'Tests', href: '/queue' }, { text: name }],
      seq: daemon.store.seq,
    },
  }
}

/** Duration, and each measurement, over the runs given (oldest first). */
export function chartsOf(daemon: Daemon, history: readonly RunRow[]): Chart[] {
  const label = (run: RunRow) => `run ${run.id}${run.version ? `, ${visible(run.version.name)}` : ''}`
  const duration: Sample[] = history.map((run) => ({
    value: run.sentMs !== null && run.doneMs !== null ? Math.max(0, run.doneMs - run.sentMs) : null,
    title: label(run),
    tone: run.verdict ?? 'none',
  }))
  const measured = new Map<string, Sample[]>()
  for (const [at, run] of history.entries()) {
    for (const { name, value, unit } of daemon.store.queries.measurementsOf(run.id)) {
      const key = unit === '' ? name : `${name} (${unit})`
      const samples =
        measured.get(key) ??
        history.map((each): Sample => ({ value: null, title: label(each), tone: each.verdict ?? 'none' }))
      const sample = samples[at]
      if (sample) samples[at] = { ...sample, value }
      measured.set(key, samples)
    }
  }
  const charts = [
    drawChart('Duration', duration, formatDuration),
    ...[...measured].slice(0, 12).map(([name, samples]) => drawChart(visible(name), samples, (value) => String(value))),
  ]
  return charts.filter((chart) => chart !== undefined)
}

export function viewQueue(daemon: Daemon, query: ListQuery, nowMs: number): ListPage {
  const { queries } = daemon.store
  const counts = queries.countOpen()
  const take = (state: 'requested' | 'sent' | 'running') =>
    queries
      .openRuns(state, lookedMax)
      .filter((run) => hasWords(run, query.words))
      .slice(0, rowsShown)
  const under = [...take('running'), ...take('sent')].sort((a, b) => a.id - b.id)
  const late = under.filter(({ id }) => (daemon.runs.deadlineMs(id) ?? Number.MAX_SAFE_INTEGER) - nowMs < 0)
  const waiting = take('requested')
  const section = (id: string, title: string, runs: readonly RunRow[], count: number, empty: string): Section => ({
    id,
    title,
    rows: runs.map((run) => ({ ...showRun(queries, run, nowMs), said: daemon.tests.fault(run.test.name) ?? '' })),
    count: formatCount(count),
    empty,
  })
  const total = counts.running + counts.sent
  const answer =
    total + counts.requested === 0
      ? 'Nothing runs, and nothing waits.'
      : `${plural(total, 'test runs', 'tests run')}, ${plural(counts.requested, 'waits', 'wait')}${late.length > 0 ? `, ${plural(late.length, 'is', 'are')} late` : ''}.`
  return {
    runs: [...under, ...waiting],
    data: listData(daemon, '/queue', query, {
      heading: 'Queue',
      tone: late.length > 0 ? 'fail' : 'pass',
      glyph: late.length > 0 ? verdicts.lost.glyph : '●',
      answer,
      sections: [
        section('running', 'Running', under, total, 'No machine runs a test.'),
        {
          ...section('waiting', 'Waiting', waiting, counts.requested, 'No test waits for its machine. To ask for one:'),
          command: 'pxemngr nexttest NAME TEST',
        },
        {
          id: 'tests',
          title: 'Tests',
          rows: [],
          count: formatCount(daemon.tests.names().length),
          empty: '',
          links: queries
            .listTests()
            .filter(({ available }) => available)
            .sort((a, b) => a.name.localeCompare(b.name))
            .map(({ id, name }) => ({
              text: visible(name),
              href: `/testname/${id}/`,
              note: visible(daemon.tests.fault(name) ?? ''),
            })),
        },
      ],
      searchLabel: 'Only machines and tests with',
      exported: true,
    }),
    frame: {
      title: late.length > 0 ? `${verdicts.lost.glyph} ${late.length} · Tests` : 'Tests',
      place: 'tests',
      crumbs: [{ text: 'Tests' }],
      seq: daemon.store.seq,
    },
  }
}
