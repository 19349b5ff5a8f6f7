/**
 * The cells about how many systems there are: 10,000 against 100 under load, and how soon and how big the daemon is with
 * 1,000 and 10,000.
 */
import type { Bench } from '../bench.ts'
import type { Cell, Sample, Subject } from '../cell.ts'
import { layOut, type Work } from '../files.ts'
import { residentBytes } from '../processes.ts'
import { dataDirCopy, startDaemon, startPxemngr } from '../servers/pxemngr.ts'
import { startServers } from '../servers/server.ts'
import { clientsMany, measureReads, meetAll, readMetrics, readOptions, readSeconds, tftpAddress } from './tftp.ts'

const bytesPerMb = 1e6
const resident = { key: 'resident', label: 'resident MB', better: 'less', digits: 1 } as const
const ready = { key: 'ready', label: 'ready ms after exec', better: 'less', digits: 0 } as const

/** Time for what a daemon does just after it has become ready; then it is idle. */
const settleMs = 1500

export const manySystems: Cell = {
  name: 'many-systems',
  title: 'small configuration reads over TFTP, 64 clients, 10,000 systems against 100',
  metrics: [...readMetrics, resident],
  targets: [
    { subject: '10,000 systems', metric: 'p99', against: ['100 systems'], atMost: 1.5 },
    { subject: '10,000 systems', metric: 'resident', atMost: 300 },
  ],
  async prepare(bench) {
    const work = layOut(bench.dir, 0)
    const sizes = { '100 systems': 100, '10,000 systems': 10_000 }
    const starters = Object.fromEntries(Object.entries(sizes).map(([name, size]) => [name, startPxemngr(size, name)]))
    const { servers, absent, stop } = await startServers(bench, work, starters)
    const subjects = servers.map((server): Subject => {
      const count = server.name === '100 systems' ? 100 : 10_000
      const list = work.configurations(count)
      const options = [`clients=${clientsMany}`, ...readOptions, `seconds=${readSeconds(bench)}`]
      const measure = async (): Promise<Sample> => {
        const sample = await measureReads(server, () => bench.load.tftp(tftpAddress(server), list, options))
        return { ...sample, resident: residentBytes(server.process.pid) / bytesPerMb }
      }
      return { name: server.name, warmUp: () => meetAll(bench, server, list, count), measure }
    })
    return { subjects, absent, close: stop }
  },
}

/** One start on a data directory of its own, a while of idleness, its memory, its end. */
async function measureStart(bench: Bench, work: Work, systems: number, name: string): Promise<Sample> {
  const daemon = await startDaemon(bench, work, await dataDirCopy(bench, work, systems, name), name)
  try {
    await new Promise((resolve) => setTimeout(resolve, settleMs))
    return { ready: daemon.readyMs, resident: residentBytes(daemon.process.pid) / bytesPerMb }
  } finally {
    await daemon.stop()
  }
}

function startCell(name: string, systems: number, limits: { readyMs: number; residentMb: number }): Cell {
  const subject = `${systems.toLocaleString('en')} systems`
  return {
    name,
    title: `start and idle with ${subject}`,
    metrics: [ready, resident],
    targets: [
      { subject, metric: 'ready', atMost: limits.readyMs },
      { subject, metric: 'resident', atMost: limits.residentMb },
    ],
    async prepare(bench) {
      const work = layOut(bench.dir, 0)
      const measure = (): Promise<Sample> => measureStart(bench, work, systems, name)
      return { subjects: [{ name: subject, measure }], absent: [], close: async () => {} }
    },
  }
}

export const startCells: readonly Cell[] = [
  startCell('idle', 1000, { readyMs: 400, residentMb: 130 }),
  startCell('start-10000', 10_000, { readyMs: 2000, residentMb: 300 }),
]
