/**
 * What a requested name means: the answer of `tree.ts` that the server acts on.
 *
 * The computed tree answers at once, in the main loop; every other name is left to a worker thread, which looks it up in
 * the TFTP root, then among the embedded loaders (a dead mount must not stop the main loop). Source: DESIGN "Speed".
 */

import type { Mac } from '../domain/address.ts'
import type { Decision } from '../domain/boot.ts'

/** Who asks: addresses as text (IPv4-mapped IPv6 already plain), `local` = the address that was asked. */
export interface Requester {
  readonly address: string
  readonly port: number
  readonly local: string
  /** Over HTTP: base URL by which the asker reached this server, no slash at its end. */
  readonly url?: string
  /** Somebody looks at what a machine would get; no machine boots. */
  readonly preview?: boolean
  /** The decision behind the answer, kept with the request until its transfer has ended: for the trace of boots. */
  served?: Served | undefined
}

export interface Served {
  readonly decision: Decision
  /** That of the configuration's name, if it is named after one. */
  readonly mac: Mac | undefined
}

export type Resolution =
  /** A computed answer, complete. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** Look for it below the TFTP root, then among the embedded loaders; `path` is clean and relative (no `..`, no `\`). */
  | { readonly kind: 'file'; readonly path: string }
  /** RFC 1350 §5 code and a text for whoever stands in front of the screen. */
  | { readonly kind: 'error'; readonly code: number; readonly text: string }

/** `name` is the decoded file name of the RRQ as it came. Never throws. */
export type Resolve = (name: string, from: Requester) => Resolution

/** How one transfer ended: a log line, `status --transfers`, and the raw material of the boot timeline. */
export interface TransferRecord {
  /** ms since the epoch */
  readonly startedMs: number
  readonly durationMs: number
  readonly client: string
  readonly port: number
  readonly local: string
  readonly name: string
  readonly mode: string
  /** Options granted, as on the wire. */
  readonly options: Readonly<Record<string, number>>
  /** Size of what was to be sent; null where nothing was found. */
  readonly sizeBytes: number | null
  /** Bytes acknowledged. */
  readonly sentBytes: number
  readonly retransmissions: number
  /** `probe`: a size probe that ended in an ERROR after the OACK, which is no error. */
  readonly outcome: 'done' | 'probe' | 'aborted' | 'timeout' | 'refused' | 'replaced' | 'failed'
  /** ERROR text sent or received, or what failed. */
  readonly detail: string
}
