/**
 * `cancel`: takes runs back that are not done, by number, or all of a system. What a machine is running goes on there;
 * its upload is refused and kept aside; what it had sent so far stays counted. All or nothing.
 * Source: RUNS "Life of a run", "Commands".
 */
import * as v from 'valibot'
import { Refusal } from '../domain/errors.ts'
import { runStates } from '../domain/verdict.ts'
import type { RunRow } from '../store/run-rows.ts'
import type { Queries } from '../store/store.ts'
import { defineCommand } from './definition.ts'
import { parseRunId, runNumbers } from './run-argument.ts'
import { getRun } from './run-view.ts'
import { id } from './schema.ts'
import { selectSystems } from './selection.ts'

/** A system has no more open runs than this that one call takes back. */
const openMax = 100_000

export const cancel = defineCommand({
  name: 'cancel',
  summary: 'Take back runs that are not done yet',
  usage: 'pxemngr cancel <run>...|<system name>',
  positionals: [
    { key: 'what', usage: '<run|system name>', required: true, variadic: true, complete: ['openRun', 'system'] },
  ],
  options: [],
  args: v.union([v.strictObject({ runs: runNumbers }), v.strictObject({ name: v.string() })]),
  result: v.strictObject({ runs: v.array(v.strictObject({ id })) }),
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr cancel 4711 4712', text: 'these two' },
    { line: 'pxemngr cancel web01', text: 'all that web01 still has to do' },
  ],
  async prepare({ what, ...rest }) {
    const words = Array.isArray(what) ? what : [what]
    const runs = words.map(parseRunId)
    if (runs.every((run) => run !== undefined)) return { ...rest, runs }
    if (words.length === 1) return { ...rest, name: words[0] }
    throw new Refusal(
      'usage',
      `${JSON.stringify(words[runs.indexOf(undefined)])} is no run: numbers, or one system name`,
    )
  },
  async run({ actor, daemon }, args) {
    const find = (queries: Queries) =>
      'runs' in args ? args.runs.map((run) => getOpenRun(queries, run)) : openRunsOf(queries, args.name)
    const underWay = find(daemon.store.queries).filter(({ state }) => state !== 'requested')
    const cancelled = await daemon.runs.ending(idsOf(underWay), (sent) =>
      daemon.store.commit(actor, (tx) => {
        const runs = find(tx)
        for (const run of idsOf(runs)) {
          const progress = sent.get(run)
          tx.emit({ type: 'run.cancelled', run, ...(progress && { progress }) })
        }
        return runs
      }),
    )
    return { runs: cancelled.map((run) => ({ id: run.id })) }
  },
})

/** Each once. */
const idsOf = (runs: readonly RunRow[]) => [...new Set(runs.map((run) => run.id))]

function getOpenRun(tx: Queries, run: number): RunRow {
  const row = getRun(tx, run)
  if (!runStates[row.state].open) throw new Refusal('refused', `Run ${run} is ${row.state}: there is nothing to cancel`)
  return row
}

function openRunsOf(tx: Queries, selector: string): RunRow[] {
  const states = ['requested', 'sent', 'running'] as const
  const systems = selectSystems(tx, selector)
  const found = systems.flatMap((system) => tx.runs({ system: system.id, states, limit: openMax }))
  if (found.length === 0) throw new Refusal('refused', `System ${selector} has no run to cancel`)
  return found
}
