/**
 * Boots as the trace kept them, read for the pages: one start of a machine with its requests in order, and how it ended
 * as far as the server saw it. What is read of a row is `commands/boot-rows.ts`. Source: DESIGN "State" (trace).
 */
import { type BootRow, machineOf, outcomeOf, readBootRows, type StepRow, silentMs } from '../../commands/boot-rows.ts'
import type { BootQuery, Daemon } from '../../commands/daemon.ts'
import type { SeenBoot } from '../../domain/boot-loop.ts'
import { type BootVerdict, stepVerdicts, type TrackName, trackOf } from '../../domain/boot-outcome.ts'
import { stageOf } from '../../domain/stage.ts'
import { formatBytes, formatDuration, type Moment, moment, plural, visible } from './words.ts'

export const glyphs: Readonly<Record<BootVerdict, string>> = {
  pass: '✓',
  warn: '!',
  fail: '✕',
  lost: '?',
  running: '●',
  skip: '–',
}

export interface StepView {
  /** How long after the beginning of the boot it was asked for: `+1.4 s`. */
  readonly after: string
  /** What the file is for. */
  readonly stage: string
  readonly when: Moment | undefined
  /** What was asked for: file name, or URL path. */
  readonly what: string
  readonly size: string
  readonly took: string
  readonly verdict: BootVerdict
  readonly glyph: string
  readonly outcome: string
  readonly detail: string
  /** When in the boot it was, as a bar: per mille of the whole. */
  readonly bar: { readonly from: number; readonly length: number } | undefined
}

export interface BootView {
  /** 0 where the trace gave none. */
  readonly id: number
  readonly startedMs: number
  readonly when: Moment | undefined
  /** From its first request to the end of its last. */
  readonly tookMs: number
  readonly mac: string | undefined
  readonly ip: string | undefined
  readonly system: number | undefined
  readonly profile: string | undefined
  /** What decided that; undefined where nothing was, or where it was not kept. */
  readonly decision: { readonly by: string; readonly instead: string; readonly seq: number } | undefined
  readonly verdict: BootVerdict
  readonly glyph: string
  readonly outcome: string
  readonly clue: string
  /** The stages it came to, and the one that is missing. */
  readonly track: readonly { readonly name: TrackName; readonly reached: boolean; readonly after: string }[]
  readonly sentBytes: number
  /** When it will be silent for too long, if nothing comes; undefined where it has ended. */
  readonly silentAtMs: number | undefined
  readonly steps: readonly StepView[]
  /** Steps that were not kept, in words; empty if none. */
  readonly more: string
}

/** By what a boot is told from others when one of its steps comes (`Frame.boots`). */
export function bootAddresses({ mac, ip }: BootView): string[] {
  return [mac, ip].filter((each) => each !== undefined)
}

/** Newest first; undefined if the trace gave no answer. */
export async function readBoots(daemon: Daemon, query: BootQuery, nowMs: number): Promise<BootView[] | undefined> {
  return readBootRows(daemon, query, (row) => viewBoot(row, nowMs))
}

function viewBoot(row: BootRow, nowMs: number): BootView {
  const { steps } = row
  const endedMs = row.endedMs ?? row.startedMs
  const judged = outcomeOf(row, nowMs)
  const span = { fromMs: row.startedMs, lengthMs: Math.max(1, endedMs - row.startedMs) }
  return {
    id: row.id,
    startedMs: row.startedMs,
    when: moment(row.startedMs, nowMs),
    tookMs: Math.max(0, endedMs - row.startedMs),
    mac: row.mac ?? undefined,
    ip: row.ip ?? undefined,
    system: row.systemId ?? undefined,
    profile: row.profile == null ? undefined : visible(row.profile),
    decision: row.decision ?? undefined,
    ...judged,
    glyph: glyphs[judged.verdict],
    sentBytes: steps.reduce((sum, step) => sum + (step.sentBytes ?? 0), 0),
    silentAtMs: judged.verdict === 'running' ? endedMs + silentMs : undefined,
    // Both are put into words only where they are shown: of a thousand boots a list shows few.
    get track() {
      return trackOf(steps, row.profile ?? undefined).map(({ name, atMs, reached }) => ({
        name,
        reached,
        after: atMs === undefined ? '' : formatDuration(Math.max(0, atMs - row.startedMs)),
      }))
    },
    get steps() {
      return steps.map((step) => viewStep(step, span, nowMs))
    },
    more: row.more ? plural(row.more, 'later step') : '',
  }
}

/** As far as a loop of boots is concerned. */
export function seenBoot(boot: BootView): SeenBoot {
  const { startedMs, profile, decision, verdict, outcome } = boot
  return { startedMs, machine: machineOf(boot), profile, seq: decision?.seq, outcome: { verdict, outcome } }
}

/** When a page with these boots would say something else although nothing came: ms from now; undefined: never. */
export function dueInMs(boots: readonly BootView[], nowMs: number): number | undefined {
  const next = Math.min(...boots.flatMap(({ silentAtMs }) => silentAtMs ?? []))
  return Number.isFinite(next) ? Math.max(0, next - nowMs) + dueSlackMs : undefined
}

/** The clock of a browser is not more exact. */
const dueSlackMs = 1000

function viewStep(row: StepRow, span: { readonly fromMs: number; readonly lengthMs: number }, nowMs: number): StepView {
  const bytes = row.outcome === 'done' || row.sentBytes ? (row.sentBytes ?? row.sizeBytes) : undefined
  const share = (ms: number) => Math.round(Math.min(1000, Math.max(0, (1000 * ms) / span.lengthMs)))
  // A word this version does not know is shown as it is, without a judgement.
  const verdict = stepVerdicts[row.outcome] ?? 'lost'
  return {
    stage: stageOf(row.name),
    when: row.at == null ? undefined : moment(row.at, nowMs),
    after: row.at == null ? '' : `+${formatDuration(Math.max(0, row.at - span.fromMs))}`,
    what: visible(row.name),
    size: bytes == null ? '' : formatBytes(bytes),
    took: row.durationMs == null ? '' : formatDuration(row.durationMs),
    verdict,
    glyph: glyphs[verdict],
    outcome: visible(row.outcome),
    detail: visible(row.detail ?? ''),
    bar: row.at == null ? undefined : { from: share(row.at - span.fromMs), length: share(row.durationMs ?? 0) },
  }
}
