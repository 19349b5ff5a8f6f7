/**
 * `/test/<id>/`: one run: its verdict and why, where, when and in which boot, the runs around it, its log, and what
 * differs from the last good one. Sources: WEB.md, COMPATIBILITY 4.6.
 */
import type { Daemon } from '../../commands/daemon.ts'
import { diffLines } from '../../domain/diff.ts'
import { runStates, verdicts } from '../../domain/verdict.ts'
import type { RunRow } from '../../store/run-rows.ts'
import { formatPosition } from './log-tail.ts'
import { type LogWindow, lineKinds, readLines, readLog } from './log-view.ts'
import type { Frame } from './render.ts'
import { chipOf, marksOf } from './run-rows.ts'
import { formatBytes, formatCount, formatDuration, moment, visible } from './words.ts'

/** Cases named on the page. */
const casesShown = 200
/** Lines of a difference. */
const diffLinesMax = 2000
/** Kinds of lines that can be shown alone, in the order in which they are offered. */
const toggled = 'EWIV'
const toggleWords: Readonly<Record<string, string>> = { E: 'error', W: 'warning', I: 'info', V: 'version' }
/** Lines above one that is looked for. */
const linesAbove = 20

export interface RunOptions {
  readonly mayChange: boolean
  readonly nowMs: number
  /** First line of the log that is shown; undefined: its beginning, of a running test its end. */
  readonly from: number | 'end' | undefined
  /** Letters of the kinds that are shown; '' for all. */
  readonly show: string
  /** False: the page is asked for without its log, which it has. */
  readonly withLog: boolean
  /** Whether the difference to the last good run is asked for; to this run. */
  readonly diff: number | undefined
  /** Why a form was refused, and what was typed into it. */
  readonly fault?: string
  readonly typed?: string
}

