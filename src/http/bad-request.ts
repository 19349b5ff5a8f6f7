/**
 * What never becomes a request: an unknown method, a broken or endless header, HTTP/1.1 without Host. Node answers these
 * itself with an empty body; here each gets a line of text that says what is wrong, and the connection is closed.
 *
 * A connection on which an answer has begun is only closed: nothing may be put into the middle of it.
 * Sources: RFC 9112 §3 (400), §3.2 (Host), RFC 6585 §5 (431), RFC 9110 §15.5.9 (408).
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** So long the client may take to read the line and close. */
const lingerMs = 3_000

const statusLines = {
  400: '400 Bad Request',
  408: '408 Request Timeout',
  413: '413 Content Too Large',
  431: '431 Request Header Fields Too Large',
} as const

/** Code of Node's parser → status and line. */
const faults: Readonly<Record<string, readonly [keyof typeof statusLines, string]>> = {
  HPE_INVALID_METHOD: [400, 'The method of this request is not known'],
  HPE_HEADER_OVERFLOW: [431, 'The header of this request is too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions of this request are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'This request did not come whole in time'],
}

/** Answers on `server`, which has to leave the Host header to `refuseWithoutHost`. */
export function answerBadRequests(server: Server): void {
  const latest = new WeakMap<Duplex, ServerResponse>()
  for (const event of ['request', 'checkContinue'] as const) {
    server.prependListener(event, (incoming, outgoing) => {
      latest.set(incoming.socket, outgoing)
    })
  }
  server.on('clientError', (error: Error & { code?: string; reason?: string }, socket) => {
    const answer = latest.get(socket)
    const begun = answer?.headersSent === true && !answer.writableFinished
    if (!socket.writable || begun || error.code === 'ECONNRESET') {
      socket.destroy(error)
      return
    }
    const [status, line] = faults[error.code ?? ''] ?? [
      400,
      `This is no HTTP request: ${error.reason ?? error.message}`,
    ]
    const body = `${line}\n`
    const head = `HTTP/1.1 ${statusLines[status]}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`
    socket.end(head + body)
    setTimeout(() => socket.destroy(), lingerMs).unref()
  })
}

/** Whether it was answered: HTTP/1.1 has to name the host. */
export function refuseWithoutHost(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
  if (incoming.headers.host !== undefined || incoming.httpVersion !== '1.1') return false
  const headers = { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }
  outgoing.writeHead(400, headers).end('This request has no Host header, which HTTP/1.1 asks for\n')
  return true
}
