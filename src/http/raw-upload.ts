/**
 * The raw way in for uploads: straight from Node's server, as the other URLs that machines ask often, without the requests
 * and responses that the application makes of them.
 *
 * Only `POST /upload/<number>/`; whatever else it may be goes through the application, with the same answers. What an upload
 * does is `uploads.ts`. Source: CONTRACT "What machines ask over HTTP".
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { Refusal } from '../domain/errors.ts'
import type { Log } from '../log.ts'
import type { HttpContext, Surface } from './env.ts'
import { headersOf, type MachineAnswer, rawRequest, text } from './machine-plane.ts'
import { drainBody, readBody } from './unread.ts'

/** What of a request counts for an upload, whichever way it came in. */
export interface Asked {
  readonly env: { readonly incoming?: IncomingMessage }
  readonly req: {
    param(name: 'id'): string | undefined
    query(name: string): string | undefined
    header(name: string): string | undefined
    readonly raw: { readonly body?: HttpContext['req']['raw']['body'] }
  }
  get(name: 'peer'): string
  get(name: 'surface'): Surface
}

/** The URL of an upload as the raw way in takes it: run id, and the query without its `?`. */
export const uploadUrl = /^\/upload\/(\d{1,15})\/?(?:\?(.*))?$/

/** Answers an upload that came over TCP with what `answer` says, and returns whether it is one. */
export function answerRawUpload(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  answer: (asked: Asked) => Promise<MachineAnswer>,
  options: { readonly log: Log; readonly onAnswered?: ((status: number) => void) | undefined },
): boolean {
  const parts = incoming.method === 'POST' ? uploadUrl.exec(incoming.url ?? '') : null
  if (!parts) return false
  const [, id = '', query] = parts
  const { peer, header } = rawRequest(incoming)
  const known = { peer, surface: 'tcp' as const }
  const asked: Asked = {
    env: { incoming },
    req: {
      header,
      param: () => id,
      query: (name) => (query === undefined ? undefined : (new URLSearchParams(query).get(name) ?? undefined)),
      raw: {},
    },
    get: (name: 'peer' | 'surface') => known[name] as never,
  }
  answer(asked)
    .catch((error: unknown) => {
      options.log.error('an upload failed', { path: incoming.url, error })
      return text(500, 'the server failed: its log says why')
    })
    .then((found) => send(incoming, outgoing, found))
    .then((status) => options.onAnswered?.(status))
    .catch((error: unknown) => outgoing.destroy(error instanceof Error ? error : undefined))
  return true
}

/** What is refused may not have been read: the answer goes out, the rest is thrown away, then the connection is closed. */
async function send(incoming: IncomingMessage, outgoing: ServerResponse, found: MachineAnswer): Promise<number> {
  const { status, body } = found
  const headers = headersOf(found)
  if (status < 400) outgoing.writeHead(status, headers).end(body)
  else {
    outgoing.writeHead(status, { ...headers, connection: 'close' }).write(body)
    await drainBody(incoming)
    outgoing.end()
  }
  return status
}

/** The body as it comes: from the raw request where there is one. */
export function bodyOf(c: Asked): AsyncIterable<Uint8Array> {
  if (c.env.incoming) return readBody(c.env.incoming)
  const { body } = c.req.raw
  return body ? Readable.fromWeb(body as never) : Readable.from([])
}

/** Refuses (`invalid`) more than `max` bytes. */
export async function readAll(source: AsyncIterable<Uint8Array>, max: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of source) {
    size += piece.length
    if (size > max) throw new Refusal('invalid', `the body has more than the ${max} bytes that Content-Range says`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
