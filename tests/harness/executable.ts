/**
 * The built executable as a test uses it: starts `dist/pxemngr serve`, waits for its ready line, runs client commands
 * against it, stops or kills it by its own process id, and keeps what it wrote.
 *
 * It never builds (the test runner does) and never falls back to the sources: what is tested here is the one file that
 * people get. Sources: CONTRACT "Daemon" (ready line, signals, exit status) and "Command line" (`--socket`).
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Finished, type Running, runToEnd, type StartOptions, start, within } from './process.ts'

export type { Finished } from './process.ts'

const { PXEMNGR_EXECUTABLE: chosen } = process.env
/** The executable under test; `PXEMNGR_EXECUTABLE` in the environment names another build. */
export const executable = chosen ?? join(import.meta.dirname, '..', '..', 'dist', 'pxemngr')

/** A busy two-core machine starts it in well under this; the contract's own figure is measured elsewhere. */
const readyTimeoutMs = 30_000
const clientTimeoutMs = 60_000

/** What the ready line says; empty where it says `off`. Addresses as printed, such as `127.0.0.1:41231`. */
export interface Ready {
  readonly tftp: readonly string[]
  readonly http: readonly string[]
  readonly socket: string
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

/** The environment without settings of whoever runs the tests. */
function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([key]) => !/^(PXEMNGR_|NODE_|NOTIFY_SOCKET$|XDG_)/.test(key))
  return { ...Object.fromEntries(kept), ...extra }
}

/** Runs the executable once with these arguments and collects what it wrote. Never rejects for its exit status. */
export function runExecutable(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { input = '' } = options
  return runToEnd(words(args, options), { ...surroundings(options), input, timeoutMs: clientTimeoutMs })
}

function words(args: readonly string[], { prefix = [] }: RunOptions): string[] {
  if (!existsSync(executable)) throw new Error(`${executable} is not built: npm run build`)
  return [...prefix, executable, ...args]
}

function surroundings({ env, cwd }: RunOptions): StartOptions {
  return { env: cleanEnvironment(env), ...(cwd === undefined ? {} : { cwd }) }
}

/** Starts the daemon and resolves once it accepts requests. Rejects with its log if it ends or is silent instead. */
export async function serve(options: ServeOptions = {}): Promise<RunningDaemon> {
  const temporary = options.dataDir === undefined
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'pxemngr-test-'))
  const args = ['serve', '--data-dir', dataDir, '--socket', join(dataDir, 'pxemngr.sock')]
  args.push('--tftp', options.tftp ?? '127.0.0.1:0', '--http', options.http ?? '127.0.0.1:0', ...(options.flags ?? []))
  const started = start(words(args, options), surroundings(options))
  started.child.stdin.end()
  const close = async (): Promise<void> => {
    if (started.alive()) await started.end('SIGKILL')
    if (temporary) rmSync(dataDir, { recursive: true, force: true })
  }
  try {
    const ready = await readyLine(started)
    await managed(ready.socket)
    return running(started, dataDir, ready, close)
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Machines are answered from the ready line on, commands a moment later: on a machine with ten daemons that start at once
 * longer than a command waits. Resolves also where this account may not use the socket, which is for the test to find.
 */
function managed(socketPath: string): Promise<void> {
  return new Promise((resolve) => {
    const asked = get({ socketPath, path: '/healthz', agent: false }, (response) => {
      response.resume()
      response.once('close', resolve)
    })
    asked.once('error', () => resolve())
  })
}

function running(
  { child, written, ended, end }: Running,
  dataDir: string,
  ready: Ready,
  close: () => Promise<void>,
): RunningDaemon {
  const run = (typed: readonly string[], given: RunOptions = {}): Promise<Finished> =>
    runExecutable([...typed, '--socket', ready.socket], given)
  const done = async (typed: readonly string[], statuses: readonly number[]): Promise<string> => {
    const { status, stdout, stderr } = await run(typed)
    if (!statuses.includes(status ?? -1)) throw new Error(`pxemngr ${typed.join(' ')}: exit ${status}: ${stderr}`)
    return stdout
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
    must: (...typed) => done(typed, [0]),
    json: async (...typed) => JSON.parse(await done([...typed, '--json'], typed[0] === 'status' ? [0, 1] : [0])),
    signal: (name) => void child.kill(name),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    ended,
    close,
  }
}

/** Waits for `pxemngr ready …` on stdout. */
async function readyLine({ child, written, ended }: Running): Promise<Ready> {
  const said = new Promise<Ready>((resolve, reject) => {
    const look = (): void => {
      const ready = parseReady(written.stdout)
      if (!ready) return
      child.stdout.off('data', look)
      resolve(ready)
    }
    child.stdout.on('data', look)
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
