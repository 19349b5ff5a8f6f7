/**
 * The questions of every boot and upload, answered from maps: next boot, systems, remembered report, last MAC of an
 * address and last address of a MAC, a run.
 *
 * A prepared select costs 10 to 20 µs, as much as a whole small transfer. `applied` drops what a record touches and must be
 * called in the tick in which it was applied. Reports that exist in memory only (`recall.ts`) are laid over. Not used
 * inside decisions. Source: DESIGN "Speed".
 */
import type { Mac } from '../domain/address.ts'
import type { NextBoot, RememberedReport } from '../domain/boot.ts'
import type { Event } from '../domain/event.ts'
import type { Recall } from './recall.ts'
import type { RunRow } from './run-rows.ts'
import type { Queries, SystemRow } from './store.ts'

/** Entries a map may hold: ample for 10,000 machines, and an end for whoever asks with invented addresses. */
const entriesMax = 65_536
/** Runs kept: those that machines and uploads are about now. */
const runsMax = 4096
/** A record with more events than this empties the maps instead of going through them. */
const eventsMax = 256

export interface Lookups {
  /** The read functions for everybody outside decisions. */
  readonly queries: Queries
  /** Before a record is applied: what its systems have now is touched as well. */
  applying(events: readonly Event[]): void
  /** After it was applied. */
  applied(events: readonly Event[]): void
  /** Forgets everything (a report came into memory or left it). */
  clear(): void
}

type Kept<K, V> = Map<K, NonNullable<V> | null>

/** `rememberedOf`: addresses with a remembered report through a (prefix) system. */
export function createLookups(base: Queries, recall: Recall, rememberedOf: (system: number) => string[]): Lookups {
  const next: Kept<string, NextBoot | undefined> = new Map()
  const systems: Kept<string, SystemRow[]> = new Map()
  const remembered: Kept<string, RememberedReport | undefined> = new Map()
  const macs: Kept<string, Mac | undefined> = new Map()
  const ips: Kept<string, string | undefined> = new Map()
  const runs: Kept<number, RunRow | undefined> = new Map()
  let fallback: { readonly next: NextBoot | undefined } | undefined
  const clear = () => {
    for (const map of [next, systems, remembered, macs, ips, runs]) map.clear()
    fallback = undefined
  }
  const drop = (address: string) => {
    next.delete(address)
    systems.delete(address)
    remembered.delete(address)
  }
  const dropSystem = (system: number) => {
    for (const address of base.addressesOf(system)) drop(address.text)
    for (const address of rememberedOf(system)) remembered.delete(address)
    fallback = undefined
  }
  const touch = (events: readonly Event[]) => {
    if (events.length > eventsMax) return clear()
    for (const event of events) touchOne(event)
  }
  const touchOne = (event: Event) => {
    if ('run' in event) runs.delete(event.run)
    switch (event.type) {
      case 'system.added':
        fallback = undefined
        return
      case 'address.added':
      case 'address.removed':
        drop(event.address.text)
        return
      case 'system.renamed':
      case 'system.removed':
        runs.clear()
        dropSystem(event.system)
        return
      case 'boot.decided':
        dropSystem(event.system)
        return
      case 'version.kept':
        runs.clear()
        return
      case 'report.remembered':
        // A new one may push out the oldest of another machine.
        remembered.clear()
        return
      case 'boot.address': {
        // Whoever had the address before it was taken over was seen last at another one, or at none.
        const before = base.lastMacOf(event.ip)
        if (before !== undefined) ips.delete(before)
        ips.delete(event.mac)
        macs.delete(event.ip)
        return
      }
      default:
        return // the other events touch nothing that is kept here
    }
  }
  return {
    queries: {
      ...base,
      nextBootOf: (address) =>
        kept(next, address, () => recall.nextBootOf(() => base.systemsWith(address), base.nextBootOf(address))),
      systemsWith: (address) => kept(systems, address, () => base.systemsWith(address)),
      rememberedFor: (address) =>
        kept(remembered, address, () => recall.rememberedFor(address) ?? base.rememberedFor(address)),
      lastMacOf: (ip) => kept(macs, ip, () => base.lastMacOf(ip)),
      lastIpOf: (mac) => kept(ips, mac, () => base.lastIpOf(mac)),
      getRun: (id) => kept(runs, id, () => base.getRun(id), runsMax),
      // What is handed out now is asked for again when its machine reports.
      oldestRequestedOf(systems, limit) {
        const found = base.oldestRequestedOf(systems, limit)
        for (const run of found) kept(runs, run.id, () => run, runsMax)
        return found
      },
      defaultNextBoot: () => {
        fallback ??= { next: base.defaultNextBoot() }
        return fallback.next
      },
    },
    applying: touch,
    applied: touch,
    clear,
  }
}

/** null in a map: it is known that there is none. */
function kept<K, V>(map: Kept<K, V>, key: K, find: () => V, max = entriesMax): V {
  const known = map.get(key)
  if (known !== undefined) return (known ?? undefined) as V
  const found = find()
  if (map.size >= max) map.clear()
  map.set(key, found ?? null)
  return found
}
