/**
 * `/test/<id>/`: one run: its verdict and why, where, when and in which boot, the runs around it, its log, and what
 * differs from the last good one. Sources: WEB.md, COMPATIBILITY 4.6.
 */
import type { Daemon } from '../../commands/daemon.ts'
import { diffLines } from '../../domain/diff.ts'
import { runStates, verdicts } from '../../domain/verdict.ts'
import type { RunRow } from '../../store/run-rows.ts'
import { type LogWindow, readLines, readLog } from './log-view.ts'
import type { Frame } from './render.ts'
import { chipOf, marksOf } from './run-rows.ts'
import { formatBytes, formatDuration, moment, visible } from './words.ts'

/** Cases named on the page. */
const casesShown = 200
/** Lines of a difference. */
const diffLinesMax = 2000

export interface RunOptions {
  readonly mayChange: boolean
  readonly nowMs: number
  /** First line of the log that is shown. */
  readonly from: number
  /** Letters of the kinds that are shown; '' for all. */
  readonly show: string
  /** Whether the difference to the last good run is asked for; to this run. */
  readonly diff: number | undefined
  readonly fault?: string
}

export function parseRunQuery(params: URLSearchParams): Pick<RunOptions, 'from' | 'show' | 'diff'> {
  const from = params.get('from') ?? ''
  const diff = params.get('diff') ?? ''
  return {
    from: /^[1-9]\d{0,8}$/.test(from) ? Number(from) : 1,
    show: (params.get('show') ?? '').replace(/[^IWE]/g, '').slice(0, 3),
    diff: /^[1-9]\d{0,14}$/.test(diff) ? Number(diff) : undefined,
  }
}

export async function viewRunPage(
  daemon: Daemon,
  run: RunRow,
  options: RunOptions,
): Promise<{ data: object; frame: Omit<Frame, 'access'> }> {
  const { nowMs } = options
  const { queries } = daemon.store
  const detail = queries.getDetail(run.id)
  const open = runStates[run.state].open
  const progress = run.state === 'running' ? daemon.runs.progress(run.id) : undefined
  const chip = chipOf(run)
  const good = queries.previousRun(run, ['pass', 'warn'])
  const file = await daemon.results.openLog(run.id)
  let log: LogWindow | undefined
  try {
    log = file && (await readLog(file, options.from, options.show))
  } finally {
    await file?.close()
  }
  const failing = (await daemon.results.cases(run.id)).filter(({ outcome }) => outcome === 'fail')
  const { total, pass, fail, skip, todo } = detail.cases
  const near: readonly (readonly [string, RunRow | undefined])[] = [
    ['Previous run', queries.previousRun(run, ['fail', 'lost', 'infra', 'warn', 'pass', 'skip'])],
    ['Next run', queries.nextRun(run)],
    ['Last good run', good],
    ...queries
      .attemptsOf(run.group)
      .filter(({ id }) => id !== run.id)
      .map((each) => [`Attempt ${each.attempt}`, each] as const),
  ]
  const url = (more: Readonly<Record<string, string>>) => {
    const params = new URLSearchParams({ ...(options.show === '' ? {} : { show: options.show }), ...more })
    return `/test/${run.id}/${params.size === 0 ? '' : `?${params}`}`
  }
  const toggles = [
    { text: 'all', letters: '' },
    { text: `errors ${run.counts.error}`, letters: 'E' },
    { text: `warnings ${run.counts.warning}`, letters: 'W' },
    { text: `infos ${run.counts.info}`, letters: 'I' },
    { text: 'errors and warnings', letters: 'EW' },
  ]
  const tookMs = run.sentMs === null ? undefined : (run.doneMs ?? nowMs) - run.sentMs
  const deadline = daemon.runs.deadlineMs(run.id)
  const facts = [
    { name: 'Requested', when: moment(run.requestedMs, nowMs) },
    ...(run.sentMs === null ? [] : [{ name: 'Sent', when: moment(run.sentMs, nowMs) }]),
    ...(run.doneMs === null ? [] : [{ name: 'Date', when: moment(run.doneMs, nowMs) }]),
    ...(deadline === undefined ? [] : [{ name: 'Deadline', when: moment(deadline, nowMs) }]),
    ...(tookMs === undefined
      ? []
      : [{ name: run.doneMs === null ? 'Runs for' : 'Took', text: formatDuration(Math.max(0, tookMs)) }]),
    ...(run.bootMs === null ? [] : [{ name: 'Boot', when: moment(run.bootMs, nowMs) }]),
    ...(detail.mac === null && detail.ip === null
      ? []
      : [{ name: 'Machine', text: visible([detail.mac, detail.ip].filter((each) => each !== null).join(' at ')) }]),
    { name: 'Attempt', text: String(run.attempt) },
    ...(detail.exit === null ? [] : [{ name: 'Exit status', text: String(detail.exit) }]),
  ]
  const data = {
    id: run.id,
    chip,
    answerTone: run.verdict === 'fail' ? 'fail' : 'pass',
    answer: detail.reason === null ? '' : visible(detail.reason),
    marks: marksOf(run),
    waived: detail.waived === null ? '' : visible(detail.waived),
    system: { name: visible(run.system.name), href: `/system/${run.system.id}/` },
    test: { name: visible(run.test.name), href: `/testname/${run.test.id}/` },
    version: run.version
      ? { id: run.version.id, name: visible(run.version.name), href: `/tests/${run.version.id}/` }
      : undefined,
    hash: run.hash?.slice(0, 12),
    facts,
    counts: progress?.counts ?? run.counts,
    cases: total === 0 ? '' : `${total}: ${pass} passed, ${fail} failed, ${skip} skipped, ${todo} to do`,
    near: near.flatMap(([text, each]) => (each ? [{ text, href: `/test/${each.id}/`, chip: chipOf(each) }] : [])),
    diffHref: good && options.diff === undefined && run.state === 'done' ? url({ diff: String(good.id) }) : undefined,
    diff: options.diff === undefined ? undefined : await viewDiff(daemon, run, options.diff),
    kept: run.version !== null && queries.getVersion(run.version.id)?.kept === true,
    forms: options.mayChange,
    fault: options.fault,
    open,
    notes: detail.notes.map(visible),
    measurements: detail.measurements.map(({ name, value, unit }) => ({
      name: visible(name),
      value,
      unit: visible(unit),
    })),
    failing: failing.slice(0, casesShown).map(({ name, note }) => ({ name: visible(name), note: visible(note) })),
    attachments: detail.attachments.map(({ name, sizeBytes }, place) => ({
      name: visible(name),
      size: formatBytes(sizeBytes),
      href: `/test/${run.id}/file/${place}`,
    })),
    log,
    size: file ? formatBytes(file.sizeBytes) : '',
    noLog: open
      ? 'Nothing has come yet.'
      : run.uploaded && !run.logKept
        ? 'The log has been removed by retention; its counts stay.'
        : 'There is no log.',
    toggles: toggles.map(({ text, letters }) => ({
      text,
      current: options.show === letters,
      href: `/test/${run.id}/${letters === '' ? '' : `?show=${letters}`}#log`,
    })),
    more: log?.next === undefined ? undefined : `${url({ from: String(log.next) })}#log`,
  }
  return {
    data,
    frame: {
      title: `${chip.glyph} ${visible(run.test.name)} on ${visible(run.system.name)}`.trim(),
      state: run.verdict === 'fail' ? 'fail' : 'ok',
      place: 'results',
      crumbs: [{ text: 'Results', href: '/versions' }, { text: `Run ${run.id}` }],
      seq: daemon.store.seq,
    },
  }
}

