/**
 * The URLs by which a machine gets its tests: `/nexttest/`, and `/script/<test>/` for looking at one.
 *
 * A run counts as sent when its answer has been delivered (`delivery.ts`); where it is cut, the same run comes again. Only
 * GET takes anything; HEAD and prefetch look. Which run it is, is `runs/handout.ts`; who waits for one is held by `held.ts`.
 * Source: CONTRACT "What machines ask over HTTP", COMPATIBILITY 4.4, 4.5; bugs L2 and S5 of pxemngr 0.8.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseMac, quote } from '../domain/address.ts'
import { type MachineAddresses, systemsBehind } from '../domain/report.ts'
import type { Handed, Handout } from '../runs/handout.ts'
import type { Lives, MachineIdentity } from '../runs/life.ts'
import type { TestFiles, TestVariables } from '../runs/test-files.ts'
import type { RunTokens } from '../runs/token.ts'
import type { Turns } from '../runs/turns.ts'
import type { RunRow } from '../store/run-rows.ts'
import { baseUrl, type Caller, identifyCaller, nameMachine } from './caller.ts'
import { createDeliveries } from './delivery.ts'
import type { HttpApp } from './env.ts'
import { createHeldQuestions, type Released, waitSeconds } from './held.ts'
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
import type { MachineOptions } from './machines.ts'

export interface HandoutUrlOptions
  extends Pick<MachineOptions, 'store' | 'callers' | 'trusted' | 'publicUrl' | 'log' | 'answerBoot' | 'onAnswered'> {
  readonly files: TestFiles
  readonly handout: Handout
  readonly tokens: RunTokens
  readonly lives: Lives
  readonly turns: Turns
  /** `wait.test` and `run.sh` that ship. */
  readonly embedded: { readonly wait: string; readonly loop: string }
}

export interface HandoutUrls {
  /** To be told of each request, whoever answers it: what its connection was answered before has arrived. */
  heard(incoming: IncomingMessage): void
  /** For `createHttpServer`: answers the request itself and returns whether it did. */
  first(incoming: IncomingMessage, outgoing: ServerResponse): boolean
  mount(app: HttpApp): void
  /** Answers who is held, and holds nobody any more: before the servers close. */
  close(): void
}

const waitName = 'wait'
const loopName = 'run.sh'

interface Answered extends MachineAnswer {
  readonly handed?: Handed
  readonly waits?: Waits
}

/** There is nothing for a machine that can wait for it. */
interface Waits {
  readonly machine: MachineIdentity
  readonly systems: readonly number[]
  readonly seconds: number
  /** Looks again. */
  readonly again: () => Answered
}

