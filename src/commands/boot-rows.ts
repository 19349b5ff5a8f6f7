/**
 * Boots as the trace kept them, read for pages and commands: one start of a machine with its requests in order.
 *
 * The trace is best effort and owed to nobody, so rows are read field by field: what is missing is left out, a row that
 * is no boot is skipped, and a trace that does not answer leaves whoever asks without boots. Source: DESIGN "State"
 * (trace), CONTRACT "HTTP API" (`boots`).
 */
import * as v from 'valibot'
import { type BootLoop, findLoop, type SeenBoot } from '../domain/boot-loop.ts'
import { judgeBoot, type Outcome } from '../domain/boot-outcome.ts'
import type { BootQuery, Daemon } from './daemon.ts'

/** A machine that said nothing for this long will say nothing more in this stage: slow firmware takes half of it. */
export const silentMs = 120_000

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
export type StepRow = v.InferOutput<typeof stepRow>

const decisionRow = v.object({ by: v.string(), instead: v.string(), seq: v.number() })

const bootRow = v.object({
  id: v.fallback(v.number(), 0),
  startedMs: v.number(),
  endedMs: number,
  mac: text,
  ip: text,
  systemId: number,
  profile: text,
  decision: v.fallback(v.optional(v.nullable(decisionRow)), undefined),
  more: number,
  steps: v.fallback(v.array(v.unknown()), []),
})

export interface BootRow extends Omit<v.InferOutput<typeof bootRow>, 'steps'> {
  readonly steps: readonly StepRow[]
}

/** Boots read before the event loop has its turn: some 3 ms with what is made of them, so that no machine waits. */
const rowsPerTurn = 100

/** Newest first, each as `view` puts it; undefined if the trace gave no answer. */
export async function readBootRows<V>(
  daemon: Daemon,
  query: BootQuery,
  view: (row: BootRow) => V,
): Promise<V[] | undefined> {
  let rows: readonly unknown[]
  try {
    rows = await daemon.boots(query)
  } catch {
    // The trace thread is gone or lags: whoever asks says that there are no boots to show.
    return undefined
  }
  const views: V[] = []
  for (const [at, row] of rows.entries()) {
    if (at > 0 && at % rowsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve))
    const boot = v.safeParse(bootRow, row)
    if (boot.success) views.push(view({ ...boot.output, steps: boot.output.steps.flatMap(stepOf) }))
  }
  return views
}

function stepOf(row: unknown): StepRow[] {
  const step = v.safeParse(stepRow, row)
  return step.success ? [step.output] : []
}

/** How it ended, as far as the server saw. */
export function outcomeOf(row: BootRow, nowMs: number): Outcome {
  return judgeBoot(row.steps, row.profile ?? undefined, nowMs - (row.endedMs ?? row.startedMs) > silentMs)
}

/** Runs of a system that are looked through for the last one it fetched. */
const runsLookedAt = 50

/** As boots are told apart by machine: the MAC, else the IP address. */
export function machineOf({ mac, ip }: Pick<BootRow, 'mac' | 'ip'>): string {
  return mac ?? ip ?? ''
}

/**
 * Whether a machine of a system starts the same again and again without a report; `boots` of the system alone, newest
 * first.
 */
export function loopOf(
  { store: { queries } }: Daemon,
  system: { readonly id: number; readonly name: string },
  boots: readonly SeenBoot[],
  nowMs: number,
): BootLoop | undefined {
  const machines = new Map<string, SeenBoot[]>()
  for (const boot of boots) {
    const known = machines.get(boot.machine)
    if (known) known.push(boot)
    else machines.set(boot.machine, [boot])
  }
  const loopSince = (signMs: number | undefined): BootLoop | undefined => {
    for (const own of machines.values()) {
      const loop = findLoop(own, signMs, system.name, nowMs)
      if (loop) return loop
    }
    return undefined
  }
  const without = loopSince(undefined)
  if (!without) return undefined
  const sent = queries.runs({ system: system.id, limit: runsLookedAt }).flatMap(({ sentMs }) => sentMs ?? [])
  return sent.length === 0 ? without : loopSince(Math.max(...sent))
}
