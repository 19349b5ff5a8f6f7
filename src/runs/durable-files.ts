/**
 * Files of the results folder as they are written so that they outlive a power cut: modes, whole writes, syncs of files and
 * folders. Not here: which files there are (`result-files.ts`), how an upload gets its name (`incoming.ts`).
 */
import { fsync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open, stat, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'

export const fileMode = 0o640
export const folderMode = 0o750

/** `write` may write less than asked. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten
  }
}

export async function writeSynced(file: string, text: string): Promise<void> {
  await writeFile(file, text, { mode: fileMode, flush: true })
}

/** Size in bytes; undefined if there is no such file or folder. */
export async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** The names in a folder are on disk when it resolves. */
export async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const fsyncFd = promisify(fsync)
/** A folder that is synced again and again is kept open so long. */
const openForMs = 1000

/** A folder's sync that those who ask meanwhile share: the one that begins after they asked. */
export function groupSync(dir: string): () => Promise<void> {
  const syncKept = keptOpen(dir)
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  const start = (): Promise<void> => {
    const begun = syncKept().finally(() => {
      if (running === begun) running = undefined
    })
    running = begun
    return begun
  }
  return () => {
    if (!running) return start()
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined
        return start()
      })
    return next
  }
}

/** Syncs a folder, one call at a time; it is opened for the first of many, and closed when none has come for a while. */
function keptOpen(dir: string): () => Promise<void> {
  let handle: FileHandle | undefined
  let timer: NodeJS.Timeout | undefined
  const shut = (): void => {
    const left = handle
    handle = undefined
    clearTimeout(timer)
    left?.close().catch(() => undefined)
  }
  return async () => {
    clearTimeout(timer)
    handle ??= await open(dir, 'r')
    try {
      await fsyncFd(handle.fd)
    } catch (error) {
      // Whatever it was: the next one looks for the folder anew.
      shut()
      throw error
    }
    timer = setTimeout(shut, openForMs).unref()
  }
}
