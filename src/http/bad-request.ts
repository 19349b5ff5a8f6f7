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
  405: '405 Method Not Allowed',
  408: '408 Request Timeout',
  413: '413 Content Too Large',
  431: '431 Request Header Fields Too Large',
} as const

/** Code of Node's parser → status and line. */
const faults: Readonly<Record<string, readonly [keyof typeof statusLines, string]>> = {
  HPE_INVALID_METHOD: [405, 'The method of this request is not known'],
  HPE_HEADER_OVERFLOW: [431, 'The header of this request is too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions of this request are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'This request did not come whole in time'],
}

/** A request line with a method that Node does not know; anything else that is no method is no HTTP (a TLS hello, say). */
const unknownMethod = /^[A-Z][A-Z0-9_-]* \S+ HTTP\/1\.[01]\r?\n/

/** Answers on `server`, which has to leave the Host header to `refuseWithoutHost`. */
export function answerBadRequests(server: Server): void {
  const latest = new WeakMap<Duplex, ServerResponse>()
  for (const event of ['request', 'checkContinue'] as const) {
    server.prependListener(event, (incoming, outgoing) => {
      latest.set(incoming.socket, outgoing)
    })
  }
  server.on('clientError', (error: Error & { code?: string; reason?: string; rawPacket?: Buffer }, socket) => {
    const answer = latest.get(socket)
    const isOwed = answer !== undefined && !answer.writableFinished
    // One without a socket waits behind another one, which is under way.
    const begun = isOwed && (answer.headersSent || answer.socket === null)
    if (!socket.writable || begun || error.code === 'ECONNRESET') {
      socket.destroy(error)
      return
    }
    const known = faults[error.code ?? '']
    // Behind a request that has no answer yet it is the rest of that one, whose length was a lie: no request of its own.
    const isHttp = known?.[0] !== 405 || (!isOwed && unknownMethod.test(error.rawPacket?.toString('latin1') ?? ''))
    const [status, line] =
      known && isHttp ? known : ([400, `This is no HTTP request: ${error.reason ?? error.message}`] as const)
    const body = `${line}\n`
    // What every path answers: the parser has not got as far as the path.
    const allow = status === 405 ? 'Allow: GET, HEAD\r\n' : ''
    const head = `HTTP/1.1 ${statusLines[status]}\r\n${allow}Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`
    socket.end(head + body)
    setTimeout(() => socket.destroy(), lingerMs).unref()
  })
}

/** Whether it was answered: HTTP/1.1 has to name the host, and one host. */
export function refuseWithoutHost(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
  const line = hostFault(incoming)
  if (line === undefined) return false
  const headers = { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }
  outgoing.writeHead(400, headers).end(`${line}\n`)
  return true
}

function hostFault({ headers, httpVersion, rawHeaders }: IncomingMessage): string | undefined {
  if (headers.host === undefined) {
    return httpVersion === '1.1' ? 'This request has no Host header, which HTTP/1.1 asks for' : undefined
  }
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    // Its length first: this is asked of every header of every request.
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1
  }
  return hosts > 1 ? 'This request has more than one Host header' : undefined
}
