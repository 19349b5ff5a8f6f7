/**
 * What was typed → command, arguments and options by name; wrong form is refused (`usage`, exit 2).
 *
 * cac hands out positional arguments and options by a form and checks their number. It also turns values into numbers
 * (`--token 007` becomes 7), takes an empty value for a missing one and lets a switch swallow the next word; so this
 * file first finds out which words are values and marks each (`=007`), which cac then carries through untouched.
 * Source: CONTRACT "Command line".
 */
import { type CAC, cac } from 'cac'
import type { Form, Option } from '../commands/definition.ts'
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import { findNearest } from '../domain/nearest.ts'

/** Options of every command, before or after its name. */
export const globalOptions: readonly Option[] = [
  { name: 'socket', value: 'PATH', summary: 'Unix socket of the daemon' },
  { name: 'url', value: 'URL', summary: 'HTTP address of the daemon, such as http://boot:8000' },
  { name: 'token', value: 'TOKEN', summary: 'token for --url' },
  { name: 'json', summary: 'print the machine-readable result' },
  { name: 'help', short: 'h', summary: 'explain the command' },
  { name: 'version', short: 'v', summary: 'print version and commit' },
]

/** Values by key of the positional or long name of the option: text, list of texts, or true for a switch. */
export type Typed = Record<string, string | string[] | true>

export type Parsed =
  | { readonly kind: 'command'; readonly form: Form; readonly typed: Typed; readonly global: Typed }
  | { readonly kind: 'help'; readonly form: Form | undefined }
  | { readonly kind: 'version' }
  /** `serve`: its flags are the configuration's. */
  | { readonly kind: 'serve'; readonly argv: readonly string[] }

/** Wrong usage: the `Usage:` line of the form that was meant, and what is wrong where counting words does not say it. */
export class UsageError extends Refusal {
  /** What stands behind `Usage: `. */
  readonly usageLine: string
  readonly why: string | undefined

  constructor(usageLine: string, why?: string) {
    super('usage', why ?? `Usage: ${usageLine}`)
    this.usageLine = usageLine
    this.why = why
  }
}

/** The line after `Usage: `; 0.8's own where the form keeps it. */
export function usageOf(form: Form): string {
  if (form.usage !== undefined) return form.usage
  const words = form.positionals.map(({ usage, required, variadic }) => {
    const one = required ? usage : `[${usage}]`
    return variadic ? `${one}...` : one
  })
  const options = form.options.map(({ name, value }) => `[--${name}${value === undefined ? '' : ` ${value}`}]`)
  return ['pxemngr', form.name, ...words, ...options].join(' ')
}

interface Word {
  readonly at: number
  readonly text: string
}

/** Reads the words after the program's name. Refuses with `UsageError`. */
export function parseArguments(argv: readonly string[], forms: readonly Form[]): Parsed {
  const command = findCommand(argv, forms)
  const { form, at } = command
  if (form === undefined) return command.asked === 'version' ? { kind: 'version' } : { kind: 'help', form: undefined }
  const rest = argv.filter((_, index) => !at.includes(index))
  const asksHelp = beforeSeparator(rest).some((word) => word === '--help' || word === '-h')
  if (form.name === 'serve') return asksHelp ? { kind: 'help', form } : { kind: 'serve', argv: rest }
  if (asksHelp) return { kind: 'help', form }
  const words = markWords(rest, form)
  if (words.switches.includes('version')) return { kind: 'version' }
  return { kind: 'command', form, ...runCac(form, words) }
}

function beforeSeparator(words: readonly string[]): readonly string[] {
  const separator = words.indexOf('--')
  return separator < 0 ? words : words.slice(0, separator)
}

