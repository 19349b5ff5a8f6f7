/**
 * Steps on their way to the trace worker: bytes outside of the heap, because one object a step, or its strings alone, would
 * outlive the young generation by the hundred and be copied, promoted and marked for nothing.
 *
 * A step is `headBytes` of numbers, little endian, and its texts behind them, a byte a character where that is enough,
 * else two. What comes from a small vocabulary (outcome, profile …) is its place in `words`. Absent is -1, or ''. A
 * closed format between the two threads that use it, nowhere stored.
 */
import type { DecidedBy } from '../domain/boot.ts'
import type { BootsChanged, TraceStep } from './boot-timeline.ts'

export interface StepBatch {
  /** To be transferred, not copied. */
  readonly bytes: ArrayBuffer
  /** Of `bytes`, how many are steps. */
  readonly length: number
  readonly words: readonly string[]
}

/** Places in a step's head. */
const atAt = 0
const sizeAt = 8
const sentAt = 16
const durationAt = 24
const systemAt = 32
const seqAt = 40
/** 16 bits each: outcome, detail, profile, decided by, decided profile where another was served. */
const wordsAt = 48
/** 16 bits each: length of MAC, IP, name, doubled, and 1 more where a character takes two bytes. */
const lengthsAt = 58
/** 0 TFTP, 1 HTTP, 2 HTTP that joins. */
const kindAt = 64
const headBytes = 65
const absent = -1
/** A second of a lone machine; doubled where it is not enough. */
const firstBytes = 2048
/** Characters of a text that fit its length in the head; requests are refused long before. */
const textMax = 0x7fff

/** A batch that steps are added to. */
export class StepBatchWriter {
  count = 0
  #bytes = new Uint8Array(firstBytes)
  #view = new DataView(this.#bytes.buffer)
  #at = 0
  readonly #words: string[] = []
  readonly #places = new Map<string, number>()

  add(step: TraceStep): void {
    const { decision } = step
    const mac = step.mac ?? ''
    const { ip, name } = step
    const most = headBytes + 2 * (mac.length + ip.length + name.length)
    if (this.#at + most > this.#bytes.length) this.#grow(most)
    const view = this.#view
    const at = this.#at
    view.setFloat64(at + atAt, step.at, true)
    view.setFloat64(at + sizeAt, step.sizeBytes ?? absent, true)
    view.setFloat64(at + sentAt, step.sentBytes, true)
    view.setFloat64(at + durationAt, step.durationMs, true)
    view.setFloat64(at + systemAt, step.systemId ?? absent, true)
    view.setFloat64(at + seqAt, decision?.seq ?? absent, true)
    view.setUint16(at + wordsAt, this.#word(step.outcome), true)
    view.setUint16(at + wordsAt + 2, this.#word(step.detail), true)
    view.setUint16(at + wordsAt + 4, this.#word(step.profile ?? ''), true)
    view.setUint16(at + wordsAt + 6, this.#word(decision?.by ?? ''), true)
    view.setUint16(at + wordsAt + 8, this.#word(decision?.instead ?? ''), true)
    view.setUint8(at + kindAt, step.kind === 'tftp' ? 0 : step.joins ? 2 : 1)
    this.#at = at + headBytes
    view.setUint16(at + lengthsAt, this.#text(mac), true)
    view.setUint16(at + lengthsAt + 2, this.#text(ip), true)
    view.setUint16(at + lengthsAt + 4, this.#text(name), true)
    this.count++
  }

  /** What was added; the writer is not used any more. */
  end(): StepBatch {
    return { bytes: this.#bytes.buffer, length: this.#at, words: this.#words }
  }

  #word(text: string): number {
    const known = this.#places.get(text)
    if (known !== undefined) return known
    this.#places.set(text, this.#words.length)
    return this.#words.push(text) - 1
  }

  /** Writes a text; its length for the head. */
  #text(text: string): number {
    const bytes = this.#bytes
    const start = this.#at
    const length = Math.min(text.length, textMax)
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 0xff) return this.#wideText(text, length)
      bytes[start + i] = unit
    }
    this.#at = start + length
    return length * 2
  }

  #wideText(text: string, length: number): number {
    for (let i = 0; i < length; i++) this.#view.setUint16(this.#at + 2 * i, text.charCodeAt(i), true)
    this.#at += 2 * length
    return length * 2 + 1
  }

  #grow(more: number): void {
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + more))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}

/** Whose boots the steps changed, or may have. To be asked before the bytes are transferred. */
export function concernedBy({ bytes, length }: StepBatch): BootsChanged {
  const view = new DataView(bytes)
  const buffer = Buffer.from(bytes)
  const systems = new Set<number>()
  const addresses = new Set<string>()
  for (let at = 0; at < length; ) {
    systems.add(view.getFloat64(at + systemAt, true))
    const place = at + lengthsAt
    at += headBytes
    for (let text = 0; text < 3; text++) {
      const size = view.getUint16(place + 2 * text, true)
      const wide = (size & 1) === 1
      const end = at + (wide ? size - 1 : size >> 1)
      // MAC and IP address; the name is nobody's.
      if (text < 2) addresses.add(buffer.toString(wide ? 'utf16le' : 'latin1', at, end))
      at = end
    }
  }
  systems.delete(absent)
  addresses.delete('')
  return { systems: [...systems], addresses: [...addresses] }
}

export function readBatch({ bytes, length, words }: StepBatch): TraceStep[] {
  const view = new DataView(bytes)
  const buffer = Buffer.from(bytes)
  const steps: TraceStep[] = []
  let textAt = 0
  const text = (size: number): string => {
    const start = textAt
    const wide = (size & 1) === 1
    textAt += wide ? size - 1 : size >> 1
    return buffer.toString(wide ? 'utf16le' : 'latin1', start, textAt)
  }
  for (let at = 0; at < length; at = textAt) {
    textAt = at + headBytes
    const number = (place: number): number => view.getFloat64(at + place, true)
    const word = (place: number): string => words[view.getUint16(at + wordsAt + 2 * place, true)] ?? ''
    const mac = text(view.getUint16(at + lengthsAt, true))
    const ip = text(view.getUint16(at + lengthsAt + 2, true))
    const name = text(view.getUint16(at + lengthsAt + 4, true))
    const kind = view.getUint8(at + kindAt)
    const sizeBytes = number(sizeAt)
    const systemId = number(systemAt)
    const by = word(3)
    const step: TraceStep = {
      at: number(atAt),
      mac: mac || undefined,
      ip,
      kind: kind === 0 ? 'tftp' : 'http',
      name,
      sizeBytes: sizeBytes === absent ? null : sizeBytes,
      sentBytes: number(sentAt),
      durationMs: number(durationAt),
      outcome: word(0),
      detail: word(1),
      profile: word(2) || undefined,
      systemId: systemId === absent ? undefined : systemId,
      ...(by ? { decision: { by: by as DecidedBy, instead: word(4), seq: number(seqAt) } } : {}),
      ...(kind === 2 ? { joins: true } : {}),
    }
    steps.push(step)
  }
  return steps
}
