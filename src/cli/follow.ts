/**
 * Lines of JSON as the daemon sends them: notes for stderr, results as they come, and what becomes of a stream that ends
 * before its result.
 *
 * A command that says what to do then (`cutOff`) gets the parts that came with its notes; a connection that broke is a
 * daemon that cannot be reached (exit status 3), an interrupt stays one. Source: CONTRACT "Command line", RUNS "Commands".
 */
import type { ClientContext, Command } from '../commands/definition.ts'
import { Refusal } from '../domain/errors.ts'
import type { Answer } from './client.ts'
import type { Printer } from './print.ts'
import { parseJson, readLines } from './result.ts'

export interface Follower {
  readonly command: Command
  readonly args: Record<string, unknown>
  readonly client: ClientContext
  readonly out: Printer
  readonly interrupted: AbortSignal
  /** Prints a result; its exit status. */
  finish(result: Record<string, unknown>): Promise<number>
}

/** Exit status of the last result. Refuses as the answer does, with `no-daemon` where a result was waited for. */
export async function followLines(answer: Answer, follower: Follower): Promise<number> {
  const { command, out } = follower
  const parts: unknown[] = []
  let status: number | undefined
  const lines = readLines(answer.body)
  for (;;) {
    let line: string | undefined
    try {
      line = await nextLine(lines)
    } catch (error) {
      if (status !== undefined || !command.cutOff) throw error
      throw await endEarly(error, parts, follower)
    }
    if (line === undefined) break
    const result = parseJson(line)
    if (isNote(result)) {
      out.note(result.note)
      if (result.part !== undefined) parts.push(result.part)
    } else status = await follower.finish(result)
    out.flush() // each line as it comes
  }
  if (status === undefined && command.cutOff) throw await endEarly(new Error('it has ended'), parts, follower)
  return status ?? 0
}

async function nextLine(lines: AsyncGenerator<string, void>): Promise<string | undefined> {
  const next = await lines.next()
  return next.done === true ? undefined : next.value
}

/** Does what the command says for a stream without its result; the error that then ends the program. */
async function endEarly(error: unknown, parts: readonly unknown[], follower: Follower): Promise<unknown> {
  const { command, args, client, out, interrupted } = follower
  const why = interrupted.aborted ? 'interrupted' : 'the connection to the daemon broke'
  let stands = ''
  try {
    stands = (await command.cutOff?.(parts, why, args, client)) ?? ''
  } catch (second) {
    if (!(second instanceof Refusal)) throw second
    out.note(second.message)
  }
  const line = stands === '' ? why : `${why}: ${stands}`
  if (!interrupted.aborted) return new Refusal('no-daemon', line, { cause: error })
  out.note(line)
  return error
}

function isNote(result: Record<string, unknown>): result is { note: string; part?: unknown } {
  return typeof result['note'] === 'string' && Object.keys(result).every((key) => key === 'note' || key === 'part')
}
