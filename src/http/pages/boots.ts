/**
 * Boots as the trace kept them, read for the pages: one start of a machine with its requests in order, and how it ended
 * as far as the server saw it.
 *
 * The trace is best effort and owed to nobody, so rows are read field by field: what is missing is left out, a row that
 * is no boot is skipped, and a trace that does not answer leaves the page without boots, said so. Source: DESIGN "State"
 * (trace), CONTRACT "HTTP API" (`boots`).
 */
import * as v from 'valibot'
import type { BootQuery, Daemon } from '../../commands/daemon.ts'
import { localProfile } from '../../domain/boot.ts'
import { stageOf } from '../../domain/stage.ts'
import { formatBytes, formatDuration, type Moment, moment, plural, visible } from './words.ts'

/** Verdict of a boot or step as the pages show it: glyph and word (WEB.md "Look"). */
export type Verdict = 'pass' | 'warn' | 'fail' | 'lost' | 'running' | 'skip'

export const glyphs: Readonly<Record<Verdict, string>> = {
  pass: '✓',
  warn: '!',
  fail: '✕',
  lost: '?',
  running: '●',
  skip: '–',
}

export interface StepView {
  readonly when: Moment | undefined
  /** What was asked for: file name, or URL path. */
  readonly what: string
  readonly size: string
  readonly took: string
  readonly verdict: Verdict
  readonly outcome: string
  readonly detail: string
}

export interface BootView {
  readonly when: Moment | undefined
  readonly mac: string | undefined
  readonly ip: string | undefined
  readonly system: number | undefined
  readonly profile: string | undefined
  readonly verdict: Verdict
  readonly outcome: string
  readonly steps: readonly StepView[]
  /** Steps that were not kept, in words; empty if none. */
  readonly more: string
}

/** A machine that said nothing for this long will say nothing more in this stage: slow firmware takes half of it. */
const silentMs = 120_000

/** How a transfer ended → what it means for the reader. What is looked for in vain is how loaders search. */
const stepVerdicts: Readonly<Record<string, Verdict>> = {
  done: 'pass',
  probe: 'skip',
  replaced: 'skip',
  refused: 'skip',
  aborted: 'warn',
  timeout: 'fail',
  failed: 'fail',
}

const text = v.fallback(v.optional(v.nullable(v.string())), undefined)
const number = v.fallback(v.optional(v.nullable(v.number())), undefined)

const stepRow = v.object({
  at: number,
  name: v.string(),
  sizeBytes: number,
  sentBytes: number,
  durationMs: number,
  outcome: v.string(),
  detail: text,
})
type StepRow = v.InferOutput<typeof stepRow>

const bootRow = v.object({
  startedMs: v.number(),
  endedMs: number,
  mac: text,
  ip: text,
  systemId: number,
  profile: text,
  more: number,
  steps: v.fallback(v.array(v.unknown()), []),
})

/** Newest first; undefined if the trace gave no answer. */
export async function readBoots(daemon: Daemon, query: BootQuery, nowMs: number): Promise<BootView[] | undefined> {
  let rows: readonly unknown[]
  try {
    rows = await daemon.boots(query)
  } catch {
    // The trace thread is gone or lags: the page says that it has no boots to show.
    return undefined
  }
  return rows.flatMap((row) => {
    const boot = v.safeParse(bootRow, row)
    return boot.success ? [viewBoot(boot.output, nowMs)] : []
  })
}

function viewBoot(row: v.InferOutput<typeof bootRow>, nowMs: number): BootView {
  const steps = row.steps.flatMap((each) => {
    const step = v.safeParse(stepRow, each)
    return step.success ? [step.output] : []
  })
  const silent = nowMs - (row.endedMs ?? row.startedMs) > silentMs
  return {
    when: moment(row.startedMs, nowMs),
    mac: row.mac ?? undefined,
    ip: row.ip ?? undefined,
    system: row.systemId ?? undefined,
    profile: row.profile == null ? undefined : visible(row.profile),
    ...judge(steps, row.profile ?? undefined, silent),
    steps: steps.map((step) => viewStep(step, nowMs)),
    more: row.more ? plural(row.more, 'later step') : '',
  }
}

/** How a boot ended, from the furthest it came; while the machine may still go on it is running. */
function judge(
  steps: readonly StepRow[],
  profile: string | undefined,
  silent: boolean,
): { readonly verdict: Verdict; readonly outcome: string } {
  const broken = steps.at(-1)
  if (broken && stepVerdicts[broken.outcome] === 'fail') return { verdict: 'fail', outcome: 'broke off' }
  const reached = new Set(steps.filter((step) => step.outcome === 'done').map((step) => stageOf(step.name)))
  if (reached.has('report')) return { verdict: 'pass', outcome: 'reported' }
  if (reached.has('configuration')) {
    if (profile === localProfile) return { verdict: 'pass', outcome: 'local disk' }
    if (reached.has('file')) return silent ? { verdict: 'pass', outcome: 'kernel sent' } : running
    return silent ? { verdict: 'fail', outcome: 'asked for no kernel' } : running
  }
  if (!silent) return running
  if (profile === undefined && steps.some((step) => stageOf(step.name) === 'configuration')) {
    return { verdict: 'skip', outcome: 'got no answer' }
  }
  return { verdict: 'fail', outcome: 'asked for no configuration' }
}

const running = { verdict: 'running', outcome: 'booting' } as const

function viewStep(row: StepRow, nowMs: number): StepView {
  const bytes = row.outcome === 'done' || row.sentBytes ? (row.sentBytes ?? row.sizeBytes) : undefined
  return {
    when: row.at == null ? undefined : moment(row.at, nowMs),
    what: visible(row.name),
    size: bytes == null ? '' : formatBytes(bytes),
    took: row.durationMs == null ? '' : formatDuration(row.durationMs),
    // A word this version does not know is shown as it is, without a judgement.
    verdict: stepVerdicts[row.outcome] ?? 'lost',
    outcome: visible(row.outcome),
    detail: visible(row.detail ?? ''),
  }
}
