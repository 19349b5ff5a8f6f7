/**
 * `rerun`: asks for the same test on the same system once more, as a run of its own. Source: RUNS "Commands".
 */
import * as v from 'valibot'
import { defineCommand } from './definition.ts'
import { runArguments, runNumbers, typedRuns } from './run-argument.ts'
import { checkTests, requestRun } from './run-request.ts'
import { getRun, runIds } from './run-view.ts'

export const rerun = defineCommand({
  name: 'rerun',
  summary: 'Ask for the same tests on the same systems once more',
  usage: 'pxemngr rerun <run>...',
  positionals: [runArguments],
  options: [],
  args: v.strictObject({ runs: runNumbers }),
  result: runIds,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr rerun 4711', text: 'prints the number of the new run' },
    { line: 'pxemngr rerun 4711 4712 --json', text: 'two, for programs' },
  ],
  prepare: typedRuns,
  async run({ actor, daemon }, { runs: named }) {
    const { queries } = daemon.store
    // Named twice it is still one run.
    const runs = [...new Set(named)]
    checkTests(
      daemon,
      runs.map((run) => getRun(queries, run).test.name),
    )
    const made = await daemon.store.commit(actor, (tx) =>
      runs.map((run) => {
        const { system, test, version } = getRun(tx, run)
        return requestRun(tx, system.id, test.id, version?.name ?? null)
      }),
    )
    return { runs: made.map((id) => ({ id })) }
  },
  print(result, out) {
    for (const { id } of result.runs) out.line(String(id))
  },
})
