/**
 * Events: the past-tense facts that make up the state, and the record that carries them in the journal.
 *
 * One command is one record: its events apply together or not at all. Events hold every id and value they need, so that
 * applying them reads no clock, file or random number; old meanings never change. How records lie on disk is
 * `store/journal.ts`; what they do to the database is `store/apply.ts`. Source: DESIGN "State".
 */
import type { Address, Ip4, Mac } from './address.ts'
import type { RunEvent } from './run.ts'

/** Who caused a record. On the socket `who` is what the client says (its login name), stored as said, not proven. */
export interface Actor {
  /** Login name, token name, or the machine's MAC or IP. */
  readonly who: string
  /** Peer address, or `socket`, or `daemon` for what the daemon does by itself. */
  readonly from: string
  readonly surface: 'cli' | 'api' | 'web' | 'machine' | 'daemon'
}

export type Role = 'viewer' | 'operator' | 'admin'

/** Ids are numbers ≥ 1, never used twice, each kind counted for itself. */
export type Event =
  | RunEvent
  | { readonly type: 'system.added'; readonly system: number; readonly name: string }
  /** `was`: the name before, for people who read the history. */
  | { readonly type: 'system.renamed'; readonly system: number; readonly name: string; readonly was: string }
  /** With its addresses and decisions. `name`: what it was called, for people who read the history. */
  | { readonly type: 'system.removed'; readonly system: number; readonly name: string }
  | { readonly type: 'address.added'; readonly system: number; readonly address: Address }
  | { readonly type: 'address.removed'; readonly system: number; readonly address: Address }
  /** The system's next boot, by a person or by the machine's own report. */
  | { readonly type: 'boot.decided'; readonly decision: number; readonly system: number; readonly profile: string }
  /**
   * A report of a machine that no system owns by that address, or that is known only through a prefix system
   * (`system`). Holds for `mac` and, with `system`, for `ip`, until a system with it (or `system`) gets a decision.
   */
  | {
      readonly type: 'report.remembered'
      readonly mac: Mac | null
      readonly ip: Ip4 | null
      readonly system: number | null
      readonly profile: string
    }
  /** Which MAC booted from which IP address (IPv4 or IPv6 text); written only when it changes. */
  | { readonly type: 'boot.address'; readonly ip: string; readonly mac: Mac }
  /** A profile or test file has been seen in its folder, or is no longer there. */
  | { readonly type: 'profile.registered'; readonly profile: number; readonly name: string }
  | { readonly type: 'profile.missing'; readonly profile: number }
  | { readonly type: 'profile.returned'; readonly profile: number }
  /** `hash`: hex SHA-256 of the token; the token itself is nowhere. `expires`: RFC 3339 or null. */
  | {
      readonly type: 'token.added'
      readonly token: number
      readonly name: string
      readonly role: Role
      readonly hash: string
      readonly expires: string | null
    }
  | { readonly type: 'token.revoked'; readonly token: number }
  /** A snapshot file has been made: it holds the state after record `seq`. */
  | {
      readonly type: 'snapshot.made'
      readonly file: string
      readonly seq: number
      readonly sha256: string
      readonly sizeBytes: number
      readonly schema: number
    }
  /**
   * Stands for a record that damage took, put in by `pxemngr repair` so that the numbers stay without gaps. `effect`:
   * `lost` with it, or still `in-snapshot`, from which state then has to be started.
   */
  | { readonly type: 'record.lost'; readonly effect: 'lost' | 'in-snapshot'; readonly reason: string }
  /** Closing record of a clean stop. */
  | { readonly type: 'daemon.stopped' }

/** One record of the journal as everybody but the journal file sees it. */
export interface JournalRecord {
  /** 1, 2, 3 … without gaps. */
  readonly seq: number
  /** RFC 3339 UTC with milliseconds. Order is by `seq`, never by this. */
  readonly at: string
  readonly actor: Actor
  readonly events: readonly Event[]
}

/** What a record says about each of its events. */
export type RecordHead = Pick<JournalRecord, 'seq' | 'at' | 'actor'>

/** What has ids of its own. */
export type IdKind = 'system' | 'decision' | 'profile' | 'token' | 'test' | 'run' | 'webhook' | 'delivery'
