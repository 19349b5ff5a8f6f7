/**
 * The file workers as the main loop sees them: starts the threads, chooses one for each request, and knows who owns which
 * client port until the worker says that it is done.
 *
 * Threads are started when they are first needed: 70 ms, once. One that dies is replaced, and what it sent is recorded as failed.
 */
import { availableParallelism } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { startWorker } from '../assets.ts'
import type { Log } from '../log.ts'
import type { Client, ClientKey } from './client.ts'
import type { ClientMap } from './client-map.ts'
import { refusedRecord } from './engine.ts'
import type { FilePlaces, FromWorker, ToWorker, TransferActivity, WorkerSettings } from './file-messages.ts'
import type { Request } from './packet.ts'
import type { TransferRecord } from './resolution.ts'
import type { PortRange } from './sockets.ts'

/** More threads than this are not faster than the memory and the network of one machine. */
const WORKERS_MAX = 4
/** A worker that reads from a dead mount cannot say that it has stopped. */
const STOP_MS = 500

/** A client's port that a worker owns; it stands in the table of owners of its listener. */
export class WorkerOwned {
  readonly thread: Thread
  /** Requests handed over and not yet settled. */
  open = 0
  constructor(thread: Thread) {
    this.thread = thread
  }
}

interface Thread {
  readonly worker: Worker
  open: number
}

interface Pending {
  readonly owned: WorkerOwned
  readonly owners: ClientMap<unknown>
  readonly key: ClientKey
  readonly client: Client
  readonly request: Request
}

export interface FileWorkersOptions {
  readonly places: FilePlaces
  /** Each worker has its own part of these. */
  readonly ports: PortRange | undefined
  readonly onTransfer: (record: TransferRecord) => void
  readonly onActivity: ((activity: TransferActivity) => void) | undefined
  readonly log: Log
}

/** How many workers there are at most on this machine. */
export function workersMax(): number {
  return Math.min(availableParallelism(), WORKERS_MAX)
}

export class FileWorkers {
  readonly #options: FileWorkersOptions
  readonly #threads: (Thread | undefined)[] = new Array(workersMax()).fill(undefined)
  readonly #pending = new Map<number, Pending>()
  #places: FilePlaces
  #lastId = 0
  #active = 0

  constructor(options: FileWorkersOptions) {
    this.#options = options
    this.#places = options.places
  }

  /** Client ports that workers own: a request repeated meanwhile counts once. */
  get active(): number {
    return this.#active
  }

  setPlaces(places: FilePlaces): void {
    this.#places = places
    for (const thread of this.#threads) thread?.worker.postMessage({ kind: 'places', places } satisfies ToWorker)
  }

  /** Hands a request over: to the worker that owns the client's port already, else to the one with least to do. */
  serve(
    owners: ClientMap<unknown>,
    key: ClientKey,
    client: Client,
    request: Request,
    datagram: Buffer,
    path: string,
  ): void {
    const owner = owners.get(key)
    const owned = owner instanceof WorkerOwned ? owner : new WorkerOwned(this.#choose())
    owners.set(key, owned)
    if (owned.open++ === 0) this.#active++
    owned.thread.open++
    const id = ++this.#lastId
    this.#pending.set(id, { owned, owners, key, client, request })
    // A copy of its own: the datagram may lie in a larger buffer, and a clone takes all of that along.
    const message: ToWorker = { kind: 'serve', id, ...client, datagram: new Uint8Array(datagram), path }
    owned.thread.worker.postMessage(message)
  }

  /** The client's port asked the main loop for something else: whatever the worker sends there is over. */
  drop(owned: WorkerOwned, client: Client): void {
    owned.thread.worker.postMessage({ kind: 'drop', ...client } satisfies ToWorker)
  }

  /** Ends all transfers and threads, bounded in time. */
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread && stop(thread.worker)))
    for (const id of [...this.#pending.keys()]) this.#failed(id, 'the server is stopping')
  }

  #choose(): Thread {
    let best: Thread | undefined
    for (const thread of this.#threads) if (thread && (!best || thread.open < best.open)) best = thread
    if (best && best.open === 0) return best
    const place = this.#threads.indexOf(undefined)
    return place < 0 && best ? best : this.#start(Math.max(place, 0))
  }

  #start(place: number): Thread {
    const { ports, onActivity, log } = this.#options
    const settings: WorkerSettings = { ...this.#places, ports: part(ports, place), activity: onActivity !== undefined }
    const worker = startWorker('tftp-worker', { workerData: settings })
    const thread: Thread = { worker, open: 0 }
    this.#threads[place] = thread
    worker.on('message', (message: FromWorker) => this.#hear(message))
    worker.on('error', (error) => log.error('a TFTP file worker died; another takes its place', { error }))
    worker.on('exit', () => {
      if (this.#threads[place] === thread) this.#threads[place] = undefined
      for (const [id, pending] of [...this.#pending]) {
        if (pending.owned.thread === thread) this.#failed(id, 'the thread that sent it ended')
      }
    })
    return thread
  }

  #hear(message: FromWorker): void {
    switch (message.kind) {
      case 'started':
        this.#options.onActivity?.(message.activity)
        break
      case 'settled':
        this.#settle(message.id)
        if (message.record) this.#options.onTransfer(message.record)
        break
      case 'warn':
        this.#options.log.warn(message.message)
        break
    }
  }

  #failed(id: number, why: string): void {
    const pending = this.#settle(id)
    if (pending) this.#options.onTransfer({ ...refusedRecord(pending.client, pending.request, why), outcome: 'failed' })
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    if (!pending) return undefined
    this.#pending.delete(id)
    const { owned, owners, key } = pending
    owned.thread.open--
    if (--owned.open === 0) this.#active--
    if (owned.open === 0 && owners.get(key) === owned) owners.delete(key)
    return pending
  }
}

/** The part of a range that the worker at `place` may use, so that no two look at the same port at once. */
function part(range: PortRange | undefined, place: number): PortRange | undefined {
  if (!range) return undefined
  const size = Math.floor((range.to - range.from + 1) / workersMax())
  const from = range.from + place * size
  return { from, to: place === workersMax() - 1 ? range.to : from + size - 1 }
}

async function stop(worker: Worker): Promise<void> {
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  worker.postMessage({ kind: 'stop' } satisfies ToWorker)
  const timer = setTimeout(() => void worker.terminate(), STOP_MS)
  await ended
  clearTimeout(timer)
}
