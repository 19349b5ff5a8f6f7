/**
 * Completion with the names of a running daemon. It never fails and never says anything but candidates: whoever presses
 * the tab key wants no error message in the middle of a line.
 */
import type { Form, Option } from '../commands/definition.ts'
import { callDaemon } from './client.ts'
import { type Candidate, complete } from './completion.ts'
import type { Io } from './io.ts'
import { locate } from './locate.ts'
import { parseJson, readAll } from './result.ts'

/** Longer than this nobody waits for a tab. */
const reachTimeoutMs = 500

/** Where the names come from: command → list in its result. */
const sources = {
  system: { command: 'dpysystem', list: 'systems' },
  profile: { command: 'profiles', list: 'profiles' },
  test: { command: 'dpytest', list: 'tests' },
} as const

export async function completeFromDaemon(
  words: readonly string[],
  forms: readonly Form[],
  io: Io,
): Promise<Candidate[]> {
  return complete(words, { forms, names: (kind, global) => askNames(kind, global, io), flags: serveFlags })
}

async function askNames(
  kind: keyof typeof sources,
  global: Readonly<Record<string, string>>,
  io: Io,
): Promise<string[]> {
  const { command, list } = sources[kind]
  try {
    const answer = await callDaemon(await locate(global, io), {
      name: command,
      body: '{}',
      user: io.user,
      version: io.version,
      signal: io.interrupted,
      reachTimeoutMs,
    })
    try {
      if (answer.status !== 200) return []
      const { [list]: rows } = parseJson(await readAll(answer.body))
      return Array.isArray(rows) ? rows.flatMap(nameOf) : []
    } finally {
      answer.close()
    }
  } catch {
    return [] // no daemon, no names: the rest of completion works without
  }
}

function nameOf(row: unknown): string[] {
  if (typeof row === 'string') return [row]
  const name = typeof row === 'object' && row !== null && 'name' in row ? row.name : undefined
  return typeof name === 'string' ? [name] : []
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
