/**
 * `delsystem`: forgets a system with its addresses and decisions; other systems with the same address keep it and the
 * machine boots by the latest decision among those that remain. Source: COMPATIBILITY 3.4, CONTRACT "Command line".
 */
import * as v from 'valibot'
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'
import { getSystem } from './selection.ts'

export const delsystem = defineCommand({
  name: 'delsystem',
  summary: 'Forget a system',
  usage: 'pxemngr delsystem <system name>',
  positionals: [{ key: 'name', usage: '<system name>', required: true, complete: ['system'] }],
  options: [],
  args: v.strictObject({ name: v.string() }),
  result: nothing,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr delsystem web01', text: 'its addresses, history of boots and results go with it' },
    { line: 'pxemngr delsystem default', text: 'unknown machines get no answer again' },
  ],
  async run({ actor, daemon }, { name }) {
    const runs = await daemon.store.commit(actor, (tx) => {
      const system = getSystem(tx, name)
      const own = tx.runs({ system: system.id, limit: Number.MAX_SAFE_INTEGER })
      tx.emit({ type: 'system.removed', system: system.id, name })
      return own.map(({ id }) => id)
    })
    daemon.runs.removeFiles(runs)
    return {}
  },
})
