/**
 * Writes a file that is whole or not there: temporary file beside it, sync, rename, sync of the folder. An interrupted or
 * failed one leaves nothing behind and an older file of that name untouched. Source: CONTRACT "Command line" (`backup`).
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'

/** A backup holds hashes of tokens. */
const privateMode = 0o600

/** Bytes written. Refuses (`refused`) with the path and the reason what cannot be written. */
export async function saveFile(path: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
  const name = basename(path)
  if (name === '' || name === '.' || name === '..' || isFolder(path)) {
    throw new Refusal('refused', `cannot write ${quote(path)}: it is a folder; name a file in it`)
  }
  const temporary = join(dirname(path), `.${name.slice(0, 200)}.${process.pid}.tmp`)
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
      closeSync(file)
    }
    attempt(path, () => renameSync(temporary, path))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  attempt(path, () => syncFolder(dirname(path)))
  return written
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function attempt<T>(path: string, step: () => T): T {
  try {
    return step()
  } catch (error) {
    throw new Refusal('refused', `cannot write ${quote(path)}: ${fileFault(error)}`, { cause: error })
  }
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
  ERR_INVALID_ARG_VALUE: 'it is no path',
}

/** What the system says about a file, in words. */
export function fileFault(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return faultWords[code] ?? (code || String(error))
}