export function createHandoutUrls(options: HandoutUrlOptions): HandoutUrls {
  const { store, callers, files, handout, tokens, lives } = options
  const deliveries = createDeliveries()
  const held = createHeldQuestions(options.turns)
  handout.onRequested((system) => held.wake(system))
  lives.onBoot(({ machine }) => held.booted(machine))

  function answer(request: MachineRequest): Answered | Promise<Answered> | undefined {
    const route = parseRoute(request.path)
    if (route === undefined) return undefined
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return text(405, `${request.method} is not possible here: GET, HEAD`, { allow: 'GET, HEAD', connection: 'close' })
    }
    if (route.kind === 'script') return script(route.test, request)
    const caller = identifyCaller(request.peer, callers)
    return caller instanceof Promise
      ? caller.then((known) => nextTest(route.mac, known, request))
      : nextTest(route.mac, caller, request)
  }

  /** `isHeld`: it is the same question, looked at again. */
  function nextTest(given: string | undefined, caller: Caller, request: MachineRequest, isHeld = false): Answered {
    let machine: MachineAddresses = caller
    if (given !== undefined) {
      const mac = parseMac(given)
      if (mac === undefined) return text(400, `${quote(given)} is no MAC such as 52:54:00:12:34:56`)
      const named = nameMachine(mac, caller, options.trusted(), callers)
      if (!named)
        return text(403, `${caller.peer} may not speak for ${mac}: only that machine and trusted-networks may`)
      machine = named
    }
    const systems = systemsBehind(machine, store.queries)
    const [first] = systems
    if (!first) {
      const address = machine.macs[0] ?? machine.ip
      return address === undefined
        ? text(404, `the caller ${caller.peer} is not known by MAC or IPv4 address`)
        : text(404, `no system has ${address}: pxemngr addsystem NAME ${address}`)
    }
    const url = baseUrl(options.publicUrl(), request.header('host'), request.local, request.localPort)
    const identity = { mac: machine.macs[0], ip: machine === caller ? caller.peer : machine.ip }
    // That of an IPv6 caller names no system, but it is the machine's.
    const ip = identity.ip ?? ''
    const variables = (run: RunRow): TestVariables =>
      variablesFor(machine, ip, url, {
        testname: run.test.name,
        system: run.system.name,
        log: { id: run.id },
        ...urlsOf(url, run.id),
      })
    const ids = systems.map(({ id }) => id)
    const looks = request.method === 'HEAD' || isPrefetch(request)
    if (!looks && !isHeld) lives.sign(identity, '/nexttest/', Date.now())
    const found = looks ? handout.peek(ids, variables) : handout.take(ids, identity, variables)
    if (!found) {
      const nothing = wait(first.name, machine, ip, url)
      const seconds = looks ? 0 : waitSeconds(request.header('prefer'))
      // What cannot be handed out now may be so in a moment, which nobody would tell.
      if (seconds === 0 || !handout.isIdle(ids) || nothing.body !== options.embedded.wait) return nothing
      const again = () => nextTest(given, caller, request, true)
      return { ...nothing, waits: { machine: identity, systems: ids, seconds, again } }
    }
    const headers = runHeaders(found.run.id, urlsOf(url, found.run.id), found.times.timeoutMs)
    if (looks && request.method === 'GET') return text(503, 'not done for a prefetch', { 'retry-after': '0' })
    return { ...text(200, found.script, headers), ...('delivered' in found ? { handed: found as Handed } : {}) }
  }

  /** The profile is looked for only where a template asks: most machines that ask wait, thousands at once. */
  function variablesFor(
    machine: MachineAddresses,
    ip: string,
    url: string,
    rest: Omit<TestVariables, 'url' | 'mac' | 'ip' | 'profile'>,
  ): TestVariables {
    const [mac = ''] = machine.macs
    return {
      ...rest,
      ...{ url, mac, ip },
      get profile() {
        const question = { kind: 'machine', macs: machine.macs, ip: machine.ip } as const
        const boot = options.answerBoot(question, { mac: () => mac, ip, url: () => url })
        return boot.found ? boot.decision.profile : ''
      },
    }
  }

  function urlsOf(url: string, run: number) {
    const token = `?token=${tokens.tokenOf(run)}`
    return {
      upload_url: `${url}/upload/${run}/${token}`,
      extend_url: `${url}/extend/${run}/${token}`,
      progress_url: `${url}/progress/${run}/${token}`,
    }
  }

  function wait(system: string, machine: MachineAddresses, ip: string, url: string): Answered {
    const opened = files.open(waitName)
    if ('fault' in opened) return text(200, options.embedded.wait, { 'x-pxemngr-run': '0' })
    const rendered = opened.render(
      variablesFor(machine, ip, url, {
        ...{ testname: waitName, system, log: null },
        ...{ upload_url: '', extend_url: '', progress_url: '' },
      }),
    )
    return text(200, 'fault' in rendered ? options.embedded.wait : rendered.text, { 'x-pxemngr-run': '0' })
  }

  /** As it would be handed out to a system named `system`, for looking at. */
  function script(name: string, request: MachineRequest): Answered {
    if (name === loopName) return text(200, options.embedded.loop)
    const test = files.open(name)
    if ('fault' in test) {
      const there = files.names().includes(name)
      return there ? text(500, test.fault) : text(404, `there is no test ${quote(name)}`)
    }
    const url = baseUrl(options.publicUrl(), request.header('host'), request.local, request.localPort)
    const rendered = test.render({
      url,
      testname: name,
      system: 'system',
      log: { id: 0 },
      ...urlsOf(url, 0),
      mac: '',
      ip: '',
      profile: '',
    })
    return 'fault' in rendered ? text(500, rendered.fault) : text(200, rendered.text)
  }

  function first(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    const { socket } = incoming
    let found: Answered | Promise<Answered> | undefined
    const fail = (error: unknown): void => {
      options.log.error('a test URL failed', { path: incoming.url, error })
      if (!outgoing.headersSent) send(text(500, 'the server failed: its log says why'))
    }
    const send = (answered: Answered): void => {
      if (answered.waits && hold(answered, answered.waits)) return
      if (answered.handed) deliveries.follow(outgoing, socket, answered.handed)
      outgoing.writeHead(answered.status, headersOf(answered))
      outgoing.end(incoming.method === 'HEAD' ? undefined : answered.body)
      options.onAnswered?.(answered.status)
    }
    const hold = (nothing: Answered, { again, ...waits }: Waits): boolean => {
      const { waits: _, ...plain } = nothing
      const answerHeld = (why: Released): boolean => {
        if (why === 'booted' || why === 'closing') {
          send(withHeader(plain, 'connection', 'close'))
          return true
        }
        const { waits: still, ...now } = again()
        if (still && why === 'requested') return false
        send(still ? withHeader(now, 'preference-applied', `wait=${waits.seconds}`) : now)
        return true
      }
      return held.hold({
        ...waits,
        outgoing,
        answer(why) {
          try {
            return answerHeld(why)
          } catch (error) {
            fail(error)
            return true
          }
        },
      })
    }
    try {
      found = answer(rawRequest(incoming))
      if (found === undefined) return false
      if (found instanceof Promise) found.then(send).catch(fail)
      else send(found)
    } catch (error) {
      fail(error)
    }
    return true
  }

  return {
    heard: deliveries.heard,
    first,
    close: () => held.close(),
    mount(app) {
      for (const path of ['/nexttest', '/nexttest/:mac', '/script/:test']) {
        app.all(path, async (c) => {
          const found = await answer(contextRequest(c))
          if (!found) return c.notFound()
          // Nothing tells here whether it arrives (the raw way in does).
          await found.handed?.delivered()
          const body =
            c.req.method === 'HEAD' ? null : typeof found.body === 'string' ? found.body : Buffer.from(found.body)
          return new Response(body, { status: found.status, headers: headersOf(found) })
        })
      }
    },
  }
}

