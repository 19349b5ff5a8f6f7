/**
 * What changes from version to version: verdicts as stacked bars, durations and each measurement as a line through the
 * middle values with their range. Zero-based, gaps as gaps, the last value written out; the same numbers as a table.
 *
 * Data for `charts.eta`, which draws SVG; nothing here knows HTML. Source: WEB.md "Look" (charts).
 */
import { type Verdict, verdictNames } from '../../domain/verdict.ts'
import type { BriefRun } from '../../store/run-rows.ts'
import type { Queries } from '../../store/store.ts'
import { formatCount, formatDuration, plural, visible } from './words.ts'

/** Versions of one chart: the newest. */
const versionsMax = 24
/** Runs whose measurements are read: the newest. */
const measuredMax = 5000
/** Measurements drawn; further ones are on pages of fewer runs. */
const measurementsMax = 12

const width = 420
const height = 96
const margin = 8
/** Above the drawing: half a point. */
const top = 6

export interface ChartPoint {
  readonly x: number
  readonly y: number
  /** Ends of the range. */
  readonly high: number
  readonly low: number
  readonly title: string
  /** Verdict of a single run; of several the chart of verdicts tells. */
  readonly tone: string
}

export interface ChartBar {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly tone: string
  readonly title: string
}

export interface Chart {
  readonly title: string
  readonly width: number
  readonly height: number
  readonly floor: number
  /** `M… L…`, a move after each gap; '' for bars. */
  readonly path: string
  readonly points: readonly ChartPoint[]
  readonly bars: readonly ChartBar[]
  readonly max: string
  readonly last: string
  /** Names of the first and the last version. */
  readonly ends: readonly [string, string]
}

export interface Trend {
  readonly charts: readonly Chart[]
  /** One line a version, the newest first: name, link, and a text for each column. */
  readonly table: {
    readonly columns: readonly string[]
    readonly rows: readonly { readonly name: string; readonly href: string; readonly cells: readonly string[] }[]
  }
  /** What is not drawn, in words; '' if all is. */
  readonly left: string
}

interface VersionRuns {
  readonly id: number
  readonly name: string
  readonly runs: readonly BriefRun[]
}

interface Series {
  readonly title: string
  readonly format: (value: number) => string
  /** For each version, in order. */
  readonly values: readonly (readonly Sample[])[]
}

interface Sample {
  readonly value: number
  /** Of the run that it is of. */
  readonly verdict: Verdict | null
}

export interface TrendOptions {
  /** Which test a measurement is of is said before its name. */
  readonly namesTests: boolean
}

/** undefined where there is nothing to compare: less than two versions with a result. */
export function viewTrend(queries: Queries, runs: readonly BriefRun[], options: TrendOptions): Trend | undefined {
  const versions = byVersion(queries, runs)
  if (versions.length < 2) return undefined
  const durations: Series = {
    title: 'Duration',
    format: formatDuration,
    values: versions.map((version) =>
      version.runs.flatMap(({ tookMs, verdict }) => (tookMs === null ? [] : [{ value: Math.max(0, tookMs), verdict }])),
    ),
  }
  const measured = readMeasured(queries, versions, options)
  const series = [durations, ...measured.slice(0, measurementsMax)].filter(
    ({ values }) => values.filter((each) => each.length > 0).length > 1,
  )
  const left = measured.length - measurementsMax
  return {
    charts: [drawVerdicts(versions), ...series.map((each) => drawLine(versions, each))],
    table: {
      columns: ['Verdicts', ...series.map(({ title }) => title)],
      rows: versions
        .map((version, at) => ({
          name: visible(version.name),
          href: `/tests/${version.id}/`,
          cells: [
            countWords(version.runs),
            ...series.map(({ values, format }) => rangeWords(numbersOf(values[at]), format)),
          ],
        }))
        .reverse(),
    },
    left: left > 0 ? `${plural(left, 'measurement')} more: on the pages of the tests.` : '',
  }
}

/** Done runs with a verdict, the newest versions, in the order in which they were heard of. */
function byVersion(queries: Queries, runs: readonly BriefRun[]): VersionRuns[] {
  const found = new Map<number, BriefRun[]>()
  for (const run of runs) {
    if (run.version === null || run.verdict === null) continue
    const own = found.get(run.version) ?? []
    own.push(run)
    found.set(run.version, own)
  }
  return [...found]
    .sort(([a], [b]) => a - b)
    .slice(-versionsMax)
    .map(([id, own]) => ({ id, name: queries.getVersion(id)?.name ?? '', runs: own }))
}

