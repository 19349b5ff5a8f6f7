/**
 * `waive`: a person has looked at a run and says why it does not count as trouble; it keeps its verdict.
 * Source: RUNS "Verdicts", "Commands".
 */
import * as v from 'valibot'
import { Refusal } from '../domain/errors.ts'
import { defineCommand } from './definition.ts'
import { runArgument, runNumber, typedRun } from './run-argument.ts'
import { getRun } from './run-view.ts'
import { nothing } from './schema.ts'

/** A reason is a sentence or two, not a report. */
const whyMaxLength = 1000

export const waive = defineCommand({
  name: 'waive',
  summary: 'Mark a run as looked at, with the reason why it is no trouble',
  usage: 'pxemngr waive <run> --why <reason>',
  positionals: [runArgument],
  options: [{ name: 'why', value: 'REASON', summary: 'the reason, for whoever looks next' }],
  args: v.strictObject({ run: runNumber, why: v.string() }),
  result: nothing,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr waive 4711 --why known-firmware-bug', text: 'keeps its verdict, marked' },
    { line: 'pxemngr waive 4711 --why=fan --json', text: 'prints {}' },
  ],
  async prepare(typed) {
    if (typed['why'] === undefined) throw new Refusal('usage', '--why is missing: say why the run is no trouble')
    return typedRun(typed)
  },
  async run({ actor, daemon }, { run, why }) {
    const reason = why.trim()
    if (reason === '' || reason.length > whyMaxLength) {
      throw new Refusal('usage', `--why has to be a reason of 1 to ${whyMaxLength} characters`)
    }
    await daemon.store.commit(actor, (tx) => {
      const { state } = getRun(tx, run)
      if (state !== 'done') throw new Refusal('refused', `Run ${run} is ${state}: only a done run can be waived`)
      tx.emit({ type: 'run.waived', run, why: reason })
    })
    return {}
  },
})
