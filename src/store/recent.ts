/**
 * The newest records of each system, for its page: found by their numbers, so that a page costs the same after a million
 * results as after ten.
 *
 * Numbers are kept in memory: of what is applied, and, from the first question on, of the newest segments from before the
 * start: read sooner they would be megabytes in a daemon that nobody asks. What lies further back is `history`'s to find. Source: CONTRACT "Web pages", DESIGN "Speed".
 */
import { readFile } from 'node:fs/promises'
import { concernOf } from '../domain/concern.ts'
import type { JournalRecord } from '../domain/event.ts'
import type { Log } from '../log.ts'
import { reasonOf } from './disk.ts'
import type { DataFolder } from './folder.ts'
import { parseLine } from './line.ts'
import { listSegments, type SegmentFile } from './segment.ts'
import { readRecords } from './survey.ts'

/** Numbers kept of each system: what its page lists. */
export const recentKept = 30
/** Segments read for what was before the start, the newest: some 20,000 records, 0.2 s of one core. */
const segmentsRead = 8
/** `{"seq":` */
const seqStart = 7
const seqDigits = 16
const newline = 10

export interface Recent {
  /** After a record was applied. */
  applied(record: JournalRecord): void
  /** Records that concern the system, at most `limit` and `recentKept`, in ascending order. */
  find(system: number, limit: number): Promise<JournalRecord[]>
  close(): void
}

export interface RecentParts {
  readonly folder: DataFolder
  /** Last number that is on disk at the start. */
  readonly last: number
  readonly log: Log
  readonly systemOfRun: (run: number) => number | undefined
}

export function createRecent({ folder, last, log, systemOfRun }: RecentParts): Recent {
  const numbers = new Map<number, number[]>()
  let reading: Promise<void> | undefined
  let isClosed = false

  const systemsOf = ({ events }: JournalRecord): Set<number> => {
    const systems = new Set<number>()
    for (const event of events) {
      const system = concernOf(event, systemOfRun)
      if (system !== undefined) systems.add(system)
    }
    return systems
  }

  const read = async (): Promise<void> => {
    const before = (await listSegments(folder)).filter(({ first }) => first <= last)
    let until = last
    for (const segment of before.slice(-segmentsRead).reverse()) {
      const found = new Map<number, number[]>()
      const records = readRecords([segment], segment.first - 1, until, () => undefined)
      for await (const record of records) {
        if (isClosed) return
        for (const system of systemsOf(record)) {
          const own = found.get(system) ?? []
          found.set(system, own)
          own.push(record.seq)
        }
      }
      for (const [system, older] of found) {
        numbers.set(system, [...older, ...(numbers.get(system) ?? [])].slice(-recentKept))
      }
      until = Math.min(until, segment.first - 1)
    }
  }

  const readOnce = (): Promise<void> => {
    reading ??= read().catch((error: unknown) => {
      if (!isClosed) log.warn('the newest records of the journal could not be read', { reason: reasonOf(error) })
    })
    return reading
  }

  return {
    applied(record) {
      for (const system of systemsOf(record)) {
        const own = numbers.get(system)
        if (!own) numbers.set(system, [record.seq])
        else {
          own.push(record.seq)
          if (own.length > recentKept) own.shift()
        }
      }
    },
    async find(system, limit) {
      await readOnce()
      const wanted = (numbers.get(system) ?? []).slice(-Math.max(1, limit))
      return readNumbers(await listSegments(folder), wanted)
    },
    close() {
      isClosed = true
    },
  }
}

/** The records with these numbers (ascending), each found in its segment without reading the others of it. */
async function readNumbers(segments: readonly SegmentFile[], wanted: readonly number[]): Promise<JournalRecord[]> {
  const found: JournalRecord[] = []
  for (const [index, segment] of segments.entries()) {
    const end = segments[index + 1]?.first ?? Number.MAX_SAFE_INTEGER
    const own = new Set(wanted.filter((seq) => seq >= segment.first && seq < end))
    if (own.size > 0) found.push(...pick(await readFile(segment.path), own))
  }
  return found
}

function* pick(bytes: Buffer, wanted: ReadonlySet<number>): Generator<JournalRecord> {
  let start = 0
  for (let lf = bytes.indexOf(newline); lf >= 0; lf = bytes.indexOf(newline, start)) {
    const line = bytes.subarray(start, lf)
    start = lf + 1
    const seq = Number.parseInt(line.toString('latin1', seqStart, seqStart + seqDigits), 10)
    if (!wanted.has(seq)) continue
    const parsed = parseLine(line)
    if (parsed.kind === 'record' && parsed.record.seq === seq) yield parsed.record
  }
}
