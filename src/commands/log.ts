/**
 * `log`: a run's log as it came, byte for byte; `--follow` goes on with what a running test sends, and ends with the run.
 *
 * What came as progress is the log until the upload replaces it; the upload then goes on behind what has been printed, so
 * no line comes twice. One that says otherwise is told by a line of its own, and goes on from the line where it differs. Source: RUNS "Commands" (`log -f`), "Machine URLs" (progress).
 */
import * as v from 'valibot'
import { Refusal } from '../domain/errors.ts'
import { runStates } from '../domain/verdict.ts'
import type { Daemon, RunLog } from './daemon.ts'
import { bytesType, defineCommand } from './definition.ts'
import { runArgument, runNumber, typedRun } from './run-argument.ts'
import { getRun } from './run-view.ts'

/** How often a follower looks by itself, should nothing wake it. */
const lookMs = 1000

export const log = defineCommand({
  name: 'log',
  summary: 'Print the log of a run',
  usage: 'pxemngr log <run> [--follow]',
  positionals: [runArgument],
  options: [{ name: 'follow', short: 'f', summary: 'go on with what comes, until the run is done' }],
  args: v.strictObject({ run: runNumber, follow: v.exactOptional(v.boolean()) }),
  result: v.strictObject({ log: v.string() }),
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr log 4711', text: 'the whole log, as it came' },
    { line: 'pxemngr log 4711 --follow', text: 'of a test that is running' },
  ],
  prepare: typedRun,
  run: () => {
    throw new Error('a log is a stream')
  },
  stream: {
    contentType: bytesType,
    async send({ daemon }, { run, follow }, write, signal) {
      getRun(daemon.store.queries, run)
      const printer = createPrinter(daemon, run, write)
      try {
        const found = await printer.print()
        if (!found && !(follow === true && isOpen(daemon, run))) {
          throw new Refusal('not-found', `Run ${run} has no log`)
        }
        if (follow !== true) return
        // Something to begin with, so that the answer starts before the first line comes.
        await write(new Uint8Array())
        while (!signal.aborted && isOpen(daemon, run)) {
          await runChanged(daemon, run, signal)
          await printer.print()
        }
        await printer.print()
      } finally {
        await printer.close()
      }
    },
  },
})

function isOpen(daemon: Daemon, run: number): boolean {
  const row = daemon.store.queries.getRun(run)
  return row !== undefined && runStates[row.state].open
}

interface Printer {
  /** Writes what the log has beyond what was written; false if there is no log. */
  print(): Promise<boolean>
  close(): Promise<void>
}

function createPrinter(daemon: Daemon, run: number, write: (chunk: Uint8Array) => Promise<void>): Printer {
  let printed = 0
  let lastByte = lineFeed
  /** What was printed last: it stays open, since an upload takes its name, and is then compared with it. */
  let shown: RunLog | undefined
  const send = async (file: RunLog, start: number): Promise<void> => {
    for await (const chunk of file.chunks(start, file.sizeBytes)) {
      await write(chunk)
      lastByte = chunk.at(-1) ?? lastByte
    }
    printed = file.sizeBytes
  }
  const tell = async (text: string): Promise<void> => {
    await write(new TextEncoder().encode(`${lastByte === lineFeed ? '' : '\n'}${text}\n`))
    lastByte = lineFeed
  }
  return {
    async print() {
      const file = await daemon.results.openLog(run)
      if (!file) return false
      const before = shown
      shown = file
      try {
        const same = before && file.final && !before.final ? await sameLines(before, file, printed) : undefined
        if (same !== undefined) {
          const { lines, start } = same
          if (start < file.sizeBytes) {
            await tell(`--- the uploaded log is not what is shown above; from its line ${lines + 1} on it says: ---`)
            await send(file, start)
          } else await tell(`--- the uploaded log is not what is shown above: it ends after line ${lines} ---`)
          printed = file.sizeBytes
        } else if (file.sizeBytes > printed) await send(file, printed)
      } finally {
        await before?.close()
      }
      return true
    },
    close: async () => shown?.close(),
  }
}

const lineFeed = 10

/** Whole lines at the beginning of both that are the same, and where they end; undefined: all `length` bytes of `before` are. */
async function sameLines(
  before: RunLog,
  after: RunLog,
  length: number,
): Promise<{ lines: number; start: number } | undefined> {
  const others = after.chunks(0, Math.min(length, after.sizeBytes))[Symbol.asyncIterator]()
  let other: Uint8Array = new Uint8Array()
  let place = 0
  let lines = 0
  let start = 0
  let offset = 0
  for await (const chunk of before.chunks(0, length)) {
    for (const byte of chunk) {
      if (place === other.length) {
        const next = await others.next()
        if (next.done === true) return { lines, start }
        other = next.value
        place = 0
      }
      if (other[place] !== byte) return { lines, start }
      place += 1
      offset += 1
      if (byte === lineFeed) {
        lines += 1
        start = offset
      }
    }
  }
  return undefined
}

/** Resolves when progress came, the run changed, some time has passed, or the reader has gone. */
export function runChanged(daemon: Daemon, run: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      stopProgress()
      stopRecords()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, lookMs)
    const stopProgress = daemon.runs.onProgress(run, done)
    const stopRecords = daemon.store.onApplied(({ events }) => {
      if (events.some((event) => 'run' in event && event.run === run)) done()
    })
    signal.addEventListener('abort', done)
  })
}
