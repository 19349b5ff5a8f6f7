/**
 * Reading one segment file: a stream of its lines with a bound on memory, wherever it lies.
 *
 * Says what each line is and where, judges nothing (that is `survey.ts`). Reads in pieces and gives the event loop a turn
 * between them, so that a long history does not hold up a boot. Grammar: `line.ts`.
 */
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { archiveName, type DataFolder } from './folder.ts'
import { type Line, lineBytesMax, parseLine } from './line.ts'

export interface SegmentFile {
  readonly path: string
  /** First sequence number, from its name. */
  readonly first: number
  readonly archived: boolean
}

export interface PlacedLine {
  readonly line: Line
  /** 1 = the header. */
  readonly number: number
  /** Byte offset of its start, and of what follows its LF. */
  readonly start: number
  readonly end: number
  /** false: the file ends without an LF after it. */
  readonly whole: boolean
  /** As it stands in the file, with its LF. */
  readonly bytes: Uint8Array
}

/** Small enough that parsing one piece stays far below 10 ms. */
const pieceBytes = 64 * 1024
const name = /^([1-9][0-9]{0,15})\.jsonl$/

/** Segments of both folders by their first number; one that lies in both (a rename cut short is not that) counts once. */
export async function listSegments(folder: DataFolder): Promise<SegmentFile[]> {
  const found = new Map<number, SegmentFile>()
  for (const [dir, archived] of [
    [folder.archive, true],
    [folder.journal, false],
  ] as const) {
    for (const entry of await listNames(dir)) {
      const first = Number(name.exec(entry)?.[1] ?? 0)
      if (first > 0) found.set(first, { path: join(dir, entry), first, archived })
    }
  }
  return [...found.values()].sort((a, b) => a.first - b.first)
}

/** Names in a folder; none where it does not exist. */
async function listNames(dir: string): Promise<string[]> {
  try {
    return await readdir(dir)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Every line of the file, up to byte `until` (exclusive) if given. Rejects if the file cannot be read. */
export async function* readLines(path: string, until?: number): AsyncGenerator<PlacedLine> {
  if (until === 0) return
  const file = await openSegment(path)
  try {
    yield* readLinesOf(file, path, until)
  } finally {
    await file.close()
  }
}

/** The same of an open file, from its start; it stays open. `path` is for messages. */
export async function* readLinesOf(file: FileHandle, path: string, until?: number): AsyncGenerator<PlacedLine> {
  const stream = file.createReadStream({
    highWaterMark: pieceBytes,
    start: 0,
    autoClose: false,
    ...(until === undefined ? {} : { end: until - 1 }),
  })
  let parts: Buffer[] = []
  let partsBytes = 0
  let start = 0
  let number = 0
  const place = (bytes: Buffer, whole: boolean): PlacedLine => {
    number += 1
    const placed = {
      line: parseLine(whole ? bytes.subarray(0, -1) : bytes),
      number,
      start,
      end: start + bytes.length,
      whole,
      bytes,
    }
    start = placed.end
    return placed
  }
  for await (const chunk of stream) {
    const piece = chunk as Buffer
    let at = 0
    for (let lf = piece.indexOf(10); lf >= 0; lf = piece.indexOf(10, at)) {
      const bytes = piece.subarray(at, lf + 1)
      at = lf + 1
      yield place(parts.length > 0 ? Buffer.concat([...parts, bytes]) : bytes, true)
      parts = []
      partsBytes = 0
    }
    if (at < piece.length) {
      parts.push(piece.subarray(at))
      partsBytes += piece.length - at
      if (partsBytes > lineBytesMax)
        throw new Error(`${path}:${number + 1}: the line is longer than ${lineBytesMax} bytes`)
    }
  }
  if (parts.length > 0) {
    const cut = place(Buffer.concat(parts), false)
    yield { ...cut, line: { kind: 'unreadable', reason: 'it is cut short' } }
  }
}

/** It may have been archived since it was listed. */
async function openSegment(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (!isMissing(error)) throw error
    return open(join(dirname(dirname(path)), archiveName, basename(path)), 'r')
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
