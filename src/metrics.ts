/**
 * Figures of the running daemon in the text format that Prometheus reads: counters, gauges, histograms, with labels.
 *
 * Names and labels are fixed in the source; label values come from small closed sets, never from requests, so that what
 * is kept is bounded. It is no time series: whoever reads `/metrics` keeps those. Source: Prometheus text exposition
 * format 0.0.4, naming after its guidelines (`_total`, base units).
 */

/** Values by label name; the same names at every call. */
export type Labels = Readonly<Record<string, string>>

export interface Counter {
  add(amount?: number, labels?: Labels): void
}

export interface Histogram {
  observe(value: number, labels?: Labels): void
}

export interface Metrics {
  counter(name: string, help: string): Counter
  /** `read` is called when the figures are asked for. */
  gauge(name: string, help: string, read: () => number): void
  /** `bounds`: upper bounds of the buckets, ascending, in the unit of the name. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram
  /** All figures as text, in the order in which they were declared. */
  format(): string
}

/** Content type of `format()`. */
export const metricsType = 'text/plain; version=0.0.4; charset=utf-8'

/** Most label combinations a figure may have; one more is a bug, which must not become a leak. */
const seriesMax = 1000

const namePattern = /^[a-z][a-z0-9_]*$/

export function createMetrics(): Metrics {
  const families = new Map<string, () => string>()
  const declare = (name: string, help: string, type: string, lines: () => Iterable<string>) => {
    if (!namePattern.test(name)) throw new Error(`${name} is no name of a figure`)
    if (families.has(name)) throw new Error(`the figure ${name} is declared twice`)
    families.set(name, () => {
      const head = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`
      return head + [...lines()].map((line) => `${line}\n`).join('')
    })
  }
  return {
    counter(name, help) {
      const series = new Map<string, number>()
      declare(name, help, 'counter', () => [...series].map(([labels, value]) => `${name}${braced(labels)} ${value}`))
      return {
        add(amount = 1, labels = {}) {
          if (!(amount >= 0)) throw new Error(`${name} cannot go down by ${amount}`)
          const key = formatLabels(labels)
          series.set(key, (series.get(key) ?? bounded(series, name, 0)) + amount)
        },
      }
    },
    gauge(name, help, read) {
      declare(name, help, 'gauge', () => [`${name} ${formatValue(read())}`])
    },
    histogram(name, help, bounds) {
      const series = new Map<string, Buckets>()
      declare(name, help, 'histogram', () => [...series].flatMap(([labels, own]) => linesOf(name, labels, bounds, own)))
      return {
        observe(value, labels = {}) {
          const key = formatLabels(labels)
          const own = series.get(key) ?? bounded(series, name, { counts: bounds.map(() => 0), sum: 0, count: 0 })
          series.set(key, own)
          const bucket = bounds.findIndex((bound) => value <= bound)
          if (bucket !== -1) own.counts[bucket] = (own.counts[bucket] ?? 0) + 1
          own.sum += value
          own.count += 1
        },
      }
    },
    format: () => [...families.values()].map((family) => family()).join(''),
  }
}

interface Buckets {
  /** Observations in each bucket alone; the last, `+Inf`, follows from `count`. */
  readonly counts: number[]
  sum: number
  count: number
}

function linesOf(name: string, labels: string, bounds: readonly number[], own: Buckets): string[] {
  let below = 0
  const buckets = bounds.map((bound, index) => {
    below += own.counts[index] ?? 0
    return `${name}_bucket${braced(join(labels, `le="${bound}"`))} ${below}`
  })
  return [
    ...buckets,
    `${name}_bucket${braced(join(labels, 'le="+Inf"'))} ${own.count}`,
    `${name}_sum${braced(labels)} ${formatValue(own.sum)}`,
    `${name}_count${braced(labels)} ${own.count}`,
  ]
}

function bounded<T>(series: ReadonlyMap<string, unknown>, name: string, first: T): T {
  if (series.size >= seriesMax) throw new Error(`${name} has more than ${seriesMax} label combinations`)
  return first
}

/** Labels that are given again and again as one object are put into words once. */
const formatted = new WeakMap<Labels, string>()

function formatLabels(labels: Labels): string {
  const known = formatted.get(labels)
  if (known !== undefined) return known
  const text = Object.entries(labels)
    .map(
      ([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
    )
    .join(',')
  formatted.set(labels, text)
  return text
}

function join(labels: string, more: string): string {
  return labels === '' ? more : `${labels},${more}`
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`
}

function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
