/**
 * How long to wait for an answer before a packet is sent again, learnt from the client's own round trips.
 *
 * Smoothed mean and deviation as in RFC 6298, in milliseconds; doubled at every repeat, back at the next new ACK. Only
 * packets that were sent once are measured (Karn). It holds no clock.
 */

/** Before anything is known. */
const FIRST_MS = 1000
/** Below it, clients that verify, decompress or write flash between blocks get needless duplicates. */
const MIN_MS = 400
const MAX_MS = 5000
/** RFC 6298 §2: weights of a new sample. */
const ALPHA = 1 / 8
const BETA = 1 / 4
/** After so many ACKs in a row that answered a repeat the client is taken to be slow, not the link lossy: the wait stays long. */
const SLOW_CLIENT_ACKS = 2

export class RoundTrip {
  /** Time between sending and repeating, ms. */
  intervalMs: number
  /** Smoothed round trip, ms; -1 before the first sample. */
  smoothedMs = -1
  #deviationMs = 0
  #ambiguous = 0
  readonly #fixedMs: number | undefined

  /** `fixedMs`: the interval the client was granted (RFC 2349), which is then kept. */
  constructor(fixedMs: number | undefined) {
    this.#fixedMs = fixedMs
    this.intervalMs = fixedMs ?? FIRST_MS
  }

  /** The answer to a packet that was sent once came after `ms`. */
  sample(ms: number): void {
    if (this.smoothedMs < 0) {
      this.smoothedMs = ms
      this.#deviationMs = ms / 2
    } else {
      this.#deviationMs += BETA * (Math.abs(this.smoothedMs - ms) - this.#deviationMs)
      this.smoothedMs += ALPHA * (ms - this.smoothedMs)
    }
    this.#ambiguous = 0
    this.intervalMs = this.#estimate()
  }

  /** A new ACK came that may answer a repeat: it says nothing about time. */
  progress(): void {
    this.#ambiguous++
    if (this.#ambiguous < SLOW_CLIENT_ACKS) this.intervalMs = this.#estimate()
  }

  /** Nothing came in time. */
  repeat(): void {
    if (this.#fixedMs === undefined) this.intervalMs = Math.min(this.intervalMs * 2, MAX_MS)
  }

  #estimate(): number {
    if (this.#fixedMs !== undefined) return this.#fixedMs
    if (this.smoothedMs < 0) return FIRST_MS
    return Math.min(MAX_MS, Math.max(MIN_MS, this.smoothedMs + 4 * this.#deviationMs))
  }
}
