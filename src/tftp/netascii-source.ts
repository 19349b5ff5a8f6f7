/**
 * A file sent in netascii: converted as it is read, block by block.
 *
 * Where a block begins depends on all line ends before it, so the places of the blocks of one window are remembered; that
 * and one buffer is all its memory. The size is known only at the end. Source: RFC 1350 §1, PROTOCOLS §1.
 */
import type { ChunkCache, ChunkFile } from './file-chunks.ts'
import { convertNetascii, type NetasciiPosition } from './netascii.ts'
import { DATA_HEADER, writeDataHeader } from './packet.ts'
import type { Source } from './transfer.ts'

const READ_BYTES = 16 * 1024

export class NetasciiSource implements Source {
  sizeBytes: number | undefined = undefined
  lastBlock = Number.POSITIVE_INFINITY
  readonly #cache: ChunkCache
  readonly #file: ChunkFile
  readonly #blksize: number
  /** Start of block n at n modulo length: bytes of the file used before it, and the byte carried over. */
  readonly #starts: NetasciiPosition[]
  #buffer = Buffer.alloc(0)
  #bufferStart = 0

  /** Takes over one use of `file`. `windowsize`: blocks that may be asked for again. */
  constructor(cache: ChunkCache, file: ChunkFile, blksize: number, windowsize: number) {
    this.#cache = cache
    this.#file = file
    this.#blksize = blksize
    this.#starts = Array.from({ length: 2 * windowsize + 2 }, () => ({ used: 0, pending: -1 }))
  }

  packet(block: number): Buffer {
    const start = this.#starts[block % this.#starts.length] as NetasciiPosition
    const packet = Buffer.allocUnsafe(DATA_HEADER + this.#blksize)
    writeDataHeader(packet, 0, block)
    let { used, pending } = start
    let at = DATA_HEADER
    for (;;) {
      const input = this.#inputAt(used)
      const position = { used: 0, pending }
      at = convertNetascii(input, position, packet, at, packet.length)
      used += position.used
      pending = position.pending
      if (at === packet.length || input.length === 0) break
    }
    const next = this.#starts[(block + 1) % this.#starts.length] as NetasciiPosition
    next.used = used
    next.pending = pending
    if (at === packet.length) return packet
    this.lastBlock = block
    this.sizeBytes = (block - 1) * this.#blksize + at - DATA_HEADER
    return packet.subarray(0, at)
  }

  close(): void {
    this.#cache.release(this.#file)
  }

  /** Bytes of the file from `position` on, as many as are at hand; empty at its end. */
  #inputAt(position: number): Buffer {
    const end = this.#bufferStart + this.#buffer.length
    if (position >= this.#bufferStart && position < end) return this.#buffer.subarray(position - this.#bufferStart)
    const length = Math.min(READ_BYTES, this.#file.sizeBytes - position)
    if (length <= 0) return Buffer.alloc(0)
    const buffer = this.#buffer.length === length ? this.#buffer : Buffer.allocUnsafe(length)
    const read = this.#file.read([buffer], position)
    if (read <= 0) throw new Error('the file became shorter while it was being sent')
    this.#buffer = buffer.subarray(0, read)
    this.#bufferStart = position
    return this.#buffer
  }
}
