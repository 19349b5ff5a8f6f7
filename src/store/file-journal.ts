/**
 * The journal in files: `<data-dir>/journal/<first seq>.jsonl`, appended and synced (grammar: `line.ts`).
 *
 * After a failed write or sync the segment is cut back to its last acknowledged record and never touched again; writing
 * goes on in a new one, whose header says what the old one counts up to, tried every few seconds. On a full disk machines'
 * reports get the reserve. A segment that somebody removed or moved takes writes and syncs without an error, and no start
 * would find them: each append looks for it at its path, and so does a timer; until it is back nothing is written. Not here: what records mean, and what start-up makes of the files (`survey.ts`, `startup.ts`).
 * Source: DESIGN "Failed writes"; why a failed fsync is final: danluu.com/fsyncgate.
 */
import { join } from 'node:path'
import type { JournalRecord } from '../domain/event.ts'
import type { Log } from '../log.ts'
import { type Disk, isDiskFull, type OpenFile, reasonOf, writeAll } from './disk.ts'
import type { DataFolder } from './folder.ts'
import { AppendError, type Journal, type Plane } from './journal.ts'
import { formatHeader, formatRecord } from './line.ts'
import type { Reserve } from './reserve.ts'
import { listSegments } from './segment.ts'
import { readRecords } from './survey.ts'

/** A segment is closed once it is this long: small enough to be read in one go by whoever looks for something. */
export const segmentBytes = 1024 * 1024
/** DESIGN: tried again every few seconds. */
const retryMs = 3000
/** How soon `status` knows that the segment is gone while nothing is written. */
const lookMs = 1000

export interface FileJournalOptions {
  readonly folder: DataFolder
  readonly disk: Disk
  readonly reserve: Reserve
  readonly log: Log
  readonly now: () => Date
  /** Last number that start-up found. */
  readonly seq: number
  /** The segment to go on in, intact and synced; undefined: a new one. */
  readonly resume?: { readonly path: string; readonly first: number; readonly sizeBytes: number } | undefined
  readonly segmentBytesMax?: number | undefined
  readonly retryMs?: number | undefined
}

export interface FileJournal extends Journal {
  /** Closes the current segment (if it holds a record) and begins the next: all up to `seq` is then sealed. */
  rotate(): Promise<void>
  /** Bytes appended since start, resumed segment included: how long the next start would read. */
  readonly writtenBytes: number
}

interface OpenSegment {
  readonly file: OpenFile
  readonly path: string
  readonly first: number
  sizeBytes: number
}

/** The segment is not at its path any more. */
class GoneSegment extends Error {
  constructor({ path, file }: OpenSegment) {
    super(`${path} was removed, moved or replaced: put it back, its bytes are still in ${file.handle}`)
  }
}

