/**
 * Who asks: the socket's caller, a token, a login, or nobody in particular. What each may is `access.ts`.
 *
 * A token is looked up by its SHA-256, so no secret is ever compared byte by byte and no time tells how much of one was
 * right. The row is asked for at each request: a token that was revoked or has expired is worthless from then on, its
 * logins too. Sessions live in memory only; a restart ends them. Source: CONTRACT "HTTP API", PEERS 5.2, OWASP session
 * and CSRF cheat sheets (SameSite, origin check).
 */
import { createHash, randomBytes } from 'node:crypto'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import { hasExpired } from '../commands/token.ts'
import { userHeader } from '../commands/wire.ts'
import { Refusal } from '../domain/errors.ts'
import type { Actor } from '../domain/event.ts'
import type { Queries, TokenRow } from '../store/store.ts'
import type { Access, HttpContext } from './env.ts'

const cookieName = 'pxemngr-session'
/** A working day. */
const sessionLifeMs = 12 * 3_600_000
/** Logins at once; the oldest makes room. */
const sessionsMax = 10_000
/** Longest login name that is stored, in UTF-16 units: more than any system allows. */
const whoMax = 255

export interface AuthOptions {
  readonly queries: Queries
  /** What a TCP caller without credentials may do; read at each request. */
  readonly anonymous: () => 'viewer' | 'none'
  /** Whether people reach the pages over TLS, so that the cookie is kept from plain HTTP. */
  readonly secureCookie: () => boolean
  readonly nowMs?: () => number
}

export interface Auth {
  /** Who asks; refuses (`unauthorized`) credentials that are given but worthless. */
  identify(c: HttpContext): Access
  /** What is known without looking at credentials. */
  anonymous(c: HttpContext): Access
  /** Starts a session of the token's role; refuses (`unauthorized`) a worthless token. */
  login(c: HttpContext, token: string): void
  logout(c: HttpContext): void
}

interface Session {
  readonly tokenHash: string
  readonly untilMs: number
}

export function createAuth(options: AuthOptions): Auth {
  const nowMs = options.nowMs ?? Date.now
  /** By SHA-256 of the cookie's value: what is in memory lets nobody in. */
  const sessions = new Map<string, Session>()

  const findValid = (hash: string): TokenRow | undefined => {
    const token = options.queries.findToken(hash)
    if (!token || token.revoked || hasExpired(token, new Date(nowMs()).toISOString())) return undefined
    return token
  }
  const findSession = (c: HttpContext): TokenRow | undefined => {
    const value = getCookie(c, cookieName)
    if (value === undefined) return undefined
    const key = sha256(value)
    const session = sessions.get(key)
    if (!session) return undefined
    const token = session.untilMs > nowMs() ? findValid(session.tokenHash) : undefined
    if (!token) sessions.delete(key)
    return token
  }
  const anonymous = (c: HttpContext): Access => ({
    role: options.anonymous() === 'viewer' ? 'viewer' : null,
    who: c.get('peer'),
    via: 'anonymous',
  })

  return {
    anonymous,
    identify(c) {
      if (c.get('surface') === 'socket') {
        return { role: 'admin', who: parseWho(c.req.header(userHeader)), via: 'socket' }
      }
      const authorization = c.req.header('authorization')
      if (authorization !== undefined) {
        const secret = /^bearer +(\S+) *$/i.exec(authorization)?.[1]
        if (secret === undefined) throw new Refusal('unauthorized', 'only `Authorization: Bearer TOKEN` is understood')
        const token = findValid(sha256(secret))
        if (!token) throw new Refusal('unauthorized', 'the token is unknown, expired or revoked')
        return { role: token.role, who: token.name, via: 'token' }
      }
      const token = findSession(c)
      return token ? { role: token.role, who: token.name, via: 'session' } : anonymous(c)
    },
    login(c, secret) {
      const tokenHash = sha256(secret)
      if (!findValid(tokenHash)) throw new Refusal('unauthorized', 'the token is unknown, expired or revoked')
      const value = randomBytes(32).toString('base64url')
      const [oldest] = sessions.keys()
      if (sessions.size >= sessionsMax && oldest !== undefined) sessions.delete(oldest)
      sessions.set(sha256(value), { tokenHash, untilMs: nowMs() + sessionLifeMs })
      setCookie(c, cookieName, value, {
        httpOnly: true,
        sameSite: 'Strict',
        path: '/',
        maxAge: sessionLifeMs / 1000,
        secure: options.secureCookie(),
      })
    },
    logout(c) {
      const value = getCookie(c, cookieName)
      if (value !== undefined) sessions.delete(sha256(value))
      deleteCookie(c, cookieName, { path: '/' })
    },
  }
}

/** Who is written into the record of a change. */
export function actorOf(c: HttpContext): Actor {
  const { who, via } = c.get('access')
  if (via === 'socket') return { who, from: 'socket', surface: c.req.header(userHeader) === undefined ? 'api' : 'cli' }
  return { who, from: c.get('peer'), surface: via === 'session' ? 'web' : 'api' }
}

/**
 * Whether a request may come from one of our own pages, or from no browser at all. Browsers say where a POST comes from
 * (`Sec-Fetch-Site`, `Origin`), and no page can make them lie; programs say neither.
 */
export function isSameOrigin(c: HttpContext): boolean {
  const site = c.req.header('sec-fetch-site')
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const origin = c.req.header('origin')
  if (origin === undefined) return true
  return URL.canParse(origin) && new URL(origin).host === c.req.header('host')?.toLowerCase()
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Login name as the client says it; `unknown` for what cannot be one. */
function parseWho(header: string | undefined): string {
  if (header === undefined) return 'unknown'
  try {
    const who = decodeURIComponent(header)
    return who === '' || who.length > whoMax || /[\u0000-\u001f\u007f-\u009f]/.test(who) ? 'unknown' : who
  } catch {
    // A percent sign that begins no escape: nothing that our client sends.
    return 'unknown'
  }
}
