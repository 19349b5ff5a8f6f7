/**
 * A window of a run's log as lines with numbers and kinds; `show` leaves only some kinds. Bounded however large the file.
 *
 * One pass over the file: lines outside the window are only counted, so that a page can say how many errors there are and
 * where the next one is. What comes while the page is open is `log-tail.ts`. Source: WEB.md (log: toggles, anchors),
 * CONTRACT "Result files".
 */
import type { RunLog } from '../../commands/daemon.ts'
import { decodeText } from '../../domain/result/text.ts'
import { visible } from './words.ts'

export interface LogLine {
  /** From 1. */
  readonly number: number
  /** One of `lineKinds`; '' for a line without a letter. */
  readonly kind: string
  readonly text: string
}

/** Where the next line begins, and how many are before it. */
export interface LogPosition {
  readonly offset: number
  readonly lines: number
}

export interface LogWindow {
  readonly lines: readonly LogLine[]
  /** Whether there are lines before those shown, that would be shown too. */
  readonly earlier: boolean
  /** First line of the next window; undefined: the log ends here. */
  readonly next: number | undefined
  /** The first error of all, and the first behind the window. */
  readonly firstError: number | undefined
  readonly nextError: number | undefined
  /** By kind, of all that was looked through. */
  readonly counts: Readonly<Record<string, number>>
  /** Behind the last whole line. */
  readonly end: LogPosition
  /** The file is larger than what is looked through for one page. */
  readonly cut: boolean
}

export interface WindowOptions {
  /** First line; `end`: the last lines. */
  readonly from: number | 'end'
  /** Letters such as `EW`; '' for all. */
  readonly show: string
  /** More is to come: an unfinished last line is left for later. */
  readonly open: boolean
}

const windowLines = 2000
/** Looked through for one page. */
const scanBytesMax = 32 * 1024 * 1024
/** Of a line that is shown. */
const lineLength = 2000
/** Of a line that is kept while it comes: what is shown, in the longest encoding, and more to say that it is cut. */
const lineBytesMax = 8 * lineLength

/** Letters of result lines and what they are called. */
export const lineKinds: Readonly<Record<string, string>> = {
  I: 'info',
  W: 'warning',
  E: 'error',
  V: 'version',
  M: 'measured',
  X: 'exit',
}

/** Bytes as they come → whole lines, without their end; of very long ones the beginning. */
export interface LineSplitter {
  push(chunk: Uint8Array): void
  /** What is left: a last line without its end. */
  flush(): void
  /** Behind the last whole line. */
  readonly position: LogPosition
}

export function createLineSplitter(
  take: (bytes: Uint8Array, number: number) => void,
  start: LogPosition = { offset: 0, lines: 0 },
): LineSplitter {
  let { offset, lines } = start
  let rest: Buffer = Buffer.alloc(0)
  /** Bytes of the unfinished line, those not kept too. */
  let restBytes = 0
  const finish = (bytes: Uint8Array, sizeBytes: number) => {
    lines += 1
    offset += sizeBytes
    take(bytes, lines)
  }
  return {
    push(given) {
      const chunk = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
      let from = 0
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        const piece = chunk.subarray(from, end)
        finish(rest.length > 0 ? Buffer.concat([rest, piece]) : piece, restBytes + piece.length + 1)
        rest = Buffer.alloc(0)
        restBytes = 0
        from = end + 1
      }
      const left = chunk.subarray(from)
      restBytes += left.length
      if (rest.length < lineBytesMax) rest = Buffer.concat([rest, left.subarray(0, lineBytesMax)])
    },
    flush() {
      if (restBytes > 0) finish(rest, restBytes)
      rest = Buffer.alloc(0)
      restBytes = 0
    },
    get position() {
      return { offset, lines }
    },
  }
}

/** Letter of a result line, or ''. */
function letterOf(bytes: Uint8Array): string {
  const letter = bytes[1] === 0x3a && bytes[2] === 0x20 ? String.fromCharCode(bytes[0] ?? 0) : ''
  return lineKinds[letter] === undefined ? '' : letter
}

export function lineOf(bytes: Uint8Array, number: number): LogLine {
  const text = decodeText(bytes.subarray(0, 4 * lineLength), bytes.length > 4 * lineLength).replace(/\r$/, '')
  const shown = text.length > lineLength ? `${text.slice(0, lineLength)}…` : text
  return { number, kind: lineKinds[letterOf(bytes)] ?? '', text: visible(shown) }
}

export async function readLog(file: RunLog, { from, show, open }: WindowOptions): Promise<LogWindow> {
  const kept: { bytes: Uint8Array; number: number }[] = []
  const counts: Record<string, number> = {}
  let next: number | undefined
  let firstError: number | undefined
  let nextError: number | undefined
  let earlier = false
  const splitter = createLineSplitter((bytes, number) => {
    const letter = letterOf(bytes)
    const kind = lineKinds[letter]
    if (kind !== undefined) counts[kind] = (counts[kind] ?? 0) + 1
    if (letter === 'E') firstError ??= number
    if (next !== undefined) {
      if (letter === 'E') nextError ??= number
      return
    }
    if (show !== '' && !(letter !== '' && show.includes(letter))) return
    if (from !== 'end' && number < from) earlier = true
    else if (from !== 'end' && kept.length >= windowLines) {
      next = number
      if (letter === 'E') nextError = number
    } else kept.push({ bytes: Buffer.from(bytes.subarray(0, lineBytesMax)), number })
    // The last ones: thrown away by the window, so that each is moved once.
    if (from === 'end' && kept.length >= 2 * windowLines) {
      kept.splice(0, windowLines)
      earlier = true
    }
  })
  let scanned = 0
  for await (const chunk of file.chunks(0, Math.min(file.sizeBytes, scanBytesMax))) {
    scanned += chunk.length
    splitter.push(chunk)
  }
  const cut = scanned < file.sizeBytes
  if (!open && !cut) splitter.flush()
  if (from === 'end' && kept.length > windowLines) {
    kept.splice(0, kept.length - windowLines)
    earlier = true
  }
  return {
    lines: kept.map(({ bytes, number }) => lineOf(bytes, number)),
    earlier,
    next,
    firstError,
    nextError,
    counts,
    end: splitter.position,
    cut,
  }
}

/** All of a text file as lines, for a comparison; undefined if it is too large for one. */
export async function readLines(file: RunLog, bytesMax = 4 * 1024 * 1024): Promise<string[] | undefined> {
  if (file.sizeBytes > bytesMax) return undefined
  const pieces: Uint8Array[] = []
  for await (const piece of file.chunks()) pieces.push(piece)
  return decodeText(Buffer.concat(pieces)).split(/\r?\n/)
}
