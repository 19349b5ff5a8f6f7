/**
 * What a command is: one definition from which the command line, `POST /api/v1/<name>` with its OpenAPI entry, help,
 * completion and the form on the web page follow. Source: DESIGN "One definition, three surfaces".
 *
 * `run` is evaluated in the daemon only; `print` in the client only. Nothing here may import the database, `node:http`
 * or another heavy module: the client loads every definition.
 */
import type { GenericSchema, InferOutput } from 'valibot'
import type { Actor, Role } from '../domain/event.ts'
import type { Daemon } from './daemon.ts'

/**
 * What there is of it on the server, for completion. `requested`: what nexttest takes (tests, suites, tags); `run`: the
 * newest; `openRun`: those that can be cancelled; `address`: of the system that stands before it.
 */
export type NameKind =
  | 'system'
  | 'profile'
  | 'test'
  | 'requested'
  | 'tag'
  | 'version'
  | 'run'
  | 'openRun'
  | 'token'
  | 'webhook'
  | 'address'

export interface Positional {
  /** Key in the arguments object. */
  readonly key: string
  /** As the usage line shows it, such as `<system name>`. */
  readonly usage: string
  readonly required: boolean
  /** Takes all that are left, as an array. */
  readonly variadic?: boolean
  /** What completion offers. */
  readonly complete?: 'file' | readonly NameKind[]
}

export interface Option {
  /** Long name without dashes, which is also the key in the arguments object. */
  readonly name: string
  readonly short?: string
  /** Placeholder of its value, such as `FILE`; absent: a switch. */
  readonly value?: string
  /** All that its value can be, for completion; absent: more than can be listed. */
  readonly words?: readonly string[]
  /** What completion offers besides, from the server. */
  readonly complete?: readonly NameKind[]
  readonly summary: string
  readonly repeatable?: boolean
  /** Stands in place of every positional argument, as `-l` and `--from FILE` do: with it, none may be given. */
  readonly alone?: boolean
}

/** How the client writes: data to stdout, words to stderr. */
export interface Output {
  readonly terminal: boolean
  readonly color: boolean
  line(text: string): void
  /** A table: in a pipe a line a row, cells parted by tabs, without heads; for a terminal in columns under their heads. */
  rows(heads: readonly string[], rows: readonly (readonly string[])[]): void
  note(text: string): void
}

/** What the client offers to commands that touch files of the caller (`addsystem --from`, `backup`). */
export interface ClientContext {
  /** Whole or not there, as `backup` writes; refuses with path and reason. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>
  /** Refuses, with path and reason, a file that could not be written later. */
  refuseUnwritable(path: string): void
  readFile(path: string): Promise<Uint8Array>
  readStandardInput(): Promise<Uint8Array>
}

/** Daemon's half of an answer that is not one JSON object: lines of JSON (`history --follow`) or bytes (`backup`). */
export interface Stream<A> {
  /** `linesType` or the type of the file. */
  readonly contentType: string
  /** Whether a call with these arguments streams; always if absent. */
  when?(args: A): boolean
  /**
   * Writes until done or `signal` aborts (the client has gone). `write` resolves when the client took it. What throws
   * before the first write is a refusal as usual; after it the connection breaks, so that nobody takes half for whole.
   */
  send(context: CallContext, args: A, write: (chunk: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<void>
}

/** How a command is typed: all that parsing, help and completion need; commands without a daemon are this alone. */
export interface Form {
  /** `addsystem`, or two words: `token add` (URL `token/add`). */
  readonly name: string
  readonly summary: string
  /** What whoever asks for help has to know beyond it, a line each. */
  readonly about?: readonly string[]
  /** 0.8's literal usage line without `Usage: `, such as `pxemngr addsystem <system name> <MAC> [<MAC2>...]`. */
  readonly usage?: string
  readonly positionals: readonly Positional[]
  readonly options: readonly Option[]
  /** Two or more lines to paste, which are tests. */
  readonly examples: readonly { readonly line: string; readonly text: string }[]
}

/**
 * Answers other than one JSON result. The client goes by the content type of a 200:
 * `application/x-ndjson`: one result object a line, each printed as it comes, until the daemon or the user ends it
 * (`history --follow`), the exit status is the last one's; an object with `note` is a line for stderr,
 * its `part`, where it has one, is what `cutOff` gets.
 * `application/octet-stream` of a command that saves no file: bytes for stdout as they come (`log`); with `--json` they
 * are the text of `log` in one object. Anything else: bytes for the file that the argument `file` names (`backup`),
 * which the client alone keeps and does not send.
 */
export const linesType = 'application/x-ndjson'
export const bytesType = 'application/octet-stream'

export interface Command<S extends GenericSchema = GenericSchema, R extends GenericSchema = GenericSchema>
  extends Form {
  /** Body of the API call: the arguments by name. */
  readonly args: S
  readonly result: R
  /** Least role over TCP. */
  readonly role: Role
  /** Whether it changes state: refused without credentials over TCP. */
  readonly changes: boolean
  /** The answer is bytes for the file that the argument `file` names; the client writes it and does not send its name. */
  readonly savesFile?: boolean
  /** Arguments that the client keeps to itself, beside `file` of `savesFile`. */
  readonly clientOnly?: readonly string[]
  /** With the result at hand: what the client does with files of the caller (`nexttest --junit`). */
  keep?(result: InferOutput<R>, args: Record<string, unknown>, client: ClientContext): Promise<void>
  /**
   * Of a stream that is followed to its one result: what the client does when it ends before (`why`, in words), with the
   * parts that came so far. How things stand, in words for stderr.
   */
  cutOff?(parts: readonly unknown[], why: string, args: Record<string, unknown>, client: ClientContext): Promise<string>
  /** Turns what was typed into the arguments object where that is more than key by key (`addsystem --from`). */
  prepare?(typed: Record<string, unknown>, client: ClientContext): Promise<Record<string, unknown>>
  run(context: CallContext, args: InferOutput<S>): Promise<InferOutput<R>> | InferOutput<R>
  /** Plain output as 0.8; silent where it was. */
  print?(result: InferOutput<R>, out: Output, args: Record<string, unknown>): void
  /** Exit status of a call that was done; 0 if absent. */
  exitStatus?(result: InferOutput<R>): number
  readonly stream?: Stream<InferOutput<S>>
}

/** One call: who calls, and the running daemon. */
export interface CallContext {
  readonly actor: Actor
  readonly daemon: Daemon
}

/** Keeps the schema types of a definition. */
export function defineCommand<S extends GenericSchema, R extends GenericSchema>(command: Command<S, R>): Command<S, R> {
  return command
}
