/**
 * Backup and restore: one file with every record, and nothing else needed.
 *
 *   {"backup":1,"last":4711,"at":"2026-11-23T08:01:56.400Z","crc":"…"}      first line
 *   the records 1 … 4711, each line as it stands in the journal (grammar and checksum: line.ts)
 *   {"end":4711,"crc":"…"}                                                  last line: a cut file is noticed
 *
 * A restored directory replays from nothing, so a backup of any version can be read by every later one. Not here: who
 * may ask (`commands/`). Source: CONTRACT "Daemon" (restore), `store.ts` (backup).
 */
import { existsSync } from 'node:fs'
import { type FileHandle, open, readdir, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import { applyRecord } from './apply.ts'
import { type Disk, realDisk, reasonOf, replaceFile, systemWords } from './disk.ts'
import { segmentBytes } from './file-journal.ts'
import { type DataFolder, dataFolder } from './folder.ts'
import { formatHeader, seal, unseal } from './line.ts'
import { takeLock } from './lock.ts'
import { makeFolder } from './make-folder.ts'
import { emptyState } from './replay.ts'
import { listSegments, readLines, readLinesOf } from './segment.ts'
import { makeFolders } from './startup.ts'

const formatVersion = 1
/** Bytes handed over at once: large enough for a socket, small beside everything else. */
const chunkBytes = 256 * 1024

/** Writes the backup of records 1 … `last`. Refuses where one of them cannot be read. */
export async function writeBackup(
  folder: DataFolder,
  last: number,
  at: string,
  write: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  let parts: Uint8Array[] = [seal(`{"backup":${formatVersion},"last":${last},"at":${JSON.stringify(at)}`)]
  let bytes = 0
  const add = async (line: Uint8Array) => {
    parts.push(line)
    bytes += line.length
    if (bytes < chunkBytes) return
    await write(Buffer.concat(parts))
    parts = []
    bytes = 0
  }
  let expected = 1
  const segments = await listSegments(folder)
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1]
    const counts = Math.min(last, next ? next.first - 1 : last)
    for await (const placed of readLines(segment.path)) {
      if (placed.line.kind !== 'record' || placed.line.record.seq !== expected || expected > counts) continue
      await add(placed.bytes)
      expected += 1
    }
    if (expected <= counts) throw incomplete(segment.path, expected)
  }
  if (expected <= last) throw incomplete(folder.journal, expected)
  await add(seal(`{"end":${last}`))
  await write(Buffer.concat(parts))
}

function incomplete(path: string, seq: number): Refusal {
  return new Refusal(
    'refused',
    `no backup: record ${seq} cannot be read in ${path}; copy the whole data directory instead`,
  )
}

/**
 * Makes a data directory from a backup file. `dir` must not exist or hold no state; nothing is left behind, neither in it
 * nor the directory itself, if anything goes wrong. Resolves with the number of records. Refuses in one line.
 */
export async function restoreDataDir(file: string, dir: string, disk: Disk = realDisk): Promise<{ records: number }> {
  const source = await openBackup(file)
  try {
    return await restoreFrom(source, file, resolve(dir), disk)
  } catch (error) {
    if (error instanceof Refusal) throw error
    throw new Refusal('refused', `cannot restore ${quote(file)} into ${dir}: ${systemWords(error)}`, { cause: error })
  } finally {
    await source.close()
  }
}

/** The file of that name and no other. A pipe cannot be read twice: first to check it, then to write. */
async function openBackup(file: string): Promise<FileHandle> {
  try {
    if ((await stat(file)).isFile()) return await open(file, 'r')
  } catch (error) {
    throw new Refusal('not-found', `cannot read ${quote(file)}: ${systemWords(error)}`, { cause: error })
  }
  throw new Refusal('refused', `cannot read ${quote(file)}: it is no regular file`)
}

