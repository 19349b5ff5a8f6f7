/**
 * A test from its hand-out to its kept result, again and again, by four machines at once: `/nexttest/`, then the upload of
 * a log of 106 lines. Beside it what the disk itself does in the same round: four writers, 4 KiB and fdatasync each time.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import type { Cell, Sample } from '../cell.ts'
import { layOut, macOf } from '../files.ts'
import { call, type Daemon, dataDirCopy, startDaemon } from '../servers/pxemngr.ts'

const clients = 4
const machines = Array.from({ length: clients }, (_, index) => index)
const blockBytes = 4096
const testName = 'bench'
const logLines = 106

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
    const list = layOutLogs(mkdtempSync(join(bench.dir, 'logs-')))
    const dataDir = await dataDirCopy(bench, work, clients, 'cycle')
    const resultsDir = join(dataDir, 'results')
    mkdirSync(resultsDir, { recursive: true })
    const daemon = await startDaemon(bench, work, dataDir, 'pxemngr', [
      ...['--tests-dir', testsDir, '--results-dir', resultsDir, '--trusted-networks', '127.0.0.0/8'],
    ])
    return {
      subjects: [
        { name: 'pxemngr', measure: () => measureCycles(bench, daemon, list) },
        { name: 'disk', measure: () => measureDisk(dataDir, diskSeconds(bench)) },
      ],
      absent: [],
      close: () => daemon.stop(),
    }
  },
}

async function measureCycles(bench: Bench, daemon: Daemon, list: string): Promise<Sample> {
  const each = cyclesEach(bench)
  const tests = Array.from({ length: each }, () => testName)
  await Promise.all(machines.map((index) => call(daemon.socket, 'nexttest', { name: `sys${index}`, tests })))
  const cpuBefore = daemon.cpuMs() ?? 0
  const { reads, elapsedMs } = await bench.load.cycles(daemon.http, list, [`cycles=${each}`])
  if (reads !== clients * each) throw new Error(`${reads} cycles instead of ${clients * each}`)
  return { rate: (1000 * reads) / elapsedMs, cpu: ((daemon.cpuMs() ?? 0) - cpuBefore) / reads }
}

/** What each machine asks for and uploads, as the load generator takes it; path of the list. */
function layOutLogs(dir: string): string {
  const lines = Array.from({ length: logLines - 3 }, (_, at) => `line ${at}: what a test says while it works`)
  const logs = machines.map((index) => {
    const log = join(dir, `${index}.log`)
    writeFileSync(log, `${['V: v1.0', 'I: kernel 6.1.0', ...lines, `I: machine ${index}`].join('\n')}\n`)
    return `/nexttest/${macOf(index, ':')}/\t${log}\n`
  })
  const list = join(dir, 'list')
  writeFileSync(list, logs.join(''))
  return list
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
