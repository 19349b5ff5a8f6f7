/**
 * From samples to figures: medians, ranges, ratios paired by round, and whether a target is reached. Pure.
 */
import type { Metric, Sample, Target } from './cell.ts'

export interface Figure {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Verdict {
  readonly text: string
  /** Absent where it could not be measured. */
  readonly figure?: Figure
  readonly reached?: boolean
}

/** undefined for no values. */
export function figureOf(values: readonly number[]): Figure | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  const [min, max] = [sorted[0], sorted.at(-1)]
  if (min === undefined || max === undefined) return undefined
  const half = sorted.length >> 1
  const upper = sorted[half] ?? min
  const median = sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? min) + upper) / 2
  return { median, min, max }
}

/** Samples by subject, in the order of the rounds. */
export type Rounds = ReadonlyMap<string, readonly Sample[]>

/** The values that a target is judged by, one a round; rounds in which a side lacks its figure are left out. */
function targetValues(target: Target, metric: Metric, rounds: Rounds): number[] {
  const own = rounds.get(target.subject) ?? []
  return own.flatMap((sample, round) => {
    const value = sample[target.metric]
    if (value === undefined) return []
    if (!target.against) return [value]
    const others = target.against.flatMap((name) => rounds.get(name)?.[round]?.[target.metric] ?? [])
    if (others.length === 0) return []
    const best = metric.better === 'more' ? Math.max(...others) : Math.min(...others)
    return best > 0 ? [value / best] : []
  })
}

export function judge(target: Target, metrics: readonly Metric[], rounds: Rounds): Verdict {
  const metric = metrics.find(({ key }) => key === target.metric)
  if (!metric) throw new Error(`a target names the metric ${target.metric}, which the cell lacks`)
  const present = target.against?.filter((name) => (rounds.get(name)?.length ?? 0) > 0)
  const missing = target.against?.filter((name) => !present?.includes(name)) ?? []
  const text = [targetText(target, metric), missing.length > 0 ? ` (without ${missing.join(', ')})` : ''].join('')
  const figure = figureOf(targetValues(target, metric, rounds))
  if (!figure) return { text }
  const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = target
  return { text, figure, reached: figure.median >= atLeast && figure.median <= atMost }
}

function targetText({ subject, against, atLeast, atMost }: Target, { label }: Metric): string {
  const bound = atLeast !== undefined ? `≥ ${atLeast}` : `≤ ${atMost}`
  if (!against) return `${subject}: ${label} ${bound}`
  const whom = against.length > 1 ? `best of ${against.join(', ')}` : against.join('')
  return `${subject}: ${label} ${bound} × ${whom}`
}
