/**
 * Boot files that are fetched again and again, kept in memory while they are: a class of machines boots the same kernel at
 * once, and reading it anew for each of them is a copy and a trip to the thread pool for every chunk, more than half of
 * what a download costs.
 *
 * A file is kept from its second download on, whole or not at all, chunk by chunk as downloads come to need it. What is kept
 * is bounded, and given back soon after the last download. What a file is goes by its identity (`jail.ts`): changed, it is
 * another one. It reads nothing itself (`file-read.ts`).
 */
import { totalmem } from 'node:os'
import type { OpenedFile } from '../tftp/jail.ts'

/** A kernel with its initrd, or the initrds of two classes of machines. */
const bytesMax = 96 * 1024 * 1024
/** Of the memory that we may use, where that is less. */
const memoryPart = 1 / 16
/** Remembered and kept so long after its last download. */
const idleMs = 10_000
/** Names of files fetched lately are remembered up to here. */
const filesMax = 256
/** A file changed just now may change again within the same time stamp. */
const settledMs = 2000

export const hotChunkBytes: number = 1024 * 1024

/** Reads a part of the file that a download has open: `at`, `length` in bytes. */
export type ReadPart = (at: number, length: number) => Promise<Buffer>

/** A file while downloads of it run, and a little longer. */
export class HotFile {
  readonly sizeBytes: number
  readonly #chunks = new Map<number, Buffer | Promise<Buffer>>()
  /** Downloads under way. */
  users = 0
  /** Whether chunks are kept; its whole size is then counted. */
  kept = false
  /** End of the last download, ms of `performance.now`. */
  usedMs = 0

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes
  }

  /** The chunk that holds the byte `at`, and goes on to its end: never written to. Rejects as `read` does. */
  chunk(at: number, read: ReadPart): Buffer | Promise<Buffer> {
    const index = Math.floor(at / hotChunkBytes)
    const known = this.#chunks.get(index)
    if (known) return known
    const start = index * hotChunkBytes
    // Whoever needs it meanwhile waits for the same read.
    const reading = read(start, Math.min(hotChunkBytes, this.sizeBytes - start)).then(
      (chunk) => {
        this.#chunks.set(index, chunk)
        return chunk
      },
      (error: unknown) => {
        this.#chunks.delete(index)
        throw error
      },
    )
    this.#chunks.set(index, reading)
    return reading
  }

  /** Gives the memory back now, not when the garbage collector comes by: nobody uses it. */
  drop(): void {
    for (const chunk of this.#chunks.values()) {
      if (Buffer.isBuffer(chunk) && chunk.buffer instanceof ArrayBuffer) chunk.buffer.transfer(0)
    }
    this.#chunks.clear()
    this.kept = false
  }
}

export class HotFiles {
  /** By identity, in the order of the last download's begin. */
  readonly #files = new Map<string, HotFile>()
  readonly #keptMax: number
  #keptBytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor(keptMax: number = keptBytesMax()) {
    this.#keptMax = keptMax
  }

  /** Bytes counted for files that are kept. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /**
   * A download begins: the file if it is kept in memory, undefined if it is to be read as it is sent. To be ended by the
   * function returned, when nothing that was taken from the file is used any more.
   */
  use({ identity, sizeBytes, modifiedMs }: Omit<OpenedFile, 'fd'>): { hot: HotFile | undefined; end: () => void } {
    if (sizeBytes > this.#keptMax || Date.now() - modifiedMs < settledMs) return notKept
    const known = this.#files.get(identity)
    if (!known && this.#files.size >= filesMax && !this.#forgetOne()) return notKept
    const file = known ?? new HotFile(sizeBytes)
    this.#files.delete(identity)
    this.#files.set(identity, file)
    file.users += 1
    if (known && !known.kept && this.#makeRoom(sizeBytes)) {
      known.kept = true
      this.#keptBytes += sizeBytes
    }
    return { hot: file.kept ? file : undefined, end: () => this.#ended(file) }
  }

  #ended(file: HotFile): void {
    file.users -= 1
    file.usedMs = performance.now()
    this.#timer ??= setTimeout(this.#forget, idleMs).unref()
  }

  /** Whether so much more may be kept, once those that nobody fetches now have gone, oldest first. */
  #makeRoom(bytes: number): boolean {
    for (const [identity, file] of this.#files) {
      if (this.#keptBytes + bytes <= this.#keptMax) break
      if (file.users === 0 && file.kept) this.#drop(identity, file)
    }
    return this.#keptBytes + bytes <= this.#keptMax
  }

  /** Forgets the name that was used longest ago, of those that are nothing but names now. */
  #forgetOne(): boolean {
    for (const [identity, file] of this.#files) {
      if (file.users === 0 && !file.kept) return this.#files.delete(identity)
    }
    return false
  }

  readonly #forget = (): void => {
    this.#timer = undefined
    const before = performance.now() - idleMs
    for (const [identity, file] of this.#files) {
      if (file.users === 0 && file.usedMs <= before) this.#drop(identity, file)
    }
    if (this.#files.size > 0) this.#timer = setTimeout(this.#forget, idleMs).unref()
  }

  #drop(identity: string, file: HotFile): void {
    this.#files.delete(identity)
    if (file.kept) this.#keptBytes -= file.sizeBytes
    file.drop()
  }
}

const notKept: { hot: HotFile | undefined; end: () => void } = { hot: undefined, end: () => {} }

/** How much may be kept on this machine, or in this container. */
function keptBytesMax(): number {
  const allowed = process.constrainedMemory()
  const memory = allowed > 0 ? Math.min(allowed, totalmem()) : totalmem()
  return Math.min(bytesMax, Math.floor(memory * memoryPart))
}
