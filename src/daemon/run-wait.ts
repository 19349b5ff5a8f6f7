/**
 * `nexttest --wait`: follows the runs that were asked for, with the retries that come of them, until all are done.
 *
 * A run that is tried again is not over: its last attempt counts. A run that is gone meanwhile (its system was deleted)
 * was not run: it counts as cancelled. Here and not beside the command, since the client must not pay for it.
 * Source: RUNS "Commands" (`nexttest … --wait`).
 */
import type { AskedRun, Daemon, WaitNote } from '../commands/daemon.ts'
import { type RunView, standingOf, viewNothing, viewRun } from '../commands/run-view.ts'
import { formatRuns, formatStaying, isOpen, type WaitedView } from '../commands/run-wait.ts'
import { runStates } from '../domain/verdict.ts'
import type { Queries } from '../store/store.ts'

/** How often somebody who waits hears something: well before a silent connection is given up. */
const heartbeatMs = 30_000

/** Calls `note` with a line whenever a run gets on, first with all that were asked for; resolves when all are over, time is up, or `signal` aborts. */
export async function waitForRuns(
  daemon: Daemon,
  asked: readonly AskedRun[],
  timeoutMs: number | undefined,
  note: WaitNote,
  signal: AbortSignal,
): Promise<WaitedView> {
  const { queries } = daemon.store
  const until = timeoutMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + timeoutMs
  const said = new Map<number, string>()
  /** The last attempt of each group, as it was last seen. */
  const seen = new Map(
    asked.map((run) => {
      const row = queries.getRun(run.id)
      return [run.id, row ? viewRun(daemon, row) : viewAsked(run)]
    }),
  )
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
    const part = [...seen].map(([group, run]) => ({ group, run }))
    await note(`${formatRuns([...seen.keys()])} requested`, part)
    while (!signal.aborted) {
      for (const group of open) {
        const attempts = queries.attemptsOf(group)
        for (const run of attempts) {
          const view = viewRun(daemon, run)
          seen.set(group, view)
          const standing = standingOf(view)
          if (said.get(run.id) === standing) continue
          said.set(run.id, standing)
          if (run.state !== 'requested' || run.id !== group)
            await note(`run ${run.id} ${run.system.name} ${run.test.name}: ${standing}`, [{ group, run: view }])
        }
        const last = seen.get(group)
        if (attempts.length === 0 && last !== undefined && isOpen(last)) {
          const gone = { ...last, state: 'cancelled' as const, reason: 'gone: its system was deleted' }
          seen.set(group, gone)
          await note(`run ${gone.id} ${gone.system} ${gone.test}: cancelled, ${gone.reason}`, [{ group, run: gone }])
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
  // One that ended early may have been waived since, or come late.
  for (const group of seen.keys()) {
    const last = queries.attemptsOf(group).at(-1)
    if (last) seen.set(group, viewRun(daemon, last))
  }
  const runs = [...seen.values()]
  if (open.size > 0 && !signal.aborted) await note(`timed out: ${formatStaying(runs)}`)
  return { runs, timedOut: open.size > 0 }
}

/** One that is gone before anything was known of it. */
function viewAsked({ id, system, test }: AskedRun): RunView {
  return { ...viewNothing(system, test), id, state: 'requested' }
}

/** Whether nothing more comes of it: its last attempt is closed, and no retry follows from that. */
function isOver(queries: Queries, group: number): boolean {
  const last = queries.attemptsOf(group).at(-1)
  return last === undefined || !runStates[last.state].open
}
