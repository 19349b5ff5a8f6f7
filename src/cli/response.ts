/**
 * HTTP/1.1 answers, read from whatever gives bytes: head, then body by length, chunks or the end of the connection.
 *
 * Written by hand because loading `node:http` costs a third of the time a command takes. It trusts nothing: every part
 * has a limit, and what breaks off is told from what is whole. No socket here. Source: RFC 9112 §4, §6, §7.
 */

/** Next bytes as they come; null: the connection has ended. */
export type NextBytes = () => Promise<Uint8Array | null>

export interface Head {
  readonly status: number
  readonly reason: string
  /** By lower-case name; several of one name joined by `, `. */
  readonly headers: ReadonlyMap<string, string>
}

/** What came is no HTTP answer (`garbage`), or it ended before it was whole (`cut`). */
export class AnswerFault extends Error {
  readonly kind: 'garbage' | 'cut'

  constructor(kind: 'garbage' | 'cut', message: string) {
    super(message)
    this.name = 'AnswerFault'
    this.kind = kind
  }
}

/** Far above any head the daemon sends, and nothing to the client's memory. */
const headBytesMax = 64 * 1024
/** A chunk's size line with extensions, or one trailer. */
const lineBytesMax = 8 * 1024

/** Bytes with what is left over from the last read. */
export class ByteReader {
  #rest: Buffer = Buffer.alloc(0)
  readonly #next: NextBytes

  constructor(next: NextBytes) {
    this.#next = next
  }

  /** Up to and without `end`, at most `max` bytes; null if the connection ended before the first byte. */
  async until(end: string, max: number): Promise<Buffer | null> {
    for (;;) {
      const at = this.#rest.indexOf(end, 0, 'latin1')
      if (at >= 0 && at <= max) {
        const found = this.#rest.subarray(0, at)
        this.#rest = this.#rest.subarray(at + end.length)
        return found
      }
      if (at > max || this.#rest.length > max) throw new AnswerFault('garbage', `no end of line within ${max} bytes`)
      const more = await this.#next()
      if (more === null) {
        if (this.#rest.length === 0) return null
        throw new AnswerFault('cut', 'it ended in the middle of a line')
      }
      this.#rest = Buffer.concat([this.#rest, more])
    }
  }

  /** Some bytes, at most `max`; null at the end of the connection. */
  async some(max: number): Promise<Buffer | null> {
    while (this.#rest.length === 0) {
      const more = await this.#next()
      if (more === null) return null
      this.#rest = Buffer.from(more.buffer, more.byteOffset, more.byteLength)
    }
    const piece = this.#rest.subarray(0, max)
    this.#rest = this.#rest.subarray(piece.length)
    return piece
  }
}

/** The next head, interim ones (1xx) included; null if the connection ended without a byte. */
export async function readHead(reader: ByteReader): Promise<Head | null> {
  const bytes = await reader.until('\r\n\r\n', headBytesMax)
  if (bytes === null) return null
  const [first = '', ...lines] = bytes.toString('latin1').split('\r\n')
  const status = /^HTTP\/1\.[01] ([1-5]\d\d)(?: ([^\r\n]*))?$/.exec(first)
  if (!status) throw new AnswerFault('garbage', 'it is no HTTP answer')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const parts = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line)
    if (!parts) throw new AnswerFault('garbage', 'a header line is no header')
    const name = (parts[1] ?? '').toLowerCase()
    const before = headers.get(name)
    headers.set(name, before === undefined ? (parts[2] ?? '') : `${before}, ${parts[2]}`)
  }
  return { status: Number(status[1]), reason: status[2] ?? '', headers }
}

/** The body that belongs to a final head, piece by piece. Throws `AnswerFault` when it is not whole. */
export function readBody(reader: ByteReader, head: Head): AsyncGenerator<Buffer, void> {
  const encoding = head.headers.get('transfer-encoding')
  if (encoding !== undefined) {
    if (encoding.toLowerCase() !== 'chunked') throw new AnswerFault('garbage', 'its transfer encoding is unknown')
    return readChunks(reader)
  }
  const length = head.headers.get('content-length')
  if (length === undefined)
    return head.status === 204 || head.status === 304 ? readLength(reader, 0) : readToEnd(reader)
  if (!/^\d{1,15}$/.test(length)) throw new AnswerFault('garbage', 'its length is no number')
  return readLength(reader, Number(length))
}

async function* readLength(reader: ByteReader, length: number): AsyncGenerator<Buffer, void> {
  for (let left = length; left > 0; ) {
    const piece = await reader.some(left)
    if (piece === null) throw new AnswerFault('cut', `${left} bytes are missing`)
    left -= piece.length
    yield piece
  }
}

async function* readToEnd(reader: ByteReader): AsyncGenerator<Buffer, void> {
  for (;;) {
    const piece = await reader.some(Number.MAX_SAFE_INTEGER)
    if (piece === null) return
    yield piece
  }
}

async function* readChunks(reader: ByteReader): AsyncGenerator<Buffer, void> {
  for (;;) {
    const digits = /^([0-9a-f]{1,13})[ \t]*(?:;.*)?$/i.exec(await readLine(reader))?.[1]
    if (digits === undefined) throw new AnswerFault('garbage', 'a chunk has no size')
    const size = Number.parseInt(digits, 16)
    if (size === 0) break
    yield* readLength(reader, size)
    if ((await readLine(reader)) !== '') throw new AnswerFault('garbage', 'a chunk is longer than its size')
  }
  while ((await readLine(reader)) !== '') {
    // Trailers say nothing that the client asks for.
  }
}

async function readLine(reader: ByteReader): Promise<string> {
  const line = await reader.until('\r\n', lineBytesMax)
  if (line === null) throw new AnswerFault('cut', 'it ended between two chunks')
  return line.toString('latin1')
}
