/**
 * The lock on a data directory: one process at a time, released by the kernel however that process ends.
 *
 * An exclusive SQLite transaction on `<data-dir>/lock`, held open, which is a POSIX lock on that file: nothing else in
 * this process may open it, the kernel drops the lock at the first close. Where the file system is read-only there is no
 * lock, and nothing to protect either. Source: DEPENDENCIES "lock on the data directory", sqlite.org/lockingv3.html.
 */
import { chmodSync, existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { Refusal } from '../domain/errors.ts'
import { reasonOf } from './disk.ts'

export interface Lock {
  /** false: the file system is read-only. */
  readonly held: boolean
  /** Whether the directory had a record once: a journal that is gone or empty is then a loss, not a beginning. */
  readonly begun: boolean
  /** There is a record now. Where it cannot be written, it is at the next start. */
  begin(): void
  release(): void
}

/** SQLITE_BUSY, SQLITE_READONLY, SQLITE_CANTOPEN (sqlite.org/rescode.html), without their extensions. */
const busy = 5
const readOnly = 8
const cannotOpen = 14
/** The file's `user_version` once the directory had a record. */
const begunVersion = 1

/** Takes the lock or refuses at once (`refused`: another process has it). */
export function takeLock(path: string, dir: string): Lock {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path, { timeout: 0 })
    if (existsSync(path)) chmodSync(path, 0o600)
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database?.close()
    const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
    if (code === busy) {
      const message = `the data directory ${dir} is in use by another pxemngr: stop that one, or choose another --data-dir`
      throw new Refusal('refused', message, { cause: error })
    }
    const errno = error instanceof Error && 'code' in error ? error.code : ''
    if (code === readOnly || errno === 'EROFS' || (code === cannotOpen && isReadOnly(dir))) {
      return { held: false, begun: false, begin: () => {}, release: () => {} }
    }
    throw new Refusal('refused', `the data directory ${dir} cannot be locked: ${reasonOf(error)}`, { cause: error })
  }
  const held = database
  let begun = held.prepare('PRAGMA user_version').get()?.['user_version'] === begunVersion
  return {
    held: true,
    get begun() {
      return begun
    },
    begin() {
      if (begun) return
      begun = true
      try {
        // In this mode the lock outlives the transaction.
        held.exec(`PRAGMA user_version = ${begunVersion}; COMMIT; BEGIN EXCLUSIVE`)
      } catch {
        if (!held.isTransaction) held.exec('BEGIN EXCLUSIVE')
      }
    },
    release: () => held.close(),
  }
}

function isReadOnly(dir: string): boolean {
  try {
    chmodSync(dir, 0o700)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EROFS'
  }
}
