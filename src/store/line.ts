/**
 * One line of a journal segment ↔ its meaning. The grammar (one JSON object a line, UTF-8, LF; keys in this order):
 *
 *   header = {"segment":13,"follows":12,"at":"…","crc":"1c291ca3"}
 *   record = {"seq":13,"kept":12,"at":"2026-11-23T08:01:56.400Z","actor":{"who":"root","from":"socket","surface":"cli"},
 *             "events":[{"type":"system.removed","system":4}],"crc":"e5cbcf5b"}      (on one line)
 *
 * `crc` is CRC-32 (IEEE, as zlib) of the line's bytes before `,"crc"`, eight lower-case hex digits. `kept` is the last
 * number known to be on disk when the line was written, which tells damage from an unsynced tail. `segment` is the first
 * number of the file and of its name, `follows` the one before it: what an older segment holds beyond `follows` does not
 * count. Not here: files (`segment.ts`), order of numbers (`survey.ts`). Source: DESIGN "State".
 */
import { crc32 } from 'node:zlib'
import type { JournalRecord } from '../domain/event.ts'

/** Largest line that is read; a record of 100,000 systems takes some 20 MB. */
export const lineBytesMax = 64 * 1024 * 1024

export interface SegmentHeader {
  readonly first: number
  readonly follows: number
}

export type Line =
  | { readonly kind: 'header'; readonly header: SegmentHeader }
  | { readonly kind: 'record'; readonly record: JournalRecord; readonly kept: number }
  | { readonly kind: 'unreadable'; readonly reason: string }

/** `,"crc":"xxxxxxxx"}` */
const trailer = /^,"crc":"([0-9a-f]{8})"\}$/
const trailerBytes = 18

export function formatHeader(header: SegmentHeader, at: string): Buffer {
  return seal(`{"segment":${header.first},"follows":${header.follows},"at":${JSON.stringify(at)}`)
}

export function formatRecord(record: JournalRecord, kept: number): Buffer {
  const { seq, at, actor, events } = record
  const { who, from, surface } = actor
  return seal(
    `{"seq":${seq},"kept":${kept},"at":${JSON.stringify(at)},"actor":${JSON.stringify({ who, from, surface })},"events":${JSON.stringify(events)}`,
  )
}

/** Any other line of this grammar (backup files): an object without its closing brace → line with CRC and LF. */
export function seal(open: string): Buffer {
  const body = Buffer.from(open)
  const sum = crc32(body).toString(16).padStart(8, '0')
  return Buffer.concat([body, Buffer.from(`,"crc":"${sum}"}\n`)])
}

/** The object of a line whose CRC is right (`line` without its LF), or why it cannot be read. */
export function unseal(line: Uint8Array): { readonly value: Record<string, unknown> } | { readonly reason: string } {
  const bytes = Buffer.from(line.buffer, line.byteOffset, line.byteLength)
  if (bytes.length <= trailerBytes) return { reason: 'it is too short' }
  const cut = bytes.length - trailerBytes
  const sum = trailer.exec(bytes.toString('latin1', cut))?.[1]
  if (sum === undefined) return { reason: 'it does not end with its checksum' }
  if (crc32(bytes.subarray(0, cut)) !== Number.parseInt(sum, 16)) return { reason: 'its checksum does not match' }
  try {
    const value: unknown = JSON.parse(`${bytes.toString('utf8', 0, cut)}}`)
    if (typeof value === 'object' && value !== null) return { value: value as Record<string, unknown> }
  } catch {
    // Falls through: a line with the right checksum that is no JSON was not written by this program.
  }
  return { reason: 'it is no JSON object' }
}

/** `line` without its LF. Never throws. */
export function parseLine(line: Uint8Array): Line {
  const unsealed = unseal(line)
  if ('reason' in unsealed) return { kind: 'unreadable', reason: unsealed.reason }
  const { seq, kept, at, actor, events, segment, follows } = unsealed.value
  if (isCount(segment) && isCount(follows)) return { kind: 'header', header: { first: segment, follows } }
  if (isCount(seq) && isCount(kept) && typeof at === 'string' && Array.isArray(events) && typeof actor === 'object') {
    // The checksum vouches for what this program wrote: checked at the boundary, trusted inside.
    const record = { seq, at, actor, events } as unknown as JournalRecord
    return { kind: 'record', record, kept }
  }
  return { kind: 'unreadable', reason: 'it is neither a segment header nor a record' }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
