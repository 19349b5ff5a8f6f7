/**
 * Machines in groups, in the table of `/`: by what their names begin with, or by what they boot next. Groups stay together
 * over the pages of the table; in each the order is that of the table. Source: WEB.md "Behaviour" (state is in the URL).
 */
import type { MachineRow } from './machine-index.ts'
import { prefixOf } from './name-prefix.ts'
import { visible } from './words.ts'

export const machineGroups = ['prefix', 'next'] as const
export type MachineGroup = (typeof machineGroups)[number]

/** The group of a machine, as a key; '' where nothing is grouped, and for what boots nothing yet. */
export function groupOf(row: MachineRow, group: MachineGroup | undefined): string {
  switch (group) {
    case undefined:
      return ''
    case 'prefix':
      return prefixOf(row.name)
    case 'next':
      return row.next ?? ''
    default:
      return group satisfies never
  }
}

/** What stands above a group. */
export function headOf(key: string, group: MachineGroup | undefined): string {
  return group === 'next' && key === '' ? 'nothing yet' : visible(key)
}

const collator = new Intl.Collator('en', { numeric: true })

/** The rows group by group, and how many each has; `found` as it is where nothing is grouped. */
export function groupMachines(
  found: readonly MachineRow[],
  group: MachineGroup | undefined,
): { rows: readonly MachineRow[]; groups: ReadonlyMap<string, number> } {
  if (group === undefined) return { rows: found, groups: new Map() }
  const byKey = new Map<string, MachineRow[]>()
  for (const row of found) {
    const key = groupOf(row, group)
    const rows = byKey.get(key)
    if (rows) rows.push(row)
    else byKey.set(key, [row])
  }
  const sorted = [...byKey].sort(([a], [b]) => collator.compare(a, b))
  return { rows: sorted.flatMap(([, rows]) => rows), groups: new Map(sorted.map(([key, rows]) => [key, rows.length])) }
}
