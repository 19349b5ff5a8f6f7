/**
 * `dpysystem`: shows a system (by name or any of its addresses), or lists all.
 *
 * The plain form is 0.8's to the byte, but for the IP address of a MAC, which 0.8 never found (its bug M1). Several
 * systems that share the address asked for are shown one after the other. Source: COMPATIBILITY 3.5.
 */
import * as v from 'valibot'
import { formatIp4Hex, type Ip4, type Ip4Prefix } from '../domain/address.ts'
import { defineCommand, type Output } from './definition.ts'
import { type SystemView, systemsView, systemView } from './schema.ts'
import { findSystems, viewSystem } from './system.ts'

/** Systems looked up in one turn of the event loop: under 10 ms, so that boots never wait for a long list. */
const systemsPerTurn = 100

export const dpysystem = defineCommand({
  name: 'dpysystem',
  summary: 'Show a system, or list all',
  usage: 'pxemngr dpysystem <system name|MAC|IPV4>|-l',
  positionals: [{ key: 'name', usage: '<system name|MAC|IPV4>', required: true, complete: ['system'] }],
  options: [{ name: 'list', short: 'l', summary: 'list the names of all systems', alone: true }],
  args: v.strictObject({ name: v.exactOptional(v.string()) }),
  result: v.union([systemView, systemsView]),
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr dpysystem web01', text: 'addresses, next boot and the boots before' },
    { line: 'pxemngr dpysystem -l', text: 'all names, oldest first' },
  ],
  async prepare(typed) {
    return typed['name'] === undefined ? {} : { name: typed['name'] }
  },
  async run({ daemon }, { name }) {
    if (name !== undefined) {
      const views = findSystems(daemon.store.queries, name).map((system) => viewSystem(daemon, system))
      const [first] = views
      return first && views.length === 1 ? first : { systems: views }
    }
    const systems: SystemView[] = []
    for (const row of daemon.store.queries.listSystems()) {
      const now = daemon.store.queries.getSystem(row.id)
      if (now) systems.push(viewSystem(daemon, now))
      if (systems.length % systemsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    return { systems }
  },
  print(result, out, args) {
    if (!('systems' in result)) return printSystem(result, out)
    const full = typeof args['name'] === 'string'
    for (const [index, system] of result.systems.entries()) {
      if (full && index > 0) out.line('')
      if (full) printSystem(system, out)
      else out.line(system.name)
    }
    if (result.systems.length === 0 && out.terminal) out.note('no system yet: pxemngr addsystem NAME MAC')
  },
})

function printSystem(system: SystemView, out: Output): void {
  out.line(`Name: ${system.name}`)
  for (const { address, kind, ip } of system.addresses) {
    const beside = kind === 'mac' ? (ip ?? 'None') : formatIp4Hex(address as Ip4 | Ip4Prefix)
    out.line(`Mac: ${address} (${beside})`)
  }
  const [next, ...older] = system.history
  if (next) out.line(`Next boot: ${next.profile}`)
  out.line('History:')
  for (const { at, profile } of older) out.line(`${formatTime(at)} ${profile}`)
}

/** RFC 3339 UTC → 0.8's form: `2026-11-23 08:01:56.400506+00:00`, without a fraction where it is zero. */
export function formatTime(at: string): string {
  const parts = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?Z$/.exec(at)
  if (!parts) throw new Error(`${JSON.stringify(at)} is no UTC time`)
  const fraction = (parts[3] ?? '').padEnd(6, '0')
  return `${parts[1]} ${parts[2]}${fraction === '000000' ? '' : `.${fraction}`}+00:00`
}
