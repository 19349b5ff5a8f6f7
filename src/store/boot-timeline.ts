/**
 * The boot timeline as values: the step of a machine, the boot that steps belong to, and the question for boots.
 *
 * Which steps make up a boot is `boot-log.ts`. Source: DESIGN "State" (trace), terms in "Boot".
 */

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
  /** Belongs to a boot if one is under way and begins none: a program that downloads may be a person's. */
  readonly joins?: boolean | undefined
}

export interface Boot {
  readonly id: number
  readonly mac: string | null
  readonly ip: string
  readonly systemId: number | null
  readonly profile: string | null
  /** ms since the epoch: begin of the first step, end of the last. */
  readonly startedMs: number
  readonly endedMs: number
  /** In order, at most `stepsPerBoot`. */
  readonly steps: readonly Omit<TraceStep, 'mac' | 'ip' | 'systemId' | 'profile' | 'joins'>[]
  /** Steps that were not kept. */
  readonly more: number
}

export interface BootQuery {
  readonly system?: number | undefined
  readonly mac?: string | undefined
  readonly limit: number
}
