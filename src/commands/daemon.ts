/**
 * The running daemon as commands see it: types only, so that the client, which loads every definition, loads none of it.
 */
import type { Mac } from '../domain/address.ts'
import type { BootQuestion } from '../domain/boot.ts'
import type { KeptProgress, ResultCase } from '../domain/run.ts'
import type { BootAnswer } from '../profiles/answer.ts'
import type { BootsChanged } from '../store/boot-timeline.ts'
import type { RunRow } from '../store/run-rows.ts'
import type { Store } from '../store/store.ts'
import type { TransferRecord } from '../tftp/resolution.ts'

/** The profile folder (`profiles-dir`); the file on disk is the truth, read as it is at the request. */
export interface ProfileFolder {
  /** Looks at the folder and registers what is new; `registered`: every name whose file is there; `missing`: `local`. */
  sync(): Promise<{ registered: string[]; missing: string[] }>
  /** undefined if the profile can be served, else why not, with file and line. */
  fault(name: string): string | undefined
  /** Why what is called so may be no profile, whatever its file says: the reserved name, a link out of the folder. */
  refusal(name: string): string | undefined
  /** Files that are there and may be no profiles. */
  refused(): { readonly name: string; readonly why: string }[]
  /** Names whose file is there now and may be a profile; none where the folder cannot be read. */
  names(): string[]
  /**
   * What the file says, as it is now; a link out of the folder is not read. `embedded`: of `local` where its file cannot be
   * read. undefined: there is nothing that could be read.
   */
  text(name: string): { readonly text: string; readonly template: boolean; readonly embedded: boolean } | undefined
  /** undefined if the folder can be read, else a line that says why not: every machine gets `local` then. */
  folderFault(): string | undefined
}

/** What a test's leading comments say, with the configuration's defaults filled in. Times in ms. */
export interface TestTimes {
  readonly timeoutMs: number
  readonly graceMs: number
  readonly bootMs: number
  readonly retries: number
  readonly tags: readonly string[]
}

export interface SuiteEntry {
  readonly name: string
  /** Whether a version given this suite lacks something without it. */
  readonly expected: boolean
}

/** The test folder (`tests-dir`): `*.test` and `*.suite`, read as they are at the request. */
export interface TestFolder {
  /** Looks at the folder and registers what is new; `missing`: `wait`. */
  sync(): Promise<{ registered: string[]; missing: string[] }>
  /** Tests whose file is there now, in folder order. */
  names(): string[]
  /** Files that are there and may be no tests, since what they are called asks for something else. */
  refused(): { readonly name: string; readonly why: string }[]
  /** undefined if the test can be handed out, else why not, with file and line (quarantined, or no file). */
  fault(name: string): string | undefined
  /** Why its template failed for a system (id), or any, that still waits for it. */
  renderFault(name: string, system?: number): string | undefined
  /** Of a test without a fault. */
  times(name: string): TestTimes | undefined
  /** Tests without a fault that have the tag, by name. */
  tagged(tag: string): string[]
  suiteNames(): string[]
  /** The suite's tests in order, or why it cannot be used, with file and line; undefined: there is none. */
  suite(name: string): readonly SuiteEntry[] | { readonly fault: string } | undefined
  /** Faults of tests and suites, one line each: for `status`. */
  faults(): string[]
}

