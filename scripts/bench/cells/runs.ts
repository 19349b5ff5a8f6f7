/**
 * The cells about machines under test: boots beside a large upload, and two thousand machines that wait for something to do.
 */
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Bench } from '../bench.ts'
import type { Cell, Sample } from '../cell.ts'
import { layOut, macOf, type Work } from '../files.ts'
import type { Load } from '../load.ts'
import { residentBytes } from '../processes.ts'
import { startConstant } from '../servers/http-peers.ts'
import { call, type Daemon, dataDirCopy, startDaemon, startPxemngr } from '../servers/pxemngr.ts'
import { type Server, startServers } from '../servers/server.ts'
import { readOptions } from './tftp.ts'

const bytesPerMb = 1e6
const systemsBooting = 100
const boundary = 'bench'
/** One piece of the upload's body: lines as logs have them. */
const piece = Buffer.from('I: a line of a log, as long as most lines of logs are, or so it is said ...\n'.repeat(860))
const residentEveryMs = 50

/** Boots as they are read one after the other: a configuration over TFTP, the profile's name over HTTP. */
async function readBoots(
  bench: Bench,
  work: Work,
  daemon: Daemon,
  seconds: number,
): Promise<{ tftp: Load; http: Load }> {
  const [tftp, http] = await Promise.all([
    bench.load.tftp(daemon.tftp, work.configurations(systemsBooting), [
      'clients=1',
      ...readOptions,
      `seconds=${seconds}`,
    ]),
    bench.load.http(daemon.http, work.profileUrlList(systemsBooting), ['connections=1', `seconds=${seconds}`]),
  ])
  return { tftp, http }
}

/** Uploads of `bytes` each, one after the other, until told to stop; what it takes of them is not measured here. */
async function uploadUntil(daemon: Daemon, bytes: number, isOver: () => boolean): Promise<void> {
  for (let run = await requestRun(daemon); !isOver(); run = await requestRun(daemon)) await upload(daemon, run, bytes)
}

async function requestRun(daemon: Daemon): Promise<number> {
  const { runs } = (await call(daemon.socket, 'nexttest', { name: 'sys0', tests: ['wait'] })) as {
    runs: { id: number }[]
  }
  return runs[0]?.id ?? 0
}

