/**
 * What the segments on disk hold, and where they are not what was written: torn tail or damage.
 *
 * An unreadable place is the *unsynced tail* if no later readable line claims that it was on disk (`kept` of a record,
 * `follows` of a later segment); it can only be at the end of the last segment. Everything else unreadable, and every
 * number that is missing, is *damage*. Nothing is changed here: start-up and `repair` act on it. Source: DESIGN "Torn or
 * damaged".
 */
import type { Event, JournalRecord } from '../domain/event.ts'
import { parseLine } from './line.ts'
import { type PlacedLine, readLines, type SegmentFile } from './segment.ts'

/** A place that cannot be read; `line` 0: the file is missing or ends too early. */
export interface Damage {
  readonly path: string
  readonly line: number
  /** The numbers that are lost if the readable records around it are kept: first and last. */
  readonly from: number
  readonly to: number
  readonly reason: string
}

/** The unsynced end of the last segment, from byte `start`. */
export interface TornTail {
  readonly path: string
  readonly line: number
  readonly start: number
  readonly reason: string
}

export type SnapshotMade = Extract<Event, { type: 'snapshot.made' }>

export interface SurveyedSegment extends SegmentFile {
  /** Last number that counts in it; `first - 1` where it holds none. */
  readonly last: number
  /** Byte offset behind its last record that counts. */
  readonly end: number
  readonly damage: readonly Damage[]
}

export interface Survey {
  readonly segments: readonly SurveyedSegment[]
  readonly tail: TornTail | undefined
  /** The snapshots that readable records tell of. */
  readonly snapshots: readonly SnapshotMade[]
  /** Last number of the journal (the tail not counted). */
  readonly last: number
}

/** Reads the given segments (ascending). `follows`: the number before the first one needed; a gap to it is damage. */
export async function surveySegments(files: readonly SegmentFile[], follows: number): Promise<Survey> {
  const segments: SurveyedSegment[] = []
  const snapshots: SnapshotMade[] = []
  let tail: TornTail | undefined
  let last = follows
  for (const [index, file] of files.entries()) {
    const next = files[index + 1]
    const surveyed = await surveySegment(file, next ? next.first - 1 : undefined, snapshots)
    const gap = file.first > last + 1 ? [missing(file.path, last + 1, file.first - 1)] : []
    segments.push({ ...file, last: surveyed.last, end: surveyed.end, damage: [...gap, ...surveyed.damage] })
    tail = surveyed.tail
    last = surveyed.last
  }
  return { segments, tail, snapshots, last }
}

function missing(path: string, from: number, to: number): Damage {
  return {
    path,
    line: 0,
    from,
    to,
    reason: `${from === to ? `record ${from} is` : `records ${from} to ${to} are`} missing`,
  }
}

/** `counts`: last number that counts in it, because a later segment follows it; undefined: it is the last segment. */
async function surveySegment(file: SegmentFile, counts: number | undefined, snapshots: SnapshotMade[]) {
  const { path, first } = file
  const damage: Damage[] = []
  let open: { line: number; start: number; reason: string; header: boolean } | undefined
  let expected = first
  let end = 0
  /** A readable record ends an unreadable stretch; it is damage if anything from here on claims it was on disk. */
  const pending: { damage: Damage; start: number }[] = []
  let claimed = counts ?? 0
  const broken = (placed: PlacedLine, reason: string) => {
    open ??= { line: placed.number, start: placed.start, reason, header: placed.number === 1 && placed.whole }
  }
  for await (const placed of readLines(path)) {
    const { line, number } = placed
    if (number === 1) {
      if (line.kind === 'header' && line.header.first === first && line.header.follows === first - 1) end = placed.end
      else broken(placed, line.kind === 'unreadable' ? line.reason : 'it is not the header that belongs to the name')
      continue
    }
    if (counts !== undefined && expected > counts) break
    if (line.kind !== 'record') {
      claimed = Math.max(claimed, claimWithin(placed.bytes))
      broken(placed, line.kind === 'unreadable' ? line.reason : 'a header stands between records')
      continue
    }
    claimed = Math.max(claimed, line.kept)
    if (line.record.seq < expected || (counts !== undefined && line.record.seq > counts)) {
      broken(placed, `record ${line.record.seq} stands where ${expected} belongs`)
      continue
    }
    if (open || line.record.seq > expected) {
      const at = open ?? {
        line: number,
        start: placed.start,
        reason: `it is record ${line.record.seq}, not ${expected}`,
      }
      pending.push({
        damage: { path, line: at.line, from: expected, to: line.record.seq - 1, reason: at.reason },
        start: at.start,
      })
      // An unreadable header in front of readable records is always damage: it was on disk before they were written.
      if (open?.header) claimed = Math.max(claimed, expected, line.record.seq - 1)
      open = undefined
    }
    collectSnapshots(line.record, snapshots)
    expected = line.record.seq + 1
    end = placed.end
  }
  return judge({ path, first, counts, end, expected, open, pending, claimed, damage })
}

