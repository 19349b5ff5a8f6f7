/**
 * When a snapshot is made, how it takes its place, and which segments go to the archive.
 *
 * The change-over is a list of steps that start-up repeats where one was cut short: the child writes and syncs
 * `snapshot.next.sqlite`; its checksum becomes a record; then `snapshot.sqlite` becomes `snapshot.before.sqlite` and the
 * new one `snapshot.sqlite` (`settleSnapshots`); then segments behind the *older* of the two are archived, a rename that
 * nothing relies on. Two snapshots and all segments after the older one always stay. Source: DESIGN "State" (snapshot).
 */
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { startProcess } from '../assets.ts'
import type { Actor } from '../domain/event.ts'
import type { Log } from '../log.ts'
import { type Disk, reasonOf } from './disk.ts'
import type { FileJournal } from './file-journal.ts'
import type { DataFolder } from './folder.ts'
import { type SnapshotFile, sha256File } from './replay.ts'
import { reserveBytes } from './reserve.ts'
import { listSegments } from './segment.ts'
import type { SnapshotAnswer, SnapshotTask } from './snapshot-program.ts'
import type { Degradation, Transaction } from './store.ts'
import type { SnapshotMade } from './survey.ts'

/** Journal bytes after which a snapshot is made: some 20,000 records, half a second at start. */
const snapshotEveryBytes = 4 * 1024 * 1024
/** A child that takes longer hangs (a dead disk); 10,000 systems take a second. */
const childTimeoutMs = 10 * 60_000
const answerBytesMax = 64 * 1024

const daemon: Actor = { who: 'pxemngr', from: 'daemon', surface: 'daemon' }

export interface Snapshots {
  /** Starts one if enough was written since the last and none is under way. */
  consider(): void
  /** Makes one now (tests, `close` never does); resolves with whether it was made. */
  make(): Promise<boolean>
  degradation(): Degradation | undefined
  /** Ends a child under way and waits for it. */
  close(): Promise<void>
}

export interface SnapshotParts {
  readonly folder: DataFolder
  readonly disk: Disk
  readonly journal: FileJournal
  readonly log: Log
  /** What start-up found: the newest and the one before it. */
  readonly newest: SnapshotFile | undefined
  readonly before: SnapshotFile | undefined
  /** Bytes of journal behind which the newest stands. */
  readonly pendingBytes: number
  readonly everyBytes?: number | undefined
  commit(actor: Actor, decide: (tx: Transaction) => void): Promise<void>
}

export function createSnapshots(parts: SnapshotParts): Snapshots {
  const { folder, disk, journal, log } = parts
  let { newest, before } = parts
  let mark = journal.writtenBytes - parts.pendingBytes
  let under: Promise<boolean> | undefined
  let fault: string | undefined
  const stop = new AbortController()

  const makeOne = async (): Promise<boolean> => {
    const size = newest?.sizeBytes ?? 0
    const needed = 2 * size + reserveBytes
    if ((await disk.freeBytes(folder.dir)) < needed) throw new Error(`less than ${needed} bytes are free`)
    const written = journal.writtenBytes
    await journal.rotate()
    const seq = journal.seq
    if (seq === (newest?.seq ?? 0)) return false
    const temporary = `${folder.snapshotNext}.tmp`
    const task = { dir: folder.dir, base: newest ?? null, seq, path: temporary }
    const answer = await runChild(task, stop.signal)
    await disk.rename(temporary, folder.snapshotNext)
    await disk.syncFolder(folder.dir)
    const made: SnapshotMade = { type: 'snapshot.made', file: basename(folder.snapshot), seq, ...answer }
    await parts.commit(daemon, (tx) => tx.emit(made))
    await promote(folder, disk)
    before = newest
    newest = { path: folder.snapshot, seq, ...answer }
    mark = written
    log.info('snapshot made', { seq, sizeBytes: answer.sizeBytes })
    await archiveBehind(folder, disk, before?.seq ?? 0)
    return true
  }

  const make = (): Promise<boolean> => {
    under ??= makeOne()
      .then((made) => {
        fault = undefined
        return made
      })
      .catch(async (error: unknown) => {
        await disk.remove(`${folder.snapshotNext}.tmp`).catch(() => undefined)
        if (stop.signal.aborted) return false
        fault = reasonOf(error)
        // The next one when as much again has been written: the cause may last.
        mark = journal.writtenBytes
        log.warn('the snapshot could not be made', { reason: fault })
        return false
      })
      .finally(() => {
        under = undefined
      })
    return under
  }

  return {
    consider() {
      const due = Math.max(parts.everyBytes ?? snapshotEveryBytes, newest?.sizeBytes ?? 0)
      if (under || stop.signal.aborted || journal.refusal() !== undefined || journal.writtenBytes - mark < due) return
      void make()
    },
    make,
    degradation: () =>
      fault === undefined
        ? undefined
        : { code: 'snapshot-failed', weight: 'fault', text: `the last snapshot could not be made: ${fault}` },
    async close() {
      stop.abort()
      await under
    },
  }
}

