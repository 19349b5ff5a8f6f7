/**
 * `removeaddress`: takes addresses from a system, all or none; the system stays, even without any.
 * Source: CONTRACT "Command line".
 */
import * as v from 'valibot'
import { parseAddress } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'
import { getSystem } from './selection.ts'

export const removeaddress = defineCommand({
  name: 'removeaddress',
  summary: 'Take addresses from a system',
  usage: 'pxemngr removeaddress <system name> <address> [<address2>...]',
  positionals: [
    { key: 'name', usage: '<system name>', required: true, complete: 'system' },
    { key: 'addresses', usage: '<address>', required: true, variadic: true },
  ],
  options: [],
  args: v.strictObject({ name: v.string(), addresses: v.pipe(v.array(v.string()), v.minLength(1)) }),
  result: nothing,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr removeaddress web01 52:54:00:12:34:56', text: 'a network card that was replaced' },
    { line: 'pxemngr removeaddress lab 10.34 10.35', text: 'several at once' },
  ],
  async run({ actor, daemon }, args) {
    await daemon.store.commit(actor, (tx) => {
      const system = getSystem(tx, args.name)
      const owned = new Set<string>(tx.addressesOf(system.id).map((address) => address.text))
      const wanted = new Map(args.addresses.map(parseAddress).map((address) => [address.text as string, address]))
      for (const address of wanted.values()) {
        if (!owned.has(address.text)) {
          throw new Refusal('not-found', `System ${args.name} has no address ${address.text}`)
        }
        tx.emit({ type: 'address.removed', system: system.id, address })
      }
    })
    return {}
  },
})
