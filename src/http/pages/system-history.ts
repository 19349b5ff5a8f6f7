/**
 * What the journal says of one machine, kept for machines whose pages are looked at: the journal is read once, and goes on
 * from the records as they are applied. Without it an open page would read the whole journal at every change anywhere.
 *
 * Only the changes that are about the machine, and of a record with hundreds of them the first few. Source: WEB.md
 * "Behaviour" (a page is usable within 100 ms).
 */
import { namesOf, viewRecord } from '../../commands/record.ts'
import { concernsSystems } from '../../domain/concern.ts'
import type { Actor, JournalRecord } from '../../domain/event.ts'
import type { Store } from '../../store/store.ts'

/** Records of one machine; all of them are in `pxemngr history`. */
const recordsKept = 30
/** Changes of one record that are put into words. */
const changesKept = 6
/** Machines, the ones looked at last: some MB. */
const machinesKept = 500

export interface HistoryEntry {
  readonly seq: number
  readonly at: string
  readonly actor: Actor
  /** The first ones. */
  readonly changes: readonly string[]
  /** How many there are. */
  readonly count: number
}

export interface SystemHistory {
  /** Oldest first; undefined where the journal does not answer. */
  of(system: number): Promise<readonly HistoryEntry[] | undefined>
  /** Stops following the journal. */
  close(): void
}

interface Kept {
  entries: HistoryEntry[]
  /** Resolves when the journal has been read; what is applied meanwhile comes behind it. */
  ready: Promise<void>
}

export function createSystemHistory(store: Store): SystemHistory {
  const { queries } = store
  const kept = new Map<number, Kept>()
  const { systemOfRun } = queries

  const entryOf = (record: JournalRecord, system: number): HistoryEntry => {
    const own = record.events.filter((event) => concernsSystems([event], [system], systemOfRun))
    const shown = { ...record, events: own.slice(0, changesKept) }
    const { seq, at, changes } = viewRecord(shown, namesOf(queries, [shown]))
    return { seq, at, actor: record.actor, changes, count: own.length }
  }

  const systemsOf = ({ events }: JournalRecord): Set<number> => {
    const found = events.map((event) => {
      if ('system' in event) return event.system
      return 'run' in event ? systemOfRun(event.run) : undefined
    })
    return new Set(found.filter((system) => system != null))
  }

  const stop = store.onApplied((record) => {
    for (const event of record.events) {
      // Names of before would stand in what is kept.
      if (event.type === 'system.renamed' || event.type === 'system.removed') kept.delete(event.system)
    }
    if (kept.size === 0) return
    for (const system of systemsOf(record)) {
      const entries = kept.get(system)?.entries
      if (!entries) continue
      entries.push(entryOf(record, system))
      if (entries.length > 2 * recordsKept) entries.splice(0, entries.length - recordsKept)
    }
  })

  const read = async (system: number, own: Kept): Promise<void> => {
    try {
      const records = await store.history({ systems: [system], limit: recordsKept, recent: true })
      const last = records.at(-1)?.seq ?? 0
      const past = records.map((record) => entryOf(record, system))
      own.entries.unshift(...past)
      // A record may have been read and applied meanwhile.
      const meanwhile = own.entries.slice(past.length).filter(({ seq }) => seq > last)
      own.entries.splice(past.length, own.entries.length, ...meanwhile)
    } catch (error) {
      kept.delete(system)
      throw error
    }
  }

  return {
    async of(system) {
      let own = kept.get(system)
      kept.delete(system)
      if (!own) {
        own = { entries: [], ready: Promise.resolve() }
        own.ready = read(system, own)
        const [oldest] = kept.keys()
        if (kept.size >= machinesKept && oldest !== undefined) kept.delete(oldest)
      }
      kept.set(system, own)
      try {
        await own.ready
      } catch {
        // The page says that it has no history to show.
        return undefined
      }
      return own.entries.slice(-recordsKept)
    },
    close: stop,
  }
}
