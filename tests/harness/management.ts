/**
 * A daemon without sockets for tests of commands and API: the real application over the store's real state.
 *
 * `call` is an API call on the Unix socket, `overTcp` one over TCP; `type` is what somebody typed, down to stdout, stderr
 * and exit status (without the parsing of the command line, which `src/cli` has). Every result is held against the
 * schema of its definition.
 */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import * as v from 'valibot'
import type { Daemon } from '../../src/commands/daemon.ts'
import type { Command } from '../../src/commands/definition.ts'
import { commands } from '../../src/commands/index.ts'
import { commandPath, userHeader } from '../../src/commands/wire.ts'
import { waitForRuns } from '../../src/daemon/run-wait.ts'
import { type Problem, refusalKinds } from '../../src/domain/errors.ts'
import { createManagementApp, type ManagementApp, type ManagementOptions } from '../../src/http/app.ts'
import { type Log, silentLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createAnswerBoot } from '../../src/profiles/answer.ts'
import { openStateStore, type StateStore } from './state-store.ts'
import { openTestParts } from './test-parts.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Parsed body; undefined where it is no JSON. */
  readonly body: Record<string, unknown>
}

export interface Typed {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

export interface Management extends ManagementApp {
  readonly daemon: Daemon
  readonly store: StateStore
  /** Files of the profile folder; null: a file whose profile is bad. */
  readonly files: Map<string, string | null>
  /** Files below the TFTP root: path → size in bytes. */
  readonly bootFiles: Map<string, number>
  /** Rows of the trace, newest first, whoever asks. */
  readonly boots: object[]
  readonly neighbours: Map<string, string>
  readonly degraded: string[]
  readonly logged: string[]
  call(name: string, args: unknown, init?: RequestInit): Promise<Answer>
  overTcp(path: string, init?: RequestInit): Promise<Answer>
  type(name: string, args: Record<string, unknown>): Promise<Typed>
  /** Folder of `*.test` and `*.suite`; `daemon.tests.sync()` after a change. */
  readonly testsDir: string
  readonly resultsDir: string
  /** Ends streams and store, and removes the folder. */
  shut(): Promise<void>
}

export async function openManagement(options: Partial<ManagementOptions> = {}): Promise<Management> {
  const store = await openStateStore()
  const files = new Map<string, string | null>([['local', 'default 0\n']])
  const neighbours = new Map<string, string>()
  const degraded: string[] = []
  const logged: string[] = []
  const log: Log = { ...silentLog, error: (message, fields) => logged.push(`${message} ${String(fields?.['error'])}`) }
  const daemonActor = { who: 'daemon', from: 'daemon', surface: 'daemon' } as const
  const testing = await openTestParts(store)
  const bootFiles = new Map<string, number>()
  const boots: object[] = []
  const faultOf = (name: string) =>
    files.has(name) ? (files.get(name) === null ? 'line 1: bad' : undefined) : 'no file'
  const answerBoot = createAnswerBoot(store.queries, {
    open: (name) => ({
      fault: name === 'local' ? undefined : faultOf(name),
      render: () => ({ ok: true, bytes: Buffer.from(files.get(name) ?? ''), template: false }),
    }),
  })
  const daemon: Daemon = {
    ...testing.parts,
    version: '9.9.9',
    ready: true,
    startedMs: performance.now() - 42_500,
    store,
    profiles: {
      async sync() {
        const registered = [...files.keys()]
        await store.commit(daemonActor, (tx) => {
          for (const name of registered) {
            if (tx.findProfile(name)) continue
            tx.emit({ type: 'profile.registered', profile: tx.nextId('profile'), name })
          }
        })
        return { registered, missing: files.has('local') ? [] : ['local'] }
      },
      fault: faultOf,
      names: () => [...files.keys()],
      refusal: () => undefined,
      refused: () => [],
      folderFault: () => undefined,
      text(name) {
        const text = files.get(name)
        if (text === undefined && name !== 'local') return undefined
        return { text: text ?? '<% bad\n', template: text === null, embedded: text === undefined }
      },
    },
    listeners: { tftp: ['127.0.0.1:69'], http: ['127.0.0.1:8000'], socket: '/run/pxemngr.sock' },
    loaders: ['pxelinux.0'],
    waitForRuns: (asked, timeoutMs, note, signal) => waitForRuns(daemon, asked, timeoutMs, note, signal),
    neighbourIp: (mac) => neighbours.get(mac),
    degraded: () => degraded,
    notices: () => [],
    transfers: () => ({ active: 0, recent: [] }),
    boots: async () => boots.map((row) => ({ ...row })),
    onBoots: () => () => {},
    premises: () => ({
      folders: ['data-dir', 'profiles-dir', 'tests-dir', 'results-dir', 'tftp-root'].map((key) => ({
        key,
        path: `/var/lib/pxemngr/${key}`,
      })),
      addresses: ['192.0.2.1'],
      urlFrom: (address) => `http://${address}:8000`,
    }),
    preview: (question, { mac, ip }) => ({
      ...answerBoot(question, { mac: () => mac, ip, url: () => 'http://192.0.2.1:8000' }),
      url: 'http://192.0.2.1:8000',
    }),
    findFile: async (path) => {
      const sizeBytes = bootFiles.get(path)
      return sizeBytes === undefined ? { found: false, why: 'is not there' } : { found: true, sizeBytes }
    },
  }
  await daemon.profiles.sync()
  const management = createManagementApp(daemon, {
    log,
    metrics: createMetrics(),
    anonymous: () => 'viewer',
    ...options,
  })
  const request = async (path: string, init: RequestInit, bindings: object): Promise<Answer> => {
    const response = await management.app.request(path, init, bindings)
    const text = await response.text()
    let body: unknown
    try {
      body = JSON.parse(text)
    } catch {
      body = undefined
    }
    return { status: response.status, headers: response.headers, text, body: body as Record<string, unknown> }
  }
  const call = async (name: string, args: unknown, init: RequestInit = {}): Promise<Answer> => {
    const command = findCommand(name)
    const answer = await request(
      commandPath(command),
      { ...post(args), ...init, headers: { ...post(args).headers, [userHeader]: 'ann', ...init.headers } },
      { surface: 'socket' },
    )
    if (answer.status === 200 && answer.headers.get('content-type') === 'application/json') {
      const parsed = v.safeParse(command.result, answer.body)
      assert.ok(parsed.success, `${name} answers what its schema says: ${answer.text}`)
      assert.ok(isDeepStrictEqual(parsed.output, answer.body), `${name} answers nothing beside its schema`)
    }
    return answer
  }
  return {
    ...management,
    daemon,
    store,
    files,
    bootFiles,
    boots,
    neighbours,
    degraded,
    logged,
    call,
    overTcp: (path, init = {}) => request(path, init, { surface: 'tcp', peer: '192.0.2.7', local: '192.0.2.1' }),
    async type(name, args) {
      const command = findCommand(name)
      const { status, body } = await call(name, args)
      const stdout: string[] = []
      const stderr: string[] = []
      if (status !== 200) {
        const problem = body as unknown as Problem
        return { exit: refusalKinds[problem.code].exit, stdout: '', stderr: `${problem.detail}\n` }
      }
      command.print?.(
        body as never,
        {
          terminal: false,
          color: false,
          line: (text) => stdout.push(`${text}\n`),
          rows: (_, rows) => stdout.push(...rows.map((row) => `${row.join('\t').trimEnd()}\n`)),
          note: (text) => stderr.push(`${text}\n`),
        },
        args,
      )
      return { exit: command.exitStatus?.(body as never) ?? 0, stdout: stdout.join(''), stderr: stderr.join('') }
    },
    testsDir: testing.testsDir,
    resultsDir: testing.resultsDir,
    async shut() {
      management.close()
      await testing.close()
      await store.close()
    },
  }
}

/** Body and header of an API call. */
export function post(args: unknown): { method: string; headers: Record<string, string>; body: string } {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(args) }
}

export function findCommand(name: string): Command {
  const command = commands.find((one) => one.name === name)
  assert.ok(command, `there is a command ${name}`)
  return command
}

/** `done` with nothing on stdout and stderr, as a silent command ends. */
export const silent: Typed = { exit: 0, stdout: '', stderr: '' }
