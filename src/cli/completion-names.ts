/**
 * Completion with the names of a running daemon. It never fails and never says anything but candidates: whoever presses
 * the tab key wants no error message in the middle of a line.
 */
import type { Form, NameKind, Option } from '../commands/definition.ts'
import { callDaemon } from './client.ts'
import { type Candidate, complete } from './completion.ts'
import type { Io } from './io.ts'
import { locate } from './locate.ts'
import { parseJson, readAll } from './result.ts'

/** Longer than this nobody waits for a tab. */
const reachTimeoutMs = 500

type Rows = (list: string) => Record<string, unknown>[]

interface Source {
  readonly command: string
  body?(given: readonly string[]): object
  read(rows: Rows): Candidate[]
}

const named = (rows: Record<string, unknown>[], mark = ''): Candidate[] =>
  rows.flatMap(({ name }) => (typeof name === 'string' ? [{ text: `${mark}${name}` }] : []))
const numbered = (rows: Record<string, unknown>[], ...about: string[]): Candidate[] =>
  rows.flatMap(({ id, ...row }) =>
    typeof id === 'number'
      ? [
          {
            text: String(id),
            summary: about
              .map((key) => row[key] ?? '')
              .join(' ')
              .trim(),
          },
        ]
      : [],
  )

/** Of how many runs the numbers are offered: more nobody reads. */
const runsOffered = 20

const runs = (body: object): Source => ({
  command: 'results',
  body: () => ({ ...body, limit: runsOffered }),
  read: (rows) => numbered(rows('runs'), 'verdict', 'system', 'test'),
})

/** Where what is offered comes from: a command and its result. */
const sources: Readonly<Record<NameKind, Source>> = {
  system: { command: 'dpysystem', read: (rows) => named(rows('systems')) },
  profile: { command: 'profiles', read: (rows) => named(rows('profiles')) },
  test: { command: 'dpytest', read: (rows) => named(rows('tests')) },
  tag: { command: 'dpytest', read: (rows) => named(rows('tags')) },
  requested: {
    command: 'dpytest',
    read: (rows) => [
      ...named(rows('tests').filter(({ available }) => available !== false)),
      ...named(rows('suites'), '@'),
      ...named(rows('tags'), 'tag:'),
    ],
  },
  version: { command: 'versions', read: (rows) => named(rows('versions')) },
  run: runs({}),
  openRun: runs({ state: ['requested', 'sent', 'running'] }),
  token: { command: 'token list', read: (rows) => named(rows('tokens').filter(({ state }) => state !== 'revoked')) },
  webhook: { command: 'webhook list', read: (rows) => numbered(rows('webhooks'), 'url') },
  address: {
    command: 'dpysystem',
    body: ([name]) => ({ name }),
    read: (rows) =>
      rows('addresses').flatMap(({ address }) => (typeof address === 'string' ? [{ text: address }] : [])),
  },
}

export async function completeFromDaemon(
  words: readonly string[],
  forms: readonly Form[],
  io: Io,
): Promise<Candidate[]> {
  return complete(words, {
    forms,
    names: (kind, global, given) => askNames(kind, global, given, io),
    flags: serveFlags,
  })
}

async function askNames(
  kind: NameKind,
  global: Readonly<Record<string, string>>,
  given: readonly string[],
  io: Io,
): Promise<Candidate[]> {
  const { command, body, read } = sources[kind]
  try {
    const answer = await callDaemon(await locate(global, io), {
      name: command,
      body: JSON.stringify(body?.(given) ?? {}),
      user: io.user,
      version: io.version,
      signal: io.interrupted,
      reachTimeoutMs,
    })
    try {
      if (answer.status !== 200) return []
      const result = parseJson(await readAll(answer.body))
      const rows: Rows = (list) => (Array.isArray(result[list]) ? result[list].filter(isObject) : [])
      return read(rows)
    } finally {
      answer.close()
    }
  } catch {
    return [] // no daemon, no names: the rest of completion works without
  }
}

function isObject(row: unknown): row is Record<string, unknown> {
  return typeof row === 'object' && row !== null
}

async function serveFlags(): Promise<Option[]> {
  const { fields, keys } = await import('../config/keys.ts')
  const rows = fields.map((field) => {
    const { name, help, kind } = keys[field]
    const value = kind.path ? 'PATH' : 'VALUE'
    return { name, value, summary: help, words: kind.words ?? [] }
  })
  return [
    { name: 'config', value: 'FILE', summary: 'configuration file' },
    { name: 'check', summary: 'check the configuration and start nothing' },
    ...rows,
  ]
}
