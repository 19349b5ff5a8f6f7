/**
 * What a cell of the bench is: one row of the table, with who is measured, what is read off and what is to be reached.
 *
 * A new row is one file in `cells/` and one line in `cells/index.ts`. Rounds, medians, ratios and printing are elsewhere.
 */
import type { Bench } from './bench.ts'

/** Figures of one measurement by metric; a metric that could not be counted is left out. */
export type Sample = Readonly<Record<string, number>>

/** One competitor of a cell: a server under a load, a command, a start. */
export interface Subject {
  readonly name: string
  /** Done once before its first measurement. */
  warmUp?(): Promise<void>
  /** One measurement; throws where anything was wrong with it, which leaves the subject without figures. */
  measure(): Promise<Sample>
}

/** A competitor that cannot take part, and why. */
export interface Absent {
  readonly name: string
  readonly why: string
}

/** A column. */
export interface Metric {
  readonly key: string
  /** Heading with its unit. */
  readonly label: string
  readonly better: 'more' | 'less'
  readonly digits: number
}

/** What `subject` has to reach in `metric`: a ratio where there is somebody to compare with, else a value. */
export interface Target {
  readonly metric: string
  readonly subject: string
  /** Ratio to the best of these in the same round; those absent are left out. */
  readonly against?: readonly string[]
  readonly atLeast?: number
  readonly atMost?: number
}

export interface Contest {
  readonly subjects: readonly Subject[]
  readonly absent: readonly Absent[]
  close(): Promise<void>
}

export interface Cell {
  /** What `--only` takes. */
  readonly name: string
  readonly title: string
  readonly metrics: readonly Metric[]
  readonly targets: readonly Target[]
  /** Measurements before the first round that do not count (code not yet compiled, caches cold); default 1. */
  readonly warmUps?: number
  /** Starts everybody; what it started ends with `close`. */
  prepare(bench: Bench): Promise<Contest>
}
