/**
 * The cells about very many stored results: memory, start and pages of a server with a million of them, and the matrix of
 * 400 machines × 12 versions alone.
 */

import { existsSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import type { Cell, Metric, Sample } from '../cell.ts'
import { layOut } from '../files.ts'
import type { Address } from '../load.ts'
import { residentBytes } from '../processes.ts'
import { type Lab, makeLab, systemName } from '../results.ts'
import { call, type Daemon, startDaemon } from '../servers/pxemngr.ts'

const million: Lab = { systems: 400, tests: 25, versions: 100 }
/** With `--quick` a tenth: what is measured is the same, what is to be reached too. */
const tenth: Lab = { ...million, versions: 10 }
const grid: Lab = { systems: 400, tests: 5, versions: 12 }

/** Reads of each page in a measurement, each after a change. */
const readsEach = 200
const readsQuick = 100

const pages = ['/', '/matrix', '/system/<id>/'] as const
const keys = { '/': 'first', '/matrix': 'matrix', '/system/<id>/': 'system' } as const

const times = (key: string, name: string): Metric[] => [
  { key: `${key}P50`, label: `${name} p50 ms`, better: 'less', digits: 1 },
  { key: `${key}P99`, label: `${name} p99 ms`, better: 'less', digits: 1 },
]

export const manyResults: Cell = {
  name: 'results-million',
  title: '1,000,000 stored results (--quick: 100,000): start, memory, pages, each read after a change',
  metrics: [
    { key: 'ready', label: 'ready ms', better: 'less', digits: 0 },
    { key: 'resident', label: 'resident MB', better: 'less', digits: 0 },
    ...pages.flatMap((page) => times(keys[page], page)),
  ],
  targets: [
    { subject: 'pxemngr', metric: 'ready', atMost: 2000 },
    { subject: 'pxemngr', metric: 'resident', atMost: 400 },
    ...pages.flatMap((page) => [
      { subject: 'pxemngr', metric: `${keys[page]}P50`, atMost: 30 },
      { subject: 'pxemngr', metric: `${keys[page]}P99`, atMost: 150 },
    ]),
  ],
  async prepare(bench) {
    const lab = bench.quick ? tenth : million
    const dir = await labDir(bench, lab)
    return {
      subjects: [{ name: 'pxemngr', measure: () => measure(bench, dir, lab) }],
      absent: [],
      close: async () => {},
    }
  },
}

export const matrixGrid: Cell = {
  name: 'matrix-400x12',
  title: '/matrix with 400 machines × 12 versions, each read after a change',
  metrics: times('matrix', '/matrix'),
  targets: [{ subject: 'pxemngr', metric: 'matrixP50', atMost: 100 }],
  async prepare(bench) {
    const daemon = await startDaemon(bench, layOut(bench.dir, 0), await labDir(bench, grid), 'pxemngr')
    const reads = bench.quick ? readsQuick : readsEach
    return {
      subjects: [{ name: 'pxemngr', measure: () => readPages(daemon, '/matrix', reads, 'matrix', grid) }],
      absent: [],
      close: () => daemon.stop(),
    }
  },
}

/** The data directory of a lab in this run's folder, made when first asked for. */
async function labDir(bench: Bench, lab: Lab): Promise<string> {
  const dir = join(bench.dir, `lab-${lab.systems}-${lab.tests}-${lab.versions}`)
  if (!existsSync(dir)) await makeLab(dir, lab, (results) => bench.progress(`making results: ${results}`))
  return dir
}

/** One life of a daemon: start, every page, what it holds in memory then. */
async function measure(bench: Bench, dir: string, lab: Lab): Promise<Sample> {
  const daemon = await startDaemon(bench, layOut(bench.dir, 0), dir, 'pxemngr')
  try {
    const reads = bench.quick ? readsQuick : readsEach
    let sample: Record<string, number> = { ready: daemon.readyMs }
    for (const page of pages) sample = { ...sample, ...(await readPages(daemon, page, reads, keys[page], lab)) }
    return { ...sample, resident: residentBytes(daemon.process.pid) / 1e6 }
  } finally {
    await daemon.stop()
  }
}

/** Reads a page again and again, each time of another system and after a change; the first, cold read counts too. */
async function readPages(daemon: Daemon, page: string, reads: number, key: string, lab: Lab): Promise<Sample> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const taken: number[] = []
  try {
    for (let read = 0; read < reads; read++) {
      await call(daemon.socket, 'nextboot', { name: systemName(read % lab.systems), profile: 'local' })
      const path = page.replace('<id>', String(1 + ((read * 7) % lab.systems)))
      taken.push(await readPage(agent, daemon.http, path))
    }
  } finally {
    agent.destroy()
  }
  taken.sort((a, b) => a - b)
  const at = (share: number): number => taken[Math.ceil(taken.length * share) - 1] ?? 0
  return { [`${key}P50`]: at(0.5), [`${key}P99`]: at(0.99) }
}

/** Time to the last byte of a page, ms; throws where it is none. */
function readPage(agent: Agent, { host, port }: Address, path: string): Promise<number> {
  const begun = performance.now()
  return new Promise((resolve, reject) => {
    const asked = get({ agent, host, port, path, headers: { accept: 'text/html' } }, (answer) => {
      answer.on('error', reject)
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(performance.now() - begun)
        else reject(new Error(`${path}: HTTP ${answer.statusCode}`))
      })
      answer.resume()
    })
    asked.on('error', reject)
  })
}
