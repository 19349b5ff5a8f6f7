/**
 * Steps on their way to the trace worker: written into flat arrays at once, so that a step leaves nothing behind in the
 * main loop. Kept as objects and strings until the batch is sent, a second of small reads would be copied by each
 * collection of garbage meanwhile, and once more, one by one, for the other thread.
 *
 * A closed format between the two files that use it, nowhere stored. Per step `numbers` has `numbersPerStep` entries,
 * `lengths` those of its texts in UTF-16 units and then of all of them in bytes; `bytes` has the texts one behind the other, in
 * UTF-8. Absent is -1 or ''.
 */
import type { DecidedBy } from '../domain/boot.ts'
import type { TraceStep } from './boot-timeline.ts'

export interface StepBatch {
  /** at, kind (0 TFTP, 1 HTTP, 2 HTTP that joins), size, sent, duration, system, record that decided */
  readonly numbers: Float64Array<ArrayBuffer>
  /** of MAC, IP, name, outcome, detail, profile, decided by, decided profile where another was served; and the bytes of all */
  readonly lengths: Uint32Array<ArrayBuffer>
  readonly bytes: Uint8Array<ArrayBuffer>
}

const numbersPerStep = 7
const textsPerStep = 8
const lengthsPerStep = textsPerStep + 1
const absent = -1

/** Steps of a batch at most. */
export const batchSteps = 2048
/** Of texts; an ordinary step has under 100. */
const batchBytes = 512 * 1024
/** A longer text is cut: no name that a loader asks for comes near it. In UTF-16 units. */
const textMax = 4096
/** UTF-8 of one UTF-16 unit at most. */
const unitBytesMax = 3

/** A batch that steps are added to, used again and again. */
export class StepBatchWriter {
  readonly #numbers = new Float64Array(batchSteps * numbersPerStep)
  readonly #lengths = new Uint32Array(batchSteps * lengthsPerStep)
  readonly #bytes = Buffer.allocUnsafeSlow(batchBytes)
  #used = 0
  #count = 0

  get count(): number {
    return this.#count
  }

  /** Whether one more step may not fit: `take` is due. */
  get full(): boolean {
    return this.#count === batchSteps || this.#used + textsPerStep * textMax * unitBytesMax > batchBytes
  }

  /** Only where it is not `full`. */
  add(step: TraceStep): void {
    const numbers = this.#numbers
    const n = this.#count * numbersPerStep
    numbers[n] = step.at
    numbers[n + 1] = step.kind === 'tftp' ? 0 : step.joins ? 2 : 1
    numbers[n + 2] = step.sizeBytes ?? absent
    numbers[n + 3] = step.sentBytes
    numbers[n + 4] = step.durationMs
    numbers[n + 5] = step.systemId ?? absent
    numbers[n + 6] = step.decision?.seq ?? absent
    const l = this.#count * lengthsPerStep
    const text =
      this.#measured(l, step.mac ?? '') +
      this.#measured(l + 1, step.ip) +
      this.#measured(l + 2, step.name) +
      this.#measured(l + 3, step.outcome) +
      this.#measured(l + 4, step.detail) +
      this.#measured(l + 5, step.profile ?? '') +
      this.#measured(l + 6, step.decision?.by ?? '') +
      this.#measured(l + 7, step.decision?.instead ?? '')
    const written = this.#bytes.write(text, this.#used)
    this.#lengths[l + textsPerStep] = written
    this.#used += written
    this.#count++
  }

  #measured(at: number, text: string): string {
    const short = text.length > textMax ? text.slice(0, textMax) : text
    this.#lengths[at] = short.length
    return short
  }

  /** What was added, as a copy of its own; the writer is empty then. */
  take(): StepBatch {
    const taken = {
      numbers: this.#numbers.slice(0, this.#count * numbersPerStep),
      lengths: this.#lengths.slice(0, this.#count * lengthsPerStep),
      bytes: Uint8Array.prototype.slice.call(this.#bytes, 0, this.#used) as Uint8Array<ArrayBuffer>,
    }
    this.#used = 0
    this.#count = 0
    return taken
  }
}

/** The memory behind a batch, for `postMessage`: handed over instead of copied once more. */
export function buffersOf({ numbers, lengths, bytes }: StepBatch): ArrayBuffer[] {
  return [numbers.buffer, lengths.buffer, bytes.buffer]
}

export function readBatch({ numbers, lengths, bytes }: StepBatch): TraceStep[] {
  const steps: TraceStep[] = []
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let used = 0
  for (let n = 0, l = 0; n < numbers.length; n += numbersPerStep, l += lengthsPerStep) {
    const number = (index: number): number => numbers[n + index] ?? absent
    const kind = number(1)
    const sizeBytes = number(2)
    const systemId = number(5)
    const end = used + (lengths[l + textsPerStep] ?? 0)
    const all = text.toString('utf8', used, end)
    used = end
    let from = 0
    const next = (index: number): string => {
      const begun = from
      from += lengths[l + index] ?? 0
      return all.slice(begun, from)
    }
    const mac = next(0)
    const ip = next(1)
    const name = next(2)
    const outcome = next(3)
    const detail = next(4)
    const profile = next(5)
    const by = next(6)
    const instead = next(7)
    steps.push({
      at: number(0),
      mac: mac || undefined,
      ip,
      kind: kind === 0 ? 'tftp' : 'http',
      name,
      sizeBytes: sizeBytes === absent ? null : sizeBytes,
      sentBytes: number(3),
      durationMs: number(4),
      outcome,
      detail,
      profile: profile || undefined,
      systemId: systemId === absent ? undefined : systemId,
      ...(by ? { decision: { by: by as DecidedBy, instead, seq: number(6) } } : {}),
      ...(kind === 2 ? { joins: true } : {}),
    })
  }
  return steps
}