function readMeasured(queries: Queries, versions: readonly VersionRuns[], { namesTests }: TrendOptions): Series[] {
  const places = new Map(versions.flatMap(({ runs }, at) => runs.map((run) => [run.id, { at, run }] as const)))
  const newest = [...places.keys()].sort((a, b) => b - a).slice(0, measuredMax)
  const found = new Map<string, { title: string; unit: string; values: Sample[][] }>()
  for (const { run, name, unit, value } of queries.measurementsOf(newest)) {
    const place = places.get(run)
    if (!place) continue
    const test = namesTests ? place.run.test : 0
    const key = `${test} ${name} ${unit}`
    const own = found.get(key) ?? {
      title: `${namesTests ? `${visible(queries.getTest(test)?.name ?? '')}: ` : ''}${visible(name)}`,
      unit,
      values: versions.map(() => []),
    }
    found.set(key, own)
    own.values[place.at]?.push({ value, verdict: place.run.verdict })
  }
  return [...found.values()]
    .sort((a, b) => (a.title < b.title ? -1 : 1))
    .map(({ title, unit, values }) => ({
      title,
      values,
      format: (value) => `${formatNumber(value)}${unit === '' ? '' : ` ${visible(unit)}`}`,
    }))
}

/** Four digits tell; more are noise. */
function formatNumber(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)))
}

function numbersOf(samples: readonly Sample[] = []): number[] {
  return samples.map(({ value }) => value)
}

function middleOf(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  const upper = sorted[half]
  if (upper === undefined) return undefined
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? upper)) / 2
}

function rangeWords(values: readonly number[], format: (value: number) => string): string {
  const middle = middleOf(values)
  if (middle === undefined) return ''
  if (values.length === 1) return format(middle)
  return `${format(middle)} (${format(Math.min(...values))} to ${format(Math.max(...values))})`
}

function countWords(runs: readonly BriefRun[]): string {
  return verdictNames
    .map((verdict) => ({ verdict, count: runs.filter((run) => run.verdict === verdict).length }))
    .filter(({ count }) => count > 0)
    .map(({ verdict, count }) => `${formatCount(count)} ${verdict}`)
    .join(', ')
}

const round = (value: number) => Math.round(value * 10) / 10
const endsOf = (versions: readonly VersionRuns[]): [string, string] => [
  visible(versions[0]?.name ?? ''),
  visible(versions.at(-1)?.name ?? ''),
]
const frame = { width, height, floor: height - margin }

function drawLine(versions: readonly VersionRuns[], { title, values, format }: Series): Chart {
  const all = numbersOf(values.flat())
  const highest = all.reduce((a, b) => Math.max(a, b), 0)
  const lowest = all.reduce((a, b) => Math.min(a, b), 0)
  const span = highest - lowest || 1
  const step = (width - 2 * margin) / (versions.length - 1)
  const yOf = (value: number) => round(top + (1 - (value - lowest) / span) * (height - margin - top))
  let path = ''
  let drawn = false
  let last = ''
  const points = versions.flatMap(({ name }, at): ChartPoint[] => {
    const own = numbersOf(values[at])
    const middle = middleOf(own)
    if (middle === undefined) {
      drawn = false
      return []
    }
    const x = round(margin + at * step)
    const y = yOf(middle)
    path += `${drawn ? 'L' : 'M'}${x} ${y}`
    drawn = true
    last = format(middle)
    return [
      {
        x,
        y,
        high: yOf(Math.max(...own)),
        low: yOf(Math.min(...own)),
        title: `${visible(name)}: ${rangeWords(own, format)}`,
        tone: (own.length === 1 ? values[at]?.[0]?.verdict : undefined) ?? 'none',
      },
    ]
  })
  return { ...frame, title, path, points, bars: [], max: format(highest), last, ends: endsOf(versions) }
}

/** As they stand on each other: what is good at the bottom. */
const stackOrder: readonly Verdict[] = ['pass', 'warn', 'skip', 'infra', 'lost', 'fail']

function drawVerdicts(versions: readonly VersionRuns[]): Chart {
  const most = Math.max(...versions.map(({ runs }) => runs.length))
  const slot = (width - 2 * margin) / versions.length
  const barWidth = round(Math.min(40, slot - 2))
  const unit = (height - margin - top) / most
  const bars = versions.flatMap(({ name, runs }, at) => {
    let y = height - margin
    return stackOrder.flatMap((verdict): ChartBar[] => {
      const count = runs.filter((run) => run.verdict === verdict).length
      if (count === 0) return []
      // One failure among hundreds has to be seen.
      const tall = Math.max(verdict === 'fail' ? 3 : 1, count * unit)
      y -= tall
      return [
        {
          x: round(margin + at * slot + (slot - barWidth) / 2),
          y: round(y),
          width: barWidth,
          height: round(tall),
          tone: verdict,
          title: `${visible(name)}: ${formatCount(count)} ${verdict}`,
        },
      ]
    })
  })
  const last = versions.at(-1)
  return {
    ...frame,
    title: 'Verdicts',
    path: '',
    points: [],
    bars,
    max: plural(most, 'result'),
    last: last ? countWords(last.runs) : '',
    ends: endsOf(versions),
  }
}
