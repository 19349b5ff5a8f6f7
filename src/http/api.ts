/**
 * The management API: every command as `POST /api/v1/<command>`, and reading by GET, from the same definitions.
 *
 * By the time a handler here runs, `app.ts` has checked who asks. A body is read only then, bounded, as strict JSON.
 * Reading by GET is the reading command with its arguments as query parameters; GET never reaches a command that
 * changes. Source: CONTRACT "HTTP API".
 */
import * as v from 'valibot'
import type { Daemon } from '../commands/daemon.ts'
import type { CallContext, Command } from '../commands/definition.ts'
import { dpysystem } from '../commands/dpysystem.ts'
import { dpytest } from '../commands/dpytest.ts'
import { history } from '../commands/history.ts'
import { commands } from '../commands/index.ts'
import { profiles } from '../commands/profiles.ts'
import { results } from '../commands/results.ts'
import { getSystem } from '../commands/selection.ts'
import { status } from '../commands/status.ts'
import { versions } from '../commands/versions.ts'
import { apiPrefix, commandPath } from '../commands/wire.ts'
import { Refusal } from '../domain/errors.ts'
import type { Log } from '../log.ts'
import { actorOf } from './auth.ts'
import type { HttpApp, HttpContext } from './env.ts'
import { parseJsonObject, readBody } from './json.ts'
import { httpProblem, problemResponse } from './problems.ts'
import { streamAnswer } from './stream.ts'
import { validateArguments } from './validate.ts'

/** 100,000 systems with two addresses each. */
export const bodyMaxBytes = 16 * 1024 * 1024

/** Boots listed unless told otherwise, and at most. */
const bootsDefault = 100
const bootsMax = 1000

const wholeNumber = v.pipe(v.string(), v.regex(/^\d{1,15}$/, 'a whole number'), v.toNumber())
const yes = v.pipe(
  v.picklist(['true', 'false']),
  v.transform((text) => text === 'true'),
)

/** Several by commas. */
const words = v.pipe(
  v.string(),
  v.transform((text) => text.split(',')),
)

/** What can be read by GET: path below the prefix, its query parameters, and the command that answers. */
export interface Reading {
  readonly path: string
  readonly query: v.GenericSchema<Record<string, unknown>, Record<string, unknown>>
  readonly command: Command
}

export const readings: readonly Reading[] = [
  { path: 'systems', query: v.strictObject({}), command: dpysystem },
  { path: 'profiles', query: v.strictObject({}), command: profiles },
  { path: 'status', query: v.strictObject({ transfers: v.exactOptional(yes) }), command: status },
  {
    path: 'runs',
    query: v.strictObject({
      systems: v.exactOptional(words),
      test: v.exactOptional(v.string()),
      version: v.exactOptional(v.string()),
      verdict: v.exactOptional(words),
      state: v.exactOptional(words),
      tag: v.exactOptional(v.string()),
      since: v.exactOptional(v.string()),
      limit: v.exactOptional(wholeNumber),
    }),
    command: results,
  },
  { path: 'tests', query: v.strictObject({}), command: dpytest },
  { path: 'versions', query: v.strictObject({}), command: versions },
  {
    path: 'history',
    query: v.strictObject({
      name: v.exactOptional(v.string()),
      limit: v.exactOptional(wholeNumber),
      after: v.exactOptional(wholeNumber),
    }),
    command: history,
  },
]

/** Query parameters of `GET /api/v1/boots`. */
export const bootsQuery = v.strictObject({
  name: v.exactOptional(v.string()),
  limit: v.exactOptional(v.pipe(wholeNumber, v.minValue(1), v.maxValue(bootsMax))),
})

export function mountApi(app: HttpApp, daemon: Daemon, log: Log): void {
  for (const command of commands) {
    app.post(commandPath(command), (c) => call(c, daemon, command, log))
  }
  for (const { path, query, command } of readings) {
    app.get(`${apiPrefix}/${path}`, async (c) => {
      const args = validateArguments(path, query, queryOf(c))
      return answer(c, await command.run(contextOf(c, daemon), validateArguments(path, command.args, args)))
    })
  }
  app.get(`${apiPrefix}/boots`, async (c) => {
    const { name, limit } = validateArguments('boots', bootsQuery, queryOf(c))
    const system = name === undefined ? {} : { system: getSystem(daemon.store.queries, name).id }
    const boots = await daemon.boots({ ...system, limit: limit ?? bootsDefault })
    return answer(c, { boots: boots.map(viewBoot) })
  })
}

/** A boot of the trace with its times as everywhere in the API: RFC 3339, UTC. */
function viewBoot({ startedMs, endedMs, steps, ...rest }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const view = Array.isArray(steps) ? (steps as Record<string, unknown>[]) : []
  return {
    ...rest,
    started: timeOf(startedMs),
    ended: timeOf(endedMs),
    steps: view.map(({ at, ...step }) => ({ at: timeOf(at), ...step })),
  }
}

function timeOf(ms: unknown): string | null {
  return typeof ms === 'number' ? new Date(ms).toISOString() : null
}

async function call(c: HttpContext, daemon: Daemon, command: Command, log: Log): Promise<Response> {
  const type = c.req.header('content-type')
  // A form of a foreign page cannot say this type. Only what a browser adds by itself, the cookie, needs that guard:
  // `curl -d`, `fetch` and plain sockets say another type, or none, beside a token or on the socket.
  if (c.get('access').via === 'session' && !/^application\/json *(;|$)/i.test(type ?? '')) {
    const detail = `the body has to be application/json${type === undefined ? '' : `, not ${type.slice(0, 80)}`}`
    return problemResponse(httpProblem('unsupported-media-type', detail), { accept: 'application/json' })
  }
  if (Number(c.req.header('content-length') ?? 0) > bodyMaxBytes) {
    throw new Refusal('too-large', `the body is larger than ${bodyMaxBytes} bytes`)
  }
  const bytes = await readBody(c.req.raw.body, bodyMaxBytes)
  // No body at all is no argument (`curl -X POST`).
  const body = bytes.length === 0 ? {} : parseJsonObject(bytes)
  const args: unknown = validateArguments(command.name, command.args, body)
  const context = contextOf(c, daemon)
  if (command.stream && (command.stream.when?.(args) ?? true)) {
    return streamAnswer(command.stream, context, args, (error) => {
      log.error('an answer broke off half-way', { command: command.name, error })
      c.env.outgoing?.destroy()
      return c.env.outgoing !== undefined
    })
  }
  return answer(c, await command.run(context, args))
}

function contextOf(c: HttpContext, daemon: Daemon): CallContext {
  return { actor: actorOf(c), daemon }
}

function answer(c: HttpContext, result: unknown): Response {
  return c.body(`${JSON.stringify(result)}\n`, 200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
}

/** Query parameters by name; refuses (`usage`) one that is given twice. */
function queryOf(c: HttpContext): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(c.req.queries()).map(([name, values]) => {
      if (values.length !== 1) throw new Refusal('usage', `the parameter ${JSON.stringify(name)} is given twice`)
      return [name, values[0]]
    }),
  )
}
