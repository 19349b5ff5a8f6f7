/**
 * One transfer from OACK or DATA 1 to the last ACK, as a state machine: a packet or the time goes in, packets and the time
 * of the next wake-up come out. No socket, no clock, no timer; nothing is allocated for a packet.
 *
 * Blocks are counted from 1 without end; on the wire they are taken modulo 65536 (after 65535 comes 0). Outside of it:
 * who is asked (`server.ts`, `worker.ts`), where the bytes come from (`Source`).
 * Sources: RFC 1350 §2, §4, §6; RFC 2347; RFC 7440 §4; PROTOCOLS §1 "Retransmission and end", "Windows", "Rollover".
 */
import type { Granted } from './options.ts'
import { ackedBlock, errorCodes, formatError, parseError } from './packet.ts'
import type { TransferRecord } from './resolution.ts'
import { RoundTrip } from './round-trip.ts'

/** Repeats of one packet or window without an answer before the client is given up: 7 to 27 s by the interval. */
const REPEATS_MAX = 6
/** More of a window than this at once overruns the NICs of real clients; the rest follows after `PACE_MS`. */
const BURST_BYTES = 64 * 1024
/** 64 KiB a millisecond is a little over half of a gigabit link. */
export const PACE_MS = 1

/** What is sent, cut into DATA packets. Its content is fixed when it is made. */
export interface Source {
  /** Bytes as sent; undefined as long as it is not known (a file in netascii). */
  readonly sizeBytes: number | undefined
  /** Number of the last block (the short one); Infinity as long as it is not known. */
  readonly lastBlock: number
  /**
   * The DATA packet of a block: the same bytes each time. Asked for in order, or again from any block after the one last
   * acknowledged. The buffer is not changed while a send of it may be queued. Throws where reading fails.
   */
  packet(block: number): Buffer
  close(): void
}

/** Where packets leave; a packet that cannot be sent counts as lost. */
export interface Wire {
  send(packet: Buffer): void
}

export type Outcome = TransferRecord['outcome']

export class Transfer {
  /** When `wake` wants to be called, ms on the caller's clock; Infinity once it has ended. */
  wakeMs = Number.POSITIVE_INFINITY
  /** A window is only half out: `wake` has to come after `PACE_MS`, sooner than a timer for repeats need be. */
  paced = false
  /** undefined while it runs. */
  outcome: Outcome | undefined
  /** ERROR text sent or received, or what failed. */
  detail = ''
  /** Packets sent again. */
  retransmissions = 0

  readonly granted: Granted
  readonly source: Source
  readonly #wire: Wire
  readonly #roundTrip: RoundTrip
  readonly #burstBlocks: number
  #awaitsAck0: boolean
  #firstAckMs = -1
  /** Last block acknowledged. */
  #base = 0
  /** Highest block ever sent: nothing above it can be acknowledged. */
  #highest = 0
  /** Next block of the window under way; above its end when the whole window is out. */
  #next = 1
  #repeats = 0
  /** When the OACK or the window last went out. */
  #sentMs = 0
  /** Block whose first sending is being measured (0: the OACK, -1: none). */
  #timedBlock = -1

  constructor(granted: Granted, source: Source, wire: Wire) {
    this.granted = granted
    this.source = source
    this.#wire = wire
    this.#roundTrip = new RoundTrip(granted.timeoutMs)
    this.#burstBlocks = Math.max(1, Math.floor(BURST_BYTES / granted.blksize))
    this.#awaitsAck0 = granted.oack !== undefined
  }

  /** Bytes the client has acknowledged. */
  get acknowledgedBytes(): number {
    const bytes = this.#base * this.granted.blksize
    const size = this.source.sizeBytes
    return size === undefined ? bytes : Math.min(bytes, size)
  }

  /** When the client first answered; -1 if it has not. */
  get firstAckMs(): number {
    return this.#firstAckMs
  }

