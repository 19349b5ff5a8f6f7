/**
 * What the URLs of machines have in common: a request as far as it counts, a plain-text answer, and the two ways in: the
 * raw Node server (which costs no more than a bare one) and the application.
 *
 * Answers are plain text with nothing around them, reasons too, so that `$(curl …)` works. Source: CONTRACT "What machines
 * ask over HTTP".
 */
import type { IncomingMessage } from 'node:http'
import type { HttpContext } from './env.ts'

/** What of a request counts. */
export interface MachineRequest {
  readonly method: string
  /** As on the request line, without the query. */
  readonly path: string
  /** Header by lower-case name. */
  readonly header: (name: string) => string | undefined
  readonly peer: string
  readonly local: string
  readonly localPort: number
}

export interface MachineAnswer {
  readonly status: number
  readonly body: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

const plainText = 'text/plain; charset=utf-8'

/** Percent-decoded; as it is where it is badly encoded, which no name and no MAC is. */
export function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** Browsers say so when they fetch what nobody asked for yet. */
export function isPrefetch(request: MachineRequest): boolean {
  return ['sec-purpose', 'purpose', 'x-purpose', 'x-moz'].some((name) =>
    /prefetch|prerender|preview/i.test(request.header(name) ?? ''),
  )
}

export function text(status: number, body: string, headers: Readonly<Record<string, string>> = {}): MachineAnswer {
  return { status, body, headers }
}

export function headersOf(answer: MachineAnswer): Record<string, string> {
  return {
    'content-type': plainText,
    'content-length': String(Buffer.byteLength(answer.body)),
    'cache-control': 'no-store',
    ...answer.headers,
  }
}

export function rawRequest(incoming: IncomingMessage): MachineRequest {
  const { socket } = incoming
  const url = incoming.url ?? ''
  const query = url.indexOf('?')
  return {
    method: incoming.method ?? '',
    path: query < 0 ? url : url.slice(0, query),
    header: (name) => {
      const value = incoming.headers[name]
      return Array.isArray(value) ? value[0] : value
    },
    peer: plainAddress(socket.remoteAddress ?? ''),
    local: plainAddress(socket.localAddress ?? ''),
    localPort: socket.localPort ?? 0,
  }
}

export function contextRequest(c: HttpContext): MachineRequest {
  return {
    method: c.req.method,
    path: c.req.path,
    header: (name) => c.req.header(name),
    peer: c.get('peer'),
    local: c.get('local'),
    localPort: c.get('localPort'),
  }
}

/** `::ffff:10.0.0.1` → `10.0.0.1`. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
