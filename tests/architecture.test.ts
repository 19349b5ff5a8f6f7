/**
 * The import directions of ARCHITECTURE.md, read off the sources: who may import whom, and which package has which
 * single door. A type-only import counts where the rule says so. Source: STYLE "Imports point one way".
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'

const sourceDir = join(import.meta.dirname, '..', 'src')

interface Import {
  readonly from: string
  /** Source file relative to `src`, or the package or `node:` name. */
  readonly to: string
  readonly typeOnly: boolean
}

const statement = /^\s*(?:import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?'([^']+)'/gm
const dynamic = /\bimport\('([^']+)'\)/g

function importsOf(file: string): Import[] {
  const text = readFileSync(join(sourceDir, file), 'utf8')
  const found: Import[] = []
  const add = (specifier: string, typeOnly: boolean) => {
    const to = specifier.startsWith('.') ? relative(sourceDir, join(sourceDir, dirname(file), specifier)) : specifier
    found.push({ from: file, to, typeOnly })
  }
  for (const match of text.matchAll(statement)) add(match[2] ?? '', match[1] !== undefined)
  for (const match of text.matchAll(dynamic)) add(match[1] ?? '', false)
  return found
}

const files = readdirSync(sourceDir, { recursive: true })
  .map(String)
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
const imports = files.flatMap(importsOf)
const top = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : file)
const isSource = (to: string) => to.endsWith('.ts')
const show = (list: readonly Import[]) => list.map(({ from, to }) => `${from} imports ${to}`)

/** Folder → folders and top files it may import (itself always; a `type ` in front: by `import type` only). */
const allowed: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  net: ['domain', 'type store', 'log.ts', 'clock.ts', 'metrics.ts'],
  store: ['domain', 'assets.ts', 'log.ts', 'clock.ts', 'metrics.ts'],
  config: ['domain', 'log.ts', 'config.ts', 'version.ts'],
  'config.ts': ['domain', 'config', 'log.ts', 'version.ts'],
  profiles: ['domain', 'type store', 'type commands', 'assets.ts', 'log.ts', 'clock.ts', 'metrics.ts', 'turn.ts'],
  runs: [
    'domain',
    'profiles',
    'type store',
    'type commands',
    'type config.ts',
    'type net',
    'assets.ts',
    'log.ts',
    'clock.ts',
    'metrics.ts',
  ],
  commands: [
    'domain',
    'type store',
    'type tftp',
    'type net',
    'type profiles',
    'type config',
    'type config.ts',
    'version.ts',
    'type log.ts',
  ],
  tftp: ['domain', 'type store', 'type commands', 'type profiles', 'assets.ts', 'log.ts', 'clock.ts', 'metrics.ts'],
  http: [
    'domain',
    'type store',
    'commands',
    'tftp',
    'net',
    'type profiles',
    'type runs',
    'type config.ts',
    'assets.ts',
    'log.ts',
    'clock.ts',
    'metrics.ts',
    'version.ts',
    'turn.ts',
  ],
  cli: ['domain', 'commands', 'config', 'config.ts', 'version.ts', 'type assets.ts', 'assets.ts'],
}

/** Wiring: may import everything, is imported by `daemon.ts` alone. */
const wiring = 'daemon'

test('imports point one way: domain ← store ← commands ← http, tftp, cli ← daemon ← main', () => {
  const wrong = imports.filter(({ from, to, typeOnly }) => {
    const own = top(from)
    const rule = allowed[own]
    if (!rule || !isSource(to) || top(to) === own) return false
    return !rule.includes(top(to)) && !(typeOnly && rule.includes(`type ${top(to)}`))
  })
  assert.deepEqual(show(wrong), [])
})

test('only daemon.ts imports the wiring', () => {
  const wrong = imports.filter(
    ({ from, to }) => isSource(to) && top(to) === wiring && top(from) !== wiring && from !== 'daemon.ts',
  )
  assert.deepEqual(show(wrong), [])
})

test('every folder of src has a rule', () => {
  const folders = new Set(files.filter((file) => file.includes('/')).map(top))
  assert.deepEqual(
    [...folders].filter((folder) => folder !== wiring && !(folder in allowed)),
    [],
  )
})

test('domain uses neither node: modules nor packages but the schema library', () => {
  const wrong = imports.filter(({ from, to }) => top(from) === 'domain' && !isSource(to) && to !== 'valibot')
  assert.deepEqual(show(wrong), [])
})

test('each library has one door', () => {
  const doors: Readonly<Record<string, RegExp>> = {
    'tftp2/packet.js': /^tftp\/packet\.ts$/,
    'tftp2/server/index.js': /^tftp\/listener\.ts$/,
    'sql.js': /^store\//,
    'sql.js/dist/sql-wasm.js': /^store\//,
    cac: /^cli\//,
    hono: /^http\//,
    '@hono/node-server': /^http\//,
    'smol-toml': /^config/,
    '@valibot/to-json-schema': /^http\//,
  }
  const wrong = imports.filter(({ from, to }) => {
    const door = doors[to]
    return door !== undefined && !door.test(from)
  })
  assert.deepEqual(show(wrong), [])
})

test('every source file begins with a comment that says what it is', () => {
  const bare = files.filter((file) => !readFileSync(join(sourceDir, file), 'utf8').startsWith('/**\n'))
  assert.deepEqual(bare, [])
})

test('no source file is longer than 350 lines', () => {
  const long = files.filter((file) => readFileSync(join(sourceDir, file), 'utf8').split('\n').length > 351)
  assert.deepEqual(long, [])
})
