/**
 * Files that are Eta templates: scripts and configurations, so nothing is escaped, trimmed or put right.
 *
 * The variables are names of their own in the template (`<%= mac %>`) and plain data: their values are never looked at
 * for tags. A fault says the line of the file. A template is a program of whoever may write into the folder; it can do
 * what the daemon can. A first rendering that does not end is stopped: the daemon has one thread, and all machines wait
 * for it. To watch over each rendering would take half a millisecond of it. Hides Eta and its two habits that scripts
 * must not see: it turns CR LF into LF, and its debug mode changes what `if` without braces means (used here only to find
 * the line of a fault). Source: CONTRACT "TFTP".
 */
import { Script } from 'node:vm'
import { Eta } from 'eta/core'

/** Why a template does not compile or render; `message` is one line, `line` that of the file where it is known. */
export class TemplateFault extends Error {
  readonly line: number | undefined

  constructor(message: string, line: number | undefined) {
    super(line === undefined ? message : `line ${line}: ${message}`)
    this.name = 'TemplateFault'
    this.line = line
  }
}

export interface Template {
  /** Throws `TemplateFault`. */
  render(variables: Readonly<Record<string, unknown>>): string
}

/** A rendering takes a fraction of a millisecond; one that takes this long has no end. */
const renderMaxMs = 2000
/** On a machine that stands still. */
const triesMax = 3
/** Where the script finds what to run: `vm` stops what runs inside a script, not a function. */
const seat = 'pxemngr.template'
const runInSeat = new Script(`globalThis[Symbol.for(${JSON.stringify(seat)})]()`)

const options = { useWith: true, autoEscape: false, autoTrim: false, cache: false } as const
const eta = new Eta(options)
/** Keeps the line of the tag it is at: for locating only. */
const locating = new Eta({ ...options, debug: true })

/** Whether a text or file is a template at all. */
export function isTemplate(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes('<%')
}

/** Throws `TemplateFault` if it does not compile. */
export function compileTemplate(text: string): Template {
  const carriage = standIn(text)
  const source = carriage === undefined ? text : text.replaceAll('\r', carriage)
  const run = compile(source)
  let hasEnded = false
  let endless: TemplateFault | undefined
  return {
    render(variables) {
      if (endless) throw endless
      const render = () => eta.render(run, { ...variables })
      let result: string
      try {
        result = hasEnded ? render() : renderBounded(render)
        hasEnded = true
      } catch (error) {
        if (isTimeout(error)) {
          endless = new TemplateFault(`it is not rendered within ${renderMaxMs} ms`, undefined)
          throw endless
        }
        throw new TemplateFault(oneLine(error), lineOfFailure(source, variables))
      }
      return carriage === undefined ? result : result.replaceAll(carriage, '\r')
    },
  }
}

/**
 * As `render`; throws (`ERR_SCRIPT_EXECUTION_TIMEOUT`) when that takes too long. `vm` goes by the clock: where this thread
 * hardly ran meanwhile, the machine stood still and not the template, which is tried again.
 */
function renderBounded(render: () => string): string {
  Object.defineProperty(globalThis, Symbol.for(seat), { value: render, configurable: true })
  try {
    for (let tries = 1; ; tries++) {
      const before = process.threadCpuUsage()
      try {
        return String(runInSeat.runInThisContext({ timeout: renderMaxMs }))
      } catch (error) {
        const { user, system } = process.threadCpuUsage(before)
        const ranMs = (user + system) / 1000
        if (!isTimeout(error) || tries === triesMax || ranMs > renderMaxMs / 2) throw error
      }
    }
  } finally {
    Reflect.deleteProperty(globalThis, Symbol.for(seat))
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
}

type Run = ReturnType<typeof eta.compile>

function compile(source: string): Run {
  try {
    return eta.compile(source)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const parsed = /^(.*?) at line (\d+) col \d+/.exec(message)
    if (parsed) throw new TemplateFault(parsed[1] ?? message, Number(parsed[2]))
    const syntax = /^Bad template syntax\s+(.*)/.exec(message)
    throw new TemplateFault(syntax?.[1] ?? oneLine(error), lineOfSyntaxError(source))
  }
}

/**
 * A blank that JavaScript takes for one and the text does not hold, to stand for CR while Eta has the text. undefined:
 * there is no CR.
 */
function standIn(text: string): string | undefined {
  if (!text.includes('\r')) return undefined
  return ['\v', '\f', '\u1680', '\u2000', '\u2001', '\u205f'].find((blank) => !text.includes(blank))
}

/** Line of the tag whose code is not JavaScript: V8 says the line of the generated program, which says the tag's. */
function lineOfSyntaxError(source: string): number | undefined {
  let program: string
  try {
    program = locating.compileToString(source)
  } catch {
    return undefined
  }
  try {
    new Script(`(function (it, options) {\n${program}\n})`, { filename: 'template' })
    return undefined
  } catch (error) {
    const at = /^template:(\d+)/.exec((error instanceof Error && error.stack) || '')
    if (!at) return undefined
    // Index of the faulty line: one line stands before the program, and V8 counts from 1.
    const faulty = Number(at[1]) - 2
    const lines = program.split('\n').slice(0, faulty + 1)
    const markers = lines.flatMap((line, index) => (/^__eta\.line=\d+$/.test(line) ? [index] : []))
    return lineInTag(source, markers.length - 1, faulty - (markers.at(-1) ?? 0) - 1)
  }
}

/**
 * Line of the file for line `offset` of the code of the `ordinal`th tag. What lies behind its code, such as a brace that
 * is closed nowhere, is said of the tag's last line: V8 finds it at the end of the program.
 */
function lineInTag(source: string, ordinal: number, offset: number): number | undefined {
  const tags = locating.parse(source).filter((block) => typeof block !== 'string')
  const tag = tags[ordinal]
  if (tag?.lineNo === undefined) return undefined
  // Eta takes off the blank lines before the code, and counts from the opening.
  const opening = source
    .split('\n')
    .slice(tag.lineNo - 1)
    .join('\n')
  const blank = tags[ordinal + 1]?.lineNo === tag.lineNo ? '' : (/^.*<%[-_]?[=~]?(\s*\n)/.exec(opening)?.[1] ?? '')
  const codeLines = tag.val.split('\n').length
  return tag.lineNo + blank.split('\n').length - 1 + Math.min(Math.max(0, offset), codeLines - 1)
}

function lineOfFailure(source: string, variables: Readonly<Record<string, unknown>>): number | undefined {
  try {
    locating.render(locating.compile(source), { ...variables })
    return undefined
  } catch (error) {
    const at = /^line (\d+)\n/.exec(error instanceof Error ? error.message : '')
    return at ? Number(at[1]) : undefined
  }
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return text.split('\n')[0]?.slice(0, 200) ?? ''
}
