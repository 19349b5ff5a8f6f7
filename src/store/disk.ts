/**
 * The file operations that durability rests on, as an interface, so that a test can make any of them fail.
 *
 * `realDisk` is the operating system. Nothing here retries or hides an error; a short `write` is returned as it is.
 * Reading needs no such door: what is read is checked line by line. Source: DESIGN "Failed writes".
 */
import { type BigIntStats, close, fdatasync, fstat, ftruncate, open, stat, write } from 'node:fs'
import { open as openHandle, rename, rm, statfs } from 'node:fs/promises'
import { promisify } from 'node:util'

export interface OpenFile {
  /** Writes at byte offset `at`; resolves with the count written, which may be less than asked. */
  write(bytes: Uint8Array, at: number): Promise<number>
  /** fdatasync(2). */
  sync(): Promise<void>
  truncate(sizeBytes: number): Promise<void>
  /** Whether `path` still leads to this very file (device and inode): one that lost its name takes writes like any other. */
  isAt(path: string): Promise<boolean>
  /** Where this process's own handle shows its bytes, name or no name: `/proc/<pid>/fd/<n>`. */
  readonly handle: string
  close(): Promise<void>
}

export interface Disk {
  /** `create`: new and empty, an old file of that name is emptied. Mode 0600 whatever the umask. */
  open(path: string, how: 'create' | 'existing'): Promise<OpenFile>
  /** Makes names in the folder last (fsync of the folder). */
  syncFolder(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Removes a file; none there is no error. */
  remove(path: string): Promise<void>
  /** Bytes that an ordinary user may still write on the file system of `path`. */
  freeBytes(path: string): Promise<number>
}

const openFd = promisify(open)
const closeFd = promisify(close)
const sync = promisify(fdatasync)
const truncate = promisify(ftruncate)
const statFd = promisify(fstat)
const statPath = promisify(stat)

/** State may hold secrets (token hashes): nobody else reads it. */
const privateMode = 0o600

export const realDisk: Disk = {
  async open(path, how) {
    const fd = await openFd(path, how === 'create' ? 'w' : 'r+', privateMode)
    let self: BigIntStats | undefined
    return {
      handle: `/proc/${process.pid}/fd/${fd}`,
      write: (bytes, at) =>
        new Promise((resolve, reject) => {
          write(fd, bytes, 0, bytes.length, at, (error, written) => (error ? reject(error) : resolve(written)))
        }),
      sync: () => sync(fd),
      truncate: (sizeBytes) => truncate(fd, sizeBytes),
      async isAt(name) {
        self ??= await statFd(fd, { bigint: true })
        const found = await statIfThere(name)
        return found !== undefined && found.ino === self.ino && found.dev === self.dev
      },
      close: () => closeFd(fd),
    }
  },
  async syncFolder(path) {
    const folder = await openHandle(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  },
  rename,
  remove: (path) => rm(path, { force: true }),
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  },
}

async function statIfThere(path: string): Promise<BigIntStats | undefined> {
  try {
    return await statPath(path, { bigint: true })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/** Writes all of `bytes`, or rejects: a short count is taken as no space left. */
export async function writeAll(file: OpenFile, bytes: Uint8Array, at: number): Promise<void> {
  const written = await file.write(bytes, at)
  if (written !== bytes.length) throw new ShortWrite(written, bytes.length)
}

/** Replaces `path` so that it has either its old or its new content, whatever happens: STYLE "Durability". */
export async function replaceFile(
  disk: Disk,
  folder: string,
  path: string,
  chunks: readonly Uint8Array[],
): Promise<void> {
  const temporary = `${path}.tmp`
  const file = await disk.open(temporary, 'create')
  try {
    let at = 0
    for (const chunk of chunks) {
      await writeAll(file, chunk, at)
      at += chunk.length
    }
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.rename(temporary, path)
  await disk.syncFolder(folder)
}

/** `write` wrote less than asked: on a full disk this comes without an error. */
class ShortWrite extends Error {
  readonly code = 'ENOSPC'
  constructor(written: number, asked: number) {
    super(`no space left on device (${written} of ${asked} bytes written)`)
  }
}

/** Whether an error means that there is no space (left for us). */
export function isDiskFull(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOSPC' || code === 'EDQUOT'
}

/** The reason in the system's words, without a stack. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The same for people: of the system's errors the words alone, without code, call and path. */
export function systemWords(error: unknown): string {
  const [, words] = /^E[A-Z0-9]+: ([^,]+), /.exec(reasonOf(error)) ?? []
  return words ?? reasonOf(error)
}
