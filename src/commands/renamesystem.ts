/**
 * `renamesystem`: gives a system another name; id, addresses, decisions and results stay. The reserved name is neither
 * given nor taken. Source: CONTRACT "Command line".
 */
import * as v from 'valibot'
import { Refusal } from '../domain/errors.ts'
import { checkName, defaultSystem } from '../domain/name.ts'
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'
import { getSystem } from './selection.ts'

export const renamesystem = defineCommand({
  name: 'renamesystem',
  summary: 'Give a system another name',
  usage: 'pxemngr renamesystem <system name> <new name>',
  positionals: [
    { key: 'name', usage: '<system name>', required: true, complete: ['system'] },
    { key: 'to', usage: '<new name>', required: true },
  ],
  options: [],
  args: v.strictObject({ name: v.string(), to: v.string() }),
  result: nothing,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr renamesystem web01 db01', text: 'its addresses, next boot and history stay' },
    { line: 'pxemngr renamesystem db01 web01', text: 'and back' },
  ],
  async run({ actor, daemon }, { name, to }) {
    await daemon.store.commit(actor, (tx) => {
      const system = getSystem(tx, name)
      if (name === defaultSystem) throw new Refusal('invalid', 'default is a reserved name and cannot be renamed')
      if (to === defaultSystem) {
        throw new Refusal('invalid', 'default is a reserved name and cannot be used for a system name')
      }
      checkName(to, 'system name')
      if (to === name) return
      if (tx.findSystem(to)) throw new Refusal('refused', `System ${to} is already defined`)
      tx.emit({ type: 'system.renamed', system: system.id, name: to, was: name })
    })
    return {}
  },
})
