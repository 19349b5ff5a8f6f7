/**
 * What every HTTP handler knows of its request beside the request itself: the connection it came on and who asks.
 *
 * The server (`server.ts`) gives the bindings of a connection; `app.ts` turns them into the variables before any handler
 * runs. Handlers read `c.get('peer')`, never `c.env`, except for the raw Node response of large files. Routes are
 * registered without a slash at their end (`/profile`): both spellings of a URL then reach them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Context, Hono } from 'hono'
import type { Role } from '../domain/event.ts'

/** How the request came in: the management socket, or a TCP listener. */
export type Surface = 'socket' | 'tcp'

/** What the server hands over with each request; a test that calls `app.request()` gives what it needs of it. */
export interface Bindings {
  readonly surface?: Surface
  /** Address of the caller, IPv4-mapped IPv6 already plain. Taken from `incoming` where absent. */
  readonly peer?: string
  /** Address the caller connected to, and its port. */
  readonly local?: string
  readonly localPort?: number
  readonly incoming?: IncomingMessage
  readonly outgoing?: ServerResponse
}

/** Who asks, as far as credentials tell. `role` null: nothing may be done on the management plane. */
export interface Access {
  readonly role: Role | null
  /** Login name as the client says it, token name, or the peer address of an anonymous caller. */
  readonly who: string
  readonly via: 'socket' | 'token' | 'session' | 'anonymous'
}

export interface Variables {
  surface: Surface
  /** Peer address as text; empty on the socket. */
  peer: string
  /** Local address as text; empty on the socket. */
  local: string
  /** Local port; 0 on the socket. */
  localPort: number
  access: Access
}

export interface HttpEnv {
  Bindings: Bindings
  Variables: Variables
}

export type HttpApp = Hono<HttpEnv>
export type HttpContext = Context<HttpEnv>
