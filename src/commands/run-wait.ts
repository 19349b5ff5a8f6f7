/**
 * `nexttest --wait`: follows the runs that were asked for, with the retries that come of them, until all are done.
 *
 * A run that is tried again is not over: its last attempt counts. Progress goes to stderr as notes; the last line is the
 * result, from which the exit status and the JUnit file follow. A run that is gone meanwhile (its system was deleted) was
 * not run: it counts as cancelled. Source: RUNS "Commands" (`nexttest … --wait`).
 */
import * as v from 'valibot'
import { runStates } from '../domain/verdict.ts'
import type { Queries } from '../store/store.ts'
import type { Daemon } from './daemon.ts'
import { type RunView, runView, standingOf, viewNothing, viewRun } from './run-view.ts'

/** How often somebody who waits hears something: well before a silent connection is given up. */
const heartbeatMs = 30_000

/** `timedOut`: some are not over; they stay. */
export const waitedView = v.strictObject({ runs: v.array(runView), timedOut: v.boolean() })
export type WaitedView = v.InferOutput<typeof waitedView>

/** A run that was asked for: what it is called even when it is gone. `id`: its group. */
export interface Asked {
  readonly id: number
  readonly system: string
  readonly test: string
}

/** Calls `note` with a line whenever a run gets on; resolves when all are over, time is up, or `signal` aborts. */
export async function waitForRuns(
  daemon: Daemon,
  asked: readonly Asked[],
  timeoutMs: number | undefined,
  note: (line: string | undefined) => Promise<void>,
  signal: AbortSignal,
): Promise<WaitedView> {
  const { queries } = daemon.store
  const until = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs
  const said = new Map<number, string>()
  /** The last attempt of each group, as it was last seen. */
  const seen = new Map(asked.map((run) => [run.id, viewAsked(run)]))
  let open = new Set(seen.keys())
  let wake: () => void = () => {}
  let changed = false
  const stop = daemon.store.onApplied(({ events }) => {
    if (!events.some((event) => event.type.startsWith('run.') || event.type === 'system.removed')) return
    changed = true
    wake()
  })
  signal.addEventListener('abort', () => wake())
  try {
    while (!signal.aborted) {
      for (const group of open) {
        const attempts = queries.attemptsOf(group)
        for (const run of attempts) {
          const view = viewRun(daemon, run)
          seen.set(group, view)
          const standing = standingOf(view)
          if (said.get(run.id) === standing) continue
          said.set(run.id, standing)
          if (run.state !== 'requested') await note(`run ${run.id} ${run.system.name} ${run.test.name}: ${standing}`)
        }
        const last = seen.get(group)
        if (attempts.length === 0 && last !== undefined && isOpen(last)) {
          const gone = { ...last, state: 'cancelled' as const, reason: 'gone: its system was deleted' }
          seen.set(group, gone)
          await note(`run ${gone.id} ${gone.system} ${gone.test}: cancelled, ${gone.reason}`)
        }
      }
      open = new Set([...open].filter((group) => !isOver(queries, group)))
      const leftMs = until - Date.now()
      if (open.size === 0 || leftMs <= 0) break
      if (changed) {
        changed = false
        continue
      }
      const waitMs = Math.min(leftMs, heartbeatMs)
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        wake = resolve
        timer = setTimeout(resolve, waitMs)
      })
      clearTimeout(timer)
      if (!changed && waitMs === heartbeatMs) await note(undefined)
      changed = false
    }
  } finally {
    stop()
  }
  return { runs: [...seen.values()], timedOut: open.size > 0 }
}

/** As it is before anything is known of it. */
function viewAsked({ id, system, test }: Asked): RunView {
  return { ...viewNothing(system, test), id, state: 'requested' }
}

function isOpen({ state }: RunView): boolean {
  return state !== null && runStates[state].open
}

/** Whether nothing more comes of it: its last attempt is closed, and no retry follows from that. */
function isOver(queries: Queries, group: number): boolean {
  const last = queries.attemptsOf(group).at(-1)
  return last === undefined || !runStates[last.state].open
}

/** 5 timed out, else 1 any fail, 4 any infra, lost, cancelled or expired, 0; a waived run is no trouble. */
export function exitOf({ runs, timedOut }: WaitedView): number {
  if (timedOut) return 5
  const trouble = runs.filter((run) => !run.waived)
  if (trouble.some((run) => run.verdict === 'fail')) return 1
  const isPass = (run: RunView) =>
    run.state === 'done' && run.verdict !== null && run.verdict !== 'infra' && run.verdict !== 'lost'
  return trouble.every(isPass) ? 0 : 4
}
