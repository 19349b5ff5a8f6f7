/**
 * The journal for people: the newest records that fit a question, archived segments included.
 *
 * Reads segments from the newest backwards and stops when it has enough, so that memory is bounded by the limit and one
 * segment. An unreadable place is passed over and reported (`onFault`): history is shown as far as it can be read.
 * Source: CONTRACT "Command line" (history), DESIGN "State" (archive).
 */
import { concernsSystems } from '../domain/concern.ts'
import type { JournalRecord } from '../domain/event.ts'
import type { DataFolder } from './folder.ts'
import { listSegments } from './segment.ts'
import type { HistoryQuery } from './store.ts'
import { readRecords } from './survey.ts'

/** Records given where the question sets no limit, and the most it can ask for. */
const historyLimit = 1000
const historyLimitMax = 100_000

export async function readHistory(
  folder: DataFolder,
  query: HistoryQuery,
  last: number,
  onFault: (path: string, line: number, reason: string) => void,
  systemOfRun: (run: number) => number | undefined,
): Promise<JournalRecord[]> {
  const limit = Math.max(0, Math.min(query.limit ?? historyLimit, historyLimitMax))
  const after = Math.max(0, query.after ?? 0)
  const segments = await listSegments(folder)
  let newest: JournalRecord[] = []
  let until = last
  for (const [index, segment] of [...segments.entries()].reverse()) {
    if (newest.length >= limit || until <= after) break
    const from = Math.max(after, segment.first - 1)
    const found: JournalRecord[] = []
    if (from < until) {
      const own = segments.slice(index, index + 1)
      for await (const record of readRecords(own, from, until, onFault)) {
        if (query.systems !== undefined && !concernsSystems(record.events, query.systems, systemOfRun)) continue
        found.push(record)
        if (found.length > 2 * limit) found.splice(0, found.length - limit)
      }
    }
    newest = [...found, ...newest].slice(-limit || Number.MAX_SAFE_INTEGER)
    until = Math.min(until, segment.first - 1)
  }
  return limit === 0 ? [] : newest
}
