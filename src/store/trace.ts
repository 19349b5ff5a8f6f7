/**
 * The boot timeline as the main loop sees it: steps go to a worker thread in batches, boots come back on request.
 *
 * A step costs the main loop some hundred bytes (`trace-batch.ts`). When the worker lags, steps are dropped and counted: a
 * timeline is worth less than a boot. The thread is started with the first step, and again some time after it failed; one
 * that only does not answer is waited for, because a second one would hang in the same place. Either is a fault that
 * `status` names, and questions are refused meanwhile. What a boot is: `boot-log.ts`. Source: DESIGN "State" (trace).
 */
import type { Worker } from 'node:worker_threads'
import { startWorker } from '../assets.ts'
import { Refusal } from '../domain/errors.ts'
import type { Log } from '../log.ts'
import type { Boot, BootQuery, BootsChanged, TraceStep } from './boot-timeline.ts'
import { dataFolder } from './folder.ts'
import { concernedBy, StepBatchWriter } from './trace-batch.ts'
import type { TraceAnswer, TraceRequest } from './trace-worker.ts'

export type { Boot, BootQuery, TraceStep } from './boot-timeline.ts'

export interface Trace {
  /** Never waits, never throws. */
  step(step: TraceStep): void
  /** Newest first, at most `limit`. Rejects (`unavailable`) with the line of `faults` where the worker gives no answer. */
  boots(query: BootQuery): Promise<readonly Boot[]>
  /**
   * Calls `listener` when boots have changed, about once a second at most, until the returned function is called.
   * undefined: they may be anybody's.
   */
  onChange(listener: (changed: BootsChanged | undefined) => void): () => void
  /** Steps that were dropped since start. */
  dropped(): number
  /** Why there is no timeline at the moment, one line; empty: there is. */
  faults(): readonly string[]
  /** Saves and ends the thread; bounded, unless the thread hangs in the kernel: to be closed last. */
  close(): Promise<void>
}

/**
 * Steps are posted this long after the first of a batch, or when so many have come: seldom, since waking the thread costs
 * more than a step. Whoever asks for boots has them posted at once.
 */
const batchMs = 1000
const batchSteps = 2048
/** Steps posted and not taken yet; beyond it they are dropped. A second of everything that TFTP can serve. */
const underWayMax = 32_768
/** A worker that failed is not started again at once: what made it fail is likely still there. */
const restartAfterMs = 60_000
/** Without a sign of the worker for this long while it has something to do, it is said not to answer. */
const silentMs = 5000
/** Saving 30 MB takes a second; a stop must not take longer than this. */
const closeMs = 2000

export interface TraceOptions {
  readonly dataDir: string
  readonly log: Log
  /** For tests that cannot wait so long. */
  readonly restartMs?: number
}

interface Question {
  resolve(boots: readonly Boot[]): void
  reject(error: Refusal): void
}

