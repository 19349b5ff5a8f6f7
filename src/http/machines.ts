/**
 * The URLs by which a booting machine asks and reports: `/localboot/`, `/nextboot/<profile>/`, `/profile/`, `/ipxe/`.
 *
 * Answers are plain text with nothing around them, reasons too, so that `$(curl …)` works. Only GET changes anything, and
 * only the two reports; HEAD and prefetch answer without an effect. `answer` is free of any server; below it are the
 * two ways in: routes of the application, and the raw Node server, which costs no more than a bare one.
 * Source: CONTRACT "What machines ask over HTTP", COMPATIBILITY 4.1–4.3.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Mac, parseMac, quote } from '../domain/address.ts'
import { type Decision, localProfile } from '../domain/boot.ts'
import { Refusal } from '../domain/errors.ts'
import type { Actor } from '../domain/event.ts'
import { dialects } from '../domain/loaders/index.ts'
import { decideReport, type MachineAddresses, type ReportTarget } from '../domain/report.ts'
import type { Log } from '../log.ts'
import type { AnswerBoot, BootAnswer } from '../profiles/answer.ts'
import type { ProfileFiles } from '../profiles/folder.ts'
import type { Store } from '../store/store.ts'
import { createTurnEnd } from '../turn.ts'
import {
  baseUrl,
  type Caller,
  type CallerSources,
  identifyCaller,
  nameMachine,
  type TrustedNetworks,
} from './caller.ts'
import type { HttpApp, HttpContext } from './env.ts'
import {
  contextRequest,
  decodePart,
  headersOf,
  isPrefetch,
  type MachineAnswer,
  type MachineRequest,
  rawRequest,
  text,
} from './machine-plane.ts'

export interface MachineOptions {
  readonly store: Store
  readonly profiles: Pick<ProfileFiles, 'has'>
  readonly answerBoot: AnswerBoot
  readonly callers: CallerSources
  /** Read at each request, so that SIGHUP changes them. */
  readonly trusted: () => TrustedNetworks
  readonly publicUrl: () => string | null
  readonly log: Log
  /** A machine was given its script: it boots. `mac`: its own, where iPXE says so itself. */
  readonly onConfigServed?: (name: string, decision: Decision, peer: string, mac: Mac | undefined) => void
  /** A machine asked for something by its own doing: a sign of life. */
  readonly onAsked?: (caller: Caller, path: string) => void
  /** Each answer of the raw way in: for the count of requests. */
  readonly onAnswered?: (status: number) => void
}

export interface MachineUrls {
  /** undefined: the path is none of these URLs. */
  answer(request: MachineRequest): MachineAnswer | Promise<MachineAnswer> | undefined
  /** For `createHttpServer`: answers the request itself and returns whether it did. */
  first(incoming: IncomingMessage, outgoing: ServerResponse): boolean
  mount(app: HttpApp): void
}

type Route =
  | { readonly kind: 'localboot' | 'profile' | 'ipxe'; readonly mac: string | undefined }
  | { readonly kind: 'nextboot'; readonly profile: string }

/** After this a machine whose report could not be kept asks again. */
const retryAfterS = 5

export function createMachineUrls(options: MachineOptions): MachineUrls {
  const { store, callers } = options

  function answer(request: MachineRequest): MachineAnswer | Promise<MachineAnswer> | undefined {
    const route = parseRoute(request.path)
    if (route === undefined) return undefined
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return text(405, `${request.method} is not possible here: GET, HEAD`, { allow: 'GET, HEAD', connection: 'close' })
    }
    const caller = identifyCaller(request.peer, callers)
    return caller instanceof Promise
      ? caller.then((known) => answerCaller(route, known, request))
      : answerCaller(route, caller, request)
  }

  function answerCaller(route: Route, caller: Caller, request: MachineRequest): MachineAnswer | Promise<MachineAnswer> {
    if (request.method === 'GET') options.onAsked?.(caller, request.path)
    if (route.kind === 'nextboot') return report(caller, route.profile, true, caller, request)
    let machine: MachineAddresses = caller
    if (route.mac !== undefined) {
      const mac = parseMac(route.mac)
      if (mac === undefined) return text(400, `${quote(route.mac)} is no MAC such as 52:54:00:12:34:56`)
      const named = nameMachine(mac, caller, options.trusted(), callers)
      if (!named) {
        return text(403, `${caller.peer} may not speak for ${mac}: only that machine and trusted-networks may`)
      }
      machine = named
    }
    switch (route.kind) {
      case 'localboot':
        return report(machine, localProfile, false, caller, request)
      case 'profile': {
        const boot = bootOf(machine, caller, request)
        return boot.found ? text(200, boot.decision.profile) : text(404, boot.hint)
      }
      case 'ipxe':
        return script(machine, caller, request)
      default:
        return route satisfies never
    }
  }

  function urlFor(request: MachineRequest): string {
    return baseUrl(options.publicUrl(), request.header('host'), request.local, request.localPort)
  }

  function bootOf(machine: MachineAddresses, caller: Caller, request: MachineRequest): BootAnswer {
    return options.answerBoot(
      { kind: 'machine', macs: machine.macs, ip: machine.ip },
      {
        mac: () => machine.macs[0] ?? '',
        ip: machine.ip ?? (machine === caller ? caller.peer : ''),
        url: () => urlFor(request),
        steps: 'untold',
      },
    )
  }

  function script(machine: MachineAddresses, caller: Caller, request: MachineRequest): MachineAnswer {
    const boot = bootOf(machine, caller, request)
    if (!boot.found) return text(404, boot.hint)
    const mac = machine.macs[0]
    const { profile } = boot.decision
    const body = dialects.ipxe.render(boot.bytes, { profile, url: urlFor(request), mac })
    if (request.method === 'GET') {
      // Whoever looks at what another machine boots is none that boots; iPXE is, and may sit behind a router where only it
      // knows its MAC.
      const isIpxe = request.header('user-agent')?.startsWith('iPXE/') === true
      const own = isIpxe ? mac : undefined
      if (own !== undefined) callers.bootAddresses.saw(caller.peer, own)
      const asksForItself = machine === caller || (mac !== undefined && caller.macs.includes(mac))
      if (isIpxe || asksForItself) options.onConfigServed?.('ipxe', boot.decision, caller.peer, own)
    }
    return { status: 200, body }
  }

  /** `registered`: only for machines that a system has, and profiles that are there. */
  function report(
    machine: MachineAddresses,
    profile: string,
    registered: boolean,
    caller: Caller,
    request: MachineRequest,
  ): MachineAnswer | Promise<MachineAnswer> {
    if (registered && !(store.queries.findProfile(profile) && options.profiles.has(profile))) {
      return text(404, `profile ${quote(profile)} is not defined`)
    }
    const target = decideReport(machine, profile, store.queries)
    if (target.kind === 'nobody' || (registered && isNobodys(target))) return text(404, unknownText(machine, caller))
    const done = text(200, `Next boot set to ${profile}`)
    if (request.method === 'HEAD') return done
    if (isPrefetch(request)) return text(503, 'not done for a prefetch', { 'retry-after': '0' })
    // A report that is only in memory is not kept yet: the commit says so.
    const inMemory = store.degradations().some(({ code }) => code === 'reports-in-memory')
    if (target.unchanged && !inMemory) return done
    const actor: Actor = { who: machine.macs[0] ?? machine.ip ?? caller.peer, from: caller.peer, surface: 'machine' }
    return store
      .commit(actor, (tx) => emitReport(tx, decideReport(machine, profile, tx), profile), { plane: 'machine' })
      .then(
        () => done,
        (error: unknown) => notKept(error),
      )
  }

  const atTurnEnd = createTurnEnd()
  return {
    answer,
    first: (incoming, outgoing) => answerRaw(answer, incoming, outgoing, atTurnEnd, options),
    mount(app) {
      for (const path of ['/localboot', '/profile', '/ipxe']) {
        app.all(path, (c) => answerContext(answer, c))
        app.all(`${path}/:mac`, (c) => answerContext(answer, c))
      }
      app.all('/nextboot/:profile', (c) => answerContext(answer, c))
    },
  }
}

