/**
 * A command's stream as response body: waits while the client is slow, breaks the connection where it fails half-way.
 *
 * The status is sent with the first bytes, so what is refused before them is answered as a refusal.
 */
import type { CallContext, Stream } from '../commands/definition.ts'

/** Bytes on their way to a client that reads slowly, before the sender waits. */
const bufferedMaxBytes = 256 * 1024

/** `breakOff` is told what failed half-way; true: it has broken the connection, so that the stream need not fail. */
export async function streamAnswer<A>(
  stream: Stream<A>,
  context: CallContext,
  args: A,
  breakOff: (error: unknown) => boolean,
): Promise<Response> {
  const abort = new AbortController()
  let wake: () => void = () => {}
  let started: () => void = () => {}
  const firstBytes = new Promise<void>((resolve) => {
    started = resolve
  })
  let sink: ReadableStreamDefaultController<Uint8Array> | undefined
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        sink = controller
      },
      pull: () => wake(),
      cancel() {
        abort.abort()
        wake()
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: bufferedMaxBytes }),
  )
  const write = async (chunk: Uint8Array): Promise<void> => {
    abort.signal.throwIfAborted()
    sink?.enqueue(chunk)
    started()
    while (!abort.signal.aborted && (sink?.desiredSize ?? 0) <= 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  let answered = false
  const sent = stream.send(context, args, write, abort.signal).then(
    () => {
      if (!abort.signal.aborted) sink?.close()
    },
    (error: unknown) => {
      if (!answered) throw error
      if (!abort.signal.aborted && !breakOff(error)) sink?.error(error)
    },
  )
  await Promise.race([firstBytes, sent])
  answered = true
  return new Response(body, { headers: { 'content-type': stream.contentType, 'cache-control': 'no-store' } })
}
