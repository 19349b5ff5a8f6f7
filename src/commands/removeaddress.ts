/**
 * `removeaddress`: takes addresses from a system, all or none; the system stays, even without any. Of several systems
 * each loses those it has, and each address has to be one of theirs. Source: CONTRACT "Command line", RUNS "Commands".
 */
import * as v from 'valibot'
import { parseAddress, quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'
import { selectSystems } from './selection.ts'

export const removeaddress = defineCommand({
  name: 'removeaddress',
  summary: 'Take addresses from a system',
  usage: 'pxemngr removeaddress <system name> <address> [<address2>...]',
  positionals: [
    { key: 'name', usage: '<system name>', required: true, complete: ['system'] },
    { key: 'addresses', usage: '<address>', required: true, variadic: true, complete: ['address'] },
  ],
  options: [],
  args: v.strictObject({ name: v.string(), addresses: v.pipe(v.array(v.string()), v.minLength(1)) }),
  result: nothing,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr removeaddress web01 52:54:00:12:34:56', text: 'a network card that was replaced' },
    { line: 'pxemngr removeaddress lab 10.34 10.35', text: 'several at once' },
    { line: "pxemngr removeaddress 'v[01-40]' 10.34", text: 'wherever one of them has it' },
  ],
  async run({ actor, daemon }, args) {
    await daemon.store.commit(actor, (tx) => {
      const systems = selectSystems(tx, args.name)
      const wanted = new Map(args.addresses.map(parseAddress).map((address) => [address.text as string, address]))
      const lacking = new Set(wanted.keys())
      for (const system of systems) {
        for (const { text } of tx.addressesOf(system.id)) {
          const address = wanted.get(text)
          if (!address) continue
          lacking.delete(text)
          tx.emit({ type: 'address.removed', system: system.id, address })
        }
      }
      const [first] = lacking
      if (first === undefined) return
      const [only, second] = systems
      const whose = only && !second ? `System ${only.name} has no` : `No system of ${quote(args.name)} has the`
      throw new Refusal('not-found', `${whose} address ${first}`)
    })
    return {}
  },
})
