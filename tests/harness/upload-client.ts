/**
 * Uploads as machines send them, byte by byte where a test wants that: the head is written by hand, the body comes in
 * pieces from a generator, so that its size costs the test no memory, and the connection is ended in any way.
 *
 * Reads the answer as RFC 9112 has it, as far as the server's answers go: interim answers, then a status, a header and a
 * body of known length. No client code of the project is used here.
 */
import { connect, type Socket } from 'node:net'

export const boundary = 'xxx-pxemngr-boundary-xxx'
const answerTimeoutMs = 60_000

/** What stands before a part's bytes; without a file name a plain field. */
export function partHead(field: string, fileName?: string): string {
  const file = fileName === undefined ? '' : `; filename="${fileName}"`
  return `--${boundary}\r\nContent-Disposition: form-data; name="${field}"${file}\r\n\r\n`
}
/** Between two parts, and behind the last. */
export const partEnd = '\r\n'
export const formEnd = `--${boundary}--\r\n`

/** A whole form with one file in the field `file`. */
export function formOf(content: string | Uint8Array, fileName = 'out.log'): Buffer {
  return Buffer.concat([
    Buffer.from(partHead('file', fileName)),
    Buffer.from(content),
    Buffer.from(`${partEnd}${formEnd}`),
  ])
}

export interface RawAnswer {
  readonly status: number
  readonly text: string
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>
}

export interface RawRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Content-Length; absent: chunked. */
  readonly length?: number
}

export interface RawUpload {
  readonly socket: Socket
  /** Status of the interim answers so far. */
  readonly interim: readonly number[]
  /** Bytes of the body; chunked where no length was given. Waits while the server is slow; false: it takes no more. */
  write(bytes: Uint8Array | string): Promise<boolean>
  /** The last chunk. */
  finish(): Promise<boolean>
  /** undefined: the connection ended without one. */
  readonly answer: Promise<RawAnswer | undefined>
  /** Resolves once an interim answer is here, or the final one. */
  heard(): Promise<void>
  destroy(): void
  reset(): void
}

/** Sends the head of a request; resolves when the connection is open. */
export function openUpload(url: string, path: string, request: RawRequest = {}): Promise<RawUpload> {
  const { hostname, port } = new URL(url)
  const isChunked = request.length === undefined
  const socket = connect(Number(port), hostname)
  const interim: number[] = []
  let received = Buffer.alloc(0)
  let isOver = false
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const each of waiting) each()
    waiting.clear()
  }
  let settle: (answer: RawAnswer | undefined) => void = () => {}
  const answer = new Promise<RawAnswer | undefined>((resolve) => {
    settle = (found) => {
      isOver = true
      resolve(found)
      wake()
    }
  })
  const look = (): void => {
    for (;;) {
      const end = received.indexOf('\r\n\r\n')
      if (end < 0) return
      const [first = '', ...lines] = received.toString('latin1', 0, end).split('\r\n')
      const status = Number(first.split(' ')[1])
      if (status < 200) {
        interim.push(status)
        received = received.subarray(end + 4)
        wake()
        continue
      }
      const headers = new Map(
        lines.map((line) => [line.split(':', 1).join().toLowerCase(), line.replace(/^[^:]*: */, '')]),
      )
      const size = Number(headers.get('content-length') ?? 0)
      if (received.length < end + 4 + size) return
      settle({ status, headers, text: received.toString('utf8', end + 4, end + 4 + size) })
      return
    }
  }
  socket.on('data', (part) => {
    received = Buffer.concat([received, part])
    look()
  })
  socket.on('error', () => settle(undefined))
  socket.on('close', () => settle(undefined))
  socket.setTimeout(answerTimeoutMs, () => socket.destroy())
  const write = async (bytes: Uint8Array | string): Promise<boolean> => {
    if (isOver || socket.destroyed || !socket.writable) return false
    if (socket.write(bytes)) return true
    await new Promise<void>((resolve) => {
      waiting.add(resolve)
      socket.once('drain', () => {
        waiting.delete(resolve)
        resolve()
      })
    })
    return !isOver && !socket.destroyed
  }
  const upload: RawUpload = {
    socket,
    interim,
    answer,
    async write(bytes) {
      const size = typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
      if (size === 0 || !isChunked) return write(bytes)
      socket.cork()
      socket.write(`${size.toString(16)}\r\n`)
      socket.write(bytes)
      const done = write('\r\n')
      socket.uncork()
      return done
    },
    finish: () => (isChunked ? write('0\r\n\r\n') : Promise.resolve(true)),
    heard: () => new Promise((resolve) => (interim.length > 0 || isOver ? resolve() : waiting.add(resolve))),
    destroy: () => void socket.destroy(),
    reset: () => void socket.resetAndDestroy(),
  }
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      const headers = {
        host: `${hostname}:${port}`,
        'content-type': `multipart/form-data; boundary=${boundary}`,
        ...(isChunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(request.length) }),
        ...request.headers,
      }
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.write(`${request.method ?? 'POST'} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
      resolve(upload)
    })
  })
}

/** A whole upload of pieces, until the server answers or closes. */
export async function sendUpload(
  url: string,
  path: string,
  pieces: Iterable<Uint8Array | string>,
  request: RawRequest = {},
): Promise<RawAnswer | undefined> {
  const upload = await openUpload(url, path, request)
  for (const piece of pieces) if (!(await upload.write(piece))) break
  await upload.finish()
  const answer = await upload.answer
  upload.destroy()
  return answer
}

/** `size` bytes of lines, none like the other, in pieces of 64 KiB. */
export function* logOf(size: number, seed = 0): Generator<Uint8Array> {
  const pieceBytes = 65_536
  const line = 64
  for (let at = 0; at < size; at += pieceBytes) {
    const piece = Buffer.alloc(Math.min(pieceBytes, size - at), 0x2e)
    for (let from = 0; from < piece.length; from += line) {
      piece.write(`I: line ${(at + from) / line} of ${seed} `, from, 'latin1')
      piece[Math.min(from + line, piece.length) - 1] = 10
    }
    yield piece
  }
}

/** The pieces of a form with that log. */
export function* formPieces(log: Iterable<Uint8Array | string>): Generator<Uint8Array | string> {
  yield partHead('file', 'out.log')
  yield* log
  yield `${partEnd}${formEnd}`
}
