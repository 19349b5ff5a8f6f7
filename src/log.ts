/**
 * The daemon's log: one line an event to stderr; for a terminal readable, else one JSON object a line.
 *
 * Writing is synchronous and never throws: a log that cannot be written must not stop a boot. Source: CONTRACT "Daemon".
 */
import { writeSync } from 'node:fs'

export const logLevels = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof logLevels)[number]

/** Further facts of a line by name; `error` may hold what was thrown. */
export type LogFields = Readonly<Record<string, unknown>>

export interface Log {
  /** Whether lines of this level are written: for what would cost to gather. */
  enabled(level: LogLevel): boolean
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
}

/** Lines below `level` are dropped. `write` takes one whole line with its newline. */
export function createLog(
  level: LogLevel,
  terminal: boolean,
  write: (line: string) => void = writeStderr,
  now: () => Date = () => new Date(),
): Log & { setLevel(level: LogLevel): void } {
  let threshold = logLevels.indexOf(level)
  const at =
    (own: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (logLevels.indexOf(own) > threshold) return
      write(terminal ? formatReadable(now(), own, message, fields) : formatJson(now(), own, message, fields))
    }
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    enabled: (asked) => logLevels.indexOf(asked) <= threshold,
    setLevel(next) {
      threshold = logLevels.indexOf(next)
    },
  }
}

/** A log that drops everything, for tests and tools. */
export const silentLog: Log = {
  enabled: () => false,
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
}

function formatJson(now: Date, level: LogLevel, message: string, fields: LogFields): string {
  return `${JSON.stringify({ at: now.toISOString(), level, message, ...plain(fields) })}\n`
}

function formatReadable(now: Date, level: LogLevel, message: string, fields: LogFields): string {
  const rest = Object.entries(plain(fields)).map(([key, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    return ` ${key}=${escapeControls(/^[^\s"=]+$/.test(text) ? text : JSON.stringify(text))}`
  })
  const mark = level === 'info' ? '' : ` ${level.toUpperCase()}`
  return `${now.toISOString().slice(11, 23)}${mark} ${escapeControls(message)}${rest.join('')}\n`
}

function plain(fields: LogFields): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue
    result[key] = value instanceof Error ? (value.stack ?? value.message) : value
  }
  return result
}

/** Control characters would steer the terminal of whoever reads the log. */
function escapeControls(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

function writeStderr(line: string): void {
  try {
    writeSync(2, line)
  } catch {
    // A closed or full stderr loses the line: there is nowhere left to say so.
  }
}
