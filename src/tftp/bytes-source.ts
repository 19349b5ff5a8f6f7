/**
 * A computed answer as the source of a transfer: all bytes are at hand, packets are made when they are asked for.
 *
 * For whole files there is `file-source.ts`, which reads as it goes.
 */
import { formatData } from './packet.ts'
import type { Source } from './transfer.ts'

export class BytesSource implements Source {
  readonly sizeBytes: number
  readonly lastBlock: number
  readonly #bytes: Uint8Array
  readonly #blksize: number

  /** `bytes` as they are sent (netascii is converted before) and not changed any more. */
  constructor(bytes: Uint8Array, blksize: number) {
    this.#bytes = bytes
    this.#blksize = blksize
    this.sizeBytes = bytes.length
    // A file that fills its last block is followed by an empty one (RFC 1350 §6).
    this.lastBlock = Math.floor(bytes.length / blksize) + 1
  }

  packet(block: number): Buffer {
    if (this.lastBlock === 1) return loneBlock(this.#bytes)
    const start = (block - 1) * this.#blksize
    return formatData(block, this.#bytes.subarray(start, start + this.#blksize))
  }

  close(): void {}
}

/** The latest answers of one block: all machines of a profile get the very same bytes, and so may get the same packet. */
const recent: { readonly bytes: Uint8Array; readonly packet: Buffer }[] = []
const recentMax = 8
let oldest = 0

function loneBlock(bytes: Uint8Array): Buffer {
  for (const known of recent) if (known.bytes === bytes) return known.packet
  const packet = formatData(1, bytes)
  recent[oldest] = { bytes, packet }
  oldest = (oldest + 1) % recentMax
  return packet
}
