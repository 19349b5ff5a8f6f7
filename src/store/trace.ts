/**
 * The boot timeline as the main loop sees it: steps go to a worker thread in batches, boots come back on request.
 *
 * A step costs the main loop a few pushes (`trace-batch.ts`). When the worker lags, steps are dropped and counted: a
 * timeline is worth less than a boot. The thread is started with the first step. What a boot is: `boot-log.ts`. Source:
 * DESIGN "State" (trace).
 */
import type { Worker } from 'node:worker_threads'
import { startWorker } from '../assets.ts'
import type { Log } from '../log.ts'
import type { Boot, BootQuery, TraceStep } from './boot-timeline.ts'
import { dataFolder } from './folder.ts'
import { StepBatchWriter } from './trace-batch.ts'
import type { TraceAnswer, TraceRequest } from './trace-worker.ts'

export type { Boot, BootQuery, TraceStep } from './boot-timeline.ts'

export interface Trace {
  /** Never waits, never throws. */
  step(step: TraceStep): void
  /** Newest first, at most `limit`; none if the worker fails. */
  boots(query: BootQuery): Promise<readonly Boot[]>
  /** Steps that were dropped since start. */
  dropped(): number
  /** Saves and ends the thread; bounded. */
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
/** A worker that failed is not started again at once. */
const restartMs = 60_000
/** Saving 30 MB takes a second; a stop must not take longer than this. */
const closeMs = 2000

export function openTrace(options: { readonly dataDir: string; readonly log: Log }): Trace {
  const { log } = options
  const path = dataFolder(options.dataDir).trace
  let worker: Worker | undefined
  let failedMs = Number.NEGATIVE_INFINITY
  let batch = new StepBatchWriter()
  let timer: NodeJS.Timeout | undefined
  let underWay = 0
  let dropped = 0
  let questions = 0
  let closed = false
  const asked = new Map<number, (boots: readonly Boot[]) => void>()
  let onClosed: (() => void) | undefined

  const answer = (message: TraceAnswer): void => {
    switch (message.kind) {
      case 'taken':
        underWay -= message.count
        return
      case 'boots':
        asked.get(message.id)?.(message.boots)
        asked.delete(message.id)
        return
      case 'warning':
        log.warn(message.text)
        return
      case 'closed':
        onClosed?.()
        return
      default:
        message satisfies never
    }
  }

  const lost = (): void => {
    worker = undefined
    dropped += underWay
    underWay = 0
    for (const resolve of asked.values()) resolve([])
    asked.clear()
    onClosed?.()
  }

  const start = (): Worker | undefined => {
    if (worker || performance.now() - failedMs < restartMs) return worker
    const started = startWorker('trace-worker', { workerData: path })
    started.on('message', answer)
    started.on('error', (error) => {
      failedMs = performance.now()
      log.error('the boot timeline failed', { error })
      if (worker === started) lost()
    })
    started.on('exit', () => {
      if (worker === started) lost()
    })
    started.unref()
    worker = started
    return worker
  }

  const post = (request: TraceRequest): boolean => {
    const to = start()
    to?.postMessage(request)
    return to !== undefined
  }

  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    const { count, numbers, texts } = batch
    if (count === 0) return
    batch = new StepBatchWriter()
    if (post({ kind: 'steps', steps: { numbers, texts } })) underWay += count
    else dropped += count
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
      return new Promise((resolve) => {
        questions += 1
        asked.set(questions, resolve)
        if (closed || !post({ kind: 'boots', id: questions, query })) {
          asked.delete(questions)
          resolve([])
        }
      })
    },
    dropped: () => dropped,
    async close() {
      if (closed) return
      flush()
      closed = true
      const ending = worker
      if (!ending) return
      let late: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        onClosed = resolve
        late = setTimeout(resolve, closeMs)
        ending.postMessage({ kind: 'close' } satisfies TraceRequest)
      })
      clearTimeout(late)
      await ending.terminate()
    },
  }
}