/** A run's log as a file: what was uploaded, or what came as progress so far. */
export interface RunLog {
  readonly sizeBytes: number
  /** Whether it is whole (an upload), or may grow. */
  readonly final: boolean
  /** Bytes from `start` up to `end` (exclusive; the size if absent), in chunks. */
  chunks(start?: number, end?: number): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

/** The results folder (`results-dir`), for reading. */
export interface ResultFiles {
  /** undefined: there is none (any more). */
  openLog(run: number): Promise<RunLog | undefined>
  /** The cases that were kept, failing ones first; empty if there are none. */
  cases(run: number): Promise<readonly ResultCase[]>
  /** An attachment by its place in the run's list, from 0. */
  openAttachment(run: number, place: number): Promise<RunLog | undefined>
  /** Text of the test file as it was sent, by its hash; undefined if it was not kept. */
  script(hash: string): Promise<string | undefined>
}

/** What of the runs is not in the store. */
export interface Runs {
  /** When this run is closed as lost (ms), the grace after a restart included; undefined if it has no deadline. */
  deadlineMs(run: number): number | undefined
  /** What a run waits for that no machine can bring: its test file; null: nothing. */
  waitsFor(run: RunRow): string | null
  /** Counts and first lines of what came as progress so far; undefined if nothing came. */
  progress(run: number): ProgressView | undefined
  /** Calls `listener` when progress of the run has come, until the returned function is called. */
  onProgress(run: number, listener: () => void): () => void
  /** Has `end` close these runs while none of them takes a piece of progress; `sent`: what came from each, if anything. */
  ending<T>(runs: readonly number[], end: (sent: ReadonlyMap<number, KeptProgress>) => Promise<T>): Promise<T>
  /** What `expire` would do now, and does unless it is a dry run. One line each. */
  expire(dryRun: boolean): Promise<readonly ExpiryView[]>
  /** Removes the files of runs that are gone, one run after the other, while other things go on. */
  removeFiles(runs: readonly number[]): void
}

export interface ProgressView {
  readonly counts: { readonly info: number; readonly warning: number; readonly error: number }
  readonly sizeBytes: number
}

export interface ExpiryView {
  readonly run: number
  /** `log`: its raw log; `run`: the whole row; `request`: never fetched. */
  readonly what: 'log' | 'run' | 'request'
  readonly sizeBytes: number
  readonly why: string
}

/** What of webhooks needs the network. */
export interface Webhooks {
  /** Why a URL may not be sent to; undefined: it may. Resolves its name. */
  fault(url: string): Promise<string | undefined>
  /** Sends a test message at once; '' if it was taken, else why not. */
  test(webhook: number): Promise<string>
}

export interface Listeners {
  readonly tftp: readonly string[]
  readonly http: readonly string[]
  readonly socket: string
}

/** A run that was asked for: what it is called even when it is gone. `id`: its group. */
export interface AskedRun {
  readonly id: number
  readonly system: string
  readonly test: string
}

/** Takes a line for stderr and what it tells (`waitedPart`); undefined: a sign of life. */
export type WaitNote = (line: string | undefined, part?: readonly object[]) => Promise<void>

/** As `BootAnswer` of the real answer; `url`: the base URL that was put in where a profile asks for it. */
export type Preview = BootAnswer & { readonly url: string }

/** A file that machines would fetch; `why`: as the end of a sentence that begins with its name. */
export type FoundFile =
  | { readonly found: true; readonly sizeBytes: number }
  | { readonly found: false; readonly why: string }

/** Which boots to list, newest first; of `id`, `system` (id) and `mac` one at most. */
export interface BootQuery {
  /** The latest boot of each of these systems (ids) that has one, in their order; nothing else is asked then. */
  readonly latestOf?: readonly number[]
  readonly id?: number
  readonly system?: number
  readonly mac?: string
  readonly limit: number
}

/** Where the server is, for whoever sets up DHCP and files. */
export interface Premises {
  /** Key of the configuration and the folder in use. */
  readonly folders: readonly { readonly key: string; readonly path: string }[]
  /** IPv4 addresses of this host that others reach. */
  readonly addresses: readonly string[]
  /** Base URL that reaches it at one of its addresses, no slash at its end. */
  urlFrom(address: string): string
}

export interface Daemon {
  /** Follows runs until all are over, time is up (ms) or `signal` aborts; what it resolves with is a `WaitedView`. */
  waitForRuns(
    asked: readonly AskedRun[],
    timeoutMs: number | undefined,
    note: WaitNote,
    signal: AbortSignal,
  ): Promise<object>
  readonly version: string
  /** Whether it accepts requests on every listener (`/healthz`). */
  readonly ready: boolean
  /** Of `performance.now()`, ms: the clock may be set while it runs. */
  readonly startedMs: number
  readonly store: Store
  readonly profiles: ProfileFolder
  readonly tests: TestFolder
  readonly results: ResultFiles
  readonly runs: Runs
  readonly webhooks: Webhooks
  readonly listeners: Listeners
  /** Names of the loaders embedded in the executable. */
  readonly loaders: readonly string[]
  /** IP address of a MAC from the neighbour table, or undefined. */
  neighbourIp(mac: Mac): string | undefined
  /** Every reason why `status` is degraded, one line each. */
  degraded(): string[]
  /** What is worth knowing but leaves `status` at exit 0, one line each. */
  notices(): string[]
  /** The latest transfers, newest first, and how many are under way. */
  transfers(): { active: number; recent: readonly TransferRecord[] }
  /** Boots as the trace kept them, newest first; rows are plain JSON objects. */
  boots(query: BootQuery): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Calls `listener` when boots have changed (undefined: anybody's), about once a second at most, until the returned function is called. */
  onBoots(listener: (changed: BootsChanged | undefined) => void): () => void
  /** As it is now. */
  premises(): Premises
  /** What a machine would get if it asked now. `mac`, `ip`: '' where unknown. Changes nothing and leaves no trace. */
  preview(question: BootQuestion, machine: { readonly mac: string; readonly ip: string }): Preview
  /** Looks for what `/boot/` and TFTP would send by this name; never blocks the main loop. */
  findFile(path: string): Promise<FoundFile>
}
