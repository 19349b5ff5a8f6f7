/**
 * How the client writes: results to stdout, words to stderr; colour and columns for a terminal only, so that what goes
 * into a pipe is plain and stays as it is. Source: CONTRACT "Command line", no-color.org.
 */
import type { Output } from '../commands/definition.ts'
import { Refusal } from '../domain/errors.ts'
import { lineControls, showSigns } from '../domain/visible.ts'
import type { Io } from './io.ts'
import { fileFault } from './save.ts'

/** Nobody reads stdout any more (`| head`): the end of the command, and no fault. */
export class OutputClosed extends Error {}

/** Bytes are gathered up to this before they are written, so that a list of 10,000 names is no 10,000 writes. */
const gatheredMax = 64 * 1024

/** In a text of many lines: ends of lines stay too. */
const textControls = /\r(?!\n)|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g

export interface Printer extends Output {
  /** Bytes as they are, at once; for a terminal as text without what would steer it. Throws `OutputClosed`. */
  bytes(piece: Uint8Array): void
  /** What results are printed with: text of machines and people, whose control characters are made visible. */
  readonly plain: Output
  /** Writes what has been gathered. Throws `OutputClosed`. */
  flush(): void
}

export function createPrinter(io: Io): Printer {
  const { NO_COLOR: noColor, TERM: term } = io.env
  let gathered = ''
  const flush = (): void => {
    const text = gathered
    gathered = ''
    if (text !== '') write(text)
  }
  const write = (text: string | Uint8Array): void => {
    let read: boolean
    try {
      read = io.stdout.write(text)
    } catch (error) {
      throw new Refusal('refused', `cannot write standard output: ${fileFault(error)}`, { cause: error })
    }
    if (!read) throw new OutputClosed()
  }
  const decoder = io.stdout.terminal ? new TextDecoder() : undefined
  const output: Output = {
    terminal: io.stdout.terminal,
    color: io.stdout.terminal && !noColor && term !== 'dumb',
    line(text) {
      gathered += `${text}\n`
      if (gathered.length >= gatheredMax) flush()
    },
    rows(heads, rows) {
      if (!output.terminal) for (const row of rows) output.line(row.join('\t').trimEnd())
      else if (rows.length > 0) {
        const [head = '', ...lines] = formatTable([heads, ...rows])
        output.line(output.color ? `\u001b[1m${head}\u001b[0m` : head)
        for (const line of lines) output.line(line.trimEnd())
      }
    },
    note(text) {
      flush()
      writeWords(io, text)
    },
  }
  const safe = (text: string): string => showSigns(text, lineControls)
  return {
    ...output,
    plain: {
      ...output,
      line: (text) => output.line(safe(text)),
      rows: (heads, rows) =>
        output.rows(
          heads,
          rows.map((row) => row.map(safe)),
        ),
    },
    bytes(piece) {
      flush()
      write(decoder ? showSigns(decoder.decode(piece, { stream: true }), textControls) : piece)
    },
    flush,
  }
}

/** A line on stderr; if even that cannot be written, the exit status is left to say it. */
export function writeWords(io: Io, text: string): void {
  try {
    io.stderr.write(`${oneLine(text)}\n`)
  } catch {
    // A closed or full stderr: there is nowhere left to say so.
  }
}

/** The machine-readable form: one line in a pipe, indented for people, with what JSON itself leaves unescaped escaped. */
export function formatJson(value: unknown, terminal: boolean): string {
  if (!terminal) return JSON.stringify(value)
  return JSON.stringify(value, null, 2).replace(/[\u007f-\u009f]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`)
}

/** Control characters would break the line or steer the terminal. */
export function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => (c === '\n' || c === '\t' ? ' ' : '\ufffd'))
}

/** Rows as columns as wide as their widest cell; the last one as it is. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0))).join('  '),
  )
}
