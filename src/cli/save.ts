/**
 * Writes what a command saves: a file that is whole or not there (temporary file beside it, sync, rename, sync of the
 * folder). An interrupted or failed one leaves nothing behind and an older file of that name untouched.
 *
 * A symbolic link stays: the file it leads to is replaced. What is no regular file (device, FIFO) is written into and never
 * replaced, and `-` is stdout. Source: CONTRACT "Command line" (`backup`), symlink(7), fifo(7).
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import type { Io } from './io.ts'

/** A backup holds hashes of tokens. */
const privateMode = 0o600
/** Links that lead to links, as many as the kernel follows. */
const linksMax = 40
/** How often a FIFO that nobody reads yet, or that is full, is tried again. */
const fullPipeMs = 20
const stdoutDescriptor = 1

/** Whether saving to `path` writes stdout, which then has room for nothing else. */
export function isStandardOutput(path: string): boolean {
  if (path === '-') return true
  if (!path.startsWith('/dev/')) return false
  try {
    const named = statSync(path)
    const stdout = fstatSync(stdoutDescriptor)
    return named.dev === stdout.dev && named.ino === stdout.ino
  } catch {
    return false // not there or closed: writing it says why
  }
}

/** Bytes written. Refuses (`refused`) with the path and the reason what cannot be written. */
export async function saveFile(
  path: string,
  pieces: AsyncIterable<Uint8Array>,
  io: Pick<Io, 'stdout' | 'interrupted'>,
): Promise<number> {
  if (isStandardOutput(path)) return await writeStandardOutput(pieces, io)
  const found = attempt(path, () => statSync(path, { throwIfNoEntry: false }))
  if (['', '.', '..'].includes(basename(path)) || path.endsWith('/') || found?.isDirectory()) {
    throw new Refusal('refused', `cannot write ${quote(path)}: it is a folder; name a file in it`)
  }
  if (found !== undefined && !found.isFile()) return await writeInto(path, found, pieces, io.interrupted)
  return await replaceFile(
    path,
    found === undefined ? followLinks(path) : attempt(path, () => realpathSync(path)),
    pieces,
  )
}

/** Refuses a new file in a folder that takes none: before what is to be saved there is waited for. */
export function refuseUnwritable(path: string): void {
  // With `/.` what is no folder is refused, too.
  if (path !== '-' && !existsSync(path))
    attempt(path, () => accessSync(`${dirname(followLinks(path))}/.`, constants.W_OK))
}

/** Where a new file comes to be: the end of links that lead to nothing yet. */
function followLinks(path: string): string {
  let at = path
  for (let count = 0; count <= linksMax; count++) {
    const link = attempt(path, () => lstatSync(at, { throwIfNoEntry: false }))
    if (!link?.isSymbolicLink()) return at
    at = attempt(path, () => resolve(realpathSync(dirname(at)), readlinkSync(at)))
  }
  throw new Refusal('refused', `cannot write ${quote(path)}: ${faultWords['ELOOP']}`)
}

/** `path` is what was typed, `target` the file itself. */
async function replaceFile(path: string, target: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
  const temporary = join(dirname(target), `.${basename(target).slice(0, 200)}.${process.pid}.tmp`)
  let written = 0
  const file = attempt(path, () => openSync(temporary, 'wx', privateMode))
  try {
    try {
      for await (const piece of pieces) {
        for (let at = 0; at < piece.length; ) at += attempt(path, () => writeSync(file, piece, at))
        written += piece.length
      }
      attempt(path, () => fsyncSync(file))
    } finally {
      attempt(path, () => closeSync(file))
    }
    attempt(path, () => renameSync(temporary, target))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  attempt(path, () => syncFolder(dirname(target)))
  return written
}

async function writeStandardOutput(pieces: AsyncIterable<Uint8Array>, io: Pick<Io, 'stdout'>): Promise<number> {
  let written = 0
  for await (const piece of pieces) {
    const read = attempt('standard output', () => io.stdout.write(piece), String)
    // Elsewhere a reader that has seen enough is no fault; half of a backup is none.
    if (!read) throw new Refusal('refused', `cannot write standard output: ${faultWords['EPIPE']}`)
    written += piece.length
  }
  return written
}

/** Never blocks in the kernel, so that an interrupt is heard while a FIFO waits for its reader. */
async function writeInto(
  path: string,
  found: Stats,
  pieces: AsyncIterable<Uint8Array>,
  interrupted: AbortSignal,
): Promise<number> {
  if (found.isSocket()) throw new Refusal('refused', `cannot write ${quote(path)}: it is a socket`)
  const again = found.isFIFO() ? ['ENXIO', 'EAGAIN'] : ['EAGAIN']
  const untilReady = async <T>(step: () => T): Promise<T> => {
    for (;;) {
      try {
        return step()
      } catch (error) {
        if (!again.includes(codeOf(error))) throw unwritable(quote(path), error)
      }
      await sleep(fullPipeMs, undefined, { signal: interrupted })
    }
  }
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY
  const file = await untilReady(() => openSync(path, flags))
  let written = 0
  try {
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; ) at += await untilReady(() => writeSync(file, piece, at))
      written += piece.length
    }
  } finally {
    attempt(path, () => closeSync(file))
  }
  return written
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** `name` says how the message speaks of `path`. */
function attempt<T>(path: string, step: () => T, name: (path: string) => string = quote): T {
  try {
    return step()
  } catch (error) {
    throw unwritable(name(path), error)
  }
}

function unwritable(name: string, error: unknown): Refusal {
  return new Refusal('refused', `cannot write ${name}: ${fileFault(error)}`, { cause: error })
}

const faultWords: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
  ENOSPC: 'no space left on the disk',
  EROFS: 'the disk is read-only',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'links lead in a circle',
  EPIPE: 'nobody reads it any more',
  ENXIO: 'there is no such device',
  ERR_INVALID_ARG_VALUE: 'it is no path',
}

/** What the system says about a file, in words. */
export function fileFault(error: unknown): string {
  const code = codeOf(error)
  return faultWords[code] ?? (code || String(error))
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