/** Log, script and settings of two runs beside each other. */
async function viewDiff(daemon: Daemon, run: RunRow, other: number): Promise<object | undefined> {
  const before = daemon.store.queries.getRun(other)
  if (!before) return undefined
  const logOf = async (id: number) => {
    const file = await daemon.results.openLog(id)
    try {
      return file && (await readLines(file))
    } finally {
      await file?.close()
    }
  }
  const scriptOf = async ({ hash }: RunRow) =>
    hash === null ? undefined : (await daemon.results.script(hash))?.split('\n')
  const settingsOf = (each: RunRow) => [
    `version: ${each.version?.name ?? 'none'}`,
    `retries: ${each.retries ?? 0}`,
    `script: ${each.hash?.slice(0, 12) ?? 'unknown'}`,
    `machine: ${daemon.store.queries.getDetail(each.id).mac ?? 'unknown'}`,
  ]
  const parts = [
    part('Log', await logOf(before.id), await logOf(run.id)),
    part('Script', await scriptOf(before), await scriptOf(run)),
    part('Settings', settingsOf(before), settingsOf(run)),
  ]
  const chip = before.verdict === null ? before.state : verdicts[before.verdict].word
  return { run: before.id, href: `/test/${before.id}/`, summary: chip, parts }
}

function part(title: string, before: string[] | undefined, after: string[] | undefined): object {
  if (!before || !after)
    return { title, hunks: [], note: 'One of them is not there, or too large to be compared here.' }
  const diff = diffLines(before, after)
  let left = diffLinesMax
  const signs = { same: ' ', added: '+', removed: '−' } as const
  const hunks = diff.hunks.flatMap((hunk) => {
    const lines = hunk.slice(0, left)
    left -= lines.length
    return lines.length === 0
      ? []
      : [lines.map(({ kind, text }) => ({ kind, sign: signs[kind], text: visible(text.slice(0, 2000)) }))]
  })
  return { title, hunks, note: 'The same.' }
}
