/**
 * A test from its hand-out to its kept result, again and again, by four machines at once: `/nexttest/`, then the upload of
 * a log of 106 lines. Beside it what the disk itself does in the same round: four writers, 4 KiB and fdatasync each time.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import type { Cell, Sample } from '../cell.ts'
import { layOut, macOf } from '../files.ts'
import type { Address } from '../load.ts'
import { call, type Daemon, dataDirCopy, startDaemon } from '../servers/pxemngr.ts'

const clients = 4
const blockBytes = 4096
const testName = 'bench'
const logLines = 106
const boundary = 'pxemngr-bench-0123456789'

const cyclesEach = (bench: Bench): number => (bench.quick ? 60 : 250)
const diskSeconds = (bench: Bench): number => (bench.quick ? 1 : 3)

export const resultCycle: Cell = {
  name: 'results-cycle',
  title: '/nexttest/ and the upload of a 106-line log, 4 machines at once, each durable',
  metrics: [
    { key: 'rate', label: '/s', better: 'more', digits: 0 },
    { key: 'cpu', label: 'CPU ms each', better: 'less', digits: 2 },
  ],
  targets: [{ subject: 'pxemngr', metric: 'rate', against: ['disk'], atLeast: 0.2 }],
  async prepare(bench) {
    const work = layOut(bench.dir, 0)
    const testsDir = mkdtempSync(join(bench.dir, 'tests-'))
    writeFileSync(join(testsDir, `${testName}.test`), '#!/bin/sh\ncurl -F file=@result <%= it.upload_url %>\n')
    const dataDir = await dataDirCopy(bench, work, clients, 'cycle')
    const resultsDir = join(dataDir, 'results')
    mkdirSync(resultsDir, { recursive: true })
    const daemon = await startDaemon(bench, work, dataDir, 'pxemngr', [
      ...['--tests-dir', testsDir, '--results-dir', resultsDir, '--trusted-networks', '127.0.0.0/8'],
    ])
    return {
      subjects: [
        { name: 'pxemngr', measure: () => measureCycles(daemon, cyclesEach(bench)) },
        { name: 'disk', measure: () => measureDisk(dataDir, diskSeconds(bench)) },
      ],
      absent: [],
      close: () => daemon.stop(),
    }
  },
}

async function measureCycles(daemon: Daemon, each: number): Promise<Sample> {
  const machines = Array.from({ length: clients }, (_, index) => index)
  const tests = Array.from({ length: each }, () => testName)
  await Promise.all(machines.map((index) => call(daemon.socket, 'nexttest', { name: `sys${index}`, tests })))
  const cpuBefore = daemon.cpuMs() ?? 0
  const begun = performance.now()
  await Promise.all(machines.map((index) => runMachine(daemon.http, macOf(index, ':'), each)))
  const seconds = (performance.now() - begun) / 1000
  const cycles = clients * each
  return { rate: cycles / seconds, cpu: ((daemon.cpuMs() ?? 0) - cpuBefore) / cycles }
}

/** One machine: asks, uploads, asks again, on one connection. */
async function runMachine(at: Address, mac: string, cycles: number): Promise<void> {
  const connection = await openConnection(at)
  try {
    for (let cycle = 0; cycle < cycles; cycle++) {
      const handed = await connection.ask(`GET /nexttest/${mac}/ HTTP/1.1\r\nhost: ${at.host}\r\n\r\n`)
      const url = /^x-pxemngr-upload: http:\/\/[^/]+(\S+)\r$/im.exec(handed)?.[1]
      if (url === undefined) throw new Error(`no run was handed out: ${handed.slice(0, 200)}`)
      const body = bodyOf(cycle)
      const head = [
        `POST ${url} HTTP/1.1`,
        `host: ${at.host}`,
        `content-type: multipart/form-data; boundary=${boundary}`,
        `content-length: ${Buffer.byteLength(body)}`,
      ]
      const answer = await connection.ask(`${head.join('\r\n')}\r\n\r\n${body}`)
      if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error(`the upload failed: ${answer.slice(0, 200)}`)
    }
  } finally {
    connection.close()
  }
}

function bodyOf(cycle: number): string {
  const lines = Array.from({ length: logLines - 3 }, (_, at) => `line ${at}: what a test says while it works`)
  const log = ['V: v1.0', 'I: kernel 6.1.0', ...lines, `I: cycle ${cycle}`].join('\n')
  const head = 'content-disposition: form-data; name="file"; filename="result"\r\ncontent-type: text/plain'
  return `--${boundary}\r\n${head}\r\n\r\n${log}\n\r\n--${boundary}--\r\n`
}

interface Connection {
  /** Sends a request and resolves with its whole answer, which has a `content-length`. */
  ask(request: string): Promise<string>
  close(): void
}

function openConnection({ host, port }: Address): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host, port, noDelay: true })
    socket.setEncoding('latin1')
    let text = ''
    let waiting: { resolve(answer: string): void; reject(error: Error): void } | undefined
    socket.on('data', (part) => {
      text += String(part)
      const end = text.indexOf('\r\n\r\n')
      const length = Number(/^content-length: (\d+)\r$/im.exec(text.slice(0, end + 2))?.[1])
      if (end < 0 || !(text.length >= end + 4 + length)) return
      const answer = text
      text = ''
      waiting?.resolve(answer)
    })
    const fail = (error: Error): void => {
      reject(error)
      waiting?.reject(error)
    }
    socket.once('error', fail)
    socket.once('close', () => fail(new Error(`the connection was closed after: ${text.slice(0, 200)}`)))
    socket.once('connect', () =>
      resolve({
        ask: (request) =>
          new Promise((done, failed) => {
            waiting = { resolve: done, reject: failed }
            socket.write(request)
          }),
        close: () => socket.destroy(),
      }),
    )
  })
}

/** Writes and syncs of four writers at once, each in a file of its own, a second. */
async function measureDisk(dir: string, seconds: number): Promise<Sample> {
  const block = Buffer.alloc(blockBytes, 'x')
  const end = performance.now() + seconds * 1000
  const write = async (writer: number): Promise<number> => {
    const file = await open(join(dir, `disk-${writer}`), 'w')
    try {
      let written = 0
      for (; performance.now() < end; written++) {
        await file.write(block, 0, blockBytes, written * blockBytes)
        await file.datasync()
      }
      return written
    } finally {
      await file.close()
    }
  }
  const begun = performance.now()
  const writes = await Promise.all(Array.from({ length: clients }, (_, writer) => write(writer)))
  const sum = writes.reduce((total, each) => total + each, 0)
  return { rate: sum / ((performance.now() - begun) / 1000) }
}