/** The path's URL, trailing slash or not; undefined if it is none of these. */
function parseRoute(path: string): Route | undefined {
  const [empty, kind, given, ...rest] = (path.endsWith('/') ? path.slice(0, -1) : path).split('/')
  if (empty !== '' || rest.length > 0 || given === '') return undefined
  const value = given === undefined ? undefined : decodePart(given)
  switch (kind) {
    case 'localboot':
    case 'profile':
    case 'ipxe':
      return { kind, mac: value }
    case 'nextboot':
      return value === undefined ? undefined : { kind, profile: value }
    default:
      return undefined
  }
}

function isNobodys(target: ReportTarget): boolean {
  return target.kind === 'remembered' && target.system === null
}

function unknownText(machine: MachineAddresses, caller: Caller): string {
  const address = machine.macs[0] ?? machine.ip
  return address === undefined
    ? `the caller ${caller.peer} is not known by MAC or IPv4 address`
    : `no system has ${address}: pxemngr addsystem NAME ${address}`
}

type Transaction = Parameters<Parameters<Store['commit']>[1]>[0]

/** Decided again in the record's own transaction: what came before it in the same batch counts (bug R3). */
function emitReport(tx: Transaction, target: ReportTarget, profile: string): void {
  if (target.kind === 'nobody' || target.unchanged) return
  if (target.kind === 'system') {
    tx.emit({ type: 'boot.decided', decision: tx.nextId('decision'), system: target.system.id, profile })
    return
  }
  const { mac, ip, system } = target
  tx.emit({ type: 'report.remembered', mac, ip, system: system?.id ?? null, profile })
}

/** A report that may not be on disk must not be taken for done: the machine has to ask again. */
function notKept(error: unknown): MachineAnswer {
  if (!(error instanceof Refusal)) throw error
  return text(503, `the report could not be kept: ${error.message}`, { 'retry-after': String(retryAfterS) })
}

type Answer = MachineUrls['answer']

async function answerContext(answer: Answer, c: HttpContext): Promise<Response> {
  const found = await answer(contextRequest(c))
  if (!found) return c.notFound()
  const body = c.req.method === 'HEAD' ? null : typeof found.body === 'string' ? found.body : Buffer.from(found.body)
  return new Response(body, { status: found.status, headers: headersOf(found) })
}

function answerRaw(
  answer: Answer,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  atTurnEnd: (task: () => void) => void,
  options: MachineOptions,
): boolean {
  const send = (found: MachineAnswer) => {
    outgoing.writeHead(found.status, headersOf(found))
    outgoing.end(incoming.method === 'HEAD' ? undefined : found.body)
    options.onAnswered?.(found.status)
  }
  const fail = (error: unknown) => {
    options.log.error('a machine URL failed', { path: incoming.url, error })
    if (!outgoing.headersSent) send(text(500, 'the server failed: its log says why'))
  }
  try {
    const found = answer(rawRequest(incoming))
    if (found === undefined) return false
    if (found instanceof Promise) found.then(send).catch(fail)
    else
      atTurnEnd(() => {
        try {
          send(found)
        } catch (error) {
          fail(error)
        }
      })
  } catch (error) {
    fail(error)
  }
  return true
}
