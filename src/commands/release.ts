/**
 * `release`: a sick system has been seen to; it is no longer marked. Source: RUNS "Verdicts" (sick).
 */
import * as v from 'valibot'
import { Refusal } from '../domain/errors.ts'
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'
import { selectSystems } from './selection.ts'

export const release = defineCommand({
  name: 'release',
  summary: 'Take the mark from a sick system that has been seen to',
  usage: 'pxemngr release <system name>',
  positionals: [{ key: 'name', usage: '<system name>', required: true, complete: ['system'] }],
  options: [],
  args: v.strictObject({ name: v.string() }),
  result: nothing,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr release web01', text: 'after its cable was changed' },
    { line: "pxemngr release 'web*'", text: 'all of a rack that are marked' },
  ],
  async run({ actor, daemon }, { name }) {
    await daemon.store.commit(actor, (tx) => {
      const sick = selectSystems(tx, name).filter((system) => tx.sickOf(system.id) !== undefined)
      if (sick.length === 0) throw new Refusal('refused', `System ${name} is not sick`)
      for (const system of sick) tx.emit({ type: 'system.released', system: system.id })
    })
    return {}
  },
})
