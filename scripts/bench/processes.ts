/**
 * Processes of the bench: started, counted (CPU time and resident memory from /proc) and ended by their own id, with
 * everything below them. Whatever is left when the bench ends, for whatever reason it may see, is killed then.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

const stopTimeoutMs = 6_000
/** Unit of the times in /proc/PID/stat on every Linux (USER_HZ). */
const ticksPerSecond = 100
/** Enough of what a process printed to explain a failure. */
const printedMax = 20_000

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export interface Running {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves with the exit status (null: ended by a signal) when its output is complete. */
  readonly ended: Promise<number | null>
  alive(): boolean
  /** SIGTERM, then SIGKILL for whatever of its tree stays. */
  stop(): Promise<void>
}

const running = new Map<number, ChildProcess>()
process.once('exit', () => {
  for (const pid of running.keys()) killTree(pid)
})

/** Settings of whoever runs the bench must not reach what is measured. */
function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([key]) => !/^(PXEMNGR_|NODE_|NOTIFY_SOCKET$|XDG_)/.test(key))
  return { ...Object.fromEntries(kept), ...extra }
}

export function start(words: readonly string[], { env, cwd }: StartOptions = {}): Promise<Running> {
  const [program = '', ...args] = words
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnvironment(env),
    ...(cwd === undefined ? {} : { cwd }),
  })
  const printed = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8')
    child[name].on('data', (text: string) => {
      printed[name] = (printed[name] + text).slice(-printedMax)
    })
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('spawn', () => {
      const pid = child.pid ?? 0
      running.set(pid, child)
      const ended = new Promise<number | null>((settle) => child.once('close', settle))
      child.once('exit', () => running.delete(pid))
      const alive = (): boolean => running.has(pid)
      resolve({
        pid,
        stdout: () => printed.stdout,
        stderr: () => printed.stderr,
        ended,
        alive,
        async stop() {
          if (!alive()) return
          const tree = descendants(pid)
          child.kill('SIGTERM')
          const late = setTimeout(() => killTree(pid), stopTimeoutMs)
          await ended
          clearTimeout(late)
          for (const left of tree) kill(left)
        },
      })
    })
  })
}

/** Runs a program to its end; resolves with its standard output, rejects for an exit status other than 0. */
export async function runProgram(words: readonly string[], options: StartOptions = {}): Promise<string> {
  const program = await start(words, options)
  const status = await program.ended
  if (status === 0) return program.stdout()
  throw new Error(`${words.join(' ')}: ${status ?? 'ended by a signal'}: ${program.stderr().trim().slice(-500)}`)
}

/**
 * CPU time (user and system, ms, resolution 10 ms) of a process, its living descendants and those it has waited for.
 * A process that disowns its children without waiting is not counted fully.
 */
export function cpuTimeMs(pid: number): number {
  let ticks = 0
  for (const member of [pid, ...descendants(pid)]) {
    const fields = statFields(member)
    for (const at of [11, 12, 13, 14]) ticks += Number(fields[at] ?? 0) // utime stime cutime cstime
  }
  return (ticks * 1000) / ticksPerSecond
}

/** Fields of /proc/PID/stat behind the name (which may hold spaces): [0] is the state. Empty if the process is gone. */
function statFields(pid: number): string[] {
  const text = readProc(`/proc/${pid}/stat`)
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readProc(`/proc/${pid}/status`))?.[1] ?? 0) * 1024
}

function descendants(pid: number): number[] {
  const children = readProc(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  return children.flatMap((child) => [child, ...descendants(child)])
}

function killTree(pid: number): void {
  for (const member of [...descendants(pid), pid]) kill(member)
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it is gone already
  }
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
