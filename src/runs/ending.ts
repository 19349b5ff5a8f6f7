/**
 * Ends several runs at once that may be sending: none of them takes a piece of progress meanwhile, so what they had sent
 * is all there is. Source: RUNS "Life of a run", "Machine URLs" (progress: its lines count).
 */
import type { Runs } from '../commands/daemon.ts'
import type { KeptProgress } from '../domain/run.ts'
import type { Log } from '../log.ts'
import type { ProgressReaders } from './progress.ts'
import type { Uploads } from './uploads.ts'

/** For runs that may be many and large: their logs are read one after the other. */
export function createEnding(uploads: Pick<Uploads, 'alone'>, progress: ProgressReaders, log: Log): Runs['ending'] {
  return async (runs, end) => {
    // In the same order by everybody: two that wait for each other's runs would wait for ever.
    const ordered = [...new Set(runs)].sort((a, b) => a - b)
    const sent = new Map<number, KeptProgress>()
    const hold = (at: number): ReturnType<typeof end> => {
      const run = ordered[at]
      if (run === undefined) return end(sent)
      return uploads.alone(run, async () => {
        try {
          const kept = await progress.kept(run)
          if (kept) sent.set(run, kept)
          // Thousands would push those out that go on; a run that goes on after all is read again from its file.
          progress.forget(run)
        } catch (error) {
          // Ending it is what was asked for.
          log.warn('what a run had sent cannot be read', { run, error })
        }
        return hold(at + 1)
      })
    }
    return hold(0)
  }
}
