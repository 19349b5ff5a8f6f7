/**
 * The transfers under way on one thread: their time, their packets, their end. One engine in the main loop for computed
 * answers, one in each worker for files.
 *
 * It joins a `Transfer` (what to send) with a `Line` (where it leaves) and the wheel, and writes the record when it is over.
 * What a request means is decided before (`requests.ts`, `file-desk.ts`). No promise or closure for a packet.
 */
import type { Client, ClientKey } from './client.ts'
import type { ClientMap } from './client-map.ts'
import type { Granted } from './options.ts'
import type { Request } from './packet.ts'
import type { TransferRecord } from './resolution.ts'
import { TimerWheel, WheelEntry } from './timer-wheel.ts'
import { PACE_MS, type Source, Transfer, type Wire } from './transfer.ts'

/**
 * A client that was not answered at once (iPXE's ROM: a quarter of a second) has sent its RRQ twice; the second may lie in
 * another socket's queue until after its ACK was read. Taken for a machine that was reset, it would end a transfer that
 * goes on: seen with iPXE under load, which gives up at the ERROR 5. So, this long after the first ACK, the same RRQ starts
 * a second transfer beside the first, and the client's next packet says which of the two it means.
 */
const LATE_REPEAT_MS = 500

/** Where the packets of one transfer leave and come in. */
export interface Line extends Wire {
  /** From now on packets of the client go to `running.receive`. */
  attach(running: Running): void
  /** Whether a packet still waits to be sent: its bytes must not be changed. */
  queued(): boolean
  /** The transfer is over. */
  close(): void
  /** All transfers of a client share this way out, so that two at once cannot be told apart. */
  readonly shared?: boolean
}

/** Who has the last word on a client's port: looked up at each RRQ. */
export type Owners<T> = ClientMap<T | Running>

export interface Start {
  readonly client: Client
  readonly key: ClientKey
  /** Where it is entered under `key` while it runs. */
  readonly owners: Owners<unknown>
  readonly request: Request
  /** The RRQ as it came, to know it again. */
  readonly datagram: Buffer
  readonly granted: Granted
  readonly source: Source
  readonly line: Line
}

/** One transfer under way. */
export class Running extends WheelEntry {
  readonly transfer: Transfer
  readonly from: Start
  readonly startedMs: number = Date.now()
  readonly #engine: Engine
  /** The client's transfer before this one, which goes on until the client has answered this one. */
  rival: Running | undefined
  /** Place among all that run, of the engine. */
  runs = false
  previous: Running | undefined
  next: Running | undefined

  constructor(engine: Engine, from: Start) {
    super()
    this.#engine = engine
    this.from = from
    this.transfer = new Transfer(from.granted, from.source, from.line)
  }

  get wakeMs(): number {
    return this.transfer.wakeMs
  }

  wake(nowMs: number): void {
    this.transfer.wake(nowMs)
    this.#engine.settle(this)
  }

  /** A packet from the client's address and port. */
  receive(packet: Buffer): void {
    this.transfer.receive(packet, performance.now())
    this.#engine.settle(this)
    if (this.rival && this.transfer.firstAckMs >= 0) this.#engine.replace(this.rival)
  }
}

export class Engine {
  readonly #wheel = new TimerWheel(() => performance.now())
  /** Of all that run, linked through themselves. */
  #first: Running | undefined
  #active = 0
  readonly #onEnd: (record: TransferRecord, from: Start) => void
  #paced: Running[] = []
  /** Of the last call of `repeats`: the transfer that the next one of the same client starts beside. */
  #contested: Running | undefined

  constructor(onEnd: (record: TransferRecord, from: Start) => void) {
    this.#onEnd = onEnd
  }

  get active(): number {
    return this.#active
  }

  start(from: Start): Running {
    const running = new Running(this, from)
    const before = this.#contested
    this.#contested = undefined
    if (before?.from.key === from.key && before.transfer.outcome === undefined) running.rival = before
    this.#add(running)
    from.owners.set(from.key, running)
    from.line.attach(running)
    running.transfer.start(performance.now())
    this.settle(running)
    return running
  }

