/**
 * The running daemon as commands see it: types only, so that the client, which loads every definition, loads none of it.
 */
import type { Mac } from '../domain/address.ts'
import type { Store } from '../store/store.ts'
import type { TransferRecord } from '../tftp/resolution.ts'

/** The profile folder (`profiles-dir`); the file on disk is the truth, read as it is at the request. */
export interface ProfileFolder {
  /** Looks at the folder and registers what is new; `registered`: every name whose file is there; `missing`: `local`. */
  sync(): Promise<{ registered: string[]; missing: string[] }>
  /** undefined if the profile can be served, else why not, with file and line. */
  fault(name: string): string | undefined
  /** Names whose file is there now. */
  names(): string[]
}

export interface Listeners {
  readonly tftp: readonly string[]
  readonly http: readonly string[]
  readonly socket: string
}

/** Which boots to list, newest first. */
export interface BootQuery {
  /** Only those of this system id. */
  readonly system?: number
  readonly limit: number
}

export interface Daemon {
  readonly version: string
  /** Whether it accepts requests on every listener (`/healthz`). */
  readonly ready: boolean
  /** ms since the epoch */
  readonly startedMs: number
  readonly store: Store
  readonly profiles: ProfileFolder
  readonly listeners: Listeners
  /** Names of the loaders embedded in the executable. */
  readonly loaders: readonly string[]
  /** IP address of a MAC from the neighbour table, or undefined. */
  neighbourIp(mac: Mac): string | undefined
  /** Every reason why `status` is degraded, one line each. */
  degraded(): string[]
  /** What is worth knowing but leaves `status` at exit 0, one line each. */
  notices(): string[]
  /** The latest transfers, newest first, and how many are under way. */
  transfers(): { active: number; recent: readonly TransferRecord[] }
  /** Boots as the trace kept them, newest first; rows are plain JSON objects. */
  boots(query: BootQuery): Promise<readonly Readonly<Record<string, unknown>>[]>
}