function upload({ http }: Daemon, run: number, bytes: number): Promise<void> {
  const headers = { 'content-type': `multipart/form-data; boundary=${boundary}` }
  return new Promise((resolve, reject) => {
    const asked = request({ ...http, method: 'POST', path: `/upload/${run}/`, headers, agent: false }, (answer) => {
      answer.resume()
      if (answer.statusCode === 200) answer.on('end', resolve)
      else reject(new Error(`the upload got HTTP ${answer.statusCode}`))
    })
    asked.on('error', reject)
    asked.write(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n`)
    let sent = 0
    const more = (): void => {
      while (sent < bytes) {
        sent += piece.length
        if (!asked.write(piece)) {
          asked.once('drain', more)
          return
        }
      }
      asked.end(`\r\n--${boundary}--\r\n`)
    }
    more()
  })
}

export const bootsBesideUpload: Cell = {
  name: 'boots-beside-upload',
  title: 'boots one after the other, without and beside uploads of 1 GB (quick: 200 MB)',
  metrics: [
    { key: 'tftpAlone', label: 'TFTP p99 ms alone', better: 'less', digits: 2 },
    { key: 'tftpBeside', label: 'beside', better: 'less', digits: 2 },
    { key: 'httpAlone', label: '/profile/ p99 ms alone', better: 'less', digits: 2 },
    { key: 'httpBeside', label: 'beside', better: 'less', digits: 2 },
    { key: 'longer', label: 'longer ms', better: 'less', digits: 2 },
    { key: 'grown', label: 'grown MB', better: 'less', digits: 0 },
  ],
  targets: [
    { subject: 'pxemngr', metric: 'longer', atMost: 20 },
    { subject: 'pxemngr', metric: 'grown', atMost: 80 },
  ],
  async prepare(bench) {
    const work = layOut(bench.dir, 0)
    const dataDir = await dataDirCopy(bench, work, systemsBooting, 'uploads')
    const daemon = await startDaemon(bench, work, dataDir, 'pxemngr')
    const measure = async (): Promise<Sample> => {
      const seconds = bench.quick ? 2 : 8
      const alone = await readBoots(bench, work, daemon, seconds)
      const before = residentBytes(daemon.process.pid)
      let highest = before
      const watch = setInterval(() => {
        highest = Math.max(highest, residentBytes(daemon.process.pid))
      }, residentEveryMs)
      let isOver = false
      const uploads = uploadUntil(daemon, bench.quick ? 200e6 : 1e9, () => isOver)
      const beside = await readBoots(bench, work, daemon, seconds).finally(() => {
        isOver = true
      })
      await uploads
      clearInterval(watch)
      const sample = {
        tftpAlone: alone.tftp.p99Us / 1000,
        tftpBeside: beside.tftp.p99Us / 1000,
        httpAlone: alone.http.p99Us / 1000,
        httpBeside: beside.http.p99Us / 1000,
      }
      const longer = Math.max(sample.tftpBeside - sample.tftpAlone, sample.httpBeside - sample.httpAlone)
      return { ...sample, longer, grown: (highest - before) / bytesPerMb }
    }
    return { subjects: [{ name: 'pxemngr', measure }], absent: [], close: () => daemon.stop() }
  },
}

const machines = 2000
/** As `wait.test`: asks again after 5 s ± 2 s. */
const pauseMinMs = 3000
const pauseSpanMs = 4000

export const waitingMachines: Cell = {
  name: 'waiting-machines',
  title: '2,000 machines without a test ask again every 5 s ± 2 s, each time on a new connection',
  metrics: [
    { key: 'cpu', label: 'CPU %', better: 'less', digits: 2 },
    { key: 'rate', label: 'questions/s', better: 'more', digits: 0 },
    { key: 'cost', label: 'CPU µs each', better: 'less', digits: 0 },
  ],
  // The bare server shows what of it is Node's accepting and closing of connections.
  targets: [{ subject: 'pxemngr', metric: 'cpu', atMost: 5 }],
  async prepare(bench) {
    const work = layOut(bench.dir, 0)
    const starters = { pxemngr: startPxemngr(machines), 'node:http': startConstant('sleep 5') }
    const { servers, absent, stop } = await startServers(bench, work, starters)
    const subjects = servers.map((server) => ({ name: server.name, measure: () => measureWaiting(bench, server) }))
    return { subjects, absent, close: stop }
  },
}

async function measureWaiting(bench: Bench, server: Server): Promise<Sample> {
  let questions = 0
  let failed: Error | undefined
  let isOver = false
  const timers = new Set<NodeJS.Timeout>()
  const wait = (n: number, ms: number): void => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      question(server, n).then(
        () => {
          questions += 1
          if (!isOver) wait(n, pauseMinMs + Math.random() * pauseSpanMs)
        },
        (error: Error) => {
          failed ??= error
        },
      )
    }, ms)
    timers.add(timer)
  }
  for (let n = 0; n < machines; n++) wait(n, Math.random() * (pauseMinMs + pauseSpanMs / 2))
  const before = server.cpuMs() ?? 0
  const begun = performance.now()
  await new Promise((resolve) => setTimeout(resolve, (bench.quick ? 6 : 20) * 1000))
  const elapsedMs = performance.now() - begun
  const cpuMs = (server.cpuMs() ?? 0) - before
  isOver = true
  for (const timer of timers) clearTimeout(timer)
  if (failed) throw failed
  return { cpu: (100 * cpuMs) / elapsedMs, rate: (1000 * questions) / elapsedMs, cost: (1000 * cpuMs) / questions }
}

/** As curl does: a connection for one question. */
const agent = new Agent({ keepAlive: false })

function question(server: Server, n: number): Promise<void> {
  // A bare server has no runs.
  const waits = server.name === 'node:http' ? undefined : '0'
  return new Promise((resolve, reject) => {
    request({ ...server.http, path: `/nexttest/${macOf(n, ':')}/`, agent }, (answer) => {
      answer.resume()
      if (answer.statusCode === 200 && answer.headers['x-pxemngr-run'] === waits) answer.on('end', resolve)
      else reject(new Error(`/nexttest/ got HTTP ${answer.statusCode}, run ${answer.headers['x-pxemngr-run']}`))
    })
      .on('error', reject)
      .end()
  })
}

/** As `run.sh` asks to be held, in seconds. */
const holdSeconds = 45
/** Machines that then get a test while the others are held, one after the other. */
const startsMeasured = 20
const betweenStartsMs = 100
const startTimeoutMs = 10_000

export const heldMachines: Cell = {
  name: 'held-machines',
  title: `2,000 machines without a test, held as run.sh asks for it; then ${startsMeasured} of them get one`,
  metrics: [
    { key: 'cpu', label: 'CPU %', better: 'less', digits: 2 },
    { key: 'rate', label: 'questions/s', better: 'less', digits: 0 },
    { key: 'memory', label: 'resident MB', better: 'less', digits: 0 },
    { key: 'start', label: 'test asked for to there ms', better: 'less', digits: 1 },
    { key: 'slowest', label: 'slowest', better: 'less', digits: 1 },
  ],
  targets: [{ subject: 'pxemngr', metric: 'cpu', atMost: 5 }],
  async prepare(bench) {
    const work = layOut(bench.dir, 0)
    const daemon = await startDaemon(bench, work, await dataDirCopy(bench, work, machines, 'held'), 'pxemngr')
    const measure = (): Promise<Sample> => measureHeld(bench, daemon)
    return { subjects: [{ name: 'pxemngr', measure }], absent: [], close: () => daemon.stop() }
  },
}

async function measureHeld(bench: Bench, daemon: Daemon): Promise<Sample> {
  const open = new Set<Socket>()
  let questions = 0
  let failed: Error | undefined
  let isOver = false
  /** By machine, when it is to get a test: told when it has it. */
  const given = new Map<number, () => void>()
  const wait = (n: number, seconds: number): void => {
    if (isOver) return
    heldQuestion(daemon, n, seconds, open).then(
      (run) => {
        questions += 1
        if (run !== '0') given.get(n)?.()
        wait(n, holdSeconds)
      },
      (error: Error) => {
        if (!isOver) failed ??= error
      },
    )
  }
  // As if each had asked at some time of the last minute.
  for (let n = 0; n < machines; n++) wait(n, 1 + Math.floor(Math.random() * holdSeconds))
  await pause(2000)
  const before = daemon.cpuMs() ?? 0
  questions = 0
  const begun = performance.now()
  await pause((bench.quick ? 6 : 20) * 1000)
  const elapsedMs = performance.now() - begun
  const cpu = (100 * ((daemon.cpuMs() ?? 0) - before)) / elapsedMs
  const rate = (1000 * questions) / elapsedMs
  const memory = residentBytes(daemon.process.pid) / bytesPerMb
  const startsMs: number[] = []
  for (let start = 0; start < startsMeasured; start++) {
    await pause(betweenStartsMs)
    const n = Math.floor(Math.random() * machines)
    const asked = performance.now()
    const there = new Promise<void>((resolve, reject) => {
      given.set(n, resolve)
      setTimeout(() => reject(new Error(`sys${n} does not get its test`)), startTimeoutMs).unref()
    })
    await call(daemon.socket, 'nexttest', { name: `sys${n}`, tests: ['wait'] })
    await there
    given.delete(n)
    startsMs.push(performance.now() - asked)
  }
  isOver = true
  for (const socket of open) socket.destroy()
  if (failed) throw failed
  startsMs.sort((a, b) => a - b)
  const [start = 0, slowest = 0] = [startsMs[startsMeasured >> 1], startsMs.at(-1)]
  return { cpu, rate, memory, start, slowest }
}

/** One question as curl asks it; the run that it is answered with. */
function heldQuestion({ http }: Daemon, n: number, seconds: number, open: Set<Socket>): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(http.port, http.host)
    open.add(socket)
    socket.setEncoding('latin1')
    socket.write(`GET /nexttest/${macOf(n, ':')}/ HTTP/1.1\r\nHost: bench\r\nPrefer: wait=${seconds}\r\n\r\n`)
    socket.once('data', (text: string) => {
      const run = /^HTTP\/1\.1 200 [\s\S]*\r\nx-pxemngr-run: (\d+)\r\n/.exec(text)?.[1]
      socket.end()
      if (run === undefined) reject(new Error(`/nexttest/ answers ${text.slice(0, 200)}`))
      else resolve(run)
    })
    socket.on('error', reject)
    socket.on('close', () => {
      open.delete(socket)
      reject(new Error('/nexttest/ was not answered'))
    })
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
