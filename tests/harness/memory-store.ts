/**
 * A whole small store without a disk: the events of a commit are applied to maps, with the same meaning as the real one
 * (aliases, remembered reports, availability of profiles). `fail` makes the next commits reject, as a full disk does.
 */
import type { Address, Ip4, Ip4Prefix, Mac } from '../../src/domain/address.ts'
import { findAddress } from '../../src/domain/address.ts'
import type { NamedSystem, NextBoot, RememberedReport } from '../../src/domain/boot.ts'
import type { Actor, Event, JournalRecord } from '../../src/domain/event.ts'
import { selectNames } from '../../src/domain/selector.ts'
import type { CommitOptions, ProfileRow, Queries, Store, Transaction } from '../../src/store/store.ts'

export interface MemoryStore extends Store {
  readonly records: JournalRecord[]
  readonly options: (CommitOptions | undefined)[]
  /** Rejects every commit that would write with this, until set to undefined. */
  fail: unknown
  /** Applies events at once, without a commit. */
  apply(...events: Event[]): void
  /** `addsystem`: returns the id. */
  addSystem(name: string, ...addresses: string[]): number
  nextBoot(name: string, profile: string): void
}

export function createMemoryStore(): MemoryStore {
  const systems = new Map<number, { name: string; addresses: Address[] }>()
  const nextBoots = new Map<number, NextBoot>()
  const profiles = new Map<number, { name: string; available: boolean }>()
  const remembered = new Map<string, RememberedReport>()
  const lastMac = new Map<string, Mac>()
  const listeners = new Set<(record: JournalRecord) => void>()
  const records: JournalRecord[] = []
  const options: (CommitOptions | undefined)[] = []
  const last = { system: 0, decision: 0, profile: 0, token: 0 }
  let seq = 0

  const named = (id: number): NamedSystem => ({ id, name: systems.get(id)?.name ?? `#${id}` })
  const idsWith = (address: string) =>
    [...systems].filter(([, system]) => system.addresses.some((a) => a.text === address)).map(([id]) => id)

  function applyEvent(event: Event, record: JournalRecord): void {
    switch (event.type) {
      case 'system.added':
        systems.set(event.system, { name: event.name, addresses: [] })
        break
      case 'system.renamed':
        systems.set(event.system, { addresses: systems.get(event.system)?.addresses ?? [], name: event.name })
        break
      case 'system.removed':
        systems.delete(event.system)
        nextBoots.delete(event.system)
        break
      case 'address.added':
        systems.get(event.system)?.addresses.push(event.address)
        break
      case 'address.removed': {
        const system = systems.get(event.system)
        if (system) system.addresses = system.addresses.filter((a) => a.text !== event.address.text)
        break
      }
      case 'boot.decided': {
        nextBoots.set(event.system, {
          system: named(event.system),
          profile: event.profile,
          seq: record.seq,
          at: record.at,
          by: record.actor.who,
        })
        for (const address of systems.get(event.system)?.addresses ?? []) remembered.delete(address.text)
        for (const [key, report] of remembered) if (report.system?.id === event.system) remembered.delete(key)
        break
      }
      case 'report.remembered': {
        const system = event.system === null ? null : named(event.system)
        const report = { profile: event.profile, seq: record.seq, at: record.at, system }
        if (event.mac) remembered.set(event.mac, report)
        if (event.ip) remembered.set(event.ip, report)
        break
      }
      case 'boot.address':
        lastMac.set(event.ip, event.mac)
        break
      case 'profile.registered':
        profiles.set(event.profile, { name: event.name, available: true })
        break
      case 'profile.missing':
      case 'profile.returned': {
        const row = profiles.get(event.profile)
        if (row) row.available = event.type === 'profile.returned'
        break
      }
      default:
        break
    }
  }

  const row = (id: number): ProfileRow => ({ id, name: '', available: false, ...profiles.get(id) })
  const queries = {
    findSystem: (name: string) =>
      [...systems].map(([id, system]) => ({ id, name: system.name })).find((s) => s.name === name),
    getSystem: (id: number) => (systems.has(id) ? named(id) : undefined),
    listSystems: () => [...systems.keys()].map(named),
    systemsLike: (selector: string) => {
      const all = [...systems.keys()].map(named)
      const names = selectNames(
        selector,
        all.map(({ name }) => name),
      )
      return names.flatMap((name) => all.filter((each) => each.name === name))
    },
    countSystems: () => systems.size,
    addressesOf: (id: number) => systems.get(id)?.addresses ?? [],
    systemsWith: (address: Mac | Ip4 | Ip4Prefix) => idsWith(address).map(named),
    nextBootOf: (address: Mac | Ip4 | Ip4Prefix) =>
      idsWith(address)
        .flatMap((id) => nextBoots.get(id) ?? [])
        .sort((a, b) => b.seq - a.seq)[0],
    defaultNextBoot: () => {
      const id = [...systems].find(([, system]) => system.name === 'default')?.[0]
      return id === undefined ? undefined : nextBoots.get(id)
    },
    rememberedFor: (address: Mac | Ip4) => remembered.get(address),
    lastMacOf: (ip: string) => lastMac.get(ip),
    lastIpOf: (mac: Mac) => [...lastMac].findLast(([, value]) => value === mac)?.[0],
    findProfile: (name: string) => {
      const found = [...profiles].find(([, profile]) => profile.name === name)
      return found && row(found[0])
    },
    listProfiles: () => [...profiles.keys()].map(row),
  } as unknown as Queries

  function write(actor: Actor, events: Event[]): void {
    if (events.length === 0) return
    seq += 1
    const record = { seq, at: new Date(1_800_000_000_000 + seq).toISOString(), actor, events }
    for (const event of events) applyEvent(event, record)
    records.push(record)
    for (const listener of listeners) listener(record)
  }

  const person: Actor = { who: 'ann', from: 'socket', surface: 'cli' }
  const store: MemoryStore = {
    queries,
    records,
    options,
    fail: undefined,
    async commit<R>(actor: Actor, decide: (tx: Transaction) => R, given?: CommitOptions): Promise<R> {
      await Promise.resolve()
      const events: Event[] = []
      const counters = { ...last }
      const tx = {
        ...queries,
        at: new Date(1_800_000_000_000 + seq).toISOString(),
        nextId: (kind: keyof typeof last) => ++counters[kind],
        emit: (event: Event) => void events.push(event),
      } as Transaction
      const result = decide(tx)
      if (events.length > 0 && store.fail !== undefined) throw store.fail
      Object.assign(last, counters)
      options.push(given)
      write(actor, events)
      return result
    },
    onApplied(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    get seq() {
      return seq
    },
    history: async () => records,
    degradations: () => [],
    backup: async () => {},
    close: async () => {},
    apply: (...events) => write(person, events),
    addSystem(name, ...addresses) {
      const system = ++last.system
      const events: Event[] = [{ type: 'system.added', system, name }]
      for (const text of addresses) {
        const address = findAddress(text)
        if (!address) throw new Error(`${text} is no address`)
        events.push({ type: 'address.added', system, address })
      }
      write(person, events)
      return system
    },
    nextBoot(name, profile) {
      const system = queries.findSystem(name)?.id ?? store.addSystem(name)
      write(person, [{ type: 'boot.decided', decision: ++last.decision, system, profile }])
    },
  } as MemoryStore
  return store
}
