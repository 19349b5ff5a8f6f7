/**
 * What running tests have sent so far: appended to the run's log, and read at once, so that pages count along.
 *
 * Readers are kept for the runs that send; one that is not there (after a restart, or dropped) reads the file again at
 * the next piece, when it is closed, and at start. Source: RUNS "Machine URLs" (progress: its lines count at once).
 */
import type { ProgressView } from '../commands/daemon.ts'
import { createResultReader, type ResultReader, type ResultSummary } from '../domain/result/reader.ts'
import type { KeptProgress } from '../domain/run.ts'
import type { ResultFolder } from './result-files.ts'
import { readInTurns, type Turns } from './turns.ts'

/** Runs whose lines are counted along, least recently heard of dropped: each takes some KB. */
export const readersMax = 2000
/** Bytes read again in one go. */
const againBytes = 1024 * 1024

export interface ProgressReaders {
  /** Durable when it resolves. Only one piece of a run at a time. */
  append(run: number, at: number, bytes: Uint8Array): Promise<void>
  /** All that came so far, from the file where memory does not have it; undefined: nothing. Not beside `append`. */
  read(run: number): Promise<ResultSummary | undefined>
  /** What is kept of it where the run ends without a result; as `read`. */
  kept(run: number): Promise<KeptProgress | undefined>
  view(run: number): ProgressView | undefined
  onProgress(run: number, listener: () => void): () => void
  /** The run is done: its upload counts from now on. */
  forget(run: number): void
}

export function createProgressReaders(folder: ResultFolder, turns: Turns): ProgressReaders {
  const readers = new Map<number, ResultReader>()
  const listeners = new Map<number, Set<() => void>>()
  /** The reader of a run that has read the first `at` bytes: the one in memory, else a new one. */
  const readerAt = async (run: number, at: number): Promise<ResultReader> => {
    const known = readers.get(run)
    const reader = known ?? createResultReader()
    for (let from = known ? at : 0; from < at; from += againBytes) {
      await readInTurns(turns, await folder.readProgress(run, from, Math.min(at, from + againBytes)), reader.push)
    }
    readers.delete(run)
    readers.set(run, reader)
    const [oldest] = readers.keys()
    if (readers.size > readersMax && oldest !== undefined) readers.delete(oldest)
    return reader
  }
  const read = async (run: number): Promise<ResultSummary | undefined> => {
    const sizeBytes = await folder.progressBytes(run)
    return sizeBytes === 0 ? undefined : (await readerAt(run, sizeBytes)).summary()
  }
  return {
    async append(run, at, bytes) {
      await folder.appendProgress(run, at, bytes)
      const reader = await readerAt(run, at)
      reader.push(bytes)
      for (const listener of listeners.get(run) ?? []) listener()
    },
    read,
    async kept(run) {
      const summary = await read(run)
      return summary && { counts: summary.counts, lines: summary.lines, version: summary.version }
    },
    view(run) {
      const summary = readers.get(run)?.summary()
      return summary && { counts: summary.counts, sizeBytes: summary.sizeBytes }
    },
    onProgress(run, listener) {
      const own = listeners.get(run) ?? new Set()
      listeners.set(run, own)
      own.add(listener)
      return () => {
        own.delete(listener)
        if (own.size === 0 && listeners.get(run) === own) listeners.delete(run)
      }
    },
    forget: (run) => void readers.delete(run),
  }
}
