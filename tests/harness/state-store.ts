/**
 * The store's own state, decisions and read functions over a journal that is an array: what is decided and applied is the
 * real thing, only the disk is missing. `hold()` keeps commits waiting before their record is "on disk".
 */
import type { Actor, JournalRecord } from '../../src/domain/event.ts'
import { applyRecord } from '../../src/store/apply.ts'
import { decideBatch } from '../../src/store/decide.ts'
import { createQueries } from '../../src/store/queries.ts'
import { emptyState } from '../../src/store/replay.ts'
import type { Store, Transaction } from '../../src/store/store.ts'

export interface StateStore extends Store {
  readonly records: readonly JournalRecord[]
  /** Commits wait until the returned function is called. */
  hold(): () => void
  /** Time of the records to come; the wall clock if unset. */
  at: string | undefined
}

interface Waiting {
  readonly actor: Actor
  readonly plane: 'management'
  decide(tx: Transaction): unknown
  resolve(result: unknown): void
  reject(error: unknown): void
}

export async function openStateStore(): Promise<StateStore> {
  const database = await emptyState()
  const queries = createQueries(database)
  const records: JournalRecord[] = []
  const listeners = new Set<(record: JournalRecord) => void>()
  let queue: Waiting[] = []
  let held: Promise<void> = Promise.resolve()
  let turning = false

  const turn = async () => {
    turning = true
    while (queue.length > 0) {
      await held
      const now = store.at ?? new Date().toISOString()
      const outcomes = decideBatch(database, queries, queue, records.length, now, () => {})
      queue = queue.slice(outcomes.length)
      await new Promise((resolve) => setImmediate(resolve))
      for (const outcome of outcomes) {
        if ('error' in outcome) {
          outcome.command.reject(outcome.error)
          continue
        }
        if (outcome.record) {
          applyRecord(database, outcome.record)
          records.push(outcome.record)
          for (const listener of listeners) listener(outcome.record)
        }
        outcome.command.resolve(outcome.result)
      }
    }
    turning = false
  }

  const store: StateStore = {
    queries,
    records,
    at: undefined,
    commit<R>(actor: Actor, decide: (tx: Transaction) => R): Promise<R> {
      const { promise, resolve, reject } = Promise.withResolvers<R>()
      queue.push({ actor, plane: 'management', decide, resolve: (result) => resolve(result as R), reject })
      if (!turning) void turn()
      return promise
    },
    onApplied(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    get seq() {
      return records.length
    },
    async history({ system, after = 0, limit = records.length }) {
      const wanted = records.filter(
        (record) =>
          record.seq > after &&
          (system === undefined || record.events.some((event) => 'system' in event && event.system === system)),
      )
      return limit === 0 ? [] : wanted.slice(-limit)
    },
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      held = promise
      return resolve
    },
    degradations: () => [],
    async backup(write) {
      for (const record of records) await write(new TextEncoder().encode(`${JSON.stringify(record)}\n`))
    },
    async close() {
      database.close()
    },
  }
  return store
}
