/**
 * The test system of a daemon without sockets: real test folder, results folder and clock in a temporary place.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Daemon } from '../../src/commands/daemon.ts'
import { silentLog } from '../../src/log.ts'
import { createEnding } from '../../src/runs/ending.ts'
import { createLives, type Lives } from '../../src/runs/life.ts'
import { createProgressReaders, type ProgressReaders } from '../../src/runs/progress.ts'
import { createResultFolder, type ResultFolder } from '../../src/runs/result-files.ts'
import { openRetention } from '../../src/runs/retention.ts'
import { openRunClock, type RunClock } from '../../src/runs/run-clock.ts'
import { openTests, type Tests } from '../../src/runs/test-registry.ts'
import { createTurns } from '../../src/runs/turns.ts'
import { createUploads, type Uploads } from '../../src/runs/uploads.ts'
import { waitsFor } from '../../src/runs/waiting.ts'
import { openWebhooks } from '../../src/runs/webhooks.ts'
import type { Store } from '../../src/store/store.ts'

export interface TestParts {
  readonly testsDir: string
  readonly resultsDir: string
  readonly parts: Pick<Daemon, 'tests' | 'results' | 'runs' | 'webhooks'>
  readonly tests: Tests
  readonly folder: ResultFolder
  readonly progress: ProgressReaders
  readonly uploads: Uploads
  readonly lives: Lives
  readonly clock: RunClock
  /** Days, ms; changed by tests. */
  readonly keep: { logsMs: number | null; resultsMs: number | null }
  /** Writes a `.test` (or other) file. */
  file(name: string, text: string): void
  close(): Promise<void>
}

/**
 * An empty test folder; `nowMs`: the time as the clock of the runs and retention see it; `linkTargets`: as the key.
 */
export async function openTestParts(
  store: Store,
  nowMs: () => number = Date.now,
  linkTargets: () => readonly string[] = () => [],
): Promise<TestParts> {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-tests-'))
  const testsDir = join(dir, 'tests')
  const resultsDir = join(dir, 'results')
  mkdirSync(testsDir)
  mkdirSync(resultsDir)
  const defaults = () => ({ timeoutMs: 86_400_000, bootMs: 7_200_000 })
  const tests = await openTests({ dir: testsDir, store, log: silentLog, defaults, linkTargets, watchMs: 3_600_000 })
  const folder = createResultFolder(resultsDir)
  const turns = createTurns()
  const progress = createProgressReaders(folder, turns)
  const lives = createLives()
  const retriesOf = (test: string) => tests.times(test)?.retries ?? 0
  const uploads = createUploads({ store, folder, progress, log: silentLog, retriesOf, turns })
  const clock = openRunClock({ store, lives, tests, progress, uploads, log: silentLog, nowMs, manual: true })
  const keep: TestParts['keep'] = { logsMs: null, resultsMs: null }
  const retention = openRetention({ store, folder, keep: () => keep, log: silentLog, nowMs })
  const webhooks = openWebhooks({ store, log: silentLog, allow: () => null })
  return {
    testsDir,
    resultsDir,
    tests,
    folder,
    progress,
    uploads,
    lives,
    clock,
    keep,
    parts: {
      tests,
      results: folder,
      runs: {
        deadlineMs: clock.deadlineMs,
        waitsFor: (run) => waitsFor(store, run),
        progress: progress.view,
        onProgress: progress.onProgress,
        ending: createEnding(uploads, progress, silentLog),
        expire: retention.expire,
        removeFiles: retention.removeFiles,
      },
      webhooks,
    },
    file: (name, text) => writeFileSync(join(testsDir, name), text),
    async close() {
      clock.close()
      retention.close()
      tests.close()
      await webhooks.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
