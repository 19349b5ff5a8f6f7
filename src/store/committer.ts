/**
 * Commit: decide, sync, apply. Commands that come while a batch is being synced form the next one (group commit).
 *
 * The only writer of the database. Nobody is told anything that rests on an unsynced record: a command that only read,
 * but after another of its batch had written, waits with it and is decided again if that one fails. Machines' reports are
 * tried once more by themselves (the reserve), then held in memory. Not here: files. Source: DESIGN "State".
 */
import { Refusal } from '../domain/errors.ts'
import type { JournalRecord } from '../domain/event.ts'
import type { Log } from '../log.ts'
import { applyRecord } from './apply.ts'
import { type Command, decideBatch, type Outcome } from './decide.ts'
import { reasonOf } from './disk.ts'
import { AppendError, type Journal } from './journal.ts'
import type { Lookups } from './lookups.ts'
import type { Recall } from './recall.ts'
import type { Database } from './sqlite.ts'
import type { CommitOptions, Queries, Transaction } from './store.ts'

/** Whoever waits answers a request when he is told: of so many answers, not of a whole batch, a turn of the event loop is made. */
const toldAtOnce = 16
/** Commands that may wait; more are refused. Each is a request somebody holds open. */
const waitingMax = 50_000

export interface CommitterParts {
  readonly database: Database
  /** Uncached: what decisions read. */
  readonly base: Queries
  readonly journal: Journal
  readonly lookups: Lookups
  readonly recall: Recall
  readonly log: Log
  readonly now: () => Date
}

interface Waiting extends Command {
  readonly durable: boolean
  /** A report that failed once and is tried alone. */
  retried: boolean
  resolve(result: unknown): void
  reject(error: unknown): void
}

export interface Committer {
  commit<R>(actor: Command['actor'], decide: (tx: Transaction) => R, options?: CommitOptions): Promise<R>
  onApplied(listener: (record: JournalRecord) => void): () => void
  readonly seq: number
  /** Takes no more commands; resolves when all that wait are answered. `last` goes behind them. */
  finish(last: (tx: Transaction) => void, actor: Command['actor']): Promise<void>
}

