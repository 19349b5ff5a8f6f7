/**
 * The short way of a small log into the results folder, for most uploads: a file `incoming/<id>.<random>.log`, whose second
 * name is `<id>.log`. No folder, no plan: five calls where an upload with several files takes eleven.
 *
 * The first name goes when the record is on disk (or never will be); start-up finds those that a crash left, and takes
 * the second name away where there is no record. A second name can only be given where nothing has it, so this never
 * replaces anything. Source: link(2); "What is answered is on disk" in `result-files.ts`.
 */
import { close, fdatasync, link, open, unlink, write } from 'node:fs'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fileMode, folderMode, isMissing } from './durable-files.ts'
import { uniqueTag } from './unique-tag.ts'

/** A log of at most so many bytes is held in memory until it is whole. */
export const smallLogMax = 32 * 1024

// The plain functions: a `FileHandle` costs as much again as the call.
const openFd = promisify(open)
const closeFd = promisify(close)
const syncFd = promisify(fdatasync)
const linkFile = promisify(link)
const unlinkFile = promisify(unlink)
const pattern = /^(\d+)\.[0-9a-f]{12}\.log$/

export interface SmallLog {
  /** Takes the first name away. Never rejects: what stays is met at the next start. */
  settle(): Promise<void>
  /** Takes both names away. */
  undo(): Promise<void>
}

/** Run of a file in `incoming` that was left behind; undefined: it is none of these. */
export function runOfSmallLog(name: string): number | undefined {
  const run = pattern.exec(name)?.[1]
  return run === undefined ? undefined : Number(run)
}

/**
 * The log of a run, on disk under its name when it resolves. undefined: that name is taken, or the file system has no
 * second names; nothing has changed then. Where it rejects, nothing is left.
 */
export async function keepSmallLog(
  dir: string,
  incoming: string,
  run: number,
  bytes: Uint8Array,
  syncFolder: () => Promise<void>,
): Promise<SmallLog | undefined> {
  const temporary = `${incoming}/${run}.${uniqueTag()}.log`
  const path = `${dir}/${run}.log`
  const fd = await openNew(temporary, incoming)
  let isLinked = false
  const undo = async (): Promise<void> => {
    // The name that counts goes first, as long as the other one still tells of it.
    if (isLinked) await rm(path, { force: true })
    await rm(temporary, { force: true })
  }
  try {
    await writeWhole(fd, bytes)
    isLinked = await linkFile(temporary, path).then(
      () => true,
      () => false,
    )
    // Bytes and name at once: neither counts before the record, which comes after both.
    if (isLinked) await both(syncFd(fd), syncFolder())
  } catch (error) {
    await undo().catch(() => undefined)
    throw error
  } finally {
    closeFd(fd).catch(() => undefined)
  }
  if (!isLinked) {
    await undo()
    return undefined
  }
  return {
    settle: () => unlinkFile(temporary).catch(() => undefined),
    undo,
  }
}

/**
 * At start: settles a file that a crash left in `incoming`; whether its upload was taken back. Only a log that is this very
 * file goes: another upload may have got the name.
 */
export async function recoverSmallLog(
  dir: string,
  temporary: string,
  run: number,
  isUploaded: boolean,
): Promise<boolean> {
  if (!isUploaded) {
    const path = join(dir, `${run}.log`)
    const [own, other] = await Promise.all([stat(temporary), stat(path).catch(() => undefined)])
    if (other && own.ino === other.ino && own.dev === other.dev) await rm(path, { force: true })
  }
  await rm(temporary, { force: true })
  return !isUploaded
}

/** The folder `incoming` is there but for the first time. */
async function openNew(path: string, folder: string): Promise<number> {
  try {
    return await openFd(path, 'wx', fileMode)
  } catch (error) {
    if (!isMissing(error)) throw error
    await mkdir(folder, { recursive: true, mode: folderMode })
    return openFd(path, 'wx', fileMode)
  }
}

/** `write` may write less than asked. */
async function writeWhole(fd: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += await new Promise<number>((resolve, reject) => {
      write(fd, bytes, at, bytes.length - at, at, (error, written) => (error ? reject(error) : resolve(written)))
    })
  }
}

/** Waits for both even where one fails: what comes after must not meet the other under way. */
async function both(one: Promise<void>, other: Promise<void>): Promise<void> {
  for (const result of await Promise.allSettled([one, other])) if (result.status === 'rejected') throw result.reason
}
