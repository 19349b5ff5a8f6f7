/**
 * The machines page as CSV and JSON: exactly the rows it shows, for programs and spreadsheets.
 * Source: WEB.md "Behaviour"; RFC 4180 (CSV); OWASP "CSV Injection" (cells that a spreadsheet would calculate).
 */
import { Refusal } from '../../domain/errors.ts'
import type { BootView } from './boots.ts'
import type { MachineRow } from './machine-index.ts'

const columns = ['id', 'name', 'addresses', 'next', 'since', 'by', 'last_boot', 'last_boot_at'] as const

export function machinesCsv(rows: readonly MachineRow[], boots: ReadonlyMap<number, BootView>): string {
  const lines = rows.map((row) => {
    const boot = boots.get(row.id)
    const addresses = row.addresses.map((address) => address.text).join(' ')
    return [row.id, row.name, addresses, row.next, row.since, row.by, boot?.outcome, boot?.when?.at].map(cell).join(',')
  })
  return [columns.join(','), ...lines, ''].join('\r\n')
}

/** `format` of a URL; undefined: the page is asked for. Refuses (`usage`) any other. */
export function formatOf(given: string | undefined): 'csv' | 'json' | undefined {
  if (given === undefined || given === 'csv' || given === 'json') return given
  throw new Refusal('usage', `format=${given.slice(0, 20)} is not possible: csv or json`)
}

/** A head and rows as CSV. */
export function csvLines(
  head: readonly string[],
  rows: readonly (readonly (string | number | null | undefined)[])[],
): string {
  return [head.map(cell).join(','), ...rows.map((row) => row.map(cell).join(',')), ''].join('\r\n')
}

export function machinesJson(rows: readonly MachineRow[], boots: ReadonlyMap<number, BootView>): string {
  const systems = rows.map((row) => {
    const boot = boots.get(row.id)
    return {
      id: row.id,
      name: row.name,
      addresses: row.addresses.map(({ text, kind }) => ({ address: text, kind })),
      next: row.next,
      since: row.since,
      by: row.by,
      lastBoot: boot ? { at: boot.when?.at ?? null, outcome: boot.outcome } : null,
    }
  })
  return `${JSON.stringify({ systems })}\n`
}

/** Quoted where needed; what a spreadsheet would take for a formula gets an apostrophe in front. */
function cell(value: string | number | null | undefined): string {
  const text = String(value ?? '')
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