/** Opens for appending. Never rejects for a disk that fails: the journal then refuses changes and tries again. */
export async function openFileJournal(options: FileJournalOptions): Promise<FileJournal> {
  const { folder, disk, reserve, log, now } = options
  const { segmentBytesMax = segmentBytes } = options
  const followers = new Set<(records: readonly JournalRecord[]) => void>()
  const recovered = new Set<() => void>()
  let segment: OpenSegment | undefined
  /** The last segment, kept open because it is not where start-up would find it. With it there is no `segment`. */
  let gone: OpenSegment | undefined
  let seq = options.seq
  let writtenBytes = options.resume?.sizeBytes ?? 0
  /** Why changes are refused. With an open segment too: while only machines' reports may be written. */
  let refusal: string | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false
  let queue: Promise<unknown> = Promise.resolve()

  /** File operations one after the other. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = queue.then(work, work)
    queue = turn.catch(() => undefined)
    return turn
  }

  /** The header is on disk before the name is, and the name before anything counts on it. */
  const beginSegment = async (): Promise<void> => {
    const left = segment ?? gone
    if (left && !(await left.file.isAt(left.path))) throw new GoneSegment(left)
    const first = seq + 1
    const path = join(folder.journal, `${first}.jsonl`)
    const file = await disk.open(`${path}.tmp`, 'create')
    try {
      const header = formatHeader({ first, follows: seq }, now().toISOString())
      await writeAll(file, header, 0)
      await file.sync()
      await disk.rename(`${path}.tmp`, path)
      await disk.syncFolder(folder.journal)
      await segment?.file.close()
      segment = { file, path, first, sizeBytes: header.length }
      writtenBytes += header.length
    } catch (error) {
      await file.close().catch(() => undefined)
      await disk.remove(`${path}.tmp`).catch(() => undefined)
      throw error
    }
  }

  /** Leaves the segment for good. Resolves with whether it holds nothing that was not acknowledged. */
  const abandon = async (): Promise<boolean> => {
    const left = segment
    segment = undefined
    if (!left) return true
    try {
      await left.file.truncate(left.sizeBytes)
      return true
    } catch {
      return false // the next segment's header says that it does not count
    } finally {
      if (await left.file.isAt(left.path).catch(() => true)) await left.file.close().catch(() => undefined)
      else gone = left
    }
  }

  /** Nothing is written beside a journal that lacks its last segment: the next start would have to call it damaged. */
  const awaitSegment = async (): Promise<void> => {
    if (!gone) return
    if (!(await gone.file.isAt(gone.path))) {
      if (!(await isWhole())) throw new GoneSegment(gone)
      const copy = await disk.open(gone.path, 'existing')
      await copy.sync().finally(() => copy.close())
    }
    await gone.file.close().catch(() => undefined)
    gone = undefined
  }

  /** Whether a start would find every acknowledged record: what was put back may be a copy. */
  const isWhole = async (): Promise<boolean> => {
    const segments = await listSegments(folder)
    if (!segments.some(({ path }) => path === gone?.path)) return false
    let whole = true
    const onFault = (path: string) => {
      // A fault behind the snapshots keeps no start from reading (`archive-damaged`).
      if (!path.startsWith(folder.archive)) whole = false
    }
    for await (const _ of readRecords(segments, 0, seq, onFault)) if (!whole) break
    return whole
  }

  const look = async (): Promise<void> => {
    if (!segment || (await segment.file.isAt(segment.path).catch(() => true))) return
    const error = new GoneSegment(segment)
    await abandon()
    refuse('written', error)
  }

  const refuse = (what: string, error: unknown): void => {
    const reason = reasonOf(error)
    if (refusal === undefined) log.error('changes are refused', { while: what, reason })
    refusal = `changes are refused since ${now().toISOString()}: the journal cannot be ${what} (${reason}); tried again every ${Math.ceil((options.retryMs ?? retryMs) / 1000)} s`
    timer ??= setInterval(() => void inTurn(recover), options.retryMs ?? retryMs).unref()
  }

  const accept = (): void => {
    clearInterval(timer)
    timer = undefined
    if (refusal === undefined) return
    refusal = undefined
    log.info('changes are taken again', { seq })
    for (const listener of recovered) listener()
  }

  const recover = async (): Promise<void> => {
    if (closed || refusal === undefined) return
    try {
      await awaitSegment()
      if (!segment) await beginSegment()
      if (await reserve.make()) accept()
      else refuse('written', new Error('no space left on device for the reserve'))
    } catch (error) {
      refuse('written', error)
    }
  }

  /** A segment for a machine's report, by whatever means there are. */
  const beginForMachine = async (): Promise<void> => {
    try {
      await beginSegment()
    } catch (error) {
      if (!isDiskFull(error) || !(await reserve.giveUp())) throw error
      log.warn('the disk is full: the reserve is given up for reports of machines')
      await beginSegment()
    }
  }

  const stillThere = async (current: OpenSegment): Promise<void> => {
    if (!(await current.file.isAt(current.path))) throw new GoneSegment(current)
  }

  const write = async (records: readonly JournalRecord[], plane: Plane): Promise<void> => {
    if (closed) throw new AppendError('refused', 'the journal is closed')
    if (records[0]?.seq !== seq + 1) throw new Error(`append of ${records[0]?.seq} to a journal at ${seq}`)
    if (refusal !== undefined && plane === 'management') throw new AppendError('refused', refusal)
    try {
      if (!segment) await beginForMachine()
      else if (segment.sizeBytes >= segmentBytesMax) await beginSegment()
    } catch (error) {
      // A segment that is merely long goes on being written.
      if (!segment) {
        refuse('written', error)
        throw new AppendError('refused', refusal ?? reasonOf(error), { cause: error })
      }
    }
    if (!segment) throw new Error('no segment')
    const { file, sizeBytes } = segment
    const bytes = Buffer.concat(records.map((record) => formatRecord(record, seq)))
    let what: 'written' | 'synced' = 'written'
    try {
      await writeAll(file, bytes, sizeBytes)
      what = 'synced'
      await Promise.all([file.sync(), stillThere(segment)])
    } catch (error) {
      const cut = await abandon()
      refuse(what, error)
      // At most once: the reserve is gone then.
      if (plane === 'machine' && what === 'written' && isDiskFull(error) && (await reserve.giveUp())) {
        return write(records, plane)
      }
      throw new AppendError(what === 'written' && cut ? 'refused' : 'unknown', refusal ?? reasonOf(error), {
        cause: error,
      })
    }
    segment.sizeBytes += bytes.length
    writtenBytes += bytes.length
    seq += records.length
    for (const listener of followers) listener(records)
  }

  const start = async (): Promise<void> => {
    try {
      const { resume } = options
      if (resume && resume.sizeBytes < segmentBytesMax) {
        const { path, first, sizeBytes } = resume
        segment = { file: await disk.open(path, 'existing'), path, first, sizeBytes }
        // What was read from it may have been in the page cache only.
        await segment.file.sync()
      } else await beginSegment()
      if (!(await reserve.make())) refuse('written', new Error('no space left on device for the reserve'))
    } catch (error) {
      await abandon()
      refuse('written', error)
    }
  }
  await start()
  const watch = setInterval(() => void inTurn(look), lookMs).unref()

  return {
    get seq() {
      return seq
    },
    get writtenBytes() {
      return writtenBytes
    },
    append: (records, plane) => inTurn(() => write(records, plane)),
    async *read(after) {
      const until = seq
      if (until <= after) return
      yield* readRecords(await listSegments(folder), after, until, (path, line, reason) => {
        throw new Error(`${path}:${line}: ${reason}`)
      })
    },
    follow(listener) {
      followers.add(listener)
      return () => followers.delete(listener)
    },
    refusal: () => refusal,
    onRecovered: (listener) => void recovered.add(listener),
    rotate: () =>
      inTurn(async () => {
        if (segment && segment.first <= seq) await beginSegment()
      }),
    close: () =>
      inTurn(async () => {
        closed = true
        clearInterval(timer)
        clearInterval(watch)
        await (segment ?? gone)?.file.close()
        segment = undefined
        gone = undefined
      }),
  }
}
