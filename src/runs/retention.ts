/**
 * Retention: raw logs, results and requests that nobody fetched age separately, kept versions stay. Attachments are part of
 * their result: `keep-logs` is of logs alone.
 *
 * Runs by itself every hour and for `expire`, in small records, so that it never holds anything up. Below `keep-free`
 * uploads are refused; nothing is removed for space that `keep-logs` and `keep-results` do not let go. Source: RUNS
 * "Commands" (retention).
 */
import type { ExpiryView } from '../commands/daemon.ts'
import type { Actor } from '../domain/event.ts'
import type { Log } from '../log.ts'
import type { RunRow } from '../store/run-rows.ts'
import type { Queries, Store } from '../store/store.ts'
import type { ResultFolder } from './result-files.ts'

const daemon: Actor = { who: 'pxemngr', from: 'daemon', surface: 'daemon' }
const everyMs = 3_600_000
/** Rows looked at, and removed, in one turn. */
const rowsPerTurn = 500
/** Rows of one answer of `expire`; what is beyond goes without being listed. */
const listedMax = 10_000

export interface KeepTimes {
  /** null: for ever. */
  readonly logsMs: number | null
  readonly resultsMs: number | null
}

export interface RetentionOptions {
  readonly store: Store
  readonly folder: ResultFolder
  readonly keep: () => KeepTimes
  readonly log: Log
  readonly nowMs?: () => number
}

export interface Retention {
  expire(dryRun: boolean): Promise<readonly ExpiryView[]>
  /** The files of runs whose rows are gone. */
  removeFiles(runs: readonly number[]): void
  close(): void
}

/** What is too old to stay. */
type Found = Omit<ExpiryView, 'sizeBytes'>

export function openRetention(options: RetentionOptions): Retention {
  const { store, folder, log } = options
  const now = options.nowMs ?? Date.now

  const judge = (run: RunRow, keep: KeepTimes, queries: Pick<Queries, 'getVersion'>): Found | undefined => {
    if (run.version && queries.getVersion(run.version.id)?.kept) return undefined
    const olderThan = (ms: number | null, atMs: number) => ms !== null && now() - atMs > ms
    if (run.state === 'requested') {
      if (!olderThan(keep.resultsMs, run.requestedMs)) return undefined
      return { run: run.id, what: 'request', why: `requested ${age(run.requestedMs)} ago and never fetched` }
    }
    if (run.doneMs === null) return undefined
    if (olderThan(keep.resultsMs, run.doneMs)) {
      return { run: run.id, what: 'run', why: `done ${age(run.doneMs)} ago (keep-results)` }
    }
    if (run.logKept && olderThan(keep.logsMs, run.doneMs)) {
      return { run: run.id, what: 'log', why: `done ${age(run.doneMs)} ago (keep-logs)` }
    }
    return undefined
  }
  const age = (atMs: number) => `${Math.floor((now() - atMs) / 86_400_000)} d`

  /** Bytes that are gone; undefined: it has been sent, uploaded, kept or removed since it was found. */
  const remove = async (found: Found, keep: KeepTimes): Promise<number | undefined> => {
    const { run, what } = found
    const isOver = await store.commit(daemon, (tx) => {
      const current = tx.getRun(run)
      if (!current || judge(current, keep, tx)?.what !== what) return false
      if (what === 'log') tx.emit({ type: 'log.removed', run })
      else if (what === 'run') tx.emit({ type: 'run.removed', run })
      else tx.emit({ type: 'run.expired', run })
      return true
    })
    // After the record: a file without a row is only waste, a row without its file a page that lies.
    return isOver ? removeFilesOf(found, false) : undefined
  }

  const removeFilesOf = async ({ run, what }: Found, dryRun: boolean): Promise<number> => {
    if (what === 'log') return folder.removeLog(run, dryRun)
    return what === 'run' ? folder.removeAll(run, dryRun) : 0
  }

  const expire = async (dryRun: boolean): Promise<ExpiryView[]> => {
    const keep = options.keep()
    const listed: ExpiryView[] = []
    if (keep.logsMs === null && keep.resultsMs === null) return listed
    for (let after = 0; ; ) {
      const rows = store.queries.runsAfter(after, rowsPerTurn)
      for (const row of rows) {
        const found = judge(row, keep, store.queries)
        if (!found) continue
        const sizeBytes = dryRun ? await removeFilesOf(found, true) : await remove(found, keep)
        if (sizeBytes !== undefined && listed.length < listedMax) listed.push({ ...found, sizeBytes })
      }
      const last = rows.at(-1)
      if (!last || rows.length < rowsPerTurn) return listed
      after = last.id
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  const removeFiles = async (runs: readonly number[]): Promise<void> => {
    for (const run of runs) await folder.removeAll(run)
  }

  const timer = setInterval(() => {
    expire(false).then(
      (gone) => gone.length > 0 && log.info('results expired', { runs: gone.length }),
      (error: unknown) => log.warn('results could not be expired', { error }),
    )
  }, everyMs)
  timer.unref()
  return {
    expire,
    removeFiles: (runs) =>
      void removeFiles(runs).catch((error: unknown) => log.warn('files of removed results stay', { error })),
    close: () => clearInterval(timer),
  }
}
