/**
 * What `nexttest --wait` has at its end, or has heard when it ends before: runs, the words about those that stay, the
 * exit status. The daemon's half, which follows the runs, is `daemon/run-wait.ts`. Source: RUNS "Commands"
 * (`nexttest … --wait`).
 */
import * as v from 'valibot'
import { runStates } from '../domain/verdict.ts'
import { type RunView, runView } from './run-view.ts'
import { id } from './schema.ts'

/** Spans of ids in a line for people. */
const spansMax = 50

/** `timedOut`: some are not over; they stay. */
export const waitedView = v.strictObject({ runs: v.array(runView), timedOut: v.boolean() })
export type WaitedView = v.InferOutput<typeof waitedView>

/** What a note tells about runs: the group and its last attempt as it is now. */
export const waitedPart = v.array(v.strictObject({ group: id, run: runView }))

/** Which of the runs are not over, for whoever waits no longer; '' if all are. */
export function formatStaying(runs: readonly RunView[]): string {
  const open = runs.filter(isOpen).flatMap((run) => run.id ?? [])
  return open.length === 0 ? '' : `${formatRuns(open)} ${open.length === 1 ? 'stays' : 'stay'}`
}

/** `run 5`, `runs 5-8, 11`. */
export function formatRuns(ids: readonly number[]): string {
  const spans: [number, number][] = []
  for (const each of [...ids].sort((a, b) => a - b)) {
    const last = spans.at(-1)
    if (last && last[1] === each - 1) last[1] = each
    else spans.push([each, each])
  }
  const words = spans.slice(0, spansMax).map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`))
  const more = spans.length > spansMax ? ' …' : ''
  return `${ids.length === 1 ? 'run' : 'runs'} ${words.join(', ')}${more}`
}

export function isOpen({ state }: RunView): boolean {
  return state !== null && runStates[state].open
}

/** 5 timed out, else 1 any fail, 4 any infra, lost, cancelled or expired, 0; a waived run is no trouble. */
export function exitOf({ runs, timedOut }: WaitedView): number {
  if (timedOut) return 5
  const trouble = runs.filter((run) => !run.waived)
  if (trouble.some((run) => run.verdict === 'fail')) return 1
  const isPass = (run: RunView) =>
    run.state === 'done' && run.verdict !== null && run.verdict !== 'infra' && run.verdict !== 'lost'
  return trouble.every(isPass) ? 0 : 4
}
