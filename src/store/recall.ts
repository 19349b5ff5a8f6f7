/**
 * Machines' reports that could not be written, even with the reserve: held in memory, so that these machines boot `local`
 * instead of being installed for ever. The one effect without a record, always to the safe side.
 *
 * Holds until the report is on disk after all (`pending` says what to write) or a person decides otherwise. Lost when the
 * process ends; `describe` names the machines for `status`. Source: DESIGN "State" (reserve), CONTRACT "Machines".
 */
import { localProfile, type NextBoot, type RememberedReport } from '../domain/boot.ts'
import type { Actor, Event } from '../domain/event.ts'
import type { SystemRow } from './store.ts'

/** Machines held at once, oldest dropped: as many as unknown MACs on disk. */
const recallMax = 10_000
/** Machines that `describe` names. */
const namedMax = 5

interface HeldReport {
  readonly actor: Actor
  readonly at: string
  /** Its place in the order: half a number behind the last record before it, so that only later ones overrule it. */
  readonly seq: number
  readonly event: Extract<Event, { type: 'boot.decided' | 'report.remembered' }>
}

export interface Recall {
  /** Keeps what of the events makes a machine boot `local`; false if nothing does. */
  hold(actor: Actor, at: string, seq: number, events: readonly Event[]): boolean
  /** Lets go what later events overrule. Returns whether anything was. */
  overrule(events: readonly Event[]): boolean
  pending(): HeldReport[]
  has(report: HeldReport): boolean
  drop(report: HeldReport): void
  nextBootOf(systems: () => readonly SystemRow[], written: NextBoot | undefined): NextBoot | undefined
  rememberedFor(address: string): RememberedReport | undefined
  /** One line for `status`; undefined if nothing is held. */
  describe(): string | undefined
}

export function createRecall(): Recall {
  const held = new Map<string, HeldReport>()
  const keysOf = (event: HeldReport['event']): string[] =>
    event.type === 'boot.decided' ? [`system ${event.system}`] : [event.mac, event.ip].filter((key) => key !== null)
  return {
    hold(actor, at, seq, events) {
      let kept = false
      for (const event of events) {
        if (event.type !== 'boot.decided' && event.type !== 'report.remembered') continue
        if (event.profile !== localProfile) continue
        const report = { actor, at, seq: seq + 0.5, event }
        for (const key of keysOf(event)) {
          held.delete(key)
          held.set(key, report)
          kept = true
        }
        for (const oldest of held.keys()) {
          if (held.size <= recallMax) break
          held.delete(oldest)
        }
      }
      return kept
    },
    overrule(events) {
      if (held.size === 0) return false
      const before = held.size
      for (const event of events) {
        if (event.type === 'boot.decided' || event.type === 'report.remembered') {
          for (const key of keysOf(event)) held.delete(key)
        }
        if (event.type !== 'boot.decided' && event.type !== 'system.removed') continue
        held.delete(`system ${event.system}`)
        for (const [key, report] of held) {
          if (report.event.type === 'report.remembered' && report.event.system === event.system) held.delete(key)
        }
      }
      return held.size !== before
    },
    pending: () => [...new Set(held.values())],
    has: (report) => keysOf(report.event).some((key) => held.get(key) === report),
    drop(report) {
      for (const key of keysOf(report.event)) if (held.get(key) === report) held.delete(key)
    },
    nextBootOf(systems, written) {
      if (held.size === 0) return written
      let latest = written
      for (const system of systems()) {
        const report = held.get(`system ${system.id}`)
        if (!report || (latest && latest.seq > report.seq)) continue
        latest = { system, profile: localProfile, seq: report.seq, at: report.at, by: report.actor.who }
      }
      return latest
    },
    rememberedFor(address) {
      const report = held.get(address)
      return report && { profile: localProfile, seq: report.seq, at: report.at, system: null }
    },
    describe() {
      if (held.size === 0) return undefined
      const names = [...held.values()].slice(0, namedMax).map(({ actor }) => actor.who)
      const more = held.size > namedMax ? ` and ${held.size - namedMax} more` : ''
      return `reports of ${names.join(', ')}${more} are held in memory only: these machines boot ${localProfile}`
    },
  }
}
