/**
 * The journal as the store sees it: an append-only, numbered sequence of records that outlives the process.
 *
 * `file-journal.ts` is the implementation on one machine; a replicated log would be another. So nothing above may assume
 * that it is the only writer: an append names the number it expects to be next, and what is applied comes from `follow`,
 * also on one machine. Source: DESIGN "State" (last point).
 */
import type { JournalRecord } from '../domain/event.ts'

export type Plane = 'machine' | 'management'

export interface Journal {
  /** Last number known to be kept. */
  readonly seq: number
  /**
   * Keeps all records or none that is told of; `records[0].seq` must be `seq + 1`. Resolves when they last and every
   * follower has had them. `machine` may use space that nothing else gets. Rejects with `AppendError`. One at a time.
   */
  append(records: readonly JournalRecord[], plane: Plane): Promise<void>
  /** Records from `after` (exclusive) up to what is kept now; rejects where they cannot be read. */
  read(after: number): AsyncIterable<JournalRecord>
  /** Calls back with every batch as it becomes kept, in order. Returns how to stop. */
  follow(listener: (records: readonly JournalRecord[]) => void): () => void
  /** Why changes are refused now (one line), or undefined. Reports of machines may still be taken. */
  refusal(): string | undefined
  /** Calls back when changes are taken again. */
  onRecovered(listener: () => void): void
  close(): Promise<void>
}

/** An append that was not acknowledged. `unknown`: it may have reached the disk; `refused`: it has not. */
export class AppendError extends Error {
  readonly outcome: 'refused' | 'unknown'
  constructor(outcome: 'refused' | 'unknown', reason: string, options?: ErrorOptions) {
    super(reason, options)
    this.outcome = outcome
  }
}
