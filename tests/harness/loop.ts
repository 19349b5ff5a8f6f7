/**
 * A machine that runs the shipped loop: shells and tools to run it with, a daemon that has tests for it, and what its
 * processes are.
 *
 * The tools are folders of links that are the whole PATH: what the head of `run.sh` says it needs, or busybox and nothing
 * else. Every process is marked in its environment, so that a test sees what is left running and ends only its own.
 */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram, lacking } from './debian.mjs'
import { type RunningDaemon, serve } from './executable.ts'
import { type Running, start, until } from './process.ts'

/** What the head of run.sh names; `sh` is Debian's dash. */
const named = ['cat', 'dd', 'grep', 'ls', 'mkdir', 'mv', 'rm', 'sed', 'sleep', 'tail', 'tr', 'wc', 'sync', 'setsid']

export const loopKinds = ['curl', 'GNU wget', 'busybox'] as const
export type LoopKind = (typeof loopKinds)[number]
const packageOf = { curl: 'curl', 'GNU wget': 'wget', busybox: 'busybox-static' } as const

/** Why this kind of machine cannot be had here; undefined if it can. */
export function kindFault(kind: LoopKind): string | undefined {
  const missing = lacking([packageOf[kind]])
  return missing.length > 0 ? `needs Debian packages: ${missing.join(' ')}` : undefined
}

/** What `show --json` tells, of which tests look at this. */
export interface ShownRun {
  readonly state: string
  readonly verdict: string | null
  readonly reason: string | null
  readonly version: string | null
  readonly exit: number | null
  readonly late: boolean
  readonly counts: { readonly info: number; readonly warning: number; readonly error: number }
}

export interface LoopOptions {
  readonly spool: string
  /** Default: once. */
  readonly forever?: boolean
  /** Base URL; default the daemon's own. */
  readonly url?: string
  /** Command in front, as for the daemon; default none. */
  readonly prefix?: readonly string[]
  /** Shell lines before the loop begins, such as limits. */
  readonly first?: string
}

export interface LoopLab {
  /** The daemon that runs now; another object after `restart`. */
  readonly daemon: RunningDaemon
  /** Folder for spools and for what scripts leave. */
  readonly dir: string
  /** Writes and registers a test. Without `#!` it is run by the machine's own `sh`. */
  script(name: string, text: string): Promise<void>
  /** Asks for a test on the system `here`; its run. */
  request(test: string): Promise<number>
  show(run: number): Promise<ShownRun>
  /** The log's bytes, as the results folder has them. */
  log(run: number): Buffer
  /** Result files of a run: more than `<run>.log` means that it was uploaded more than once. */
  files(run: number): string[]
  /** Waits until the run is done. */
  done(run: number): Promise<ShownRun>
  /** Starts the loop. */
  loop(kind: LoopKind, options: LoopOptions): Running
  /** Starts the daemon again on its address and state. */
  restart(): Promise<void>
  /** `<pid> <command line>` of all that lives of the loops of this lab, their scripts included. */
  living(): string[]
  /** Ends all of them at once, as a power cut does: none sees another end. */
  powerCut(): void
  close(): Promise<void>
}

const markName = 'LOOP_TEST'
/** A busy machine does each step in well under this. */
export const stepMs = 120_000

/** A daemon on loopback with a system `here`, which is 127.0.0.1. */
export async function openLoopLab(flags: readonly string[] = []): Promise<LoopLab> {
  removeAbandoned()
  const dir = mkdtempSync(join(tmpdir(), `pxemngr-loop-${process.pid}-`))
  const dataDir = join(dir, 'data')
  mkdirSync(dataDir)
  let daemon = await serve({ dataDir, tftp: 'off', flags })
  const http = daemon.ready.http.join(',')
  const script = join(dir, 'run.sh')
  try {
    await daemon.must('addsystem', 'here', '127.0.0.1')
    writeFileSync(script, await (await fetch(`${daemon.url}/script/run.sh`)).text())
  } catch (error) {
    // Nobody else would end it, and a test process ends after its children.
    await daemon.close()
    throw error
  }
  const living = (): string[] => processes(dir)
  const lab: LoopLab = {
    get daemon() {
      return daemon
    },
    dir,
    async script(name, text) {
      writeFileSync(join(dataDir, 'tests', `${name}.test`), text)
      await daemon.must('synctestnames')
    },
    async request(test) {
      const { runs } = (await daemon.json('nexttest', 'here', test)) as { runs: { id: number }[] }
      return runs[0]?.id ?? 0
    },
    show: async (run) => (await daemon.json('show', String(run))) as ShownRun,
    log: (run) => readFileSync(join(dataDir, 'results', `${run}.log`)),
    files: (run) => readdirSync(join(dataDir, 'results')).filter((name) => name.startsWith(`${run}.`)),
    done: (run) =>
      until(
        async () => {
          const shown = await lab.show(run)
          return shown.state === 'done' ? shown : undefined
        },
        stepMs,
        () => `run ${run} is not done`,
      ),
    loop(kind, { spool, forever = false, url = daemon.url, prefix = [], first = '' }) {
      const path = join(dir, `bin ${kind}`)
      if (!existsSync(path)) makeTools(kind, path)
      const words = [script, '--spool', join(dir, spool), ...(forever ? [] : ['--once']), url]
      const command = [join(path, 'sh'), '-c', `${first}\nexec sh "$@"`, 'sh', ...words]
      return start([...prefix, ...command], { env: { PATH: path, [markName]: dir }, cwd: dir })
    },
    async restart() {
      daemon = await serve({ dataDir, tftp: 'off', http, flags })
    },
    living,
    powerCut: () => endAll(dir),
    async close() {
      await daemon.close()
      lab.powerCut()
      rmSync(dir, { recursive: true, force: true })
    },
  }
  return lab
}

/** A folder that is the whole PATH of a machine of this kind. */
export function makeTools(kind: LoopKind, path: string): void {
  mkdirSync(path)
  const link = (name: string, program = name): void => {
    const target = findProgram(program)
    if (target === undefined) throw new Error(`${program} is not installed`)
    symlinkSync(target, join(path, name))
  }
  if (kind === 'busybox') {
    const applets = execFileSync(findProgram('busybox') ?? 'busybox', ['--list'], { encoding: 'utf8' })
    for (const name of applets.split('\n').filter(Boolean)) link(name, 'busybox')
    return
  }
  for (const name of named) link(name)
  link('sh', 'dash')
  link(kind === 'curl' ? 'curl' : 'wget')
}

/** Ends all that is marked with this folder: stopped first, so that none sees another end. */
function endAll(dir: string): void {
  const pids = new Set<number>()
  for (let before = -1; before !== pids.size; ) {
    before = pids.size
    for (const each of processes(dir)) pids.add(Number.parseInt(each, 10))
    for (const pid of pids) signal(pid, 'SIGSTOP')
  }
  for (const pid of pids) signal(pid, 'SIGKILL')
}

/** Labs whose test process is gone: a script is in a session of its own, and outlives a test that is interrupted. */
function removeAbandoned(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = /^pxemngr-loop-(\d+)-/.exec(name)?.[1]
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue
    const dir = join(tmpdir(), name)
    endAll(dir)
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Processes that are marked with this folder in their environment; a zombie has none. */
function processes(dir: string): string[] {
  const word = `${markName}=${dir}`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(word)) return []
        return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 120)}`]
      } catch {
        return [] // it has just ended, or is somebody else's
      }
    })
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // it has just ended
  }
}
