/**
 * The boot timeline as values: the step of a machine, the boot that steps belong to, and the question for boots.
 *
 * Which steps make up a boot is `boot-log.ts`. Source: DESIGN "State" (trace), terms in "Boot".
 */
import type { DecidedBy } from '../domain/boot.ts'

/** One request of a machine, as TFTP and HTTP record it when it has ended. */
export interface TraceStep {
  /** When it began, ms since the epoch. */
  readonly at: number
  readonly mac?: string | undefined
  /** IPv4 or IPv6 text. */
  readonly ip: string
  readonly kind: 'tftp' | 'http'
  /** Name asked for, as it came (path for HTTP). */
  readonly name: string
  /** null: nothing was found. */
  readonly sizeBytes: number | null
  readonly sentBytes: number
  readonly durationMs: number
  readonly outcome: string
  readonly detail: string
  /** Profile that was decided, where the step was a configuration. */
  readonly profile?: string | undefined
  readonly systemId?: number | undefined
  /** What decided it, with `profile`. */
  readonly decision?: StepDecision | undefined
  /** Belongs to a boot if one is under way and begins none: a program that downloads may be a person's. */
  readonly joins?: boolean | undefined
}

/** Whose boots changed: ids of systems, MACs and IP addresses of the steps. */
export interface BootsChanged {
  readonly systems: readonly number[]
  readonly addresses: readonly string[]
}

/** Why a configuration was what it was. */
export interface StepDecision {
  readonly by: DecidedBy
  /** The profile decided, where another was served because that one could not be; '' where it was served. */
  readonly instead: string
  /** Sequence number of the record that decided it. */
  readonly seq: number
}

export interface Boot {
  readonly id: number
  readonly mac: string | null
  readonly ip: string
  readonly systemId: number | null
  readonly profile: string | null
  /** Of the configuration that was answered last; null where none was. */
  readonly decision: StepDecision | null
  /** ms since the epoch: begin of the first step, end of the last. */
  readonly startedMs: number
  readonly endedMs: number
  /** In order, at most `stepsPerBoot`. */
  readonly steps: readonly Omit<TraceStep, 'mac' | 'ip' | 'systemId' | 'profile' | 'decision' | 'joins'>[]
  /** Steps that were not kept. */
  readonly more: number
}

export interface BootQuery {
  /** The latest boot of each of these systems, in their order, in place of a list. */
  readonly latestOf?: readonly number[] | undefined
  readonly id?: number | undefined
  readonly system?: number | undefined
  readonly mac?: string | undefined
  readonly limit: number
}
