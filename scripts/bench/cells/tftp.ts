/**
 * The TFTP cells: small configuration reads, the 64 MiB file, and configuration reads beside downloads.
 */
import type { Bench } from '../bench.ts'
import type { Cell, Contest, Metric, Sample, Subject } from '../cell.ts'
import { configuration, layOut, profileNames, type Work } from '../files.ts'
import type { Load } from '../load.ts'
import { startPxemngr } from '../servers/pxemngr.ts'
import { type Server, type StartServer, startServers } from '../servers/server.ts'
import { startConstantTftp, tftpPeers } from '../servers/tftp-peers.ts'

const blksize = 'blksize=1408'
/**
 * Each machine that asks for its configuration has an address of its own: which MAC booted from which address is
 * remembered, and a thousand machines that seem to share one would change that at each read.
 */
export const readOptions: readonly string[] = [blksize, 'sources=127.100.0.0']
const systems = 1000
export const clientsMany = 64

export const readMetrics: readonly Metric[] = [
  { key: 'rate', label: 'reads/s', better: 'more', digits: 0 },
  { key: 'cpu', label: 'CPU µs/read', better: 'less', digits: 1 },
  { key: 'p50', label: 'p50 ms', better: 'less', digits: 2 },
  { key: 'p99', label: 'p99 ms', better: 'less', digits: 2 },
]

/** Seconds of one measurement of small reads. */
export const readSeconds = ({ quick }: Bench): number => (quick ? 0.5 : 2)

/** Figures of small reads: rate, latencies, and the server's CPU time for each where it can be counted. */
export async function measureReads(server: Server, run: () => Promise<Load>): Promise<Sample> {
  const before = server.cpuMs()
  const load = await run()
  const after = server.cpuMs()
  if (load.reads === 0) throw new Error('not one read was done')
  return {
    rate: (load.reads * 1000) / load.elapsedMs,
    p50: load.p50Us / 1000,
    p99: load.p99Us / 1000,
    ...(before === undefined || after === undefined ? {} : { cpu: ((after - before) * 1000) / load.reads }),
  }
}

/** A contest of servers: everybody started on the same files, one or more subjects made of each. */
export async function contestOf(
  bench: Bench,
  starters: Readonly<Record<string, StartServer>>,
  subjectsOf: (server: Server, work: Work) => readonly Subject[],
): Promise<Contest> {
  const work = layOut(bench.dir, systems)
  const { servers, absent, stop } = await startServers(bench, work, starters)
  return { subjects: servers.flatMap((server) => subjectsOf(server, work)), absent, close: stop }
}

export function tftpAddress({ name, tftp }: Server): NonNullable<Server['tftp']> {
  if (!tftp) throw new Error(`${name} does not speak TFTP`)
  return tftp
}

/**
 * Lets every system ask once before anything is measured: a machine's first boot from an address is written down, which
 * is no part of the steady state.
 */
export async function meetAll(bench: Bench, server: Server, list: string, count: number): Promise<void> {
  const words = [`clients=${clientsMany}`, ...readOptions, `reads=${Math.ceil(count / clientsMany)}`]
  await bench.load.tftp(tftpAddress(server), list, words)
}

const startBare = startConstantTftp(configuration(profileNames[0]))

export const configurationReads: Cell = {
  name: 'configuration-reads',
  title: 'small configuration reads over TFTP, 64 clients, 1,000 systems',
  metrics: readMetrics,
  targets: [
    { subject: 'pxemngr', metric: 'rate', against: ['dnsmasq'], atLeast: 1.5 },
    { subject: 'pxemngr', metric: 'rate', against: ['atftpd'], atLeast: 3 },
    { subject: 'pxemngr', metric: 'rate', against: ['tftpd-hpa'], atLeast: 10 },
    { subject: 'pxemngr', metric: 'cpu', against: ['dnsmasq'], atMost: 1 },
  ],
  prepare: (bench) =>
    contestOf(bench, { pxemngr: startPxemngr(systems), ...tftpPeers, 'node:dgram': startBare }, (server, work) => {
      const list = server.name === 'node:dgram' ? work.constantConfigurations(systems) : work.configurations(systems)
      const options = [`clients=${clientsMany}`, ...readOptions, `seconds=${readSeconds(bench)}`]
      const measure = (): Promise<Sample> =>
        measureReads(server, () => bench.load.tftp(tftpAddress(server), list, options))
      return [{ name: server.name, warmUp: () => meetAll(bench, server, list, systems), measure }]
    }),
}

const fileMetrics: readonly Metric[] = [
  { key: 'rate', label: 'MB/s', better: 'more', digits: 1 },
  { key: 'cpu', label: 'CPU s/GB', better: 'less', digits: 2 },
]