export function openTrace(options: TraceOptions): Trace {
  const { log, restartMs = restartAfterMs } = options
  const path = dataFolder(options.dataDir).trace
  let worker: Worker | undefined
  /** Why there is no timeline, as the end of a sentence. */
  let why: string | undefined
  let restart: NodeJS.Timeout | undefined
  /** Runs while the worker owes something. */
  let watch: NodeJS.Timeout | undefined
  let batch = new StepBatchWriter()
  let timer: NodeJS.Timeout | undefined
  let underWay = 0
  let dropped = 0
  let questions = 0
  let closed = false
  const asked = new Map<number, Question>()
  const listeners = new Set<(changed: BootsChanged | undefined) => void>()
  /** Of the batches under way, in their order. */
  let concerned: (BootsChanged | undefined)[] = []
  let onClosed: (() => void) | undefined

  const fault = (reason = 'it is being closed'): string => `the boot timeline is not available: ${reason}`

  const unavailable = (): Refusal => new Refusal('unavailable', fault(why))

  const refuseAll = (): void => {
    for (const { reject } of asked.values()) reject(unavailable())
    asked.clear()
  }

  const fail = (reason: string): void => {
    if (why === reason) return
    why = reason
    log.error(fault(reason))
  }

  const silent = (): void => {
    watch = undefined
    fail('it does not answer')
    refuseAll()
  }

  /** The worker was heard: whatever it still owes has that long again. */
  const heard = (): void => {
    clearTimeout(watch)
    watch = undefined
    if (why !== undefined) log.info('the boot timeline is available again')
    why = undefined
    if (underWay > 0 || asked.size > 0) watch = setTimeout(silent, silentMs).unref()
  }

  const answer = (message: TraceAnswer): void => {
    switch (message.kind) {
      case 'ready':
        break
      case 'taken': {
        underWay -= message.count
        const changed = concerned.shift()
        for (const listener of listeners) listener(changed)
        break
      }
      case 'boots':
        asked.get(message.id)?.resolve(message.boots)
        asked.delete(message.id)
        break
      case 'warning':
        log.warn(message.text)
        return // it says how the worker is, not that it goes on
      case 'closed':
        onClosed?.()
        break
      default:
        message satisfies never
    }
    heard()
  }

  const ended = (reason: string): void => {
    worker = undefined
    clearTimeout(watch)
    watch = undefined
    dropped += underWay
    underWay = 0
    concerned = []
    onClosed?.()
    if (!closed) {
      fail(`${reason}; it is started again in ${Math.ceil(restartMs / 1000)} s`)
      restart = setTimeout(start, restartMs).unref()
    }
    refuseAll()
  }

  const start = (): void => {
    restart = undefined
    const started = startWorker('trace-worker', { workerData: path })
    let reason = 'its thread ended'
    started.on('message', answer)
    started.on('error', (error) => {
      reason = error.message
    })
    started.on('exit', () => {
      if (worker === started) ended(reason)
    })
    started.unref()
    worker = started
  }

  /** Whether it is on its way; not while a worker that failed waits to be started again. */
  const post = (request: TraceRequest, moved: readonly ArrayBuffer[] = []): boolean => {
    if (!worker && !restart) start()
    worker?.postMessage(request, moved)
    if (worker) watch ??= setTimeout(silent, silentMs).unref()
    return worker !== undefined
  }

  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    const { count } = batch
    if (count === 0) return
    const steps = batch.end()
    batch = new StepBatchWriter()
    const changed = listeners.size > 0 ? concernedBy(steps) : undefined
    if (post({ kind: 'steps', steps }, [steps.bytes])) {
      underWay += count
      concerned.push(changed)
    } else dropped += count
  }

  return {
    step(step) {
      if (closed || underWay + batch.count >= underWayMax) {
        dropped += 1
        return
      }
      batch.add(step)
      if (batch.count >= batchSteps) flush()
      else timer ??= setTimeout(flush, batchMs).unref()
    },
    boots(query) {
      flush()
      return new Promise((resolve, reject) => {
        questions += 1
        // A worker that does not answer has been asked often enough: whoever looks at a page is told at once.
        const going = !closed && why === undefined && post({ kind: 'boots', id: questions, query })
        if (going) asked.set(questions, { resolve, reject })
        else reject(unavailable())
      })
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    dropped: () => dropped,
    faults: () => (why === undefined ? [] : [fault(why)]),
    async close() {
      if (closed) return
      flush()
      closed = true
      clearTimeout(restart)
      const ending = worker
      if (!ending) return
      let late: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        onClosed = resolve
        late = setTimeout(resolve, why === undefined ? closeMs : 0)
        ending.postMessage({ kind: 'close' } satisfies TraceRequest)
      })
      clearTimeout(late)
      clearTimeout(watch)
      refuseAll()
      // A thread that hangs in the kernel cannot be ended: this waits then until the process is killed (`stop.ts`).
      await ending.terminate()
    },
  }
}
