/**
 * Files as ready-made DATA packets, read in chunks of some 64 KiB that all transfers of the same file share.
 *
 * A block's number follows from its place in the file, so a chunk read for one machine is sent to the next as it is: no
 * copy and no allocation for a packet. A class of machines boots the same kernel at once. Memory of chunks that nobody
 * sends is bounded and used again. Reading is synchronous: it happens in a thread of its own.
 * Not for netascii, where the place of a block depends on all before it (`netascii-source.ts`).
 */
import { closeSync, readvSync } from 'node:fs'
import { DATA_HEADER, writeDataHeader } from './packet.ts'
import type { Source } from './transfer.ts'

const CHUNK_BYTES = 64 * 1024
/** With tiny blocks a chunk is a few packets, not thousands. */
const CHUNK_BLOCKS_MAX = 64
/** Kept for the next machine, for each thread. The page cache of the kernel stands behind it. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024
/** Chunks kept empty to be filled again, for each blksize. */
const FREE_CHUNKS_MAX = 16
/** A file changed just now may change again within the same time stamp: what is read of it is not shared. */
const SETTLED_MS = 2000

/** Part of a file: packets of consecutive blocks. */
interface Chunk {
  readonly blksize: number
  /** Whole packets; the last chunk of a file may end in a short one. */
  readonly packets: Buffer[]
  /** The places of the data in them. */
  readonly slots: Buffer[]
  readonly bytes: number
  /** Number of its first block. */
  first: number
  /** Transfers that send it now. */
  users: number
  kept: boolean
  /** May be filled again once nobody uses it: not if it was cut for a file's end or a send of it may still be queued. */
  reusable: boolean
}

/** What chunks are read from: an open file, or bytes in memory. */
export class ChunkFile {
  readonly identity: string
  readonly sizeBytes: number
  /** Transfers that send it; at none the file is closed, what was read of it may stay. */
  users = 0
  /** One table for each blksize: number of chunk → chunk. */
  readonly tables: Map<number, Map<number, Chunk>> = new Map()
  #from: number | Uint8Array

  constructor(identity: string, sizeBytes: number, from: number | Uint8Array) {
    this.identity = identity
    this.sizeBytes = sizeBytes
    this.#from = from
  }

  /** Another descriptor of the same content, after `close`. */
  reopen(fd: number): void {
    this.#from = fd
  }

  /** Fills the slots from `position`; returns the bytes read, 0 at the end. */
  read(slots: readonly Buffer[], position: number): number {
    if (typeof this.#from === 'number') return readvSync(this.#from, slots, position)
    let at = position
    for (const slot of slots) {
      const part = this.#from.subarray(at, at + slot.length)
      slot.set(part)
      at += part.length
    }
    return at - position
  }

  close(): void {
    if (typeof this.#from === 'number') closeSync(this.#from)
  }
}

interface Kept {
  readonly file: ChunkFile
  readonly table: Map<number, Chunk>
  readonly index: number
  readonly chunk: Chunk
}

export class ChunkCache {
  readonly #files = new Map<string, ChunkFile>()
  /** In the order of last use, oldest first. */
  readonly #kept = new Map<Chunk, Kept>()
  readonly #free = new Map<number, Chunk[]>()
  #keptBytes = 0
  #unshared = 0

  /** Takes over `fd`. Transfers of the same content share what is read. The caller's use ends by `release`. */
  openFile(fd: number, sizeBytes: number, identity: string, modifiedMs: number): ChunkFile {
    const settled = Date.now() - modifiedMs > SETTLED_MS
    const known = settled ? this.#files.get(identity) : undefined
    if (known && known.users > 0) closeSync(fd)
    else known?.reopen(fd)
    return this.#use(known ?? new ChunkFile(settled ? identity : `unshared ${++this.#unshared}`, sizeBytes, fd))
  }

  /** As `openFile`, for bytes in memory that never change (an embedded loader). */
  openBytes(name: string, bytes: Uint8Array): ChunkFile {
    const identity = `asset ${name}`
    return this.#use(this.#files.get(identity) ?? new ChunkFile(identity, bytes.length, bytes))
  }

  #use(file: ChunkFile): ChunkFile {
    this.#files.set(file.identity, file)
    file.users++
    return file
  }

  release(file: ChunkFile): void {
    file.users--
    if (file.users > 0) return
    file.close()
    if (file.identity.startsWith('unshared ')) this.#drop(file)
    else if (file.tables.size === 0) this.#forget(file)
  }

  /** The chunk of that number, in use by the caller until `leave`. Throws where the file has become shorter. */
  take(file: ChunkFile, blksize: number, index: number): Chunk {
    let table = file.tables.get(blksize)
    if (!table) {
      table = new Map()
      file.tables.set(blksize, table)
    }
    let chunk = table.get(index)
    if (chunk) {
      const kept = this.#kept.get(chunk)
      if (kept) {
        this.#kept.delete(chunk)
        this.#kept.set(chunk, kept)
      }
    } else {
      chunk = this.#read(file, blksize, index)
      table.set(index, chunk)
      chunk.kept = true
      this.#kept.set(chunk, { file, table, index, chunk })
      this.#keptBytes += chunk.bytes
    }
    chunk.users++
    if (this.#keptBytes > KEPT_BYTES_MAX) this.#shrink()
    return chunk
  }

  /** `queued`: packets of it may still wait in the socket, so its memory is left to the garbage collector. */
  leave(chunk: Chunk, queued: boolean): void {
    chunk.users--
    if (queued) chunk.reusable = false
    if (!chunk.kept) this.#recycle(chunk)
  }

  #read(file: ChunkFile, blksize: number, index: number): Chunk {
    const count = blocksOfChunk(blksize)
    const position = index * count * blksize
    const length = Math.min(count * blksize, file.sizeBytes - position)
    const whole = length === count * blksize
    const chunk = (whole ? this.#free.get(blksize)?.pop() : undefined) ?? createChunk(blksize, count, length)
    chunk.first = index * count + 1
    chunk.packets.forEach((packet, i) => {
      writeDataHeader(packet, 0, chunk.first + i)
    })
    fill(file, chunk.slots, position, length)
    return chunk
  }

  #shrink(): void {
    for (const kept of this.#kept.values()) {
      if (this.#keptBytes <= KEPT_BYTES_MAX) return
      this.#evict(kept)
    }
  }

  #evict({ file, table, index, chunk }: Kept): void {
    this.#kept.delete(chunk)
    this.#keptBytes -= chunk.bytes
    chunk.kept = false
    table.delete(index)
    if (table.size === 0) file.tables.delete(chunk.blksize)
    if (file.tables.size === 0 && file.users === 0) this.#forget(file)
    this.#recycle(chunk)
  }

  #recycle(chunk: Chunk): void {
    if (chunk.users > 0 || !chunk.reusable) return
    const free = this.#free.get(chunk.blksize) ?? []
    if (free.length >= FREE_CHUNKS_MAX) return
    free.push(chunk)
    this.#free.set(chunk.blksize, free)
    if (this.#free.size <= FREE_SIZES_MAX) return
    const [oldest] = this.#free.keys()
    if (oldest !== undefined) this.#free.delete(oldest)
  }

  #drop(file: ChunkFile): void {
    for (const table of [...file.tables.values()]) {
      for (const chunk of [...table.values()]) {
        const kept = this.#kept.get(chunk)
        if (kept) this.#evict(kept)
      }
    }
    this.#forget(file)
  }

