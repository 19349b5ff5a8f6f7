/**
 * All systems as rows of the machines page, kept so that 10,000 of them are filtered, sorted and counted within
 * milliseconds although the store answers one system at a time.
 *
 * A record that touches a system marks its row; marked rows are read anew at the next question, some at a time, so that
 * no boot waits for a page. What the store acknowledged before a question is in its answer. Source: WEB.md "Behaviour"
 * (lists of 10,000), DESIGN "Speed" (nothing on the event loop longer than 10 ms).
 */
import { findAddress } from '../../domain/address.ts'
import type { Event } from '../../domain/event.ts'
import { defaultSystem } from '../../domain/name.ts'
import type { Store } from '../../store/store.ts'

export interface MachineRow {
  readonly id: number
  readonly name: string
  readonly addresses: readonly { readonly kind: string; readonly text: string }[]
  /** Profile it boots next; null before its first decision. */
  readonly next: string | null
  /** When and by whom that was decided; null as above. */
  readonly since: string | null
  readonly by: string | null
  /** Name in the order people expect: `web2` before `web10`, whatever the case. */
  readonly nameKey: string
  /** Lower-case text that the filter looks in. */
  readonly text: string
}

export const sortKeys = ['name', 'next', 'since'] as const
export type SortKey = (typeof sortKeys)[number]

export interface MachineQuery {
  /** Words that all have to occur in name, address, next boot or who decided it; a MAC in any spelling. */
  readonly words: string
  readonly sort: SortKey
  readonly descending: boolean
}

export interface MachineIndex {
  /** The matching systems, `default` left out, in order; all of them, the caller pages. */
  find(query: MachineQuery): Promise<readonly MachineRow[]>
  /** Systems in all, `default` left out. */
  count(): Promise<number>
  close(): void
}

/** Rows read from the store before others get their turn: about 2 ms. */
const rowsPerTurn = 40
/** Digits that a number in a name is padded to for sorting; longer numbers sort as text. */
const numberDigits = 12

export function createMachineIndex(store: Store): MachineIndex {
  const rows = new Map<number, MachineRow>()
  const marked = new Set<number>(store.queries.listSystems().map((system) => system.id))
  let byName: readonly MachineRow[] | undefined
  let refreshing: Promise<void> | undefined

  const stop = store.onApplied((record) => {
    for (const event of record.events) {
      const id = systemOf(event)
      if (id !== undefined) marked.add(id)
    }
  })

  function readRow(id: number): void {
    const system = store.queries.getSystem(id)
    if (!system || system.name === defaultSystem) rows.delete(id)
    else rows.set(id, toRow(store, id, system.name))
  }

  async function refresh(): Promise<void> {
    while (marked.size > 0) {
      let read = 0
      for (const id of marked) {
        marked.delete(id)
        readRow(id)
        read += 1
        if (read === rowsPerTurn) break
      }
      byName = undefined
      if (marked.size > 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async function fresh(): Promise<readonly MachineRow[]> {
    refreshing ??= refresh().finally(() => {
      refreshing = undefined
    })
    await refreshing
    byName ??= [...rows.values()].sort((a, b) => compare(a.nameKey, b.nameKey) || a.id - b.id)
    return byName
  }

  return {
    async find({ words, sort, descending }) {
      const wanted = parseWords(words)
      const all = await fresh()
      const found =
        wanted.length === 0 ? [...all] : all.filter((row) => wanted.every((word) => row.text.includes(word)))
      // Stable sorts over what is in the order of names already.
      if (sort === 'next') found.sort((a, b) => compare(a.next ?? '', b.next ?? ''))
      if (sort === 'since') found.sort((a, b) => compare(a.since ?? '', b.since ?? ''))
      return descending ? found.reverse() : found
    },
    count: async () => (await fresh()).length,
    close: stop,
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function toRow(store: Store, id: number, name: string): MachineRow {
  const addresses = store.queries.addressesOf(id)
  const [decision] = store.queries.decisionsOf(id, 1)
  const { profile: next = null, at: since = null, by = null } = decision ?? {}
  return {
    id,
    name,
    addresses,
    next,
    since,
    by,
    nameKey: name.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(numberDigits, '0')),
    text: [name, ...addresses.map((address) => address.text), next ?? '', by ?? ''].join('\n').toLowerCase(),
  }
}

/** Lower-case words; one that is an address in another spelling becomes its canonical one. */
function parseWords(words: string): string[] {
  return words
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => (findAddress(word)?.text ?? word).toLowerCase())
}

/** The system whose row an event changes. */
function systemOf(event: Event): number | undefined {
  switch (event.type) {
    case 'system.added':
    case 'system.renamed':
    case 'system.removed':
    case 'address.added':
    case 'address.removed':
    case 'boot.decided':
      return event.system
    default:
      return undefined
  }
}
