/**
 * How the client writes: results to stdout, words to stderr; colour and columns for a terminal only, so that what goes
 * into a pipe is plain and stays as it is. Source: CONTRACT "Command line", no-color.org.
 */
import type { Output } from '../commands/definition.ts'
import { Refusal } from '../domain/errors.ts'
import type { Io } from './io.ts'
import { fileFault } from './save.ts'

/** Nobody reads stdout any more (`| head`): the end of the command, and no fault. */
export class OutputClosed extends Error {}

/** Bytes are gathered up to this before they are written, so that a list of 10,000 names is no 10,000 writes. */
const gatheredMax = 64 * 1024

export interface Printer extends Output {
  /** Bytes as they are, at once. Throws `OutputClosed`. */
  bytes(piece: Uint8Array): void
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
  return {
    terminal: io.stdout.terminal,
    color: io.stdout.terminal && !noColor && term !== 'dumb',
    line(text) {
      gathered += `${text}\n`
      if (gathered.length >= gatheredMax) flush()
    },
    bytes(piece) {
      flush()
      write(piece)
    },
    note(text) {
      flush()
      writeWords(io, text)
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

/** The machine-readable form: one line in a pipe, indented for people. */
export function formatJson(value: unknown, terminal: boolean): string {
  return JSON.stringify(value, null, terminal ? 2 : 0)
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
