/**
 * `log`: a run's log as it came, byte for byte; `--follow` goes on with what a running test sends, and ends with the run.
 *
 * What came as progress is the log until the upload replaces it; the upload then goes on behind what has been printed, so
 * no line comes twice. Source: RUNS "Commands" (`log -f`), "Machine URLs" (progress).
 */
import * as v from 'valibot'
import { Refusal } from '../domain/errors.ts'
import { runStates } from '../domain/verdict.ts'
import type { Daemon } from './daemon.ts'
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
      let printed = await sendFrom(daemon, run, 0, write)
      if (printed === undefined && !(follow === true && isOpen(daemon, run))) {
        throw new Refusal('not-found', `Run ${run} has no log`)
      }
      if (follow !== true) return
      // Something to begin with, so that the answer starts before the first line comes.
      await write(new Uint8Array())
      while (!signal.aborted && isOpen(daemon, run)) {
        await runChanged(daemon, run, signal)
        printed = (await sendFrom(daemon, run, printed ?? 0, write)) ?? printed
      }
      await sendFrom(daemon, run, printed ?? 0, write)
    },
  },
})

function isOpen(daemon: Daemon, run: number): boolean {
  const row = daemon.store.queries.getRun(run)
  return row !== undefined && runStates[row.state].open
}

/** Writes the log from `start`; the new length, or undefined if there is no log. */
async function sendFrom(
  daemon: Daemon,
  run: number,
  start: number,
  write: (chunk: Uint8Array) => Promise<void>,
): Promise<number | undefined> {
  const file = await daemon.results.openLog(run)
  if (!file) return undefined
  try {
    if (file.sizeBytes <= start) return start
    for await (const chunk of file.chunks(start, file.sizeBytes)) await write(chunk)
    return file.sizeBytes
  } finally {
    await file.close()
  }
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