  #forget(file: ChunkFile): void {
    if (this.#files.get(file.identity) === file) this.#files.delete(file.identity)
  }
}

/** Clients ask for a handful of block sizes; chunks for more are not kept empty. */
const FREE_SIZES_MAX = 4

/** A file as the source of one transfer: at most one chunk in hand. */
export class FileSource implements Source {
  readonly sizeBytes: number
  readonly lastBlock: number
  readonly #cache: ChunkCache
  readonly #file: ChunkFile
  readonly #blksize: number
  readonly #blocks: number
  readonly #queued: () => boolean
  #chunk: Chunk | undefined

  /** Takes over one use of `file`. `queued`: whether the transfer's socket still holds packets back. */
  constructor(cache: ChunkCache, file: ChunkFile, blksize: number, queued: () => boolean) {
    this.#cache = cache
    this.#file = file
    this.#blksize = blksize
    this.#blocks = blocksOfChunk(blksize)
    this.#queued = queued
    this.sizeBytes = file.sizeBytes
    this.lastBlock = Math.floor(file.sizeBytes / blksize) + 1
  }

  packet(block: number): Buffer {
    let chunk = this.#chunk
    let at = chunk ? block - chunk.first : -1
    if (!chunk || at < 0 || at >= chunk.packets.length) {
      this.#leave()
      const index = Math.floor((block - 1) / this.#blocks)
      chunk = this.#cache.take(this.#file, this.#blksize, index)
      this.#chunk = chunk
      at = block - chunk.first
    }
    return chunk.packets[at] as Buffer
  }

  close(): void {
    this.#leave()
    this.#cache.release(this.#file)
  }

  #leave(): void {
    if (!this.#chunk) return
    this.#cache.leave(this.#chunk, this.#queued())
    this.#chunk = undefined
  }
}

function blocksOfChunk(blksize: number): number {
  return Math.max(1, Math.min(CHUNK_BLOCKS_MAX, Math.floor(CHUNK_BYTES / blksize)))
}

/** A chunk for `length` bytes, at most `count` blocks; the last packet is short or empty where a file ends in it. */
function createChunk(blksize: number, count: number, length: number): Chunk {
  const blocks = Math.min(count, Math.floor(length / blksize) + 1)
  const memory = Buffer.allocUnsafeSlow(blocks * DATA_HEADER + length)
  const packets: Buffer[] = []
  const slots: Buffer[] = []
  let at = 0
  for (let i = 0; i < blocks; i++) {
    const end = Math.min(at + DATA_HEADER + blksize, memory.length)
    packets.push(memory.subarray(at, end))
    if (end > at + DATA_HEADER) slots.push(memory.subarray(at + DATA_HEADER, end))
    at = end
  }
  const reusable = length === count * blksize
  return { blksize, packets, slots, bytes: memory.length, first: 0, users: 0, kept: false, reusable }
}

/** Reads until all slots are full. */
function fill(file: ChunkFile, slots: readonly Buffer[], position: number, length: number): void {
  let done = length === 0 ? 0 : file.read(slots, position)
  while (done < length) {
    // A read may be cut by a signal; only nothing at all is the end.
    const rest = skip(slots, done)
    const read = file.read(rest, position + done)
    if (read <= 0) throw new Error('the file became shorter while it was being sent')
    done += read
  }
}

function skip(slots: readonly Buffer[], bytes: number): Buffer[] {
  const rest: Buffer[] = []
  let before = 0
  for (const slot of slots) {
    const from = Math.max(0, bytes - before)
    if (from < slot.length) rest.push(slot.subarray(from))
    before += slot.length
  }
  return rest
}
