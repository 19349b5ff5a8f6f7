/**
 * A system as commands find and show it. Source: COMPATIBILITY 3.2–3.6 ("not defined"), CONTRACT "HTTP API" (its JSON).
 */
import { type Address, findAddress, parseIp4Hex } from '../domain/address.ts'
import type { Queries, SystemRow } from '../store/store.ts'
import { ipOfMac } from './boot-question.ts'
import type { Daemon } from './daemon.ts'
import type { SystemView } from './schema.ts'
import { notDefined, selectSystems } from './selection.ts'

/** The next boot and 9 older ones, as many as 0.8 showed. */
const decisionsShown = 10

/**
 * By exact name; else by MAC, IP address or prefix in any spelling, hex as in PXELINUX's file names included; else by
 * the MAC that an IP address last booted with; else by range or glob. Several where aliases share the address; refuses (`not-found`) if none.
 */
export function findSystems(queries: Queries, text: string): SystemRow[] {
  const named = queries.findSystem(text)
  if (named) return [named]
  const address = findAddress(text)?.text ?? parseIp4Hex(text)
  if (address === undefined) return selectSystems(queries, text)
  const owners = queries.systemsWith(address)
  if (owners.length > 0) return owners
  const mac = queries.lastMacOf(address)
  const booted = mac ? queries.systemsWith(mac) : []
  if (booted.length === 0) throw notDefined(queries, text)
  return booted
}

/** A system with all that JSON and plain output show of it. */
export function viewSystem(daemon: Daemon, system: SystemRow): SystemView {
  const queries = daemon.store.queries
  const history = queries.decisionsOf(system.id, decisionsShown).map(({ at, profile, by }) => ({ at, profile, by }))
  return {
    id: system.id,
    name: system.name,
    addresses: queries.addressesOf(system.id).map((address) => viewAddress(daemon, address)),
    next: history[0]?.profile ?? null,
    sick: queries.sickOf(system.id) ?? null,
    history,
  }
}

function viewAddress(daemon: Daemon, address: Address): SystemView['addresses'][number] {
  if (address.kind !== 'mac') return { address: address.text, kind: address.kind }
  return { address: address.text, kind: 'mac', ip: ipOfMac(daemon, address.text) ?? null }
}
