/**
 * pxemngr itself: the built executable, its data in a folder of the run, its ports from the ready line.
 *
 * Systems are brought in through the management API of a running daemon as anybody would; the data directory that this
 * leaves is made once for each number of systems and copied for each start.
 */
import { cpSync, existsSync, renameSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { macOf, profileOf, type Work } from '../files.ts'
import type { Address } from '../load.ts'
import { start } from '../processes.ts'
import { type Server, type StartServer, serverOf } from './server.ts'

const readyTimeoutMs = 30_000
/** Calls to the API at once while systems are brought in: they share the journal's syncs. */
const callsAtOnce = 64

export interface Daemon extends Server {
  readonly tftp: Address
  readonly http: Address
  readonly socket: string
  /** From just before exec to the ready line. */
  readonly readyMs: number
}

/** With so many systems, each with a MAC, a name `sys<number>` and a next boot. */
export const startPxemngr =
  (systems: number, name = 'pxemngr'): StartServer =>
  async (bench, work) =>
    startDaemon(bench, work, await dataDirCopy(bench, work, systems, name), name)

let copies = 0

/** A data directory with so many systems that no daemon has open. */
export async function dataDirCopy(bench: Bench, work: Work, systems: number, name: string): Promise<string> {
  const original = join(bench.dir, `data-${systems}`)
  if (!existsSync(original)) await makeDataDir(bench, work, systems, original)
  const copy = join(bench.dir, `data-${systems}-${name.replaceAll(/\W+/g, '-')}-${++copies}`)
  cpSync(original, copy, { recursive: true })
  return copy
}

async function makeDataDir(bench: Bench, work: Work, systems: number, dir: string): Promise<void> {
  bench.progress(`bringing in ${systems} systems`)
  const fresh = `${dir}.new`
  rmSync(fresh, { recursive: true, force: true }) // left behind by a try that failed
  const daemon = await startDaemon(bench, work, fresh, 'pxemngr')
  try {
    const list = Array.from({ length: systems }, (_, i) => ({ name: `sys${i}`, addresses: [macOf(i, ':')] }))
    await call(daemon.socket, 'addsystem', { systems: list })
    let next = 0
    const caller = async (): Promise<void> => {
      for (let i = next++; i < systems; i = next++) {
        await call(daemon.socket, 'nextboot', { name: `sys${i}`, profile: profileOf(i) })
      }
    }
    await Promise.all(Array.from({ length: callsAtOnce }, caller))
  } finally {
    await daemon.stop()
  }
  renameSync(fresh, dir)
}

/** Starts `serve` on a data directory, on free ports, logging only what is wrong (as the peers); `flags` besides. */
export async function startDaemon(
  bench: Bench,
  work: Work,
  dataDir: string,
  name: string,
  flags: readonly string[] = [],
): Promise<Daemon> {
  if (!existsSync(bench.executable)) throw new Error(`${bench.executable} is not built`)
  const begun = performance.now()
  const running = await start([
    ...[bench.executable, 'serve', '--data-dir', dataDir, '--socket', `${dataDir}.sock`],
    ...['--profiles-dir', work.profilesDir, '--tftp-root', work.filesDir, '--log-level', 'warn'],
    ...['--tftp', '127.0.0.1:0', '--http', '127.0.0.1:0'],
    ...flags,
  ])
  const ready = await new Promise<RegExpExecArray>((resolve, reject) => {
    const timer = setInterval(() => {
      const line = /^pxemngr ready tftp=(\S+):(\d+) http=(\S+):(\d+) socket=(.+)\n/m.exec(running.stdout())
      const late = performance.now() - begun > readyTimeoutMs
      if (!line && running.alive() && !late) return
      clearInterval(timer)
      if (line) resolve(line)
      else reject(new Error(`pxemngr ${late ? 'is not ready' : 'ended at its start'}: ${running.stderr().trim()}`))
    }, 1)
  }).catch(async (error: unknown) => {
    await running.stop()
    throw error
  })
  const readyMs = performance.now() - begun
  const [, tftpHost = '', tftpPort, httpHost = '', httpPort, socket = ''] = ready
  const addresses = {
    tftp: { host: tftpHost, port: Number(tftpPort) },
    http: { host: httpHost, port: Number(httpPort) },
  }
  const server = serverOf(name, running, { ...addresses, httpPrefix: '/boot/' })
  return { ...server, ...addresses, socket, readyMs }
}

const agent = new Agent({ keepAlive: true, maxSockets: callsAtOnce })

/** One command over the management socket; what it answers. */
export function call(socketPath: string, command: string, args: unknown): Promise<unknown> {
  const body = JSON.stringify(args)
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const asked = request({ agent, socketPath, method: 'POST', path: `/api/v1/${command}`, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => {
        text += part
      })
      answer.on('error', reject)
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(JSON.parse(text))
        else reject(new Error(`${command}: HTTP ${answer.statusCode}: ${text.slice(0, 300)}`))
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}
