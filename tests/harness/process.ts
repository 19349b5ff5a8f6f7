/**
 * Processes that a test starts: output collected, ended by their own id, never left behind.
 *
 * Whatever still runs when the tests of a file or its process end is killed then; `dieWithParent` also covers a test process that is
 * itself killed. Nothing here knows what the programs are.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { after } from 'node:test'

/** Longest wait for the end of a process after a signal; the daemon's own limit is under 5 s. */
const stopTimeoutMs = 15_000

export interface Finished {
  /** Exit status; null if a signal ended it. */
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams
  /** What it has written so far, as UTF-8. */
  readonly written: { readonly stdout: string; readonly stderr: string }
  /** Resolves when it has ended and its output is complete; rejects if it could not be started. */
  readonly ended: Promise<Finished>
  alive(): boolean
  /** Sends the signal and waits for the end; throws with its stderr if it stays. */
  end(signal: NodeJS.Signals): Promise<Finished>
}

const running = new Set<ChildProcessWithoutNullStreams>()
const endAll = (): void => {
  for (const child of running) child.kill('SIGKILL')
}
process.once('exit', endAll)
// What a failed test left keeps the test process from its end: it would hang instead of failing.
if (process.env['NODE_TEST_CONTEXT'] !== undefined) after(endAll)
// A test that takes too long is ended by a signal, which by itself skips what is to be done at exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

/** Starts `words[0]` with the rest as arguments. Standard input is an open pipe. */
export function start(words: readonly string[], options: StartOptions = {}): Running {
  const [program, ...args] = words
  if (program === undefined) throw new Error('no program to start')
  const child = spawn(program, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] })
  running.add(child)
  child.stdin.on('error', () => {}) // a program may end without having read its input
  const written = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8')
    child[name].on('data', (text: string) => {
      written[name] += text
    })
  }
  const ended = new Promise<Finished>((resolve, reject) => {
    child.once('error', (error) => {
      running.delete(child)
      reject(error)
    })
    child.once('close', (status, signal) => {
      running.delete(child)
      resolve({ status, signal, ...written })
    })
  })
  ended.catch(() => {}) // whoever awaits it is told; nobody has to
  return {
    child,
    written,
    ended,
    alive: () => running.has(child),
    end(signal) {
      child.kill(signal)
      return within(ended, stopTimeoutMs, () => `pid ${child.pid} did not end after ${signal}:\n${written.stderr}`)
    },
  }
}

/** Runs a program to its end with `input` on standard input. Never rejects for its exit status. */
export async function runToEnd(
  words: readonly string[],
  options: StartOptions & { readonly input?: string | Uint8Array; readonly timeoutMs: number },
): Promise<Finished> {
  const { input, timeoutMs, ...rest } = options
  const started = start(words, rest)
  const timer = setTimeout(() => started.child.kill('SIGKILL'), timeoutMs)
  started.child.stdin.end(input ?? '')
  try {
    return await started.ended
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The command such that the kernel kills it when the test process dies, even by SIGKILL (`setpriv` is in util-linux). A
 * program that changes its own account loses that; the next test finds it in its namespace (netns.ts).
 */
export function dieWithParent(words: readonly string[]): string[] {
  return ['setpriv', '--pdeathsig', 'KILL', '--', ...words]
}

/** Rejects with `message` if `promise` has not settled in time. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(message())), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Asks again every `everyMs` until `look` gives something, up to `timeoutMs`; throws `message` then. */
export async function until<T>(
  look: () => T | undefined | Promise<T | undefined>,
  timeoutMs: number,
  message: () => string,
  everyMs = 50,
): Promise<T> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(message())
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