  start(nowMs: number): void {
    if (this.#awaitsAck0) this.#timedBlock = 0
    this.#sendCurrent(nowMs)
  }

  /** A packet from the client itself (address and port are checked by the caller). Whatever makes no sense is ignored. */
  receive(packet: Buffer, nowMs: number): void {
    if (this.outcome !== undefined) return
    const block = ackedBlock(packet)
    if (block >= 0) {
      this.#acknowledge(block, nowMs)
      return
    }
    const error = parseError(packet)
    if (error) this.#stopped(error.code, error.text)
  }

  /** The time `wakeMs` has come. */
  wake(nowMs: number): void {
    if (this.outcome !== undefined || nowMs < this.wakeMs) return
    if (this.paced) {
      this.#sendWindow(nowMs)
      return
    }
    if (this.#repeats >= REPEATS_MAX) {
      this.end('timeout', this.#firstAckMs >= 0 ? 'the client no longer answers' : 'the client never answered')
      return
    }
    this.#repeats++
    this.#roundTrip.repeat()
    this.#sendAgain(nowMs)
  }

  /** The same RRQ came again before the first ACK: the answer was lost. */
  repeatRequest(nowMs: number): void {
    if (this.outcome === undefined) this.#sendAgain(nowMs)
  }

  /** Ends it from our side and tells the client why. */
  fail(outcome: Outcome, text: string): void {
    if (this.outcome !== undefined) return
    this.#wire.send(formatError(errorCodes.other, text))
    this.end(outcome, text)
  }

  /** Ends it without a word to the client. */
  end(outcome: Outcome, detail: string): void {
    if (this.outcome !== undefined) return
    this.outcome = outcome
    this.detail = detail
    this.wakeMs = Number.POSITIVE_INFINITY
    this.paced = false
    this.source.close()
  }

  #acknowledge(block: number, nowMs: number): void {
    if (this.#awaitsAck0) {
      if (block !== 0) return
      this.#awaitsAck0 = false
      this.#progress(0, nowMs)
      this.#next = 1
      this.#sendWindow(nowMs)
      return
    }
    const ahead = (block - this.#base) & 0xffff
    if (ahead === 0) {
      this.#lostFirst(nowMs)
      return
    }
    // Beyond what was sent: an old ACK, or one of a block that never was.
    if (ahead > this.#highest - this.#base) return
    this.#base += ahead
    this.#progress(this.#base, nowMs)
    if (this.#base >= this.source.lastBlock) {
      this.end('done', '')
      return
    }
    this.#next = this.#base + 1
    this.#sendWindow(nowMs)
  }

  /**
   * ACK of the window's base again. In lockstep it is a duplicate and must cause nothing (the Sorcerer's Apprentice); in a
   * window it says that the first block was lost. Copies of it come in bursts: one resend in a round trip.
   */
  #lostFirst(nowMs: number): void {
    if (this.granted.windowsize === 1 || this.#highest === this.#base) return
    const { smoothedMs, intervalMs } = this.#roundTrip
    if (nowMs - this.#sentMs < (smoothedMs < 0 ? intervalMs : smoothedMs)) return
    this.#next = this.#base + 1
    this.#timedBlock = -1
    this.#sendWindow(nowMs)
  }

  #progress(block: number, nowMs: number): void {
    if (this.#firstAckMs < 0) this.#firstAckMs = nowMs
    this.#repeats = 0
    if (this.#timedBlock === block) this.#roundTrip.sample(nowMs - this.#sentMs)
    else this.#roundTrip.progress()
    this.#timedBlock = -1
  }

  #windowEnd(): number {
    return Math.min(this.#base + this.granted.windowsize, this.source.lastBlock)
  }

  #sendAgain(nowMs: number): void {
    this.#timedBlock = -1
    this.#next = this.#base + 1
    if (this.#awaitsAck0) this.retransmissions++
    this.#sendCurrent(nowMs)
  }

  #sendCurrent(nowMs: number): void {
    if (this.#awaitsAck0 && this.granted.oack) {
      this.#wire.send(this.granted.oack)
      this.#sentMs = nowMs
      this.wakeMs = nowMs + this.#roundTrip.intervalMs
      return
    }
    this.#sendWindow(nowMs)
  }

  /** Sends from `#next` to the end of the window, or as much as may go at once. */
  #sendWindow(nowMs: number): void {
    let end = this.#windowEnd()
    const stop = Math.min(end, this.#next + this.#burstBlocks - 1)
    const sentBefore = this.#highest
    try {
      for (; this.#next <= stop && this.#next <= this.source.lastBlock; this.#next++) {
        this.#wire.send(this.source.packet(this.#next))
        if (this.#next <= this.#highest) this.retransmissions++
        else this.#highest = this.#next
      }
    } catch (error) {
      this.fail('failed', error instanceof Error ? error.message : String(error))
      return
    }
    end = this.#windowEnd()
    this.#sentMs = nowMs
    this.paced = this.#next <= end
    if (this.paced) {
      this.wakeMs = nowMs + PACE_MS
      return
    }
    this.#timedBlock = end > sentBefore ? end : -1
    this.wakeMs = nowMs + this.#roundTrip.intervalMs
  }

  /** ERROR of the client: it is gone, and is never answered. */
  #stopped(code: number, text: string): void {
    const said = `client: ${text === '' ? `ERROR ${code}` : text}`
    // Intel ROMs and EDK2 ask for the size only: OACK, then ERROR 0 or 8, then the RRQ for the data.
    const probe = this.#awaitsAck0 && this.granted.options['tsize'] !== undefined
    this.end(probe ? 'probe' : 'aborted', said)
  }
}
