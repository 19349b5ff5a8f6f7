/**
 * The command line: what was typed → a call of the daemon or a local command → output and exit status.
 *
 * The one place where refusals end: one line on stderr (after the `Usage:` line for wrong usage), with `--json` their
 * problem document on stdout too. What a command is comes from its definition; nothing here knows one by name but those
 * that need no daemon. Source: CONTRACT "Command line", COMPATIBILITY 3.1 and 3.2.
 */
import {
  bytesType,
  type ClientContext,
  type Command,
  type Form,
  linesType,
  type Output,
} from '../commands/definition.ts'
import { commands } from '../commands/index.ts'
import { localForms } from '../commands/local.ts'
import { Refusal, type RefusalKind, refusalKinds } from '../domain/errors.ts'
import { findNearest } from '../domain/nearest.ts'
import { mainUsage, parseArguments, type Typed, UsageError, usageOf } from './arguments.ts'
import { callDaemon } from './client.ts'
import { followLines } from './follow.ts'
import type { Io } from './io.ts'
import { locate } from './locate.ts'
import { createPrinter, formatJson, OutputClosed, oneLine, type Printer, writeWords } from './print.ts'
import { parseJson, readAll, readRefusal } from './result.ts'
import { fileFault, isStandardOutput, refuseUnwritable, saveFile } from './save.ts'

/** Ended by SIGINT, as a shell counts it: 128 + 2. */
const interruptedStatus = 130

/** Every form, in the order of help. */
export const forms: readonly Form[] = [...commands, ...localForms]

/** Runs what was typed; `argv` without the program's name. Never rejects but for a fault of ours. */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  const out = createPrinter(io)
  try {
    const status = await run(argv, io, out)
    out.flush()
    return status
  } catch (error) {
    if (error instanceof OutputClosed) return 0
    if (io.interrupted.aborted) return interruptedStatus
    if (error instanceof Refusal) return await refuse(error, argv, io, out)
    throw error
  }
}

async function run(argv: readonly string[], io: Io, out: Printer): Promise<number> {
  if (argv[0] === 'completion' && argv[1] === '--complete') {
    const { completeFromDaemon } = await import('./completion-names.ts')
    for (const { text, summary } of await completeFromDaemon(argv.slice(2), forms, io)) {
      out.line(summary === undefined ? text : `${text}\t${summary}`)
    }
    return 0
  }
  const parsed = parseArguments(argv, forms)
  switch (parsed.kind) {
    case 'version':
      out.line(`pxemngr ${io.version} (${io.commit})`)
      return 0
    case 'help':
      await printHelp(parsed.form, out)
      return 0
    case 'serve':
      return runHere('serve', { argv: parsed.argv }, io)
    case 'command': {
      const { name } = parsed.form
      if (name === 'repair' || name === 'restore') return runHere(name, { ...parsed.typed, ...parsed.global }, io)
      const command = commands.find((each) => each.name === name)
      try {
        if (command) return await runCommand(command, parsed.typed, parsed.global, io, out)
        return await runLocalForm(parsed.form, parsed.typed, io, out)
      } catch (error) {
        if (!(error instanceof Refusal) || error.kind !== 'usage') throw error
        throw new UsageError(usageOf(parsed.form), error.message)
      }
    }
  }
}

/** The daemon's half of the executable is a program of its own with a `Refusal` of its own: known by its name and kind. */
async function runHere(
  name: Parameters<Io['runLocal']>[0],
  typed: Readonly<Record<string, unknown>>,
  io: Io,
): Promise<number> {
  try {
    return await io.runLocal(name, typed)
  } catch (error) {
    const kind = error instanceof Error && error.name === 'Refusal' && 'kind' in error ? error.kind : undefined
    if (!(error instanceof Error) || typeof kind !== 'string' || !Object.hasOwn(refusalKinds, kind)) throw error
    throw new Refusal(kind as RefusalKind, error.message, { cause: error })
  }
}

async function runLocalForm(form: Form, typed: Typed, io: Io, out: Printer): Promise<number> {
  const { shell, command } = typed
  if (form.name === 'completion') {
    const { completionScript } = await import('./completion.ts')
    out.line(completionScript(String(shell)).trimEnd())
  } else if (form.name === 'licenses') out.line(io.readAsset('NOTICES').trimEnd())
  else if (!Array.isArray(command)) await printHelp(undefined, out)
  else {
    const name = command.join(' ')
    const asked = forms.find((each) => each.name === name)
    // `help token` explains all that begins with it.
    const several = asked ? [asked] : forms.filter((each) => each.name.startsWith(`${name} `))
    if (several.length === 0) {
      const nearest = findNearest(
        name,
        forms.map((each) => each.name),
      )
      const next = nearest === undefined ? 'see pxemngr help' : `did you mean ${nearest}?`
      throw new Refusal('usage', `there is no command ${oneLine(name)}: ${next}`)
    }
    for (const [index, each] of several.entries()) {
      if (index > 0) out.line('')
      await printHelp(each, out)
    }
  }
  return 0
}