/** The form whose name stands first among the words that are no global option, and where its words are. */
function findCommand(
  argv: readonly string[],
  forms: readonly Form[],
): { form: Form | undefined; at: number[]; asked?: 'help' | 'version' } {
  let group: Word | undefined
  let asked: 'help' | 'version' | undefined
  let lone: string | undefined
  for (let at = 0; at < argv.length; at++) {
    const text = argv[at] ?? ''
    if (isOption(text)) {
      const { name, value } = splitOption(text)
      const option = findOption(globalOptions, name, text)
      if (!option) throw unknownOption(text, undefined, globalOptions)
      if (option.name === 'help' || option.name === 'version') asked = option.name
      if (option.value !== undefined && value === undefined) {
        at++
        // Told where no command is left: the value may be what was meant to be one.
        const next = argv[at]
        const takes = `--${option.name} needs a value (${option.value})`
        lone = next === undefined ? takes : `${takes} and took ${quote(next)} for it: no command is left`
      }
      continue
    }
    if (text === '--') break
    const name = group === undefined ? text : `${group.text} ${text}`
    const form = forms.find((each) => each.name === name)
    if (form) return { form, at: group === undefined ? [at] : [group.at, at] }
    if (group === undefined && forms.some((each) => each.name.startsWith(`${text} `))) group = { at, text }
    else throw unknownCommand(name, group, forms)
  }
  if (asked) return { form: undefined, at: [], asked }
  throw group ? unknownCommand(group.text, group, forms) : new UsageError(mainUsage, lone)
}

/** 0.8's line for a call without a command. */
export const mainUsage = 'pxemngr <sub-command> [<args>...]'

function unknownCommand(name: string, group: Word | undefined, forms: readonly Form[]): UsageError {
  if (group) {
    const second = forms.flatMap((form) =>
      form.name.startsWith(`${group.text} `) ? [form.name.slice(group.text.length + 1)] : [],
    )
    return new UsageError(`pxemngr ${group.text} <${second.join('|')}>`)
  }
  const nearest = findNearest(
    name,
    forms.map((form) => form.name),
  )
  const shown = /^[\x21-\x7e]{1,80}$/.test(name) ? name : quote(name)
  return new UsageError(
    mainUsage,
    `Invalid pxemngr sub-command ${shown}${nearest === undefined ? '' : `; did you mean ${nearest}?`}`,
  )
}

function isOption(text: string): boolean {
  return text.startsWith('-') && text !== '-' && text !== '--'
}

/** `--name=value`, `-n=value`. */
function splitOption(text: string): { name: string; value: string | undefined } {
  const equals = text.indexOf('=')
  const name = text.slice(0, equals < 0 ? undefined : equals)
  return { name: name.replace(/^--?/, ''), value: equals < 0 ? undefined : text.slice(equals + 1) }
}

function findOption(options: readonly Option[], name: string, text: string): Option | undefined {
  const long = text.startsWith('--')
  return options.find((option) => (long ? option.name : option.short) === name)
}

function unknownOption(text: string, form: Form | undefined, options: readonly Option[]): UsageError {
  const { name } = splitOption(text)
  const known = options.map((option) => `--${option.name}`)
  const nearest = findNearest(`--${name}`, known)
  const hint = nearest === undefined ? `allowed are ${known.join(' ')}` : `did you mean ${nearest}?`
  return new UsageError(
    form ? usageOf(form) : mainUsage,
    `unknown option ${quote(text.split('=', 1)[0] ?? '')}; ${hint}`,
  )
}

interface MarkedWords {
  readonly positionals: string[]
  readonly values: { readonly name: string; readonly value: string }[]
  readonly switches: string[]
}

/** Options of every command, but for those that the form has for itself (`nexttest --version V`). */
export function commonOptions(form: Form): readonly Option[] {
  return globalOptions.filter(({ name }) => !form.options.some((option) => option.name === name))
}