async function restoreFrom(source: FileHandle, file: string, dir: string, disk: Disk): Promise<{ records: number }> {
  const folder = dataFolder(dir)
  const undo: (() => Promise<unknown>)[] = []
  try {
    const { last } = await checkBackup(source, file)
    await makeDataDir(dir, undo)
    const hadLock = existsSync(folder.lock)
    const lock = takeLock(folder.lock, dir)
    try {
      if (!hadLock) undo.push(() => rm(folder.lock, { force: true }))
      await refuseState(folder)
      // Both are empty where they are there.
      for (const made of [folder.journal, folder.archive]) undo.push(() => rm(made, { recursive: true, force: true }))
      await makeFolders(folder)
      await writeSegments(source, file, folder, disk)
    } finally {
      lock.release()
    }
    return { records: last }
  } catch (error) {
    // What cannot be removed now is no other reason than the one that is told.
    for (const step of undo.reverse()) await step().catch(() => undefined)
    throw error
  }
}

/** Makes `dir` and what is missing above it; each is removed again if it is empty then. */
async function makeDataDir(dir: string, undo: (() => Promise<unknown>)[]): Promise<void> {
  const there = await stat(dir).catch(() => undefined)
  if (there !== undefined && !there.isDirectory())
    throw new Refusal('refused', `data-dir ${quote(dir)} is not a folder`)
  const first = makeFolder(dir, 0o700)
  if (first === undefined) return
  const made: string[] = []
  for (let at = dir; made.at(-1) !== first && at !== dirname(at); at = dirname(at)) made.push(at)
  for (const path of made.reverse()) undo.push(() => rmdir(path))
}

/** Other files (profiles, boot files, results) may be there: a backup does not hold them. */
async function refuseState(folder: DataFolder): Promise<void> {
  const names = await readdir(folder.dir)
  const state = names.filter((name) => /^(journal|archive|snapshot)/.test(name))
  for (const name of state) {
    const path = join(folder.dir, name)
    if (name.endsWith('.sqlite') || name.startsWith('journal.') || (await readdir(path)).length > 0) {
      throw new Refusal('refused', `${folder.dir} is not empty: it holds ${name}; restore into a new --data-dir`)
    }
  }
}

/** Every line, the order, the end, and that the records follow from each other, before anything is written. */
async function checkBackup(source: FileHandle, file: string): Promise<{ last: number }> {
  const state = await emptyState()
  let expected = 0
  let last = -1
  let ended = false
  try {
    for await (const { line, number, bytes, whole } of readLinesOf(source, file)) {
      const fault = (reason: string) => new Refusal('invalid', `${file}:${number}: ${reason}: not a whole backup`)
      if (!whole) throw fault('it is cut short')
      if (ended) throw fault('something follows the end')
      if (number === 1) {
        last = backupHeader(bytes)
        if (last < 0) throw fault('it is not the first line of a backup')
        expected = 1
      } else if (line.kind === 'record') {
        if (line.record.seq !== expected || expected > last) throw fault(`record ${expected} should stand here`)
        try {
          applyRecord(state, line.record)
        } catch (error) {
          throw fault(reasonOf(error))
        }
        expected += 1
      } else {
        const end = unseal(bytes.subarray(0, -1))
        if (!('value' in end) || end.value['end'] !== last || expected !== last + 1) {
          throw fault('reason' in end ? end.reason : `record ${expected} should stand here`)
        }
        ended = true
      }
    }
  } finally {
    state.close()
  }
  if (!ended) throw new Refusal('invalid', `${file} ends before record ${last}: not a whole backup`)
  return { last }
}

function backupHeader(bytes: Uint8Array): number {
  const header = unseal(bytes.subarray(0, -1))
  if (!('value' in header) || header.value['backup'] !== formatVersion) return -1
  return Number.isSafeInteger(header.value['last']) ? Number(header.value['last']) : -1
}

async function writeSegments(source: FileHandle, file: string, folder: DataFolder, disk: Disk): Promise<void> {
  let first = 1
  let next = 1
  let parts: Uint8Array[] = []
  let bytes = 0
  const at = new Date().toISOString()
  const flush = async () => {
    const header = formatHeader({ first, follows: first - 1 }, at)
    await replaceFile(disk, folder.journal, join(folder.journal, `${first}.jsonl`), [header, ...parts])
    first = next
    parts = []
    bytes = 0
  }
  for await (const placed of readLinesOf(source, file)) {
    if (placed.line.kind !== 'record') continue
    next = placed.line.record.seq + 1
    parts.push(placed.bytes)
    bytes += placed.bytes.length
    if (bytes >= segmentBytes) await flush()
  }
  if (parts.length > 0 || first === 1) await flush()
  await disk.syncFolder(folder.dir)
}
