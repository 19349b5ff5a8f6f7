/**
 * Outcomes as a table for people and as JSON for programs.
 */
import { cpus, release } from 'node:os'
import type { Metric, Sample } from './cell.ts'
import { type Figure, figureOf } from './figures.ts'
import type { Outcome } from './rounds.ts'

/** Columns stand this far apart. */
const gap = '  '

/** Median, and the range where it was measured more than once: `19,800 (18,100–21,000)`. */
export function formatFigure(figure: Figure | undefined, digits: number): string {
  if (!figure) return '–'
  const number = (value: number): string =>
    value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  const range = figure.min === figure.max ? '' : ` (${number(figure.min)}–${number(figure.max)})`
  return `${number(figure.median)}${range}`
}

/** One cell as lines. */
export function formatOutcome({ cell, samples, absent, failed, verdicts, load, seconds }: Outcome): string[] {
  const rows = [...samples].map(([name, taken]) => [name, ...cell.metrics.map((metric) => column(taken, metric))])
  const empty = [
    ...absent.map((who) => ({ ...who, what: 'not there' })),
    ...failed.map((who) => ({ ...who, what: 'no figure' })),
  ]
  const lines = formatRows([['', ...cell.metrics.map(({ label }) => label)], ...rows])
  for (const { name, why, what } of empty) lines.push(`${name}${gap}– ${what}: ${why}`)
  for (const { text, figure, reached } of verdicts) {
    const measured = figure ? `${formatFigure(figure, figure.median < 10 ? 2 : 0)} ` : ''
    const word = reached === undefined ? 'not measured' : reached ? 'reached' : 'MISSED'
    lines.push(`${word}: ${text}${measured ? `: ${measured}` : ''}`.trimEnd())
  }
  const about = `load ${load[0].toFixed(1)} → ${load[1].toFixed(1)}, ${seconds.toFixed(0)} s`
  return [`${cell.name}: ${cell.title} (${about})`, ...lines.map((line) => `${gap}${line}`), '']
}

function column(taken: readonly Sample[], { key, digits }: Metric): string {
  return formatFigure(figureOf(taken.flatMap((sample) => sample[key] ?? [])), digits)
}

/** The first column is left-aligned, the others right-aligned. */
function formatRows(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  return rows.map((row) =>
    row.map((text, at) => (at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0))).join(gap),
  )
}

/** Everything that was measured, sample by sample. */
export function toJson(outcomes: readonly Outcome[], rounds: number, quick: boolean): unknown {
  return {
    at: new Date().toISOString(),
    machine: { cpus: cpus().length, model: cpus()[0]?.model ?? '', kernel: release(), node: process.versions.node },
    rounds,
    quick,
    cells: outcomes.map(({ cell, samples, absent, failed, verdicts, load }) => ({
      name: cell.name,
      title: cell.title,
      load: { before: load[0], after: load[1] },
      subjects: [...samples].map(([name, taken]) => ({
        name,
        samples: taken,
        figures: Object.fromEntries(
          cell.metrics.map(({ key }) => [key, figureOf(taken.flatMap((sample) => sample[key] ?? [])) ?? null]),
        ),
      })),
      absent,
      failed,
      targets: verdicts,
    })),
  }
}
