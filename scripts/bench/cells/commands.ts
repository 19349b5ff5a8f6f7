/**
 * The cells about people's time: a command typed to done, many systems in one go, a second `npm start`.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Bench, projectDir } from '../bench.ts'
import type { Cell, Metric, Sample, Subject } from '../cell.ts'
import { layOut, macOf } from '../files.ts'
import { start } from '../processes.ts'
import { dataDirCopy, startDaemon } from '../servers/pxemngr.ts'

const took: Metric = { key: 'took', label: 'ms', better: 'less', digits: 1 }
/** Starts in one measurement of the command cell, of which the median counts. */
const startsEach = 5
const timeoutMs = 30_000

/** Time of a program from its start to its end, ms; throws for an exit status other than 0. */
function timed(words: readonly string[]): number {
  const [program = '', ...args] = words
  const begun = performance.now()
  const { status, stderr, error } = spawnSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs })
  const ms = performance.now() - begun
  if (status !== 0)
    throw new Error(`${words.join(' ')}: ${error?.message ?? `exit ${status}: ${String(stderr).trim()}`}`)
  return ms
}

function medianOf(words: readonly string[]): number {
  const times = Array.from({ length: startsEach }, () => timed(words)).sort((a, b) => a - b)
  return times[startsEach >> 1] ?? 0
}

export const commandStart: Cell = {
  name: 'command-start',
  title: 'a command, typed to done, against `node -e 0` of the same runtime',
  metrics: [took],
  targets: [
    { subject: 'pxemngr nextboot', metric: 'took', against: ['node -e 0'], atMost: 1.5 },
    { subject: 'pxemngr dpysystem', metric: 'took', against: ['node -e 0'], atMost: 1.5 },
  ],
  async prepare(bench) {
    const work = layOut(bench.dir, 0)
    const daemon = await startDaemon(bench, work, await dataDirCopy(bench, work, 100, 'commands'), 'pxemngr')
    const command = (...words: string[]): string[] => [bench.executable, ...words, '--socket', daemon.socket]
    const subject = (name: string, words: readonly string[]): Subject => ({
      name,
      measure: async () => ({ took: medianOf(words) }),
    })
    const subjects = [
      subject('pxemngr nextboot', command('nextboot', 'sys7', 'bench1')),
      subject('pxemngr dpysystem', command('dpysystem', 'sys7')),
      subject('node -e 0', [bench.runtime, '-e', '0']),
    ]
    return { subjects, absent: [], close: () => daemon.stop() }
  },
}

export const bulk: Cell = {
  name: 'bulk',
  title: 'addsystem --from FILE with 10,000 lines, on an empty data directory',
  metrics: [took],
  targets: [{ subject: 'pxemngr', metric: 'took', atMost: 2000 }],
  async prepare(bench) {
    const work = layOut(bench.dir, 0)
    const file = join(bench.dir, 'systems.txt')
    writeFileSync(file, Array.from({ length: 10_000 }, (_, i) => `sys${i} ${macOf(i, ':')}\n`).join(''))
    const measure = async (): Promise<Sample> => {
      const daemon = await startDaemon(bench, work, mkdtempSync(join(bench.dir, 'bulk-')), 'pxemngr')
      try {
        return { took: timed([bench.executable, 'addsystem', '--from', file, '--socket', daemon.socket]) }
      } finally {
        await daemon.stop()
      }
    }
    return { subjects: [{ name: 'pxemngr', measure }], absent: [], close: async () => {} }
  },
}

/** `npm start` on a folder of its own, to the ready line. */
async function npmStart(bench: Bench): Promise<Sample> {
  const dataDir = mkdtempSync(join(bench.dir, 'start-'))
  const flags = ['--data-dir', dataDir, '--tftp', '127.0.0.1:0', '--http', '127.0.0.1:0']
  const begun = performance.now()
  const running = await start(['npm', 'start', '--silent', '--', ...flags], { cwd: projectDir })
  try {
    while (!running.stdout().includes('pxemngr ready ')) {
      if (!running.alive()) throw new Error(`npm start ended: ${running.stderr().trim().slice(-500)}`)
      if (performance.now() - begun > timeoutMs) throw new Error(`npm start is not ready in ${timeoutMs} ms`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    return { took: performance.now() - begun }
  } finally {
    await running.stop()
  }
}

export const secondStart: Cell = {
  name: 'second-start',
  title: 'a second `npm start`, nothing changed since the first, to the ready line',
  metrics: [took],
  targets: [{ subject: 'npm start', metric: 'took', atMost: 2000 }],
  async prepare(bench) {
    return { subjects: [{ name: 'npm start', measure: () => npmStart(bench) }], absent: [], close: async () => {} }
  },
}
