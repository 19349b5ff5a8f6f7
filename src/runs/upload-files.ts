/**
 * The files of one upload while it comes: written where they lie, or held in memory as long as there is nothing but a small
 * log. How they get their names is `incoming.ts`.
 */
import { open } from 'node:fs/promises'
import { fileMode, writeAll } from './durable-files.ts'
import { smallLogMax } from './small-log.ts'

/** One file of an upload: nothing of it counts before `keep`. */
export interface IncomingFile {
  write(chunk: Uint8Array): Promise<void> | void
  readonly sizeBytes: number
  /** It is whole: on disk, no longer open. */
  finish(): Promise<void>
}

export interface OpenFile extends IncomingFile {
  restart(): Promise<void>
  close(): Promise<void>
}

/** A new file; nothing may have its name. */
export async function openWrite(file: string): Promise<OpenFile> {
  const handle = await open(file, 'wx', fileMode)
  let sizeBytes = 0
  let isOpen = true
  const close = async (): Promise<void> => {
    if (!isOpen) return
    isOpen = false
    await handle.close()
  }
  return {
    get sizeBytes() {
      return sizeBytes
    },
    async write(chunk) {
      await writeAll(handle, chunk, sizeBytes)
      sizeBytes += chunk.length
    },
    async restart() {
      await handle.truncate(0)
      sizeBytes = 0
    },
    async finish() {
      if (!isOpen) return
      await handle.datasync()
      await close()
    },
    close,
  }
}

export interface HeldLog extends IncomingFile {
  readonly isFile: boolean
  /** What came so far, of a log that is no file. */
  held(): Uint8Array
  /** Goes on as this file, which gets what came so far. */
  become(file: OpenFile): Promise<void>
  restart(): Promise<void>
}

/** A log that is held in memory as long as it is small; `unfold` makes it a file. */
export function heldLog(unfold: () => Promise<void>): HeldLog {
  let pieces: Uint8Array[] = []
  let sizeBytes = 0
  let file: OpenFile | undefined
  const held = (): Uint8Array => (pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces))
  return {
    get isFile() {
      return file !== undefined
    },
    get sizeBytes() {
      return file?.sizeBytes ?? sizeBytes
    },
    held,
    write(chunk) {
      if (file) return file.write(chunk)
      // A copy: what came is a part of larger memory.
      pieces.push(Buffer.from(chunk))
      sizeBytes += chunk.length
      return sizeBytes > smallLogMax ? unfold() : undefined
    },
    async become(made) {
      await made.write(held())
      file = made
      pieces = []
    },
    async restart() {
      await file?.restart()
      pieces = []
      sizeBytes = 0
    },
    finish: async () => file?.finish(),
  }
}
