/**
 * A run as pages show it in a row, and as CSV and JSON beside them. Text that a machine sent is data. Source: WEB.md.
 */
import { letterOf, runStates, verdicts } from '../../domain/verdict.ts'
import type { RunRow } from '../../store/run-rows.ts'
import type { Queries } from '../../store/store.ts'
import { csvLines } from './export.ts'
import { formatDuration, type Moment, moment, visible } from './words.ts'

export interface RunChip {
  readonly tone: string
  readonly glyph: string
  readonly word: string
}

/** Verdict of a done run, else its state. */
export function chipOf(run: Pick<RunRow, 'state' | 'verdict'>): RunChip {
  if (run.verdict !== null) {
    const { tone, glyph } = verdicts[run.verdict]
    return { tone, glyph, word: run.verdict }
  }
  const { tone, glyph, word } = runStates[run.state]
  return { tone, glyph, word }
}

export interface ShownRun {
  readonly id: number
  readonly href: string
  readonly chip: RunChip
  readonly marks: readonly string[]
  readonly system: { readonly name: string; readonly href: string }
  readonly test: { readonly name: string; readonly href: string }
  readonly version: { readonly name: string; readonly href: string } | undefined
  readonly when: Moment | undefined
  readonly took: string
  /** The first error, or why. */
  readonly said: string
  /** As 0.8: `(2 errors)`, or the letter of what is not done. */
  readonly old: string
}

export function showRun(queries: Queries, run: RunRow, nowMs: number): ShownRun {
  const took = tookMs(run)
  return {
    id: run.id,
    href: `/test/${run.id}/`,
    chip: chipOf(run),
    marks: marksOf(run),
    system: { name: visible(run.system.name), href: `/system/${run.system.id}/` },
    test: { name: visible(run.test.name), href: `/testname/${run.test.id}/` },
    version: run.version ? { name: visible(run.version.name), href: `/tests/${run.version.id}/` } : undefined,
    when: moment(run.doneMs ?? run.sentMs ?? run.requestedMs, nowMs),
    took: took === undefined ? '' : formatDuration(took),
    said: visible(queries.reasonOf(run.id) ?? ''),
    old: `(${run.uploaded ? `${run.counts.error} errors` : letterOf(run.state, run.uploaded)})`,
  }
}

/** From its delivery to its end; a clock that was set back makes it 0. */
function tookMs({ sentMs, doneMs }: RunRow): number | undefined {
  return sentMs === null || doneMs === null ? undefined : Math.max(0, doneMs - sentMs)
}

export function marksOf(run: RunRow): string[] {
  return [
    ...(run.attempt > 1 ? [`attempt ${run.attempt}`] : []),
    ...(run.late ? ['late'] : []),
    ...(run.flaky ? ['flaky'] : []),
    ...(run.waived ? ['waived'] : []),
  ]
}

const columns = [
  'id',
  'system',
  'test',
  'version',
  'state',
  'verdict',
  'attempt',
  'requested',
  'sent',
  'done',
  'errors',
  'warnings',
  'infos',
  'reason',
  'took_ms',
  'late',
  'flaky',
  'waived',
] as const

type Fields = Record<(typeof columns)[number], string | number | boolean | null>

function fieldsOf(queries: Queries, run: RunRow): Fields {
  const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
  return {
    id: run.id,
    system: run.system.name,
    test: run.test.name,
    version: run.version?.name ?? null,
    state: run.state,
    verdict: run.verdict,
    attempt: run.attempt,
    requested: iso(run.requestedMs),
    sent: iso(run.sentMs),
    done: iso(run.doneMs),
    errors: run.counts.error,
    warnings: run.counts.warning,
    infos: run.counts.info,
    reason: queries.reasonOf(run.id),
    took_ms: tookMs(run) ?? null,
    late: run.late,
    flaky: run.flaky,
    waived: run.waived,
  }
}

/** Rows written before the event loop has its turn. */
const rowsPerTurn = 200

/** As CSV or JSON; runs that were removed meanwhile are left out. */
export async function exportRuns(
  queries: Queries,
  runs: readonly { readonly id: number }[],
  format: 'csv' | 'json',
): Promise<string> {
  const rows: Fields[] = []
  for (const [place, { id }] of runs.entries()) {
    const run = queries.getRun(id)
    if (run) rows.push(fieldsOf(queries, run))
    if (place % rowsPerTurn === rowsPerTurn - 1) await new Promise((resolve) => setImmediate(resolve))
  }
  if (format === 'json') return `${JSON.stringify({ runs: rows })}\n`
  return csvLines(
    columns,
    rows.map((row) => Object.values(row).map((value) => (typeof value === 'boolean' ? Number(value) : value))),
  )
}
