/**
 * `show`: everything that is known of one run. Source: RUNS "Commands" (`show --json` is the run itself).
 */
import * as v from 'valibot'
import { defineCommand, type Output } from './definition.ts'
import { runArgument, runNumber, typedRun } from './run-argument.ts'
import { getRun, type RunView, runView, standingOf, viewRun } from './run-view.ts'

export const show = defineCommand({
  name: 'show',
  summary: 'Show everything that is known of a run',
  usage: 'pxemngr show <run>',
  positionals: [runArgument],
  options: [],
  args: v.strictObject({ run: runNumber }),
  result: runView,
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr show 4711', text: 'verdict, reason, counts, times, first lines' },
    { line: 'pxemngr show 4711 --json', text: 'the same for programs' },
  ],
  prepare: typedRun,
  run: ({ daemon }, { run }) => viewRun(daemon, getRun(daemon.store.queries, run)),
  print: printView,
})

function printView(run: RunView, out: Output): void {
  const { info, warning, error } = run.counts
  const { total, pass, fail, skip, todo } = run.cases
  const rows: (readonly [string, string | null])[] = [
    ['Run', String(run.id)],
    ['System', run.system],
    ['Test', run.test],
    ['Version', run.version],
    ['State', run.state],
    ['Verdict', run.verdict === null ? null : standingOf(run)],
    ['Reason', run.reason],
    ['Waived', run.waived ? (run.why ?? 'yes') : null],
    ['Marks', [run.late && 'late', run.flaky && 'flaky'].filter(Boolean).join(', ') || null],
    ['Attempt', String(run.attempt)],
    ['Lines', `${error} errors, ${warning} warnings, ${info} informations`],
    ['Cases', total === 0 ? null : `${total}: ${pass} pass, ${fail} fail, ${skip} skip, ${todo} todo`],
    ['Exit', run.exit === null ? null : String(run.exit)],
    ['Requested', run.requested],
    ['Sent', run.sent],
    ['Done', run.done],
    ['Boot', run.boot],
    ...run.measurements.map(({ name, value, unit }) => ['Measured', `${name} ${value} ${unit}`.trimEnd()] as const),
    ...run.notes.map((note) => ['Note', note] as const),
    ...run.attachments.map(({ name, bytes }) => ['Attachment', `${name} (${bytes} bytes)`] as const),
  ]
  for (const [key, value] of rows) if (value !== null) out.line(`${key}: ${value}`)
}
