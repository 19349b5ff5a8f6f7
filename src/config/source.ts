/**
 * Where settings come from: the flags of `serve`, PXEMNGR_* variables, the TOML file. Each is read into the same list of
 * settings (key, texts, where it stood), without looking at what the texts mean: that is `config.ts`.
 *
 * Source: CONTRACT "Daemon" (flag beats environment beats file), TOML 1.0.
 */
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import { findNearest } from '../domain/nearest.ts'
import { type Config, fields, keys, variableName } from './keys.ts'

/** What one source says about one key. */
export interface Setting {
  readonly field: keyof Config
  /** Each value that was given; a list key may have several. */
  readonly texts: readonly string[]
  /** Whether each text may hold several values joined by commas (not so in a TOML array). */
  readonly split: boolean
  /** `--http`, `PXEMNGR_HTTP`, `/etc/pxemngr/pxemngr.toml:3`: begins an error line. */
  readonly at: string
  readonly source: 'flag' | 'environment' | 'file'
}

const names = fields.map((field) => keys[field].name)
const fieldOf = new Map(fields.map((field) => [keys[field].name, field]))
const fieldOfVariable = new Map(fields.map((field) => [variableName(keys[field].name), field]))

/** Variables that are not keys: the configuration file, and those of the command line's client. */
const otherVariables = ['PXEMNGR_CONFIG', 'PXEMNGR_URL', 'PXEMNGR_TOKEN']

/** Flags of `serve` that are not keys. */
const otherFlags = ['config', 'check']

export interface Flags {
  readonly settings: readonly Setting[]
  readonly config: string | undefined
  readonly check: boolean
}

/** The words after `serve`. Refuses (`usage`) what is no flag of it. */
export function readFlags(argv: readonly string[]): Flags {
  const given = new Map<keyof Config, string[]>()
  let config: string | undefined
  let check = false
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? ''
    if (!word.startsWith('--') || word === '--') throw unknownWord(word)
    const equals = word.indexOf('=')
    const name = word.slice(2, equals < 0 ? undefined : equals)
    const inline = equals < 0 ? undefined : word.slice(equals + 1)
    const next = argv[at + 1]
    const field = fieldOf.get(name)
    if (name === 'check') {
      if (inline !== undefined) throw new Refusal('usage', '--check takes no value')
      check = true
    } else if (field !== undefined && isSwitch(field) && inline === undefined) {
      // A bare switch is yes; the word after it is its value only if it can be one.
      const word = next !== undefined && /^(yes|no|true|false)$/i.test(next) ? argv[++at] : undefined
      given.set(field, [...(given.get(field) ?? []), word ?? 'yes'])
    } else if (field === undefined && name !== 'config') {
      throw unknownKey(`--${name}`, name, [...names, ...otherFlags])
    } else {
      const value = inline ?? next
      if (value === undefined || (inline === undefined && value.startsWith('--'))) {
        const allowed = field === undefined ? 'the path of a TOML file' : keys[field].kind.allowed
        throw new Refusal('usage', `--${name} needs a value: ${allowed}`)
      }
      if (inline === undefined) at++
      if (field === undefined) config = value
      else given.set(field, [...(given.get(field) ?? []), value])
    }
  }
  const settings = [...given].map(([field, texts]): Setting => {
    // A key with one value takes the last flag, so that a wrapper's flags can be overridden.
    const last = keys[field].list ? texts : texts.slice(-1)
    return { field, texts: last, split: true, at: `--${keys[field].name}`, source: 'flag' }
  })
  return { settings, config, check }
}

function isSwitch(field: keyof Config): boolean {
  return field === 'tftpSinglePort'
}

function unknownWord(word: string): Refusal {
  return new Refusal('usage', `${quote(word)} is no flag of serve: flags begin with --, see pxemngr help serve`)
}

function unknownKey(at: string, name: string, known: readonly string[]): Refusal {
  const nearest = findNearest(name, known)
  const hint = nearest === undefined ? '' : `did you mean ${nearest}? `
  return new Refusal('usage', `${at}: unknown key ${quote(name)}: ${hint}allowed are ${known.join(', ')}`)
}

/** PXEMNGR_* variables; an empty one counts as not set. Unknown ones are warnings. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): {
  settings: Setting[]
  warnings: string[]
} {
  const settings: Setting[] = []
  const warnings: string[] = []
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith('PXEMNGR_') || otherVariables.includes(name)) continue
    const field = fieldOfVariable.get(name)
    if (field === undefined) {
      const nearest = findNearest(name, [...fieldOfVariable.keys(), ...otherVariables])
      warnings.push(
        `${quote(name)} is ignored: no such key${nearest === undefined ? '' : `; did you mean ${nearest}?`}`,
      )
    } else if (text !== undefined && text !== '') {
      settings.push({ field, texts: [text], split: true, at: name, source: 'environment' })
    }
  }
  return { settings, warnings }
}

/** The TOML file's text. Refuses (`usage`) what is no TOML, an unknown key, or a value of a type no key has. */
export async function readToml(file: string, text: string): Promise<Setting[]> {
  // Loaded only where there is a file: most starts of the command line have none.
  const { parse, TomlError } = await import('./toml.ts')
  let table: Record<string, unknown>
  try {
    table = parse(text.replace(/^\uFEFF/, ''), { integersAsBigInt: 'asNeeded' })
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // The message's further lines draw the place; the first says what is wrong.
    const [what] = error.message.split('\n')
    throw new Refusal('usage', `${file}:${error.line}:${error.column}: ${what}`)
  }
  return Object.entries(table).map(([name, value]): Setting => {
    const line = findLine(text, name)
    const at = line === undefined ? file : `${file}:${line}`
    const field = fieldOf.get(name)
    if (field === undefined) throw unknownKey(at, name, names)
    const { kind, list } = keys[field]
    const several = Array.isArray(value)
    const texts = (several ? value : [value]).map((one: unknown) => scalarText(one))
    if ((several && !list) || texts.includes(undefined)) {
      throw new Refusal('usage', `${at}: ${name} is ${typeWord(value)}: allowed is ${kind.allowed}`)
    }
    return { field, texts: texts.filter((one) => one !== undefined), split: !several, at, source: 'file' }
  })
}

function scalarText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint'
    ? String(value)
    : undefined
}

function typeWord(value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  return value instanceof Date ? 'a date' : 'a table'
}

/** Line of a key at the top of the file: what TOML's parser does not tell. A courtesy to the reader, nothing more. */
function findLine(text: string, name: string): number | undefined {
  const lines = text.split('\n')
  const found = lines.findIndex((line) => {
    const [head = ''] = line.split(/[=\]]/, 1)
    return head.replace(/["'\s[\uFEFF]/g, '').split('.')[0] === name
  })
  return found < 0 ? undefined : found + 1
}