  /**
   * The client sent an RRQ while its transfer runs. True: it is a repeat, and was answered. False: the RRQ is a new one;
   * the transfer is over, or (the same RRQ soon after its first ACK, see `LATE_REPEAT_MS`) contested by the next.
   */
  repeats(running: Running, datagram: Buffer): boolean {
    const { transfer, from } = running
    this.#contested = undefined
    if (transfer.outcome !== undefined) return false
    const now = performance.now()
    if (from.datagram.equals(datagram)) {
      if (transfer.firstAckMs < 0) {
        transfer.repeatRequest(now)
        this.settle(running)
        return transfer.outcome === undefined
      }
      if (now - transfer.firstAckMs < LATE_REPEAT_MS && !from.line.shared) {
        if (running.rival) this.replace(running.rival)
        this.#contested = running
        return false
      }
    }
    this.replace(running)
    return false
  }

  /** The client has gone on to another transfer. */
  replace(running: Running): void {
    if (running.rival) this.replace(running.rival)
    if (running.transfer.outcome !== undefined) return
    running.transfer.end('replaced', 'the same client port asked again')
    this.settle(running)
  }

  /** Ends what still runs and tells the clients. */
  stop(why: string): void {
    for (let running = this.#first; running; ) {
      const { next } = running
      running.transfer.fail('aborted', why)
      this.settle(running)
      running = next
    }
  }

  /** After anything happened to a transfer: plans its next wake-up, or closes it. */
  settle(running: Running): void {
    const { transfer } = running
    if (transfer.outcome !== undefined) {
      this.#end(running)
      return
    }
    if (transfer.paced) this.#pace(running)
    else this.#wheel.arm(running)
  }

  #pace(running: Running): void {
    this.#paced.push(running)
    if (this.#paced.length === 1) setTimeout(this.#continuePaced, PACE_MS)
  }

  readonly #continuePaced = (): void => {
    const due = this.#paced
    this.#paced = []
    const now = performance.now()
    for (const running of due) {
      if (!running.transfer.paced) continue
      // Timers may fire a fraction of a millisecond early.
      running.transfer.wake(Math.max(now, running.transfer.wakeMs))
      this.settle(running)
    }
  }

  #add(running: Running): void {
    running.runs = true
    running.next = this.#first
    if (this.#first) this.#first.previous = running
    this.#first = running
    this.#active++
  }

  /** False: it had ended before. */
  #remove(running: Running): boolean {
    if (!running.runs) return false
    const { previous, next } = running
    if (previous) previous.next = next
    else this.#first = next
    if (next) next.previous = previous
    running.runs = false
    running.previous = undefined
    running.next = undefined
    this.#active--
    return true
  }

  #end(running: Running): void {
    if (!this.#remove(running)) return
    this.#wheel.disarm(running)
    const { owners, key, line } = running.from
    if (owners.get(key) === running) owners.delete(key)
    line.close()
    running.rival = undefined
    this.#onEnd(recordOf(running), running.from)
  }
}

/**
 * Runs `then` when every packet that has reached us by now has been read: an ACK and the client's next RRQ come to two
 * sockets, and the loop may look at them in either order. The first turn ends the look at what was already found
 * readable, the second comes after a full look at all sockets.
 */
export function afterSockets(then: () => void): void {
  setImmediate(() => setImmediate(then))
}

function recordOf(running: Running): TransferRecord {
  const { transfer, from, startedMs } = running
  return {
    startedMs,
    durationMs: Math.max(0, Date.now() - startedMs),
    client: from.client.address,
    port: from.client.port,
    local: from.client.local,
    name: from.request.name,
    mode: from.request.mode,
    options: from.granted.options,
    sizeBytes: transfer.source.sizeBytes ?? null,
    sentBytes: transfer.acknowledgedBytes,
    retransmissions: transfer.retransmissions,
    outcome: transfer.outcome ?? 'failed',
    detail: transfer.detail,
  }
}

/** The record of a request that was answered with an ERROR. */
export function refusedRecord(client: Client, request: Request, text: string): TransferRecord {
  return {
    startedMs: Date.now(),
    durationMs: 0,
    client: client.address,
    port: client.port,
    local: client.local,
    name: request.name,
    mode: request.mode,
    options: {},
    sizeBytes: null,
    sentBytes: 0,
    retransmissions: 0,
    outcome: 'refused',
    detail: text,
  }
}
