/**
 * The Node server under the application, one for the socket and one for each TCP listener: limits that Hono cannot set.
 *
 * Which surface a request came on is settled by the server it reached, and by nothing that it says.
 * Binding, permissions of the socket file and closing are the daemon's.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createTurnLimit } from '../turn.ts'
import { answerBadRequests, refuseWithoutHost } from './bad-request.ts'
import type { Surface } from './env.ts'
import { continueWhenRead } from './unread.ts'

/** A client has so long to send its header. The whole request has no limit (uploads of GiB), silence has. */
const headersTimeoutMs = 10_000
/** Silence in both directions after which a TCP connection is given up; every stream of ours says something earlier. */
const silenceMaxMs = 120_000
/** Longer than the 60 s after which common proxies drop idle connections, so that they never race with us. */
const keepAliveTimeoutMs = 65_000

/** Requests that the application begins to answer in one turn of the event loop: some take half a millisecond. */
const takenAtOnce = 8

/**
 * A server that answers with `listener`; not listening yet. `first` may answer a request itself, with the raw Node response,
 * and returns whether it did (machine URLs that must cost no more than a bare server).
 */
export function createHttpServer(
  listener: RequestListener,
  surface: Surface,
  first?: (incoming: IncomingMessage, outgoing: ServerResponse) => boolean,
): Server {
  const takeInTurns = createTurnLimit(takenAtOnce)
  const server = createServer({
    headersTimeout: headersTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    requestTimeout: 0,
    requireHostHeader: false, // answered below, in words
  })
  answerBadRequests(server)
  if (surface === 'tcp') server.timeout = silenceMaxMs
  server.on('checkContinue', (incoming, outgoing) => {
    continueWhenRead(incoming, outgoing)
    server.emit('request', incoming, outgoing)
  })
  server.on('request', (incoming, outgoing) => {
    if (refuseWithoutHost(incoming, outgoing)) return
    if (first?.(incoming, outgoing)) return
    takeInTurns(() => listener(incoming, outgoing))
  })
  return server
}
