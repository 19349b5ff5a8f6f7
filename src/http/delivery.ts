/**
 * Whether an answer with a run arrives at its machine, as its connection shows.
 *
 * It has when the peer closes cleanly or sends its next request after the whole answer, or when 10 s later the connection
 * is open and all of it is acknowledged. A reset before that is a cut; so is an answer of which no more gets through:
 * nobody is there any more. Source: CONTRACT "What machines ask over HTTP" (`/nexttest/`); bug L2 of pxemngr 0.8.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { unacknowledgedBytes } from '../net/send-queue.ts'
import type { Handed } from '../runs/handout.ts'
import { uploadUrl } from './raw-upload.ts'

export interface Deliveries {
  /** A request came on a connection: what was answered before it has been delivered. */
  heard(next: IncomingMessage): void
  /** Finds out whether the answer, which is about to be written, arrives. */
  follow(outgoing: ServerResponse, socket: Socket, handed: Handed): void
}

/** On an open connection an answer is taken for delivered after this (CONTRACT). */
const deliveredAfterMs = 10_000
/** What is not acknowledged then is looked at again after this: it is cut if no more of it has arrived. */
const lookAgainMs = 5_000
/** An upload that is not kept within this is not waited for: the run is recorded as sent by itself. */
const uploadedWithinMs = 50

/** `unacknowledged`: of a connection, as `net/send-queue.ts` has it. */
export function createDeliveries(unacknowledged = unacknowledgedBytes): Deliveries {
  /** Runs under way on a connection: its next request says that they were delivered. */
  const onConnection = new WeakMap<Socket, (next: IncomingMessage) => void>()
  return {
    heard(next) {
      onConnection.get(next.socket)?.(next)
    },
    follow(outgoing, socket, handed) {
      // It went while it was found out who it is: nothing more is heard of it.
      if (socket.destroyed) return handed.cut()
      let isWhole = false
      let isOver = false
      const end = (isDelivered: boolean, next?: IncomingMessage): void => {
        isOver = true
        clearTimeout(timer)
        onConnection.delete(socket)
        socket.off('end', closed)
        socket.off('error', reset)
        socket.off('close', gone)
        outgoing.off('finish', whole)
        if (!isDelivered) handed.cut()
        // A result that comes at once is recorded together with that: one sync for both.
        else if (next && isUploadOf(next, handed.run.id)) setTimeout(recordDelivered, uploadedWithinMs, handed)
        else void handed.delivered()
      }
      const whole = (): void => {
        isWhole = true
      }
      const closed = (): void => {
        // Its FIN may be read before ours: it counts once the whole answer has gone out.
        if (isWhole) end(true)
      }
      const reset = (): void => end(false)
      const gone = (hadError: boolean): void => end(isWhole && !hadError)
      /** On a connection that stays open: is what was sent acknowledged? The machine may have lost its power. */
      const look = async (before?: { readonly isWhole: boolean; readonly left: number }): Promise<void> => {
        const left = (await unacknowledged(socket)) ?? 0
        if (isOver) return
        if (isWhole && left === 0) return end(true)
        // As long as something gets through it changes: it falls, or more has gone to the kernel.
        if (before?.isWhole !== isWhole || before.left !== left) {
          timer = setTimeout(() => void look({ isWhole, left }), lookAgainMs).unref()
          return
        }
        end(false)
        // Should it come back, it must not get the rest of a run that another connection may have by then.
        socket.resetAndDestroy()
      }
      let timer = setTimeout(() => void look(), deliveredAfterMs).unref()
      outgoing.on('finish', whole)
      socket.on('end', closed)
      socket.on('error', reset)
      socket.on('close', gone)
      onConnection.set(socket, (next) => {
        if (isWhole) end(true, next)
      })
    },
  }
}

/** Not a closure: it would keep the request and its answer for as long, and the collector would move them all about. */
function recordDelivered(handed: Handed): void {
  void handed.delivered()
}

function isUploadOf({ method, url = '' }: IncomingMessage, run: number): boolean {
  return method === 'POST' && uploadUrl.exec(url)?.[1] === String(run)
}
