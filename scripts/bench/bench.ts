/**
 * What every cell gets: where things are, how long to measure, the load generators, and the folder that goes away with
 * the bench.
 */
import { createSocket } from 'node:dgram'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileGenerators, type Generators } from './load.ts'

export const projectDir = join(import.meta.dirname, '..', '..')
/** Where compiled generators and unpacked peers are kept from one run to the next. */
export const cacheDir = join(projectDir, '.cache', 'bench')

export interface Bench {
  /** The built `dist/pxemngr`. */
  readonly executable: string
  /** The Node that is inside it. */
  readonly runtime: string
  /** Folder of this run. */
  readonly dir: string
  readonly quick: boolean
  readonly load: Generators
  /** Shows what is being done where a person looks on; '' wipes it. */
  progress(text: string): void
}

export async function openBench(
  options: Pick<Bench, 'executable' | 'quick' | 'progress'>,
): Promise<Bench & { close(): void }> {
  const load = await compileGenerators(join(cacheDir, 'load'))
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-bench-'))
  const close = (): void => rmSync(dir, { recursive: true, force: true })
  process.once('exit', close)
  return { ...options, runtime: process.execPath, dir, load, close }
}

/** A port that was free a moment ago: for programs that cannot choose one themselves. */
export function freeUdpPort(host = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    socket.once('error', reject)
    socket.bind(0, host, () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })
}

export function freeTcpPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