function withHeader(answered: Answered, name: string, value: string): Answered {
  return { ...answered, headers: { ...answered.headers, [name]: value } }
}

/** What the loop of a machine (`run.sh`) goes by; other clients ignore it. */
function runHeaders(
  run: number,
  urls: { readonly upload_url: string; readonly extend_url: string; readonly progress_url: string },
  timeoutMs: number,
): Record<string, string> {
  return {
    'x-pxemngr-run': String(run),
    'x-pxemngr-upload': urls.upload_url,
    'x-pxemngr-progress': urls.progress_url,
    'x-pxemngr-extend': urls.extend_url,
    'x-pxemngr-timeout': String(Math.ceil(timeoutMs / 1000)),
  }
}

type Route =
  | { readonly kind: 'nexttest'; readonly mac: string | undefined }
  | { readonly kind: 'script'; readonly test: string }

/** Trailing slash or not; undefined if it is none of these. */
function parseRoute(path: string): Route | undefined {
  const [empty, kind, given, ...rest] = (path.endsWith('/') ? path.slice(0, -1) : path).split('/')
  if (empty !== '' || rest.length > 0 || given === '') return undefined
  const value = given === undefined ? undefined : decodePart(given)
  if (kind === 'nexttest') return { kind, mac: value }
  return kind === 'script' && value !== undefined ? { kind, test: value } : undefined
}