/** Steps after the record; each may be repeated. */
async function promote(folder: DataFolder, disk: Disk): Promise<void> {
  if (existsSync(folder.snapshot)) await disk.rename(folder.snapshot, folder.snapshotBefore)
  await disk.rename(folder.snapshotNext, folder.snapshot)
  await disk.syncFolder(folder.dir)
}

/** Moves segments whose last number is not after `seq`. */
async function archiveBehind(folder: DataFolder, disk: Disk, seq: number): Promise<void> {
  const segments = await listSegments(folder)
  let moved = 0
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1]
    if (!next || next.first > seq + 1) break
    if (segment.archived) continue
    await disk.rename(segment.path, join(folder.archive, basename(segment.path)))
    moved += 1
  }
  if (moved === 0) return
  await disk.syncFolder(folder.archive)
  await disk.syncFolder(folder.journal)
}

async function runChild(task: SnapshotTask, signal: AbortSignal): Promise<SnapshotAnswer> {
  const child = startProcess('snapshot', [JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(childTimeoutMs)]),
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (text) => {
    if (stdout.length < answerBytesMax) stdout += String(text)
  })
  child.stderr?.on('data', (text) => {
    if (stderr.length < answerBytesMax) stderr += String(text)
  })
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (status !== 0) throw new Error(stderr.trim().split('\n').at(-1) || `the snapshot program ended with ${status}`)
  return JSON.parse(stdout) as SnapshotAnswer
}

export interface FoundSnapshots {
  /** Good ones, newest first; at most two. */
  readonly good: readonly SnapshotFile[]
  /** Those that match no record: to be set aside. */
  readonly bad: readonly string[]
}

/**
 * Compares the snapshot files with what the journal says of them. One under `snapshot.next.sqlite` that has its record is
 * put in its place (the crash came between), one without is removed.
 */
export async function settleSnapshots(
  folder: DataFolder,
  disk: Disk,
  made: readonly SnapshotMade[],
  last: number,
): Promise<FoundSnapshots> {
  const next = await identify(folder.snapshotNext, made, last)
  // snapshot.sqlite may be missing: the crash came between the two renames.
  if (next) await promote(folder, disk)
  else await disk.remove(folder.snapshotNext)
  return findSnapshots(folder, made, last)
}

/** As `settleSnapshots`, but changes nothing. */
export async function findSnapshots(
  folder: DataFolder,
  made: readonly SnapshotMade[],
  last: number,
): Promise<FoundSnapshots> {
  const good: SnapshotFile[] = []
  const bad: string[] = []
  for (const path of [folder.snapshot, folder.snapshotBefore]) {
    const file = await identify(path, made, last)
    if (file) good.push(file)
    else if (file === null) bad.push(path)
  }
  return { good: good.sort((a, b) => b.seq - a.seq), bad }
}

/** undefined: no such file. null: it is not one that was written down. */
async function identify(
  path: string,
  made: readonly SnapshotMade[],
  last: number,
): Promise<SnapshotFile | undefined | null> {
  if (!existsSync(path)) return undefined
  const { size } = await stat(path)
  const likely = made.filter((one) => one.sizeBytes === size && one.seq <= last)
  if (likely.length === 0) return null
  const sum = await sha256File(path)
  const found = likely.find((one) => one.sha256 === sum)
  if (!found) return null
  const { seq, sizeBytes, schema } = found
  return { path, seq, sha256: sum, sizeBytes, schema }
}
