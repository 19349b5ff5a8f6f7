/**
 * The latest results of each version, kept ready for the overviews (matrix, comparison, badges): a version is read from
 * the store when it is first asked for, a few milliseconds at a time, and again only after one of its runs changed.
 *
 * Not durable and not a source of truth: the store is. Source: DESIGN "Speed" (nothing on the event loop over 10 ms).
 */
import type { JournalRecord } from '../../domain/event.ts'
import type { LatestRun } from '../../store/run-rows.ts'
import type { Store } from '../../store/store.ts'

/** Versions kept: what a matrix shows at most, and some that comparisons ask for. Each takes some MB at 10,000 results. */
const versionsKept = 64

export interface VersionIndex {
  /** Latest done run of each system and test. */
  latest(version: number): Promise<readonly LatestRun[]>
  close(): void
}

export function createVersionIndex(store: Store): VersionIndex {
  const kept = new Map<number, readonly LatestRun[]>()
  const touch = ({ events }: JournalRecord): void => {
    for (const event of events) {
      switch (event.type) {
        case 'run.closed':
        case 'run.uploaded':
        case 'run.waived': {
          const version = store.queries.getRun(event.run)?.version
          if (version) kept.delete(version.id)
          break
        }
        case 'run.removed':
        case 'system.removed':
        case 'system.renamed':
          kept.clear()
          break
        default: // the others change no result
      }
    }
  }
  const stop = store.onApplied(touch)
  return {
    async latest(version) {
      const known = kept.get(version)
      if (known) {
        kept.delete(version)
        kept.set(version, known)
        return known
      }
      await new Promise((resolve) => setImmediate(resolve))
      const rows = store.queries.latestOf(version)
      kept.set(version, rows)
      const [oldest] = kept.keys()
      if (kept.size > versionsKept && oldest !== undefined) kept.delete(oldest)
      return rows
    },
    close: stop,
  }
}
