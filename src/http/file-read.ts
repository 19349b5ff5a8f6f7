/**
 * Files of the TFTP root read without ever stopping the main loop: opened as the jail of TFTP opens them, sent in large
 * chunks with back-pressure.
 *
 * All of it goes through libuv's pool, which the journal needs too: at most so many calls at once, whoever asks, so that
 * a dead mount under the TFTP root takes those and no more. Source: DESIGN "Speed" (pool, HTTP files).
 */
import { close, fstat, open, read, readlink } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import {
  describeFile,
  explain,
  handlePath,
  liesBelow,
  type NotOpened,
  O_PATH,
  type OpenedFile,
  readFlags,
  refuseFile,
  refuseName,
} from '../tftp/jail.ts'
import { type HotFile, HotFiles, hotChunkBytes, type ReadPart } from './hot-files.ts'

const openFd = promisify(open)
const closeFd = promisify(close)
const statFd = promisify(fstat)
const readLink = promisify(readlink)
const readFd = promisify(read)

/** Of the 16 threads of the pool. */
const downloadCallsMax = 8
/** Who waits for a call longer than a machine would is told so at once instead. */
const waitingMax = 2048

/** Chunks by the number of transfers under way: large is fast, and two a transfer must fit in memory. */
const chunkSizes = [
  { transfersMax: 16, bytes: 1024 * 1024 },
  { transfersMax: 128, bytes: 256 * 1024 },
  { transfersMax: Number.POSITIVE_INFINITY, bytes: 64 * 1024 },
] as const

export class TooManyReads extends Error {}

export interface FileReader {
  /** As `openInside` of the jail, without blocking. Rejects with `TooManyReads`. */
  openInside(root: string, linkTargets: readonly string[], path: string): Promise<OpenedFile | NotOpened>
  close(fd: number): Promise<void>
  /** Bytes `start` to before `end`, in chunks; fails if the file has become shorter. */
  chunks(fd: number, start: number, end: number): AsyncGenerator<Uint8Array<ArrayBuffer>>
  /**
   * As `chunks`, into a response whose header is out; ends it, or cuts it where the file has become shorter. A file that is
   * fetched again and again is sent from memory. `onSent`: how many bytes the kernel has taken so far, told for each chunk.
   */
  send(
    file: OpenedFile,
    start: number,
    end: number,
    outgoing: ServerResponse,
    onSent?: (bytes: number) => void,
  ): Promise<void>
}

