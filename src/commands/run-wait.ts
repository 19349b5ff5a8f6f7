/**
 * `nexttest --wait`: follows the runs that were asked for, with the retries that come of them, until all are done.
 *
 * A run that is tried again is not over: its last attempt counts. Progress goes to stderr as notes; the last line is the
 * result, from which the exit status and the JUnit file follow. Source: RUNS "Commands" (`nexttest … --wait`).
 */
import * as v from 'valibot'
import { runStates } from '../domain/verdict.ts'
import type { Queries } from '../store/store.ts'
import type { Daemon } from './daemon.ts'
import { type RunView, runView, standingOf, viewRun } from './run-view.ts'

/** How often somebody who waits hears something: well before a silent connection is given up. */
const heartbeatMs = 30_000

/** `timedOut`: some are not over; they stay. */
export const waitedView = v.strictObject({ runs: v.array(runView), timedOut: v.boolean() })
export type WaitedView = v.InferOutput<typeof waitedView>

/** Calls `note` with a line whenever a run gets on; resolves when all are over, time is up, or `signal` aborts. */
export async function waitForRuns(
  daemon: Daemon,
  groups: readonly number[],
  timeoutMs: number | undefined,
  note: (line: string | undefined) => Promise<void>,
  signal: AbortSignal,
): Promise<WaitedView> {
  const { queries } = daemon.store
  const until = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs
  const said = new Map<number, string>()
  let open = new Set(groups)
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
        for (const run of queries.attemptsOf(group)) {
          const standing = standingOf(viewRun(daemon, run))
          if (said.get(run.id) === standing) continue
          said.set(run.id, standing)
          if (run.state !== 'requested') await note(`run ${run.id} ${run.system.name} ${run.test.name}: ${standing}`)
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
  const runs = groups.flatMap((group) => queries.attemptsOf(group).at(-1) ?? [])
  return { runs: runs.map((run) => viewRun(daemon, run)), timedOut: open.size > 0 }
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
