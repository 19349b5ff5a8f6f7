/**
 * Steps on their way to the trace worker: two flat lists, because copying one object a step to another thread costs both
 * threads more than the step is worth.
 *
 * Per step `numbers` has `numbersPerStep` entries and `texts` has `textsPerStep`; absent is -1 or ''. A closed format
 * between the two files that use it, nowhere stored.
 */
import type { DecidedBy } from '../domain/boot.ts'
import type { BootsChanged, TraceStep } from './boot-timeline.ts'

export interface StepBatch {
  /** at, kind (0 TFTP, 1 HTTP, 2 HTTP that joins), size, sent, duration, system, record that decided */
  readonly numbers: readonly number[]
  /** MAC, IP, name, outcome, detail, profile, decided by, decided profile where another was served */
  readonly texts: readonly string[]
}

const numbersPerStep = 7
const textsPerStep = 8
const absent = -1
/** Of the system among the numbers of a step. */
const systemPlace = 5

/** A batch that steps are added to. */
export class StepBatchWriter implements StepBatch {
  readonly numbers: number[] = []
  readonly texts: string[] = []
  count = 0

  add(step: TraceStep): void {
    const { at, kind, sizeBytes, sentBytes, durationMs, systemId, decision } = step
    this.numbers.push(
      at,
      kind === 'tftp' ? 0 : step.joins ? 2 : 1,
      sizeBytes ?? absent,
      sentBytes,
      durationMs,
      systemId ?? absent,
      decision?.seq ?? absent,
    )
    this.texts.push(
      step.mac ?? '',
      step.ip,
      step.name,
      step.outcome,
      step.detail,
      step.profile ?? '',
      decision?.by ?? '',
      decision?.instead ?? '',
    )
    this.count++
  }
}

/** Whose boots the steps changed, or may have. */
export function concernedBy({ numbers, texts }: StepBatch): BootsChanged {
  const systems = new Set<number>()
  const addresses = new Set<string>()
  for (let n = systemPlace; n < numbers.length; n += numbersPerStep) systems.add(numbers[n] ?? absent)
  for (let t = 0; t < texts.length; t += textsPerStep) for (const each of texts.slice(t, t + 2)) addresses.add(each)
  systems.delete(absent)
  addresses.delete('')
  return { systems: [...systems], addresses: [...addresses] }
}

export function readBatch({ numbers, texts }: StepBatch): TraceStep[] {
  const steps: TraceStep[] = []
  for (let n = 0, t = 0; n < numbers.length; n += numbersPerStep, t += textsPerStep) {
    const [at = 0, kind, sizeBytes = absent, sentBytes = 0, durationMs = 0, systemId = absent, seq = absent] =
      numbers.slice(n, n + numbersPerStep)
    const [mac, ip = '', name = '', outcome = '', detail = '', profile, by, instead = ''] = texts.slice(
      t,
      t + textsPerStep,
    )
    steps.push({
      at,
      mac: mac || undefined,
      ip,
      kind: kind === 0 ? 'tftp' : 'http',
      name,
      sizeBytes: sizeBytes === absent ? null : sizeBytes,
      sentBytes,
      durationMs,
      outcome,
      detail,
      profile: profile || undefined,
      systemId: systemId === absent ? undefined : systemId,
      ...(by ? { decision: { by: by as DecidedBy, instead, seq } } : {}),
      ...(kind === 2 ? { joins: true } : {}),
    })
  }
  return steps
}