function markWords(words: readonly string[], form: Form): MarkedWords {
  const options = [...commonOptions(form), ...form.options]
  const marked: MarkedWords = { positionals: [], values: [], switches: [] }
  for (let at = 0; at < words.length; at++) {
    const typed = words[at] ?? ''
    // `-n5` is `-n=5`, where -n takes a value.
    const glued = options.find(({ short, value }) => value && typed[1] === short && /^-\w[^=]/.test(typed))
    const text = glued ? `-${glued.short}=${typed.slice(2)}` : typed
    if (text === '--') {
      marked.positionals.push(...words.slice(at + 1))
      break
    }
    if (!isOption(text)) {
      marked.positionals.push(text)
      continue
    }
    const { name, value } = splitOption(text)
    const option = findOption(options, name, text)
    if (!option) throw unknownOption(text, form, options)
    if (option.value === undefined) {
      if (value !== undefined) throw new UsageError(usageOf(form), `--${option.name} takes no value`)
      marked.switches.push(option.name)
      continue
    }
    const next = words[at + 1]
    if (value === undefined && (next === undefined || isOption(next) || next === '--')) {
      const hint = next === undefined ? '' : `; one that begins with - is given as --${option.name}=${option.value}`
      throw new UsageError(usageOf(form), `--${option.name} needs a value (${option.value})${hint}`)
    }
    if (value === undefined) at++
    marked.values.push({ name: option.name, value: value ?? next ?? '' })
  }
  return marked
}

/** In front of every value that passes through cac, so that it is no number, not empty and begins with no dash. */
const mark = '='

function runCac(form: Form, words: MarkedWords): { typed: Typed; global: Typed } {
  const given = [...words.values.map(({ name }) => name), ...words.switches]
  // An option that stands for the arguments (`-l`, `--from FILE`) leaves none of them to be given.
  const alone = form.options.some((option) => option.alone && given.includes(option.name))
  const result: { typed: Typed; global: Typed } = { typed: {}, global: {} }
  const cli = cac('pxemngr')
  // This form alone: cac goes through the words once for every command it knows, which takes 5 ms for all of them.
  defineForm(cli, form, alone, (args, options) => assign(form, alone, args, options, result))
  const argv = [
    form.name,
    ...words.positionals.map((value) => `${mark}${value}`),
    ...words.values.map(({ name, value }) => `--${name}=${mark}${value}`),
    ...words.switches.map((name) => `--${name}`),
  ]
  try {
    cli.parse(['', 'pxemngr', ...argv])
  } catch (error) {
    // cac's own error: a number of arguments that does not fit.
    if (error instanceof Error && error.name === 'CACError') throw new UsageError(usageOf(form))
    throw error
  }
  return result
}

function defineForm(
  cli: CAC,
  form: Form,
  alone: boolean,
  action: (args: readonly unknown[], options: Record<string, unknown>) => void,
): void {
  const places = (alone ? [] : form.positionals).map(({ key, required, variadic }) => {
    const inner = `${variadic ? '...' : ''}${key}`
    return required ? `<${inner}>` : `[${inner}]`
  })
  const command = cli.command([form.name, ...places].join(' '), form.summary)
  for (const { name, value, summary } of [...commonOptions(form), ...form.options]) {
    command.option(`--${name}${value === undefined ? '' : ' <value>'}`, summary)
  }
  command.action((...args: unknown[]) => action(args.slice(0, -1), args.at(-1) as Record<string, unknown>))
}

function assign(
  form: Form,
  alone: boolean,
  args: readonly unknown[],
  options: Record<string, unknown>,
  into: { typed: Typed; global: Typed },
): void {
  const places = alone ? [] : form.positionals
  places.forEach(({ key, required, variadic }, index) => {
    const value = args[index]
    if (variadic && Array.isArray(value)) {
      // cac is content with nothing for the last of several required places.
      if (required && value.length === 0) throw new UsageError(usageOf(form))
      if (value.length > 0) into.typed[key] = value.map(unmark)
    } else if (value !== undefined) into.typed[key] = unmark(value)
  })
  for (const [list, where] of [
    [commonOptions(form), into.global],
    [form.options, into.typed],
  ] as const) {
    for (const { name, value: takesValue, repeatable } of list) {
      const value = options[camelCase(name)]
      if (value === undefined) continue
      if (takesValue === undefined) where[name] = true
      else {
        const all = [value].flat().map(unmark)
        where[name] = repeatable ? all : (all.at(-1) ?? '')
      }
    }
  }
}

function unmark(value: unknown): string {
  return String(value).slice(mark.length)
}

/** As cac names options. */
function camelCase(name: string): string {
  return name.replaceAll(/([a-z])-([a-z])/g, (_, before: string, after: string) => before + after.toUpperCase())
}
