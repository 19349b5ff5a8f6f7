/**
 * The HTTP application: one for the socket and every TCP listener. Before any handler runs, it is settled here on which
 * connection the request came, which rule covers it (`access.ts`), who asks and whether that is enough.
 *
 * The management plane is mounted by itself; machine URLs and pages are mounts handed in. Security headers follow the
 * OWASP secure headers project. Source: CONTRACT "HTTP API", DESIGN "One process, four surfaces, three planes".
 */
import { Hono } from 'hono'
import type { Daemon } from '../commands/daemon.ts'
import { apiPrefix } from '../commands/wire.ts'
import { Refusal } from '../domain/errors.ts'
import type { Log } from '../log.ts'
import { type Metrics, metricsType } from '../metrics.ts'
import { type AccessRule, accessRules, createRuleFinder, isAtLeast } from './access.ts'
import { mountApi } from './api.ts'
import { type Auth, createAuth, isSameOrigin } from './auth.ts'
import type { HttpApp, HttpContext, HttpEnv } from './env.ts'
import { type EventHub, type EventOptions, mountEvents } from './events.ts'
import { securityHeaders } from './headers.ts'
import { type LoginPage, mountLogin } from './login.ts'
import { plainAddress } from './machine-plane.ts'
import { describeApi } from './openapi.ts'
import { answerError, answerProblem, httpProblem, type ProblemPage, problemResponse } from './problems.ts'

export interface ManagementOptions {
  readonly log: Log
  readonly metrics: Metrics
  /** What TCP callers without credentials may do (`anonymous`); read at each request, so that SIGHUP changes it. */
  readonly anonymous: () => 'viewer' | 'none'
  /** Whether people come over TLS (`public-url` is https): the login's cookie is then kept from plain HTTP. */
  readonly secureCookie?: () => boolean
  readonly events?: EventOptions
  readonly loginPage?: LoginPage
  readonly problemPage?: ProblemPage
  /** Machine URLs, boot files, pages: each registers its routes, without a slash at their end. */
  readonly mounts?: readonly ((app: HttpApp) => void)[]
  readonly nowMs?: () => number
}

export interface ManagementApp {
  readonly app: HttpApp
  /** Ends the event streams, so that the server can close. */
  close(): void
}

/** Everything that is answered over HTTP, on the socket and over TCP. */
export function createManagementApp(daemon: Daemon, options: ManagementOptions): ManagementApp {
  const app: HttpApp = new Hono<HttpEnv>({ strict: false })
  const auth = createAuth({
    queries: daemon.store.queries,
    anonymous: options.anonymous,
    secureCookie: options.secureCookie ?? (() => false),
    ...(options.nowMs ? { nowMs: options.nowMs } : {}),
  })
  app.onError((error, c) => answerError(error, c, options.log, options.problemPage))
  app.notFound((c) => answerProblem(notFound(c.req.path).toProblem(), c, options.problemPage))
  app.use(account(options.metrics), guard(auth))

  mountApi(app, daemon, options.log)
  mountLogin(app, auth, options.loginPage)
  const events = mountEvents(app, daemon, options.events)
  declareFigures(options.metrics, daemon, events)
  app.get('/healthz', (c) => {
    if (!daemon.ready) throw new Refusal('unavailable', 'the daemon is starting or stopping')
    return c.text('ok\n')
  })
  app.get('/metrics', (c) => c.body(options.metrics.format(), 200, { 'content-type': metricsType }))
  const description = `${JSON.stringify(describeApi(daemon.version))}\n`
  app.get(`${apiPrefix}/openapi.json`, (c) => c.body(description, 200, { 'content-type': 'application/json' }))
  for (const mount of options.mounts ?? []) mount(app)
  return { app, close: () => events.close() }
}

const findRule = createRuleFinder(accessRules)