export function parseRunQuery(params: URLSearchParams): Pick<RunOptions, 'from' | 'show' | 'diff' | 'withLog'> {
  const from = params.get('from') ?? ''
  const diff = params.get('diff') ?? ''
  return {
    from: from === 'end' ? from : /^[1-9]\d{0,8}$/.test(from) ? Number(from) : undefined,
    show: [...toggled].filter((letter) => params.get('show')?.includes(letter)).join(''),
    withLog: params.get('log') !== 'off',
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
  const chip = chipOf(run)
  const good = queries.previousRun(run, ['pass', 'warn'])
  const from = options.from ?? (open ? 'end' : 1)
  const file = await daemon.results.openLog(run.id)
  let log: LogWindow | undefined
  try {
    log = file && options.withLog ? await readLog(file, { from, show: options.show, open }) : undefined
  } finally {
    await file?.close()
  }
  const counts = open && log ? { ...noCounts, ...log.counts } : run.counts
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
  const tookMs = run.sentMs === null || run.doneMs === null ? undefined : run.doneMs - run.sentMs
  const deadline = daemon.runs.deadlineMs(run.id)
  const facts = [
    { name: 'Requested', when: moment(run.requestedMs, nowMs) },
    ...(run.sentMs === null ? [] : [{ name: 'Sent', when: moment(run.sentMs, nowMs) }]),
    ...(run.doneMs === null ? [] : [{ name: 'Date', when: moment(run.doneMs, nowMs) }]),
    ...(deadline === undefined ? [] : [{ name: 'Deadline', when: moment(deadline, nowMs) }]),
    ...(tookMs === undefined ? [] : [{ name: 'Took', text: formatDuration(Math.max(0, tookMs)) }]),
    ...(run.bootMs === null ? [] : [{ name: 'Boot', when: moment(run.bootMs, nowMs) }]),
    ...(detail.mac === null && detail.ip === null
      ? []
      : [{ name: 'Machine', text: visible([detail.mac, detail.ip].filter((each) => each !== null).join(' at ')) }]),
    { name: 'Attempt', text: String(run.attempt) },
    ...(detail.exit === null ? [] : [{ name: 'Exit status', text: String(detail.exit) }]),
  ]
  const failingShown = failing.slice(0, casesShown)
  const failingTotal = Math.max(fail, failing.length)
  const data = {
    id: run.id,
    chip,
    answerTone: run.verdict === 'fail' ? 'fail' : '',
    answer: visible(detail.reason ?? daemon.runs.waitsFor(run) ?? (run.state === 'requested' ? waits : '')),
    marks: marksOf(run),
    waived: detail.waived === null ? '' : visible(detail.waived),
    system: { name: visible(run.system.name), href: `/system/${run.system.id}/` },
    test: { name: visible(run.test.name), href: `/testname/${run.test.id}/` },
    version: run.version
      ? { id: run.version.id, name: visible(run.version.name), href: `/tests/${run.version.id}/` }
      : undefined,
    hash: run.hash?.slice(0, 12),
    facts,
    words: {
      error: open || counts.error !== 1 ? 'errors' : 'error',
      warning: open || counts.warning !== 1 ? 'warnings' : 'warning',
      info: open || counts.info !== 1 ? 'infos' : 'info',
    },
    counts: {
      error: formatCount(counts.error),
      warning: formatCount(counts.warning),
      info: formatCount(counts.info),
    },
    cases: total === 0 ? '' : `${total}: ${pass} passed, ${fail} failed, ${skip} skipped, ${todo} to do`,
    near: near.flatMap(([text, each]) => (each ? [{ text, href: `/test/${each.id}/`, chip: chipOf(each) }] : [])),
    diffHref: good && options.diff === undefined && run.state === 'done' ? url({ diff: String(good.id) }) : undefined,
    diff: options.diff === undefined ? undefined : await viewDiff(daemon, run, options.diff),
    kept: run.version !== null && queries.getVersion(run.version.id)?.kept === true,
    forms: options.mayChange,
    fault: options.fault,
    typed: options.typed ?? '',
    open,
    notes: detail.notes.map(visible),
    measurements: detail.measurements.map(({ name, value, unit }) => ({
      name: visible(name),
      value,
      unit: visible(unit),
    })),
    failingCount: formatCount(failingTotal),
    failingMore:
      failingTotal > failingShown.length
        ? `and ${formatCount(failingTotal - failingShown.length)} more, in the log`
        : '',
    failing: failingShown.map(({ name, note }) => ({ name: visible(name), note: visible(note) })),
    attachments: detail.attachments.map(({ name, sizeBytes }, place) => ({
      name: visible(name),
      size: formatBytes(sizeBytes),
      href: `/test/${run.id}/file/${place}`,
    })),
    log: viewLog(run, log, options, counts),
    size: file && !open ? formatBytes(file.sizeBytes) : '',
    noLog: open
      ? 'Nothing has come yet.'
      : run.uploaded && !run.logKept
        ? 'The log has been removed by retention; its counts stay.'
        : 'There is no log.',
    lines: log
      ? []
      : detail.lines.map(({ kind, line, text }) => ({
          number: line,
          letter: kind,
          kind: lineKinds[kind],
          text: visible(text),
        })),
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

/** What a run waits for whose test is there. */
const waits = 'the machine gets it when it asks for its next test'

const noCounts = { info: 0, warning: 0, error: 0 }

/** The log with its toggles; undefined where there is none and none is to come. */
function viewLog(
  run: RunRow,
  log: LogWindow | undefined,
  { show }: RunOptions,
  counts: RunRow['counts'],
): object | undefined {
  const open = runStates[run.state].open
  if (!log && !open) return undefined
  const url = (letters: string, line?: number) => {
    const params = new URLSearchParams()
    if (letters !== '') params.set('show', letters)
    if (line !== undefined) params.set('from', String(line))
    return `/test/${run.id}/${params.size === 0 ? '' : `?${params}`}`
  }
  const to = (line: number | undefined) =>
    line === undefined ? undefined : { line, href: `${url(show, Math.max(1, line - linesAbove))}#L${line}` }
  const kindOf = (letter: string) => lineKinds[letter] ?? ''
  const countOf = (letter: string): string => {
    // What a result counted is exact; versions are counted here, as far as the log was looked through.
    if (letter === 'V') return `${formatCount(log?.counts['version'] ?? 0)}${log?.cut ? '+' : ''}`
    return formatCount(counts[kindOf(letter) as keyof typeof counts])
  }
  const shown = new Set(log?.lines.map(({ number }) => number))
  const whole = show === '' && log?.next === undefined && !log?.earlier
  return {
    lines: log?.lines ?? [],
    show,
    whole,
    tail:
      open && log?.next === undefined && !log?.cut ? formatPosition(log?.end ?? { offset: 0, lines: 0 }) : undefined,
    cut: log?.cut ?? false,
    all: { current: show === '', href: `${url('')}#log` },
    toggles: [...toggled].map((letter) => ({
      letter,
      kind: kindOf(letter),
      // Counts of a running test go on in the browser, which knows no grammar.
      text: `${toggleWords[letter] ?? ''}${countOf(letter) === '1' && !open ? '' : 's'}`,
      count: countOf(letter),
      current: show.includes(letter),
      href: `${url([...toggled].filter((each) => show.includes(each) !== (each === letter)).join(''))}#log`,
    })),
    firstError:
      log?.firstError === undefined
        ? undefined
        : shown.has(log.firstError)
          ? { line: log.firstError, href: `#L${log.firstError}` }
          : to(log.firstError),
    nextError: to(log?.nextError),
    earlier: log?.earlier ? `${url(show, 1)}#log` : undefined,
    next: log?.next === undefined ? undefined : { line: log.next, href: `${url(show, log.next)}#log` },
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
  const settingsOf = (each: RunRow) => {
    const { mac, ip, exit } = daemon.store.queries.getDetail(each.id)
    return [
      `version: ${each.version?.name ?? 'none'}`,
      `script: ${each.hash?.slice(0, 12) ?? 'unknown'}`,
      `attempt: ${each.attempt}`,
      `retries: ${each.retries ?? 'unknown'}`,
      `grace: ${each.graceMs === null ? 'unknown' : formatDuration(each.graceMs)}`,
      `machine: ${mac ?? 'unknown'}`,
      `address: ${ip ?? 'unknown'}`,
      `exit status: ${exit ?? 'none'}`,
    ]
  }
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
  const total = diff.hunks.reduce((sum, hunk) => sum + hunk.length, 0)
  let left = diffLinesMax
  const signs = { same: ' ', added: '+', removed: '−' } as const
  const hunks = diff.hunks.flatMap((hunk) => {
    const lines = hunk.slice(0, left)
    left -= lines.length
    return lines.length === 0
      ? []
      : [lines.map(({ kind, text }) => ({ kind, sign: signs[kind], text: visible(text.slice(0, 2000)) }))]
  })
  const note = total > diffLinesMax ? `Cut after ${formatCount(diffLinesMax)} lines.` : ''
  return { title, hunks, note: hunks.length === 0 ? 'The same.' : note }
}
