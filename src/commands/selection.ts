/**
 * Systems as commands name them: the exact name first, then `node[01-40]`, then globs. What has no such name at all is
 * refused; of a range those that exist are taken. Source: RUNS "Commands" (selectors).
 */
import { Refusal } from '../domain/errors.ts'
import { selectorFault } from '../domain/selector.ts'
import type { Queries, SystemRow } from '../store/store.ts'

/** The refusal of 0.8 for a name that no system has. */
export function notDefined(name: string): Refusal {
  return new Refusal('not-found', `System ${name} not defined`)
}

/** Exact name; refuses (`not-found`). */
export function getSystem(queries: Queries, name: string): SystemRow {
  const system = queries.findSystem(name)
  if (!system) throw notDefined(name)
  return system
}

/** At least one; refuses (`not-found`) if there is none, and (`invalid`) a range of more names than can be. */
export function selectSystems(queries: Queries, selector: string): SystemRow[] {
  const exact = queries.findSystem(selector)
  if (exact) return [exact]
  const fault = selectorFault(selector)
  if (fault !== undefined) throw new Refusal('invalid', `System ${selector} is not allowed: ${fault}`)
  const found = queries.systemsLike(selector)
  if (found.length === 0) throw notDefined(selector)
  return found
}
