/**
 * The store as the rest of the program sees it: the only door to durable state.
 *
 * Reads (`queries`) never wait and only ever see acknowledged records. Changes go through `commit`: decide, sync, apply
 * (DESIGN "State"). What lies behind (journal files, snapshots, the sql.js database) is in the other files here.
 */
import type { Address, Ip4, Ip4Prefix, Mac } from '../domain/address.ts'
import type { NextBoot, RememberedReport } from '../domain/boot.ts'
import type { Actor, Event, IdKind, JournalRecord, Role } from '../domain/event.ts'
import type { RunQueries } from './run-queries.ts'

/** A system as `dpysystem` shows it, without what comes from elsewhere (neighbour table). */
export interface SystemRow {
  readonly id: number
  readonly name: string
}

export interface DecisionRow {
  readonly id: number
  readonly seq: number
  /** RFC 3339 UTC */
  readonly at: string
  readonly profile: string
  readonly by: string
}

export interface ProfileRow {
  readonly id: number
  readonly name: string
  /** Whether its file was there when the folder was last looked at. */
  readonly available: boolean
}

export interface TokenRow {
  readonly id: number
  readonly name: string
  readonly role: Role
  readonly created: string
  readonly expires: string | null
  readonly revoked: boolean
}

/** Read functions; every one is indexed, none is longer than its answer. Same set inside a decision and outside. */
export interface Queries extends RunQueries {
  /** Exact, case-sensitive name. */
  findSystem(name: string): SystemRow | undefined
  getSystem(id: number): SystemRow | undefined
  /** Creation order, `default` included. */
  listSystems(): SystemRow[]
  /** Those whose names fit a pattern (`domain/selector.ts`), in its order; never `default`. */
  systemsLike(selector: string): SystemRow[]
  countSystems(): number
  /** In the order they were added. */
  addressesOf(system: number): Address[]
  /** Systems that have this very address, in creation order. */
  systemsWith(address: Mac | Ip4 | Ip4Prefix): SystemRow[]
  /** Newest first. */
  decisionsOf(system: number, limit: number): DecisionRow[]
  /** Latest next boot among the systems with the address. */
  nextBootOf(address: Mac | Ip4 | Ip4Prefix): NextBoot | undefined
  defaultNextBoot(): NextBoot | undefined
  rememberedFor(address: Mac | Ip4): RememberedReport | undefined
  /** MAC that this IP address (IPv4 or IPv6 text) last booted with. */
  lastMacOf(ip: string): Mac | undefined
  /** IP address that this MAC last booted from. */
  lastIpOf(mac: Mac): string | undefined
  findProfile(name: string): ProfileRow | undefined
  listProfiles(): ProfileRow[]
  /** Profiles that are some system's next boot, with how many and the first of them by name. */
  nextBootProfiles(): { readonly profile: string; readonly systems: number; readonly first: string }[]
  /** By hex SHA-256 of the token; revoked and expired ones included. */
  findToken(hash: string): TokenRow | undefined
  findTokenByName(name: string): TokenRow | undefined
  listTokens(): TokenRow[]
}

/** What a decision may do: read, and say what happened. Its events are visible to its own later reads. */
export interface Transaction extends Queries {
  /** Time of the record, RFC 3339 UTC. */
  readonly at: string
  /** Next unused id of a kind; advances with each call. */
  nextId(kind: IdKind): number
  emit(event: Event): void
}

export interface CommitOptions {
  /** `machine`: may use the reserve when the disk is full (DESIGN "State"). Default `management`. */
  readonly plane?: 'machine' | 'management'
  /** false: resolves once decided and queued; nobody is told it is kept (`boot.address`). Default true. */
  readonly durable?: boolean
}

export interface Degradation {
  readonly code: DegradationCode
  readonly text: string
  /** `fault`: `status` exits 1; `notice`: only said (a torn tail after a power cut is no fault that lasts). */
  readonly weight: 'fault' | 'notice'
}

/** Every reason the store can give; stable words. */
export const degradationCodes = [
  /** Changes are refused: the text says why and since when. */
  'writes-refused',
  /** Machines' reports that could not be written: these machines boot `local`, the text names them. */
  'reports-in-memory',
  /** Start-up moved an unsynced tail aside. */
  'torn-tail',
  /** A snapshot that did not match its record was moved aside; an older one or the journal was used. */
  'snapshot-set-aside',
  /** The last snapshot could not be made; start-up only takes longer. */
  'snapshot-failed',
  /** A segment behind the snapshot is damaged: state is whole, `history` and `backup` lack its records. */
  'archive-damaged',
  /** Records that `pxemngr repair` had to give up. */
  'records-lost',
  /** The data directory is on a read-only file system, where the lock is none. */
  'not-locked',
] as const

export type DegradationCode = (typeof degradationCodes)[number]

export interface HistoryQuery {
  /** Only records that concern one of these system ids, or a run of theirs. */
  readonly systems?: readonly number[]
  /** Records after this sequence number. */
  readonly after?: number
  /** At most so many, the newest ones; in ascending order. */
  readonly limit?: number
  /** For a page of one system: only what is found at once, in the newest part of the journal (`recent.ts`). */
  readonly recent?: boolean
}

export interface Store {
  readonly queries: Queries
  /**
   * Runs `decide` in the next batch and resolves with its result once its record is on disk and applied. A decision
   * that emits nothing writes nothing. Rejects with the `Refusal` it threw (nothing happened), with `unavailable` while
   * writes are refused, or with `not-kept` if the sync failed. `decide` is synchronous and has no effects of its own.
   */
  commit<R>(actor: Actor, decide: (tx: Transaction) => R, options?: CommitOptions): Promise<R>
  /** Calls `listener` in the tick in which each record has been applied, in order. Returns how to stop. */
  onApplied(listener: (record: JournalRecord) => void): () => void
  /** Sequence number of the last applied record. */
  readonly seq: number
  /** Records of the journal, archived segments included. */
  history(query: HistoryQuery): Promise<JournalRecord[]>
  degradations(): Degradation[]
  /** Writes a backup (one file: every record, and nothing else needed) to `write`; resolves when all was written. */
  backup(write: (chunk: Uint8Array) => Promise<void>): Promise<void>
  /** Stops accepting, finishes what is queued, writes the closing record, releases the lock. */
  close(): Promise<void>
}
