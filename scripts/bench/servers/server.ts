/**
 * A server under test as the cells see it, and how a set of them is started: those that cannot be had are named.
 */
import type { Bench } from '../bench.ts'
import type { Absent } from '../cell.ts'
import type { Work } from '../files.ts'
import type { Address } from '../load.ts'
import { cpuTimeMs, type Running } from '../processes.ts'
import { reasonOf } from '../rounds.ts'

export interface Server {
  readonly name: string
  /** Where it listens; absent where it does not speak the protocol. */
  readonly tftp?: Address
  readonly http?: Address
  /** URL prefix of the large file. */
  readonly httpPrefix?: string
  /** Name of the large file over TFTP is the same for all. */
  readonly process: Running
  /** CPU time so far, ms; undefined where it cannot be counted. */
  cpuMs(): number | undefined
  stop(): Promise<void>
}

export type StartServer = (bench: Bench, work: Work) => Promise<Server>

export interface Started {
  readonly servers: readonly Server[]
  readonly absent: readonly Absent[]
  stop(): Promise<void>
}

/** Starts all; a reason instead of a server where one could not be started. */
export async function startServers(
  bench: Bench,
  work: Work,
  starters: Readonly<Record<string, StartServer>>,
): Promise<Started> {
  const servers: Server[] = []
  const absent: Absent[] = []
  for (const [name, startServer] of Object.entries(starters)) {
    bench.progress(`starting ${name}`)
    try {
      servers.push(await startServer(bench, work))
    } catch (error) {
      absent.push({ name, why: reasonOf(error) })
    }
  }
  return {
    servers,
    absent,
    async stop() {
      for (const server of servers) await server.stop()
    },
  }
}

/** The common part of a server that is one process tree. */
export function serverOf(name: string, process: Running, rest: Partial<Server>): Server {
  return { name, process, cpuMs: () => cpuTimeMs(process.pid), stop: () => process.stop(), ...rest }
}

const answerTimeoutMs = 10_000
const askAgainMs = 50

/** Asks until it answers; throws with what the program printed if it ends or stays silent. */
export async function untilAnswers(process: Running, look: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + answerTimeoutMs
  for (;;) {
    if (!process.alive())
      throw new Error(`it ended at its start: ${process.stderr().trim() || process.stdout().trim()}`)
    if (await look()) return
    if (performance.now() > end) {
      await process.stop()
      throw new Error(`no answer in ${answerTimeoutMs} ms: ${process.stderr().trim()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, askAgainMs))
  }
}
