/**
 * The built executable as a test uses it: starts `dist/pxemngr serve`, waits for its ready line, runs client commands
 * against it, stops or kills it by its own process id, and keeps what it wrote.
 *
 * It never builds (the test runner does) and never falls back to the sources: what is tested here is the one file that
 * people get. Sources: CONTRACT "Daemon" (ready line, signals, exit status) and "Command line" (`--socket`).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const { PXEMNGR_EXECUTABLE: chosen } = process.env
/** The executable under test; `PXEMNGR_EXECUTABLE` in the environment names another build. */
export const executable = chosen ?? join(import.meta.dirname, '..', '..', 'dist', 'pxemngr')

/** A busy two-core machine starts it in well under this; the contract's own figure is measured elsewhere. */
const readyTimeoutMs = 30_000
/** "Under 5 s" by the contract, with room for a busy machine. */
const stopTimeoutMs = 15_000
const clientTimeoutMs = 60_000

/** What the ready line says; empty where it says `off`. Addresses as printed, such as `127.0.0.1:41231`. */
export interface Ready {
  readonly tftp: readonly string[]
  readonly http: readonly string[]
  readonly socket: string
}

export interface Finished {
  /** Exit status; null if a signal ended it. */
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Bytes for standard input; without it standard input is empty. */
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Command put in front, such as `['ip', 'netns', 'exec', 'name']`; it has to `exec`, so that the pid stays. */
  readonly prefix?: readonly string[]
}

export interface ServeOptions extends RunOptions {
  /** Data directory to use; without it a temporary one, which `close` removes. */
  readonly dataDir?: string
  /** Listen addresses; default one free port on loopback each. `off` and lists joined by commas are passed as they are. */
  readonly tftp?: string
  readonly http?: string
  /** Further flags of `serve`, as typed. */
  readonly flags?: readonly string[]
}

export interface RunningDaemon {
  readonly pid: number
  readonly dataDir: string
  readonly ready: Ready
  /** `http://<first HTTP address>`, no slash at the end. */
  readonly url: string
  /** Port of the first TFTP address; 0 where TFTP is off. */
  readonly tftpPort: number
  /** What it has written to stderr (the log) and stdout so far. */
  log(): string
  stdout(): string
  /** Log lines as objects; lines that are no JSON are left out. */
  logLines(): Record<string, unknown>[]
  /** Runs `pxemngr <args> --socket <its socket>`. */
  run(args: readonly string[], options?: RunOptions): Promise<Finished>
  /** As `run`; throws with stderr unless the exit status is 0. Returns stdout. */
  must(...args: string[]): Promise<string>
  /** As `must` with `--json`, parsed. Exit status 1 of `status` (degraded) is accepted. */
  json(...args: string[]): Promise<unknown>
  signal(name: NodeJS.Signals): void
  /** SIGTERM, waits for the end. Throws if it does not end in time. */
  stop(): Promise<Finished>
  /** SIGKILL, waits for the end. */
  kill(): Promise<Finished>
  /** Resolves when the process has ended, however it did. */
  readonly ended: Promise<Finished>
  /** Ends it if it still runs and removes the data directory if it is a temporary one. */
  close(): Promise<void>
}

/** Processes that still run; ended by their own id if the test process ends first. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** The environment without settings of whoever runs the tests. */
function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([key]) => !/^(PXEMNGR_|NODE_|NOTIFY_SOCKET$|XDG_)/.test(key))
  return { ...Object.fromEntries(kept), ...extra }
}

/** Runs the executable once with these arguments and collects what it wrote. Never rejects for its exit status. */
export function runExecutable(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { child, ended } = spawnExecutable(args, options)
  const timer = setTimeout(() => child.kill('SIGKILL'), clientTimeoutMs)
  child.stdin?.on('error', () => {}) // it may end without having read its input
  child.stdin?.end(options.input ?? '')
  return ended.finally(() => clearTimeout(timer))
}

