/**
 * Systems as commands name them: the exact name first, then `node[01-40]`, then globs. What has no such name at all is
 * refused; of a range those that exist are taken. Source: RUNS "Commands" (selectors).
 */
import { findAddress } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import { defaultSystem } from '../domain/name.ts'
import { hintFor } from '../domain/nearest.ts'
import { selectorFault } from '../domain/selector.ts'
import type { Queries, SystemRow } from '../store/store.ts'

/** With more systems no name is compared: machines would wait for it. */
const comparedMax = 2000

/** The refusal of 0.8 for a name that no system has. */
export function notDefined(queries: Queries, name: string): Refusal {
  return new Refusal('not-found', `System ${name} not defined`, { hint: hintOf(queries, name) })
}

function hintOf(queries: Queries, name: string): string | undefined {
  const address = findAddress(name)
  if (address) return `no system has that address: pxemngr addsystem NAME ${address.text}`
  const names = queries.listSystems().flatMap((system) => (system.name === defaultSystem ? [] : [system.name]))
  if (names.length === 0) return 'no machine has a name yet: pxemngr addsystem NAME MAC'
  return names.length > comparedMax ? 'see pxemngr dpysystem -l' : hintFor(name, names, 'pxemngr dpysystem -l')
}

/** Exact name; refuses (`not-found`). */
export function getSystem(queries: Queries, name: string): SystemRow {
  const system = queries.findSystem(name)
  if (!system) throw notDefined(queries, name)
  return system
}

/** At least one; refuses (`not-found`) if there is none, and (`invalid`) a range of more names than can be. */
export function selectSystems(queries: Queries, selector: string): SystemRow[] {
  const exact = queries.findSystem(selector)
  if (exact) return [exact]
  const fault = selectorFault(selector)
  if (fault !== undefined) throw new Refusal('invalid', `System ${selector} is not allowed: ${fault}`)
  const found = queries.systemsLike(selector)
  if (found.length === 0) throw notDefined(queries, selector)
  return found
}