async function printHelp(form: Form | undefined, out: Printer): Promise<void> {
  const { formatCommandHelp, formatMainHelp } = await import('./help.ts')
  const flags = form?.name === 'serve' ? (await import('../config/reference.ts')).formatFlags() : []
  const lines = form ? formatCommandHelp(form, out.color, flags) : formatMainHelp(forms, out.color)
  for (const line of lines) out.line(line)
}

async function runCommand(command: Command, typed: Typed, global: Typed, io: Io, out: Printer): Promise<number> {
  const client = clientContext(io)
  const args: Record<string, unknown> = command.prepare ? await command.prepare(typed, client) : typed
  const kept = [...(command.clientOnly ?? []), ...(command.savesFile ? ['file'] : [])]
  const sent = Object.fromEntries(Object.entries(args).filter(([key]) => !kept.includes(key)))
  const answer = await callDaemon(await locate(global, io), {
    name: command.name,
    body: JSON.stringify(sent),
    user: io.user,
    version: io.version,
    signal: io.interrupted,
    isFollowed: command.cutOff !== undefined && (command.stream?.when?.(sent) ?? false),
  })
  const json = global['json'] !== undefined
  const finish = async (result: Record<string, unknown>): Promise<number> => {
    await command.keep?.(result, args, client)
    if (client.tookOutput()) return command.exitStatus?.(result) ?? 0
    if (!json) return show(command, result, args, out.plain)
    out.line(formatJson(result, out.terminal))
    return command.exitStatus?.(result) ?? 0
  }
  try {
    if (answer.status !== 200) throw await readRefusal(answer)
    if (answer.contentType === linesType) {
      return await followLines(answer, { command, args, client, out, interrupted: io.interrupted, finish })
    }
    if (answer.contentType === bytesType && !command.savesFile) {
      if (json) return await finish({ log: await readAll(answer.body) })
      for await (const piece of answer.body) out.bytes(piece)
      return 0
    }
    if (answer.contentType !== 'application/json') {
      const { file } = args
      if (!command.savesFile || typeof file !== 'string') {
        throw new Refusal(
          'unavailable',
          `the daemon answered ${command.name} with ${oneLine(answer.contentType) || 'no type'}`,
        )
      }
      const data = isStandardOutput(file)
      const sizeBytes = await saveFile(file, answer.body, io)
      if (json && !data) out.line(formatJson({ file, bytes: sizeBytes }, out.terminal))
      return 0
    }
    return await finish(parseJson(await readAll(answer.body)))
  } finally {
    answer.close()
  }
}

/** `tookOutput`: a file was written to stdout, which is that file now and nothing else. */
function clientContext(io: Io): ClientContext & { tookOutput(): boolean } {
  let tookOutput = false
  return {
    tookOutput: () => tookOutput,
    readFile: async (path) => {
      try {
        return io.readFile(path)
      } catch (error) {
        throw new Refusal('not-found', `cannot read ${JSON.stringify(path)}: ${fileFault(error)}`, { cause: error })
      }
    },
    readStandardInput: () => io.readStandardInput(),
    refuseUnwritable,
    writeFile: async (path, bytes) => {
      tookOutput ||= isStandardOutput(path)
      await saveFile(path, onePiece(bytes), io)
    },
  }
}

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Prints a result, and its exit status; one of another shape than this version's is the daemon's fault, and said. */
function show(command: Command, result: unknown, args: Record<string, unknown>, out: Output): number {
  try {
    command.print?.(result, out, args)
    return command.exitStatus?.(result) ?? 0
  } catch (error) {
    if (error instanceof OutputClosed) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new Refusal(
      'unavailable',
      `the daemon's answer to ${command.name} has not the form of this version (${why}): see --json`,
    )
  }
}

async function refuse(refusal: Refusal, argv: readonly string[], io: Io, out: Printer): Promise<number> {
  try {
    const separator = argv.indexOf('--')
    const json = argv.slice(0, separator < 0 ? undefined : separator).includes('--json')
    if (refusal instanceof UsageError) {
      writeWords(io, `Usage: ${refusal.usageLine}`)
      if (refusal.why !== undefined) writeWords(io, refusal.why)
      if (refusal.usageLine === mainUsage && !json) {
        const { formatCommandList } = await import('./help.ts')
        for (const line of formatCommandList(forms, out.terminal)) out.line(line)
      }
    } else writeWords(io, refusal.message)
    // One line is the contract of scripts; a person is told more.
    if (refusal.hint !== undefined && io.stderr.terminal) writeWords(io, refusal.hint)
    if (json) out.line(formatJson(refusal.toProblem(), out.terminal))
    out.flush()
  } catch (error) {
    // Nobody reads stdout, or it cannot be written: the line and the status are out.
    if (!(error instanceof OutputClosed || error instanceof Refusal)) throw error
  }
  return refusal.exit
}