/** MB/s and server CPU seconds a GB. */
export async function measureBytes(server: Server, run: () => Promise<Load>): Promise<Sample> {
  const before = server.cpuMs()
  const { bytes, elapsedMs } = await run()
  const after = server.cpuMs()
  return {
    rate: bytes / elapsedMs / 1000,
    ...(before === undefined || after === undefined ? {} : { cpu: (after - before) / 1000 / (bytes / 1e9) }),
  }
}

interface FileCell {
  readonly clients: number
  readonly windowsize: number
  readonly peers: Readonly<Record<string, StartServer>>
  readonly targets: Cell['targets']
}

function fileReads({ clients, windowsize, peers, targets }: FileCell): Cell {
  const who = clients === 1 ? '1 client' : `${clients} clients`
  return {
    name: `file-w${windowsize}-c${clients}`,
    title: `64 MiB file over TFTP, blksize 1408, windowsize ${windowsize}, ${who}`,
    metrics: fileMetrics,
    targets,
    prepare: (bench) =>
      contestOf(bench, { pxemngr: startPxemngr(systems), ...peers }, (server, work) => {
        const options = [`clients=${clients}`, blksize, `windowsize=${windowsize}`, 'reads=1']
        const measure = (): Promise<Sample> =>
          measureBytes(server, () => bench.load.tftp(tftpAddress(server), work.fileList, options))
        return [{ name: server.name, measure }]
      }),
  }
}

const { atftpd } = tftpPeers
const allPeers = Object.keys(tftpPeers)
/** dnsmasq and tftpd-hpa leave `windowsize` out of their OACK: with it only atftpd is a peer. */
const windowPeers = { atftpd }

export const fileCells: readonly Cell[] = [
  fileReads({
    clients: 1,
    windowsize: 1,
    peers: tftpPeers,
    targets: [{ subject: 'pxemngr', metric: 'rate', against: allPeers, atLeast: 1 }],
  }),
  fileReads({
    clients: 1,
    windowsize: 16,
    peers: windowPeers,
    targets: [{ subject: 'pxemngr', metric: 'rate', against: ['atftpd'], atLeast: 1 }],
  }),
  fileReads({
    clients: 8,
    windowsize: 1,
    peers: tftpPeers,
    targets: [
      { subject: 'pxemngr', metric: 'rate', against: ['atftpd'], atLeast: 1 },
      { subject: 'pxemngr', metric: 'rate', against: ['dnsmasq'], atLeast: 0.7 },
    ],
  }),
  fileReads({
    clients: 8,
    windowsize: 16,
    peers: windowPeers,
    targets: [{ subject: 'pxemngr', metric: 'rate', against: ['atftpd'], atLeast: 0.9 }],
  }),
]

/** 16 clients read configurations; beside them nothing, or 8 downloads with that windowsize. */
function besideDownloads(bench: Bench, server: Server, work: Work, windowsize: number): () => Promise<Sample> {
  const at = tftpAddress(server)
  const seconds = readSeconds(bench)
  const read = (): Promise<Load> =>
    bench.load.tftp(at, work.configurations(systems), ['clients=16', ...readOptions, `seconds=${seconds}`])
  return async () => {
    if (windowsize === 0) return measureReads(server, read)
    const words = ['clients=8', blksize, `windowsize=${windowsize}`, `seconds=${seconds + 2 * leadSeconds}`]
    const downloads = bench.load.tftp(at, work.fileList, words)
    await new Promise((resolve) => setTimeout(resolve, leadSeconds * 1000))
    const [reads, bulk] = await Promise.all([read(), downloads])
    if (reads.reads === 0) throw new Error('not one read was done')
    return {
      rate: (reads.reads * 1000) / reads.elapsedMs,
      p50: reads.p50Us / 1000,
      p99: reads.p99Us / 1000,
      downloads: bulk.bytes / bulk.elapsedMs / 1000,
    }
  }
}

/** The downloads begin so long before the reads, and go on as long after. */
const leadSeconds = 0.3

export const mixed: Cell = {
  name: 'mixed',
  title: 'configuration reads, 16 clients, while 8 downloads of 64 MiB run from the same server',
  metrics: [...readMetrics, { key: 'downloads', label: 'downloads MB/s', better: 'more', digits: 1 }],
  targets: ['window 1', 'window 16'].map((downloads) => ({
    subject: `pxemngr, ${downloads}`,
    metric: 'p99',
    against: ['pxemngr, alone'],
    atMost: 3,
  })),
  prepare: (bench) =>
    contestOf(
      bench,
      { pxemngr: startPxemngr(systems), dnsmasq: tftpPeers.dnsmasq, atftpd },
      (server, work): Subject[] => {
        const subject = (what: string, windowsize: number): Subject => ({
          name: `${server.name}, ${what}`,
          warmUp: () => meetAll(bench, server, work.configurations(systems), systems),
          measure: besideDownloads(bench, server, work, windowsize),
        })
        const both = [subject('alone', 0), subject('window 1', 1)]
        return server.name === 'dnsmasq' ? both : [...both, subject('window 16', 16)]
      },
    ),
}
