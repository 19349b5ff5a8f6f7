/**
 * What the main loop and a file worker say to each other; all of it plain values that survive a structured clone.
 *
 * Each `serve` is answered by exactly one `settled` in the end, so that the main loop knows who owns a client's port.
 */
import type { TransferRecord } from './resolution.ts'
import type { PortRange } from './sockets.ts'

/** Where files are looked for. */
export interface FilePlaces {
  /** The TFTP root. */
  readonly root: string
  /** Folders outside of it that symbolic links may lead to. */
  readonly linkTargets: readonly string[]
}

export interface WorkerSettings extends FilePlaces {
  /** Ports this worker may use; undefined: any. */
  readonly ports: PortRange | undefined
  /** Whether `started` is wanted. */
  readonly activity: boolean
}

/** A read request for a file, handed over by the main loop. */
export interface Serve {
  readonly kind: 'serve'
  readonly id: number
  readonly address: string
  readonly port: number
  readonly local: string
  /** The RRQ as it came. */
  readonly datagram: Uint8Array
  /** Relative to the root, clean. */
  readonly path: string
}

export type ToWorker =
  | Serve
  /** The client's port asked for something the main loop answers: its transfer is over. */
  | { readonly kind: 'drop'; readonly address: string; readonly port: number; readonly local: string }
  | { readonly kind: 'places'; readonly places: FilePlaces }
  /** Tell the clients, close everything, exit. */
  | { readonly kind: 'stop' }

export type FromWorker =
  | { readonly kind: 'started'; readonly activity: TransferActivity }
  /** `record` is null where the request was a repeat of one under way. */
  | { readonly kind: 'settled'; readonly id: number; readonly record: TransferRecord | null }
  | { readonly kind: 'warn'; readonly message: string }

/** A step of a transfer, for the trace of a boot. */
export interface TransferActivity {
  readonly step: 'started'
  readonly client: string
  readonly port: number
  readonly local: string
  readonly name: string
  /** null where it is not known before the end (a file in netascii). */
  readonly sizeBytes: number | null
}