/** What a readable record at the end of an unreadable line claims: a flipped LF joins two lines. 0: there is none. */
function claimWithin(bytes: Uint8Array): number {
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = line.lastIndexOf('{"seq":')
  if (start <= 0) return 0
  const last = parseLine(line.subarray(start, line.at(-1) === 10 ? -1 : undefined))
  return last.kind === 'record' ? last.kept : 0
}

interface Reading {
  readonly path: string
  readonly first: number
  readonly counts: number | undefined
  readonly end: number
  readonly expected: number
  readonly open: { line: number; start: number; reason: string; header: boolean } | undefined
  readonly pending: readonly { damage: Damage; start: number }[]
  readonly claimed: number
  readonly damage: Damage[]
}

function judge(reading: Reading): { last: number; end: number; damage: Damage[]; tail: TornTail | undefined } {
  const { path, first, counts, end, expected, open, pending, claimed, damage } = reading
  for (const { damage: one, start } of pending) {
    if (claimed >= one.from || one.to < one.from) damage.push(one)
    else {
      // Readable records behind it are unsynced as well: nobody was told of them.
      const tail = { path, line: one.line, start, reason: one.reason }
      return { last: one.from - 1, end: start, damage, tail }
    }
  }
  const last = expected - 1
  if (counts !== undefined) {
    if (last < counts) {
      const reason = open?.reason ?? `it ends before record ${counts}`
      damage.push({ path, line: open?.line ?? 0, from: expected, to: counts, reason })
    } else if (open?.header) damage.push({ path, line: 1, from: first, to: first - 1, reason: open.reason })
    return { last: counts, end, damage, tail: undefined }
  }
  if (open?.header) damage.push({ path, line: 1, from: expected, to: last, reason: open.reason })
  else if (open && claimed >= expected)
    damage.push({ path, line: open.line, from: expected, to: claimed, reason: open.reason })
  else if (open) {
    return { last, end, damage, tail: { path, line: open.line, start: open.start, reason: open.reason } }
  }
  return { last, end, damage, tail: undefined }
}

function collectSnapshots(record: JournalRecord, snapshots: SnapshotMade[]): void {
  for (const event of record.events) if (event.type === 'snapshot.made') snapshots.push(event)
}

/** The records that count, in order, from `after` (exclusive) to `until` (inclusive). `onFault`: unreadable, or a gap. */
export async function* readRecords(
  segments: readonly SegmentFile[],
  after: number,
  until: number,
  onFault: (path: string, line: number, reason: string) => void,
): AsyncGenerator<JournalRecord> {
  let expected = after + 1
  for (const [index, file] of segments.entries()) {
    const next = segments[index + 1]
    const counts = Math.min(until, next ? next.first - 1 : until)
    if (counts < expected) continue
    for await (const { line, number } of readLines(file.path)) {
      if (expected > counts) break
      if (line.kind === 'unreadable') onFault(file.path, number, line.reason)
      if (line.kind !== 'record' || line.record.seq < expected || line.record.seq > counts) continue
      if (line.record.seq > expected) onFault(file.path, number, `records from ${expected} on are missing`)
      expected = line.record.seq + 1
      yield line.record
    }
  }
  if (expected <= until) onFault(segments.at(-1)?.path ?? '', 0, `records ${expected} to ${until} are missing`)
}
