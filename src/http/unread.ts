/**
 * Bodies that nobody reads to their end: a request is answered before it has been sent whole.
 *
 * Whoever closes a connection with bytes unread makes the kernel reset it, and the reset takes the answer away before the
 * client has read it. So the answer goes out, the rest is read and thrown away for a while, and only then is the connection
 * closed. A client that asks first (`Expect: 100-continue`) is told to go on when somebody begins to read, not before:
 * one that is refused sends nothing. Sources: RFC 9112 §9.6 (tear-down), RFC 9110 §10.1.1 (Expect).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

/** The rest of a body is thrown away so long, and given up after so long a silence. */
const drainMaxMs = 30_000
const drainSilenceMs = 3_000
/** A body that announces no more is given in one piece: passing a stream costs more than reading a small log. Bytes. */
const onePieceMax = 32 * 1024

/** Requests whose client waits to be told to send its body. */
const waiting = new WeakSet<IncomingMessage>()

/** For `checkContinue`: the client is told to go on when its body is first read. */
export function continueWhenRead(incoming: IncomingMessage, outgoing: ServerResponse): void {
  waiting.add(incoming)
  // What is refused without having been read must not be followed by another request on the same connection.
  outgoing.shouldKeepAlive = false
  const goOn = (event: string | symbol): void => {
    if (event !== 'data' && event !== 'readable') return
    incoming.off('newListener', goOn)
    waiting.delete(incoming)
    if (outgoing.headersSent || outgoing.destroyed) return
    outgoing.shouldKeepAlive = true
    outgoing.writeContinue()
  }
  incoming.on('newListener', goOn)
}

/** The body, which stays readable when the loop over it is left. */
export function readBody(incoming: IncomingMessage): AsyncIterable<Uint8Array> {
  if (Number(incoming.headers['content-length']) <= onePieceMax) return inOnePiece(incoming)
  return { [Symbol.asyncIterator]: () => incoming.iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array> }
}

async function* inOnePiece(incoming: IncomingMessage): AsyncGenerator<Uint8Array> {
  yield await wholeBody(incoming)
}

/** Rejects where the connection ends before the body does, as the stream would. */
function wholeBody(incoming: IncomingMessage): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const pieces: Uint8Array[] = []
    const heard = (piece: Uint8Array): void => void pieces.push(piece)
    const settle = (): void => {
      incoming.off('data', heard).off('end', ended).off('error', failed).off('close', cut)
    }
    const ended = (): void => {
      settle()
      const [first] = pieces
      resolve(first && pieces.length === 1 ? first : Buffer.concat(pieces))
    }
    const failed = (error: Error): void => {
      settle()
      reject(error)
    }
    const cut = (): void => failed(incoming.errored ?? Object.assign(new Error('aborted'), { code: 'ECONNRESET' }))
    if (incoming.destroyed) cut()
    else incoming.on('data', heard).on('end', ended).on('error', failed).on('close', cut)
  })
}

/** Resolves when the rest of the body has come, or the client is gone, or has been given up. Keeps nothing. */
export function drainBody(incoming: IncomingMessage): Promise<void> {
  if (incoming.readableEnded || incoming.destroyed || waiting.has(incoming)) return Promise.resolve()
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(late)
      clearTimeout(silent)
      incoming.off('data', heard)
      for (const event of ['end', 'error', 'close']) incoming.off(event, end)
      resolve()
    }
    const heard = (): void => void silent.refresh()
    const late = setTimeout(end, drainMaxMs).unref()
    const silent = setTimeout(end, drainSilenceMs).unref()
    for (const event of ['end', 'error', 'close']) incoming.on(event, end)
    incoming.on('data', heard)
    incoming.resume()
  })
}

/** A whole answer with `content-length` in its headers, whose connection is closed once the body has been drained. */
export function answerUnread(incoming: IncomingMessage, body: string, init: ResponseInit): Response {
  const bytes = new TextEncoder().encode(body)
  const stream = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(bytes)
      await drainBody(incoming)
      controller.close()
    },
  })
  return new Response(stream, init)
}