export function createCommitter(parts: CommitterParts): Committer {
  const { database, base, journal, lookups, recall, log, now } = parts
  const listeners = new Set<(record: JournalRecord) => void>()
  let queue: Waiting[] = []
  let running = false
  let finishing = false
  let seq = journal.seq

  /** In one tick: the database, the maps, whoever listens. A record that cannot be applied is a bug: the process ends. */
  const applyRecords = (records: readonly JournalRecord[]): void => {
    for (const record of records) lookups.applying(record.events)
    database.run('BEGIN')
    try {
      for (const record of records) applyRecord(database, record)
      database.run('COMMIT')
    } catch (error) {
      database.run('ROLLBACK')
      log.error('a record that is on disk cannot be applied: this is a bug', { error })
      throw error
    }
    let overruled = false
    for (const record of records) {
      lookups.applied(record.events)
      overruled = recall.overrule(record.events) || overruled
      seq = record.seq
    }
    if (overruled) lookups.clear()
    for (const record of records) {
      for (const listener of listeners) {
        try {
          listener(record)
        } catch (error) {
          log.error('a listener of the journal failed', { error, seq: record.seq })
        }
      }
    }
  }
  journal.follow(applyRecords)

  const refuseWhileFailing = (command: Waiting): void => {
    const refusal = journal.refusal()
    if (refusal !== undefined && command.plane === 'management') throw new Refusal('unavailable', refusal)
  }

  const runBatch = async (): Promise<void> => {
    const at = now().toISOString()
    const outcomes = decideBatch(database, base, queue, seq, at, refuseWhileFailing)
    queue = queue.slice(outcomes.length)
    const first = outcomes.findIndex((outcome) => outcome.record)
    if (first < 0) return outcomes.forEach(settle)
    // Outcomes before the first record rest on nothing unsynced.
    for (const outcome of outcomes.slice(0, first)) settle(outcome)
    const waiting = outcomes.slice(first)
    for (const { command, record, ...outcome } of waiting) {
      if (record && !command.durable && 'result' in outcome) command.resolve(outcome.result)
    }
    const records = waiting.flatMap(({ record }) => (record ? [record] : []))
    const machineOnly = waiting.every(({ command, record }) => !record || command.plane === 'machine')
    try {
      await journal.append(records, machineOnly ? 'machine' : 'management')
    } catch (error) {
      if (!(error instanceof AppendError)) throw error
      giveBack(waiting, error)
      return
    }
    for (const [at, outcome] of waiting.entries()) {
      if (at > 0 && at % toldAtOnce === 0) await new Promise(setImmediate)
      settle(outcome)
    }
  }

  /** The batch is not kept. */
  const giveBack = (outcomes: readonly Outcome<Waiting>[], error: AppendError): void => {
    const again: Waiting[] = []
    for (const { command, record } of outcomes) {
      if (!record) again.push(command)
      else if (command.plane === 'machine' && command.durable && !command.retried) {
        command.retried = true
        again.push(command)
      } else if (error.outcome === 'unknown') command.reject(notKept(command, record, error))
      else command.reject(unavailable(command, record, error))
    }
    queue = [...again, ...queue]
  }

  const notKept = (command: Waiting, record: JournalRecord, error: AppendError): Refusal => {
    if (command.plane === 'machine') return unavailable(command, record, error)
    return new Refusal('not-kept', `not known to be kept: ${reasonOf(error)}`, { cause: error })
  }

  const unavailable = (command: Waiting, record: JournalRecord, error: AppendError): Refusal => {
    if (command.plane === 'machine' && recall.hold(record.actor, record.at, seq, record.events)) {
      lookups.clear()
      log.warn('a report is held in memory only', { who: record.actor.who, reason: reasonOf(error) })
    }
    return new Refusal('unavailable', reasonOf(error), { cause: error })
  }

  const settle = (outcome: Outcome<Waiting>): void => {
    if ('error' in outcome) outcome.command.reject(outcome.error)
    else outcome.command.resolve(outcome.result)
  }

  const run = async (): Promise<void> => {
    if (running) return
    running = true
    try {
      // A turn of the event loop first: what comes with the same packets or requests shares the batch.
      await new Promise(setImmediate)
      while (queue.length > 0) {
        await runBatch()
        if (queue.length > 0) await new Promise(setImmediate)
      }
    } finally {
      running = false
    }
  }

  /** A bug (a record that cannot be applied) must not go on as a rejected promise of whoever happens to wait. */
  const start = (): void => {
    run().catch((error: unknown) => {
      setImmediate(() => {
        throw error
      })
    })
  }

  const enqueue = <R>(actor: Command['actor'], decide: (tx: Transaction) => R, options: CommitOptions): Promise<R> =>
    new Promise<R>((resolve, reject) => {
      queue.push({
        actor,
        decide,
        plane: options.plane ?? 'management',
        durable: options.durable ?? true,
        retried: false,
        resolve: resolve as (result: unknown) => void,
        reject,
      })
      start()
    })

  const writeHeld = (): void => {
    for (const report of recall.pending()) {
      const decide = (tx: Transaction) => {
        if (!recall.has(report)) return
        const { event } = report
        if (event.type === 'report.remembered') tx.emit(event)
        else if (tx.getSystem(event.system)) tx.emit({ ...event, decision: tx.nextId('decision') })
      }
      enqueue(report.actor, decide, { plane: 'machine' }).then(
        () => {
          recall.drop(report)
          lookups.clear()
        },
        (error: unknown) => log.warn('a report is still held in memory only', { reason: reasonOf(error) }),
      )
    }
  }
  journal.onRecovered(writeHeld)

  return {
    commit(actor, decide, options = {}) {
      if (finishing) return Promise.reject(new Refusal('unavailable', 'the daemon is stopping'))
      if (queue.length >= waitingMax) {
        return Promise.reject(new Refusal('unavailable', `${waitingMax} changes are waiting already: try again later`))
      }
      return enqueue(actor, decide, options)
    },
    onApplied(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    get seq() {
      return seq
    },
    async finish(last, actor) {
      finishing = true
      await enqueue(actor, last, {})
    },
  }
}
