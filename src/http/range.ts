/**
 * What of a file a request gets: all of it, one part, nothing new (304), or nothing (416).
 *
 * Pure. One range is served; of several, or of one that is not understood, the whole file, as RFC 9110 §14.2 allows.
 * Source: RFC 9110 §13 (If-None-Match, If-Modified-Since, If-Range), §14 (Range).
 */

/** What is known of the file. */
export interface Representation {
  readonly sizeBytes: number
  /** With its quotes, and `W/` in front while the file may still change within one time stamp. */
  readonly etag: string
  /** ms since the epoch; undefined where there is no such time. */
  readonly modifiedMs: number | undefined
}

export interface Part {
  readonly status: 200 | 206 | 304 | 416
  /** Bytes `start` to before `end`; both 0 where no body goes out. */
  readonly start: number
  readonly end: number
  readonly headers: Readonly<Record<string, string>>
}

/** `header`: by lower-case name. `method`: GET or HEAD; Range means nothing for HEAD. */
export function selectPart(method: string, header: (name: string) => string | undefined, file: Representation): Part {
  const validators: Record<string, string> = { etag: file.etag, 'accept-ranges': 'bytes' }
  const modified = lastModified(file)
  if (modified !== undefined) validators['last-modified'] = modified
  if (isUnchanged(header, file)) return { status: 304, start: 0, end: 0, headers: validators }
  const whole: Part = { status: 200, start: 0, end: file.sizeBytes, headers: validators }
  const range = header('range')
  if (method !== 'GET' || range === undefined || !mayBePart(header('if-range'), file)) return whole
  const wanted = parseRange(range, file.sizeBytes)
  if (wanted === undefined) return whole
  if (wanted === 'unsatisfiable') {
    return { status: 416, start: 0, end: 0, headers: { ...validators, 'content-range': `bytes */${file.sizeBytes}` } }
  }
  const { start, end } = wanted
  const contentRange = `bytes ${start}-${end - 1}/${file.sizeBytes}`
  return { status: 206, start, end, headers: { ...validators, 'content-range': contentRange } }
}

function isUnchanged(header: (name: string) => string | undefined, file: Representation): boolean {
  const noneMatch = header('if-none-match')
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === '*') return true
    const own = opaque(file.etag)
    return (noneMatch.match(/(W\/)?"[^"]*"/g) ?? []).some((tag) => opaque(tag) === own)
  }
  const since = Date.parse(header('if-modified-since') ?? '')
  return file.modifiedMs !== undefined && Math.floor(file.modifiedMs / 1000) * 1000 <= since
}

/** If-Range: only a strong match lets parts of two versions not be joined. */
function mayBePart(ifRange: string | undefined, file: Representation): boolean {
  if (ifRange === undefined) return true
  if (file.etag.startsWith('W/')) return false
  const value = ifRange.trim()
  return value.startsWith('"') ? value === file.etag : value === lastModified(file)
}

/** undefined: no single byte range. A last byte beyond the end is the end. */
function parseRange(value: string, size: number): { start: number; end: number } | 'unsatisfiable' | undefined {
  const range = /^\s*bytes\s*=\s*(\d{0,15})\s*-\s*(\d*)\s*$/i.exec(value)
  const first = range?.[1] ?? ''
  const last = range?.[2] ?? ''
  if (!range || (first === '' && last === '')) return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size }
  }
  if (last !== '' && Number(last) < Number(first)) return undefined
  if (Number(first) >= size) return 'unsatisfiable'
  return { start: Number(first), end: last === '' ? size : Math.min(Number(last) + 1, size) }
}

function lastModified(file: Representation): string | undefined {
  return file.modifiedMs === undefined ? undefined : new Date(file.modifiedMs).toUTCString()
}

function opaque(etag: string): string {
  return etag.replace(/^W\//, '')
}