/** `callsMax`: calls at once. */
export function createFileReader(callsMax = downloadCallsMax): FileReader {
  const waiting: (() => void)[] = []
  let calls = 0
  let transfers = 0
  const hotFiles = new HotFiles()

  async function limited<R>(call: () => Promise<R>): Promise<R> {
    if (calls >= callsMax) {
      if (waiting.length >= waitingMax) throw new TooManyReads('too many files are being read')
      await new Promise<void>((resolve) => waiting.push(resolve))
    } else calls += 1
    try {
      return await call()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else calls -= 1
    }
  }

  /** Reads exactly what is asked, or fails. */
  async function fill(fd: number, buffer: Uint8Array, at: number): Promise<void> {
    for (let done = 0; done < buffer.length; ) {
      const { bytesRead } = await limited(() => readFd(fd, buffer, done, buffer.length - done, at + done))
      if (bytesRead === 0) throw new Error('the file has become shorter while it was sent')
      done += bytesRead
    }
  }

  const chunkBytes = () => chunkSizes.find(({ transfersMax }) => transfers <= transfersMax)?.bytes ?? 64 * 1024

  return {
    openInside: (root, linkTargets, path) => limited(() => openInside(root, linkTargets, path)),
    close: (fd) => closeFd(fd),
    async *chunks(fd, start, end) {
      for (let at = start; at < end; ) {
        const buffer = new Uint8Array(Math.min(chunkBytes(), end - at))
        await fill(fd, buffer, at)
        at += buffer.length
        yield buffer
      }
    },
    async send(file, start, end, outgoing, onSent) {
      transfers += 1
      const write = writerOf(outgoing)
      const { hot, end: letGo } = hotFiles.use(file)
      const next = hot ? keptChunks(hot, file.fd, end) : freshChunks(file.fd, start, end)
      try {
        let written: Promise<void> = Promise.resolve()
        for (let at = start; at < end && !outgoing.destroyed; ) {
          const chunk = await next(at)
          await written
          if (!outgoing.destroyed) onSent?.(at - start)
          at += chunk.length
          written = write(chunk)
        }
        await written
        if (outgoing.destroyed) return
        onSent?.(end - start)
        outgoing.end()
      } catch (error) {
        // A short answer must not look whole.
        outgoing.destroy()
        throw error
      } finally {
        letGo()
        transfers -= 1
      }
    },
  }

  /** Chunks that are read for one download; one is filled while the kernel takes the other. */
  function freshChunks(fd: number, start: number, end: number): NextChunk {
    const size = Math.min(chunkBytes(), end - start)
    const buffers = [Buffer.allocUnsafeSlow(size), end - start > size ? Buffer.allocUnsafeSlow(size) : undefined]
    let turn = 0
    return async (at) => {
      const chunk = (buffers[turn++ % 2] ?? Buffer.allocUnsafeSlow(size)).subarray(0, Math.min(size, end - at))
      await fill(fd, chunk, at)
      return chunk
    }
  }

  /** Chunks of a file in memory, read where they are not there yet. */
  function keptChunks(hot: HotFile, fd: number, end: number): NextChunk {
    const read: ReadPart = async (at, length) => {
      const chunk = Buffer.allocUnsafeSlow(length)
      await fill(fd, chunk, at)
      return chunk
    }
    return async (at) => {
      const chunk = await hot.chunk(at, read)
      const from = at % hotChunkBytes
      return chunk.subarray(from, Math.min(chunk.length, from + end - at))
    }
  }
}

/** The bytes from `at` on, at least one; not changed until the next but one is asked for. */
type NextChunk = (at: number) => Promise<Buffer>

/**
 * Writes chunk by chunk: resolves a turn of the event loop after the kernel has it all; also when the connection broke, which
 * `destroyed` then says. Without that turn a client that takes everything at once would have a file from memory whole, and
 * all others wait. One listener and no `Promise.race` for each chunk: that would keep something of every chunk until the end,
 * 5 MB for a download of a gigabyte.
 */
function writerOf(outgoing: ServerResponse): (chunk: Uint8Array) => Promise<void> {
  let over = (): void => {}
  outgoing.once('close', () => over())
  return (chunk) =>
    new Promise((resolve) => {
      if (outgoing.destroyed) return resolve()
      over = resolve
      outgoing.write(chunk, () => setImmediate(resolve))
    })
}

/** The steps of the jail, each off the main loop. */
async function openInside(root: string, linkTargets: readonly string[], path: string): Promise<OpenedFile | NotOpened> {
  const unclean = refuseName(path)
  if (unclean) return unclean
  let handle: number | undefined
  try {
    handle = await openFd(`${root}/${path}`, O_PATH)
    const stat = await statFd(handle, { bigint: true })
    const real = await readLink(handlePath(handle))
    const refused = refuseFile(stat, await isInside(real, [root, ...linkTargets]))
    return refused ?? describeFile(await openFd(handlePath(handle), readFlags), stat)
  } catch (error) {
    return explain(error as NodeJS.ErrnoException)
  } finally {
    if (handle !== undefined) await closeFd(handle)
  }
}

async function isInside(real: string, folders: readonly string[]): Promise<boolean> {
  for (const folder of folders) {
    let handle: number | undefined
    try {
      handle = await openFd(folder, O_PATH)
      if (liesBelow(real, await readLink(handlePath(handle)))) return true
    } catch {
      // A folder that is not there holds nothing.
    } finally {
      if (handle !== undefined) await closeFd(handle)
    }
  }
  return false
}
