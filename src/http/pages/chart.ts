/**
 * Trend charts as data for a template that draws SVG: a line over runs, zero-based, gaps as gaps, the last value written
 * out. The same numbers stand in the table beneath. Source: WEB.md "Look" (charts).
 */

export interface ChartPoint {
  readonly x: number
  readonly y: number
  readonly title: string
  readonly tone: string
}

export interface Chart {
  readonly title: string
  readonly width: number
  readonly height: number
  /** `M… L…`, a move after each gap. */
  readonly path: string
  readonly points: readonly ChartPoint[]
  readonly max: string
  readonly last: string
}

export interface Sample {
  /** null: a gap. */
  readonly value: number | null
  readonly title: string
  readonly tone: string
}

const width = 640
const height = 120
const margin = 8

/** undefined where there is nothing to draw (less than two values). */
export function drawChart(
  title: string,
  samples: readonly Sample[],
  format: (value: number) => string,
): Chart | undefined {
  const values = samples.flatMap(({ value }) => (value === null ? [] : [value]))
  const last = values.at(-1)
  if (values.length < 2 || last === undefined) return undefined
  const top = Math.max(...values, 0)
  const bottom = Math.min(...values, 0)
  const span = top - bottom || 1
  const step = (width - 2 * margin) / Math.max(1, samples.length - 1)
  const round = (value: number) => Math.round(value * 10) / 10
  let path = ''
  let drawn = false
  const points: ChartPoint[] = []
  for (const [at, { value, title: own, tone }] of samples.entries()) {
    if (value === null) {
      drawn = false
      continue
    }
    const x = round(margin + at * step)
    const y = round(margin + (1 - (value - bottom) / span) * (height - 2 * margin))
    path += `${drawn ? 'L' : 'M'}${x} ${y}`
    drawn = true
    points.push({ x, y, title: `${own}: ${format(value)}`, tone })
  }
  return { title, width, height, path, points, max: format(top), last: format(last) }
}
