/**
 * `addsystem`: names a machine by its addresses, or many from a file in one record.
 *
 * Idempotent: what the system has already is left alone, nothing is ever removed. Every name and address is checked
 * before anything changes. The reader of `--from` files is `system-file.ts`. Source: COMPATIBILITY 3.3, CONTRACT
 * "Command line".
 */
import * as v from 'valibot'
import { type Address, parseAddress } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import { checkName, defaultSystem } from '../domain/name.ts'
import type { Transaction } from '../store/store.ts'
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'
import { type NewSystem, parseSystemFile } from './system-file.ts'

const addresses = v.pipe(v.array(v.string()), v.minLength(1))
const one = v.strictObject({ name: v.string(), addresses })
const many = v.strictObject({ systems: v.array(one) })

interface CheckedSystem {
  readonly name: string
  readonly addresses: readonly Address[]
}

/** Refuses a name or address that cannot be; the reserved name first, as 0.8. */
export function checkSystem(system: NewSystem): CheckedSystem {
  if (system.name === defaultSystem) {
    throw new Refusal('invalid', 'default is a reserved name and cannot be used for a system name')
  }
  checkName(system.name, 'system name')
  return { name: system.name, addresses: system.addresses.map(parseAddress) }
}

/** From so many systems on, one list of all names is cheaper than a look-up of each. */
const manySystems = 200

/** Ids of the names in question, those of this record included. */
function idsByName(tx: Transaction, wanted: number): Pick<Map<string, number>, 'get' | 'set'> {
  const ids = new Map<string, number>()
  if (wanted < manySystems) return { get: (name) => tx.findSystem(name)?.id, set: () => ids }
  for (const { id, name } of tx.listSystems()) ids.set(name, id)
  return ids
}

function addSystems(tx: Transaction, systems: readonly CheckedSystem[]): void {
  const ids = idsByName(tx, systems.length)
  for (const { name, addresses } of systems) {
    const found = ids.get(name)
    const system = found ?? tx.nextId('system')
    if (found === undefined) {
      tx.emit({ type: 'system.added', system, name })
      ids.set(name, system)
    }
    const known = new Set<string>(found === undefined ? [] : tx.addressesOf(system).map((address) => address.text))
    for (const address of addresses) {
      if (known.has(address.text)) continue
      known.add(address.text)
      tx.emit({ type: 'address.added', system, address })
    }
  }
}

export const addsystem = defineCommand({
  name: 'addsystem',
  summary: 'Name a machine by its MAC or IP addresses',
  usage: 'pxemngr addsystem <system name> <MAC> [<MAC2>...]',
  positionals: [
    { key: 'name', usage: '<system name>', required: true, complete: ['system'] },
    { key: 'addresses', usage: '<address>', required: true, variadic: true },
  ],
  options: [
    {
      name: 'from',
      value: 'FILE',
      summary: 'add all systems of a file (- for standard input): one `name address…` a line, all or nothing',
      alone: true,
    },
  ],
  args: v.union([one, many]),
  result: nothing,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr addsystem web01 52:54:00:12:34:56', text: 'a machine by its MAC, in any spelling' },
    { line: 'pxemngr addsystem lab 10.34', text: 'every machine whose address begins with 10.34' },
  ],
  async prepare(typed, client) {
    const from = typed['from']
    if (typeof from !== 'string') return typed
    const bytes = from === '-' ? await client.readStandardInput() : await client.readFile(from)
    return { systems: parseSystemFile(bytes, from === '-' ? 'standard input' : from, checkSystem) }
  },
  async run({ actor, daemon }, args) {
    const checked = 'systems' in args ? args.systems.map(checkNumbered) : [checkSystem(args)]
    await daemon.store.commit(actor, (tx) => addSystems(tx, checked))
    return {}
  },
})

function checkNumbered(system: NewSystem, index: number): CheckedSystem {
  try {
    return checkSystem(system)
  } catch (error) {
    if (error instanceof Refusal) throw new Refusal(error.kind, `systems[${index}]: ${error.message}`, { cause: error })
    throw error
  }
}
