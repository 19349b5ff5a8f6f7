/**
 * Ends several runs at once that may be sending: none of them takes a piece of progress meanwhile, so what they had sent
 * is all there is. Source: RUNS "Life of a run", "Machine URLs" (progress: its lines count).
 */
import type { Runs } from '../commands/daemon.ts'
import type { KeptProgress } from '../domain/run.ts'
import type { Log } from '../log.ts'
import type { ProgressReaders } from './progress.ts'
import type { Uploads } from './uploads.ts'

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
        } catch (error) {
          // Ending it is what was asked for.
          log.warn('what a run had sent cannot be read', { run, error })
        }
        return hold(at + 1)
      })
    }
    const ended = await hold(0)
    for (const run of ordered) progress.forget(run)
    return ended
  }
}
