/**
 * The daemon's configuration: flag beats environment beats TOML file beats default, checked as a whole before anything
 * starts. Every fault is one line that names where it stands, the key and what is allowed.
 *
 * Pure apart from the reader it is given. The keys are rows of `config/keys.ts`; what a started daemon finds out about
 * folders and disks is `config/check.ts`. Source: CONTRACT "Daemon".
 */
import { isAbsolute, join, resolve } from 'node:path'
import { type Config, fields, type Key, keys, type Surroundings } from './config/keys.ts'
import { systemConfigFile } from './config/places.ts'
import { refusePrivilegedPorts } from './config/privileged-ports.ts'
import { readEnvironment, readFlags, readToml, type Setting } from './config/source.ts'
import { quote } from './domain/address.ts'
import { Refusal } from './domain/errors.ts'

export { type Config, tftpFallbackPort } from './config/keys.ts'
export { formatReference } from './config/reference.ts'

export interface LoadInput extends Surroundings {
  /** The words after `serve`. */
  readonly argv: readonly string[]
  /** Working folder: relative paths in flags and variables start there. */
  readonly cwd: string
  /** Bytes of a file; throws Node's file errors (`ENOENT`, `EISDIR` …). */
  readFile(path: string): Uint8Array
}

/** Where a value came from. */
export type Origin = Setting['source'] | 'default'

export interface LoadedConfig {
  readonly config: Config
  /** Lines for stderr; the start goes on. */
  readonly warnings: readonly string[]
  /** `--check` was given: say what is wrong and start nothing. */
  readonly check: boolean
  /** The configuration file that was read; null where there is none. */
  readonly file: string | null
  /** By key (`data-dir`) or field (`dataDir`). */
  origin(key: string): Origin
  /** For what only the running system knows of a value that was given: the line as for any other that is not allowed. */
  refusal(field: keyof Config, why: string): Refusal
}

/** Reads and checks the configuration. Refuses (`usage`, exit 2) with one line at the first fault. */
export async function loadConfig(input: LoadInput): Promise<LoadedConfig> {
  const flags = readFlags(input.argv)
  const environment = readEnvironment(input.env)
  const warnings = [...environment.warnings]
  const { PXEMNGR_CONFIG: named } = input.env
  const found = readConfigFile(flags.config ?? (named || undefined), input)
  const settings = [...flags.settings, ...environment.settings]
  const fromFile = found === null ? [] : await readToml(found.path, found.text)

  const given = new Map<keyof Config, Setting>()
  const chosen: Partial<Record<keyof Config, unknown>> = {}
  // The file's own faults are told even where a flag beats its value: they would bite at another start.
  for (const setting of [...fromFile, ...[...settings].reverse()]) {
    const folder = setting.source === 'file' && found !== null ? join(found.path, '..') : input.cwd
    chosen[setting.field] = parseSetting(setting, folder)
    given.set(setting.field, setting)
  }
  const config = withDefaults(chosen, input)
  if (input.uid === 0) refusePrivilegedPorts(config, input.readFile)
  else if (config.user !== null) {
    warnings.push(`user ${quote(config.user)} is ignored: only root can become another account`)
  }
  return {
    config,
    warnings,
    check: flags.check,
    file: found?.path ?? null,
    origin(key) {
      const field = fields.find((each) => each === key || keys[each].name === key)
      if (field === undefined) throw new Error(`${key} is no configuration key`)
      return given.get(field)?.source ?? 'default'
    },
    refusal(field, why) {
      const setting = given.get(field)
      if (setting === undefined) throw new Error(`${field} was not given`)
      return new Refusal('usage', `${notAllowed(setting, setting.texts.join(','))}; ${why}`)
    },
  }
}

function readConfigFile(named: string | undefined, input: LoadInput): { path: string; text: string } | null {
  const path = named === undefined ? systemConfigFile : resolve(input.cwd, named)
  let bytes: Uint8Array
  try {
    bytes = input.readFile(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (named === undefined && (code === 'ENOENT' || code === 'ENOTDIR')) return null
    const why: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a folder',
      EACCES: 'it may not be read',
    }
    throw new Refusal('usage', `cannot read configuration file ${quote(path)}: ${why[code] ?? (code || String(error))}`)
  }
  try {
    return { path, text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) }
  } catch {
    throw new Refusal('usage', `configuration file ${quote(path)} is not UTF-8 text`)
  }
}

/** Where it stands, the key, the value, what is allowed. */
function notAllowed({ field, source, at }: Setting, text: string): string {
  const { name, kind } = keys[field]
  return `${at}:${source === 'file' ? ` ${name} =` : ''} ${quote(text)} is not allowed: ${name} is ${kind.allowed}`
}

function parseSetting(setting: Setting, folder: string): unknown {
  const key: Key<unknown> = keys[setting.field] as Key<unknown>
  const refuse = (text: string): Refusal => new Refusal('usage', notAllowed(setting, text))
  const parse = (text: string): unknown => {
    const value = key.kind.parse(text)
    if (value === undefined) throw refuse(text)
    return key.kind.path && typeof value === 'string' && !isAbsolute(value) ? resolve(folder, value) : value
  }
  if (!key.list) return parse(setting.texts[0] ?? '')
  const texts = setting.texts.flatMap((text) => (setting.split ? text.split(',').map((part) => part.trim()) : [text]))
  // Nothing between brackets is easily a slip; off or the default of such a key has to be said.
  if (texts.length === 0 && key.list.none !== 'none') {
    throw new Refusal(
      'usage',
      `${setting.at}: ${key.name} = [] is not allowed: ${key.name} is ${key.kind.allowed}; write "${key.list.none}"`,
    )
  }
  if (texts.length === 0 || (texts.length === 1 && texts[0] === key.list.none)) return key.list.value
  if (texts.includes(key.list.none)) throw refuse(texts.join(','))
  return texts.map(parse)
}

function withDefaults(chosen: Partial<Record<keyof Config, unknown>>, surroundings: Surroundings): Config {
  const get = (field: keyof Config, dataDir: string): unknown => {
    const value = chosen[field] === undefined ? keys[field].fallback(surroundings, { dataDir }) : chosen[field]
    if (value !== undefined) return value
    throw new Refusal(
      'usage',
      `${keys[field].name} is not set and there is no HOME to find a default: give --${keys[field].name}`,
    )
  }
  const dataDir = String(get('dataDir', ''))
  const config = Object.fromEntries(fields.map((field) => [field, get(field, dataDir)]))
  const { socket } = config
  if (keys.socket.kind.parse(String(socket)) === undefined) {
    throw new Refusal('usage', `socket ${quote(String(socket))} is too long: socket is ${keys.socket.kind.allowed}`)
  }
  // Each field was made by its own row's parser or default, whose types the table checks.
  return config as unknown as Config
}

/** What a re-read configuration (SIGHUP) brings: fields that take effect now, and those that wait for a restart. */
export function compareConfig(before: Config, after: Config): { reloaded: string[]; restart: string[] } {
  const changed = fields.filter((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]))
  const namesOf = (reload: boolean): string[] =>
    changed.filter((field) => keys[field].reload === reload).map((field) => keys[field].name)
  return { reloaded: namesOf(true), restart: namesOf(false) }
}