function spawnExecutable(args: readonly string[], options: RunOptions) {
  if (!existsSync(executable)) throw new Error(`${executable} is not built: npm run build`)
  const words = [...(options.prefix ?? []), executable, ...args]
  const child = spawn(words[0] ?? executable, words.slice(1), {
    env: cleanEnvironment(options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  running.add(child)
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
  return { child, written, ended }
}

/** Starts the daemon and resolves once it accepts requests. Rejects with its log if it ends or is silent instead. */
export async function serve(options: ServeOptions = {}): Promise<RunningDaemon> {
  const temporary = options.dataDir === undefined
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'pxemngr-test-'))
  const args = ['serve', '--data-dir', dataDir, '--socket', join(dataDir, 'pxemngr.sock')]
  args.push('--tftp', options.tftp ?? '127.0.0.1:0', '--http', options.http ?? '127.0.0.1:0', ...(options.flags ?? []))
  const { child, written, ended } = spawnExecutable(args, options)
  child.stdin?.end()
  const end = async (signal: NodeJS.Signals): Promise<Finished> => {
    child.kill(signal)
    return within(ended, stopTimeoutMs, () => `pid ${child.pid} did not end after ${signal}:\n${written.stderr}`)
  }
  const close = async (): Promise<void> => {
    if (running.has(child)) await end('SIGKILL')
    if (temporary) rmSync(dataDir, { recursive: true, force: true })
  }
  let ready: Ready
  try {
    ready = await readyLine(child, written, ended)
  } catch (error) {
    await close()
    throw error
  }
  const run = (words: readonly string[], given: RunOptions = {}): Promise<Finished> =>
    runExecutable([...words, '--socket', ready.socket], given)
  const must = async (...words: string[]): Promise<string> => {
    const done = await run(words)
    if (done.status !== 0) throw new Error(`pxemngr ${words.join(' ')}: exit ${done.status}: ${done.stderr}`)
    return done.stdout
  }
  return {
    pid: child.pid ?? 0,
    dataDir,
    ready,
    url: `http://${ready.http[0] ?? ''}`,
    tftpPort: Number(/:(\d+)$/.exec(ready.tftp[0] ?? '')?.[1] ?? 0),
    log: () => written.stderr,
    stdout: () => written.stdout,
    logLines: () => parseLines(written.stderr),
    run,
    must,
    async json(...words) {
      const done = await run([...words, '--json'])
      if (done.status !== 0 && !(words[0] === 'status' && done.status === 1)) {
        throw new Error(`pxemngr ${words.join(' ')} --json: exit ${done.status}: ${done.stderr}`)
      }
      return JSON.parse(done.stdout)
    },
    signal: (name) => void child.kill(name),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    ended,
    close,
  }
}

/** Waits for `pxemngr ready …` on stdout. */
async function readyLine(child: ChildProcess, written: { stdout: string; stderr: string }, ended: Promise<Finished>) {
  const said = new Promise<Ready>((resolve, reject) => {
    const look = (): void => {
      const ready = parseReady(written.stdout)
      if (!ready) return
      child.stdout?.off('data', look)
      resolve(ready)
    }
    child.stdout?.on('data', look)
    ended.then((done) => {
      reject(new Error(`serve ended before it was ready: status ${done.status}, signal ${done.signal}\n${done.stderr}`))
    }, reject)
  })
  return within(said, readyTimeoutMs, () => `no ready line within ${readyTimeoutMs} ms:\n${written.stderr}`)
}

/** `pxemngr ready tftp=A,B http=C socket=D` → its parts; undefined while the line is not complete. */
export function parseReady(stdout: string): Ready | undefined {
  const line = /^pxemngr ready tftp=(\S+) http=(\S+) socket=(.+)\n/m.exec(stdout)
  if (!line) return undefined
  const list = (text = ''): string[] => (text === 'off' ? [] : text.split(','))
  return { tftp: list(line[1]), http: list(line[2]), socket: line[3] ?? '' }
}

function parseLines(text: string): Record<string, unknown>[] {
  return text.split('\n').flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line)
      return typeof value === 'object' && value !== null ? [value as Record<string, unknown>] : []
    } catch {
      return [] // a readable line, or half of one
    }
  })
}

/** Rejects with `message` if `promise` has not settled in time. */
async function within<T>(promise: Promise<T>, timeoutMs: number, message: () => string): Promise<T> {
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
