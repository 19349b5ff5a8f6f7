/**
 * A window of a run's log as lines with numbers and kinds; `show` leaves only some kinds. Bounded however large the file.
 * Source: WEB.md (log: toggles, anchors), CONTRACT "Result files".
 */
import type { RunLog } from '../../commands/daemon.ts'
import { decodeText } from '../../domain/result/text.ts'
import { visible } from './words.ts'

export interface LogLine {
  readonly number: number
  readonly kind: string
  readonly text: string
}

export interface LogWindow {
  readonly lines: readonly LogLine[]
  /** First line of the next window; undefined: the log ends here. */
  readonly next: number | undefined
  /** The file is larger than what is looked through for one page. */
  readonly cut: boolean
}

export const windowLines = 2000
/** Looked through for one page. */
const scanBytesMax = 32 * 1024 * 1024
/** Of a line that is shown. */
const lineLength = 2000

const kinds: Readonly<Record<string, string>> = {
  I: 'info',
  W: 'warning',
  E: 'error',
  V: 'version',
  M: 'measured',
  X: 'exit',
}

/** `show`: letters such as `EW`; '' for all. */
export async function readLog(file: RunLog, from: number, show: string): Promise<LogWindow> {
  const lines: LogLine[] = []
  let number = 0
  let rest: Buffer = Buffer.alloc(0)
  const take = (bytes: Uint8Array): boolean => {
    number += 1
    if (number < from) return true
    const letter = bytes[1] === 0x3a && bytes[2] === 0x20 ? String.fromCharCode(bytes[0] ?? 0) : ''
    const kind = kinds[letter] ?? ''
    if (show !== '' && !(kind !== '' && show.includes(letter))) return true
    if (lines.length >= windowLines) return false
    const text = decodeText(bytes.subarray(0, 4 * lineLength), bytes.length > 4 * lineLength).replace(/\r$/, '')
    lines.push({ number, kind, text: visible(text.length > lineLength ? `${text.slice(0, lineLength)}…` : text) })
    return true
  }
  let scanned = 0
  for await (const chunk of file.chunks(0, Math.min(file.sizeBytes, scanBytesMax))) {
    scanned += chunk.length
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = chunk.subarray(start, end)
      if (!take(rest.length > 0 ? Buffer.concat([rest, line]) : line)) return { lines, next: number, cut: false }
      rest = Buffer.alloc(0)
      start = end + 1
    }
    rest = Buffer.concat([rest, chunk.subarray(start)]).subarray(0, 8 * lineLength)
  }
  if (rest.length > 0 && !take(rest)) return { lines, next: number, cut: false }
  return { lines, next: undefined, cut: scanned < file.sizeBytes }
}

/** All of a text file as lines, for a comparison; undefined if it is too large for one. */
export async function readLines(file: RunLog, bytesMax = 4 * 1024 * 1024): Promise<string[] | undefined> {
  if (file.sizeBytes > bytesMax) return undefined
  const pieces: Uint8Array[] = []
  for await (const piece of file.chunks()) pieces.push(piece)
  return decodeText(Buffer.concat(pieces)).split(/\r?\n/)
}
