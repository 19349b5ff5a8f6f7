/**
 * A run in JSON, the same on every surface, and in a line for people. Every key is always there, null where unknown;
 * fields are added, never changed. Source: RUNS "Commands" (JSON of a run).
 */
import * as v from 'valibot'
import { Refusal } from '../domain/errors.ts'
import { type RunState, runStates, verdictNames, verdicts } from '../domain/verdict.ts'
import type { RunRow } from '../store/run-rows.ts'
import type { Queries } from '../store/store.ts'
import type { Daemon } from './daemon.ts'
import type { Output } from './definition.ts'
import { id, time } from './schema.ts'

const count = v.pipe(v.number(), v.integer(), v.minValue(0))

/** `missing`: what a suite expects and no run has; such a row has no id and no state. */
export const verdictWords = [...verdictNames, 'missing'] as const
export const stateWords = Object.keys(runStates) as readonly RunState[]
export const runVerdict = v.picklist(verdictWords)
export const runState = v.picklist(stateWords)

export const runView = v.strictObject({
  id: v.nullable(id),
  system: v.string(),
  test: v.string(),
  version: v.nullable(v.string()),
  state: v.nullable(runState),
  verdict: v.nullable(runVerdict),
  /** Why, in a line: `silent`, `rebooted`, how far a boot got, the first error. */
  reason: v.nullable(v.string()),
  attempt: v.pipe(v.number(), v.integer(), v.minValue(1)),
  flaky: v.boolean(),
  late: v.boolean(),
  waived: v.boolean(),
  /** Why it was waived. */
  why: v.nullable(v.string()),
  counts: v.strictObject({ info: count, warning: count, error: count }),
  cases: v.strictObject({ total: count, pass: count, fail: count, skip: count, todo: count }),
  measurements: v.array(v.strictObject({ name: v.string(), value: v.number(), unit: v.string() })),
  exit: v.nullable(v.number()),
  notes: v.array(v.string()),
  attachments: v.array(v.strictObject({ name: v.string(), bytes: count })),
  requested: v.nullable(time),
  sent: v.nullable(time),
  done: v.nullable(time),
  /** When the boot began that asked for it. */
  boot: v.nullable(time),
})
export type RunView = v.InferOutput<typeof runView>

export const runsView = v.strictObject({ runs: v.array(runView) })

/** Ids of runs that were made. */
export const runIds = v.strictObject({ runs: v.array(v.strictObject({ id })) })

/** Refuses (`not-found`). */
export function getRun(queries: Queries, run: number): RunRow {
  const row = queries.getRun(run)
  if (!row) throw new Refusal('not-found', `Run ${run} not defined`)
  return row
}

export function viewRun(daemon: Daemon, row: RunRow): RunView {
  const detail = daemon.store.queries.getDetail(row.id)
  const progress = row.state === 'running' ? daemon.runs.progress(row.id) : undefined
  return {
    id: row.id,
    system: row.system.name,
    test: row.test.name,
    version: row.version?.name ?? null,
    state: row.state,
    verdict: row.verdict,
    reason: detail.reason ?? daemon.runs.waitsFor(row),
    attempt: row.attempt,
    flaky: row.flaky,
    late: row.late,
    waived: row.waived,
    why: detail.waived,
    counts: progress ? { ...progress.counts } : { ...row.counts },
    cases: { ...detail.cases },
    measurements: detail.measurements.map((measurement) => ({ ...measurement })),
    exit: detail.exit,
    notes: [...detail.notes],
    attachments: detail.attachments.map(({ name, sizeBytes }) => ({ name, bytes: sizeBytes })),
    requested: formatMs(row.requestedMs),
    sent: formatMs(row.sentMs),
    done: formatMs(row.doneMs),
    boot: formatMs(row.bootMs),
  }
}

/** What a suite expects and nothing has a result for. */
export function viewMissing(system: string, test: string, version: string, suite: string): RunView {
  return { ...viewNothing(system, test), version, verdict: 'missing', reason: `expected by the suite ${suite}` }
}

/** A run of which nothing is known yet. */
export function viewNothing(system: string, test: string): RunView {
  const none = { info: 0, warning: 0, error: 0 }
  return {
    id: null,
    system,
    test,
    version: null,
    state: null,
    verdict: null,
    reason: null,
    attempt: 1,
    flaky: false,
    late: false,
    waived: false,
    why: null,
    counts: none,
    cases: { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 },
    measurements: [],
    exit: null,
    notes: [],
    attachments: [],
    requested: null,
    sent: null,
    done: null,
    boot: null,
  }
}

function formatMs(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

/** What stands in the verdict's column: the verdict of a done run, else its state. */
export function standingOf(run: Pick<RunView, 'verdict' | 'state'>): string {
  return run.verdict ?? run.state ?? 'missing'
}

/** A run a row: columns of a pipe keep their places and their full times. */
export function printRuns(runs: readonly RunView[], out: Output): void {
  const heads = ['RUN', 'VERDICT', 'SYSTEM', 'TEST', 'VERSION', 'WHEN (UTC)', 'WHY']
  out.rows(
    heads,
    runs.map((run) => {
      const marks = [run.late && 'late', run.flaky && 'flaky', run.waived && 'waived'].filter((mark) => mark !== false)
      const glyph = run.verdict !== null && run.verdict !== 'missing' ? `${verdicts[run.verdict].glyph} ` : '  '
      const when = run.done ?? run.sent ?? run.requested ?? '-'
      return [
        run.id === null ? '-' : String(run.id),
        `${out.terminal ? glyph : ''}${standingOf(run)}`,
        run.system,
        run.test,
        run.version ?? '-',
        out.terminal ? when.slice(0, 19).replace('T', ' ') : when,
        [...marks, run.reason ?? ''].filter((word) => word !== '').join(' '),
      ]
    }),
  )
}
