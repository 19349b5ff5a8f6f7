/**
 * Deciding a batch: every command runs in a savepoint of one transaction, which is always rolled back in the same tick.
 *
 * What is left are outcomes and records, ids included; nothing has changed, and no reader can have seen anything. Each
 * command sees those before it in the batch. Not here: keeping the records and applying them (`committer.ts`).
 * Source: DESIGN "Decide, sync, apply".
 */
import type { Actor, Event, IdKind, JournalRecord } from '../domain/event.ts'
import { applyEvent, finishRecord, nextIdOf } from './apply.ts'
import type { Plane } from './journal.ts'
import type { Database } from './sqlite.ts'
import type { Queries, Transaction } from './store.ts'

export interface Command {
  readonly actor: Actor
  readonly plane: Plane
  decide(tx: Transaction): unknown
}

export type Outcome<C extends Command> = {
  readonly command: C
  /** The record it needs; undefined: nothing to keep. */
  readonly record: JournalRecord | undefined
} & ({ readonly result: unknown } | { readonly error: unknown })

/** Commands in one batch and the time they may take, so that no tick is long; one bulk command may take longer. */
const batchCommandsMax = 512
const batchMs = 4

/**
 * Decides commands from the front of `queue` (not changed). `refuse`: called for a command that wants to write; a throw
 * of it is the command's outcome.
 */
export function decideBatch<C extends Command>(
  database: Database,
  queries: Queries,
  queue: readonly C[],
  seq: number,
  at: string,
  refuse: (command: C) => void,
): Outcome<C>[] {
  const outcomes: Outcome<C>[] = []
  const started = performance.now()
  let last = seq
  database.run('BEGIN')
  try {
    for (const command of queue) {
      if (outcomes.length >= batchCommandsMax || (outcomes.length > 0 && performance.now() - started > batchMs)) break
      const outcome = decideOne(database, queries, command, last + 1, at, refuse)
      if (outcome.record) last = outcome.record.seq
      outcomes.push(outcome)
    }
  } finally {
    database.run('ROLLBACK')
  }
  return outcomes
}

function decideOne<C extends Command>(
  database: Database,
  queries: Queries,
  command: C,
  seq: number,
  at: string,
  refuse: (command: C) => void,
): Outcome<C> {
  const { actor } = command
  const head = { seq, at, actor }
  const events: Event[] = []
  const used = new Map<IdKind, number>()
  const next = new Map<IdKind, number>()
  const tx: Transaction = {
    ...queries,
    at,
    nextId(kind) {
      const id = next.get(kind) ?? nextIdOf(database, kind)
      next.set(kind, id + 1)
      return id
    },
    emit(event) {
      applyEvent(database, head, event, used)
      events.push(event)
    },
  }
  database.run('SAVEPOINT command')
  try {
    const result = command.decide(tx)
    if (result instanceof Promise) throw new Error('a decision must not wait')
    if (events.length === 0) return { command, result, record: undefined }
    refuse(command)
    finishRecord(database, seq, used)
    return { command, result, record: { seq, at, actor, events } }
  } catch (error) {
    database.run('ROLLBACK TO command')
    return { command, error, record: undefined }
  } finally {
    database.run('RELEASE command')
  }
}
