/**
 * Serves files on one thread: finds the file below the TFTP root or among the embedded loaders, negotiates, and starts the
 * transfer. Used by each worker, and by the main loop where all packets have to leave from one port.
 *
 * It judges a repeated RRQ because it owns the client's port. What a name means was decided before (`tree.ts`).
 */
import { findAsset } from '../assets.ts'
import { type Client, type ClientKey, clientKey } from './client.ts'
import { type Engine, type Line, type Owners, refusedRecord } from './engine.ts'
import { ChunkCache, ChunkFile, FileSource } from './file-chunks.ts'
import type { FilePlaces, TransferActivity } from './file-messages.ts'
import { type NotOpened, openInside } from './jail.ts'
import { NetasciiSource } from './netascii-source.ts'
import { negotiate } from './options.ts'
import { errorCodes, formatError, type Request } from './packet.ts'
import type { TransferRecord } from './resolution.ts'

/** Where the desk's packets leave. */
export interface FileLines {
  line(client: Client, key: ClientKey): Line
  sendOnce(packet: Buffer, client: Client, key: ClientKey): void
}

export class FileDesk {
  readonly #engine: Engine
  readonly #cache = new ChunkCache()
  readonly #loaders = new Map<string, Uint8Array | null>()
  readonly #onStarted: ((activity: TransferActivity) => void) | undefined
  #places: FilePlaces

  constructor(engine: Engine, places: FilePlaces, onStarted?: (activity: TransferActivity) => void) {
    this.#engine = engine
    this.#places = places
    this.#onStarted = onStarted
  }

  setPlaces(places: FilePlaces): void {
    this.#places = places
  }

  /** Starts a transfer, which then stands in `owners`; or answers with an ERROR and returns the record of that. */
  serve(
    lines: FileLines,
    owners: Owners<unknown>,
    client: Client,
    request: Request,
    datagram: Buffer,
    path: string,
  ): TransferRecord | undefined {
    const key = clientKey(client.address, client.port)
    const refuse = (code: number, text: string): TransferRecord => {
      lines.sendOnce(formatError(code, text), client, key)
      return refusedRecord(client, request, text)
    }
    const file = this.#find(path)
    if (!(file instanceof ChunkFile)) return refuse(codeOf(file), `${path}: ${file.detail}`)
    let line: Line
    try {
      line = lines.line(client, key)
    } catch (error) {
      this.#cache.release(file)
      return refuse(errorCodes.other, `the server is busy: ${(error as Error).message}`)
    }
    const text = request.mode === 'netascii'
    const granted = negotiate(request.options, text ? undefined : file.sizeBytes)
    const source = text
      ? new NetasciiSource(this.#cache, file, granted.blksize, granted.windowsize)
      : new FileSource(this.#cache, file, granted.blksize, () => line.queued())
    const { address, port, local } = client
    const sizeBytes = text ? null : file.sizeBytes
    this.#onStarted?.({ step: 'started', client: address, port, local, name: request.name, sizeBytes })
    this.#engine.start({ client, key, owners, request, datagram, granted, source, line })
    return undefined
  }

  #find(path: string): ChunkFile | NotOpened {
    const opened = openInside(this.#places.root, this.#places.linkTargets, path)
    if ('fd' in opened) return this.#cache.openFile(opened.fd, opened.sizeBytes, opened.identity, opened.modifiedMs)
    if (opened.why !== 'missing') return opened
    let loader = this.#loaders.get(path)
    if (loader === undefined) {
      loader = isLoaderName(path) ? (findAsset(`loaders/${path}`) ?? null) : null
      // Names that are none are not remembered: anybody can ask for as many as he likes.
      if (loader) this.#loaders.set(path, loader)
    }
    if (loader) return this.#cache.openBytes(path, loader)
    return { why: 'missing', detail: 'not found in the TFTP root, and no embedded loader has this name' }
  }
}

/** Loaders lie in one folder, under the names they have upstream. */
function isLoaderName(path: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(path)
}

function codeOf({ why }: NotOpened): number {
  switch (why) {
    case 'missing':
    case 'folder':
    case 'special':
    case 'outside':
      return errorCodes.notFound
    case 'denied':
      return errorCodes.accessViolation
    case 'failed':
      return errorCodes.other
  }
}