/** Around everything: names the connection, counts the answer, protects pages and API in browsers. */
function account(metrics: Metrics) {
  const requests = metrics.counter('pxemngr_http_requests_total', 'HTTP requests answered')
  return async (c: HttpContext, next: () => Promise<void>): Promise<void> => {
    nameConnection(c)
    await next()
    const found = findRule(c.req.method, c.req.path)
    const plane = 'rule' in found ? found.rule.plane : 'management'
    requests.add(1, { plane, surface: c.get('surface'), status: `${Math.floor(c.res.status / 100)}xx` })
    if (plane === 'management')
      for (const [name, value] of Object.entries(securityHeaders)) c.res.headers.set(name, value)
  }
}

/** The one check: no rule, no handler. */
function guard(auth: Auth) {
  return async (c: HttpContext, next: () => Promise<void>): Promise<Response | undefined> => {
    const found = findRule(c.req.method, c.req.path)
    if (!('rule' in found)) {
      if (found.allow.length === 0) throw notFound(c.req.path)
      const problem = httpProblem(
        'method-not-allowed',
        `${c.req.method} is not possible here: ${found.allow.join(', ')}`,
      )
      return problemResponse(problem, { allow: found.allow.join(', ') })
    }
    const { rule } = found
    if (rule.access === 'open') c.set('access', auth.anonymous(c))
    else {
      const refused = admit(c, auth, rule, rule.access)
      if (refused) return refused
    }
    await next()
    return undefined
  }
}

/** Settles who asks; an answer where that is not enough. Nothing of the body has been read. */
function admit(
  c: HttpContext,
  auth: Auth,
  rule: AccessRule,
  least: Exclude<AccessRule['access'], 'open'>,
): Response | undefined {
  const access = auth.identify(c)
  c.set('access', access)
  if (!isAtLeast(access.role, least)) {
    if (access.via !== 'anonymous') {
      throw new Refusal('forbidden', `this needs the role ${least}; ${access.who} has ${access.role}`)
    }
    if (rule.method === 'GET' && !rule.path.startsWith(apiPrefix) && c.req.header('accept')?.includes('text/html')) {
      const { pathname, search } = new URL(c.req.url)
      return c.redirect(`/login/?next=${encodeURIComponent(pathname + search)}`, 303)
    }
    throw new Refusal('unauthorized', 'this needs a token: `Authorization: Bearer TOKEN` (pxemngr token add NAME)')
  }
  if (access.via === 'session' && rule.method !== 'GET' && !isSameOrigin(c)) {
    throw new Refusal('forbidden', 'the request comes from a page of another site')
  }
  return undefined
}

/** The connection a request came on, from the server's bindings. */
function nameConnection(c: HttpContext): void {
  const { surface, peer, local, localPort, incoming } = c.env
  const socket = incoming?.socket
  // A binding that is missing must never be taken for the socket, where everything is allowed.
  c.set('surface', surface ?? 'tcp')
  c.set('peer', plainAddress(peer ?? socket?.remoteAddress ?? ''))
  c.set('local', plainAddress(local ?? socket?.localAddress ?? ''))
  c.set('localPort', localPort ?? socket?.localPort ?? 0)
}

function notFound(path: string): Refusal {
  return new Refusal('not-found', `there is nothing at ${path.slice(0, 200)}`)
}

function declareFigures(metrics: Metrics, daemon: Daemon, events: EventHub): void {
  const upMs = (): number => performance.now() - daemon.startedMs
  metrics.gauge('pxemngr_up_seconds', 'Seconds since the daemon started', () => upMs() / 1000)
  metrics.gauge('pxemngr_systems', 'Systems', () => daemon.store.queries.countSystems())
  metrics.gauge('pxemngr_journal_seq', 'Sequence number of the last record', () => daemon.store.seq)
  metrics.gauge('pxemngr_degraded', 'Reasons why status is degraded', () => daemon.degraded().length)
  metrics.gauge('pxemngr_tftp_transfers', 'TFTP transfers under way', () => daemon.transfers().active)
  metrics.gauge('pxemngr_event_streams', 'Clients of the event stream', () => events.clients)
}
