/**
 * Templates of tests that failed for a machine that waits for them: what `status` and the pages say of its runs.
 *
 * Only what a machine asked for counts, not who looks at a script; and only as long as the file is the same and a run of
 * that test and system waits. A test that fails for one machine is still handed out to the others.
 * Source: CONTRACT "What machines ask over HTTP" ("A template that fails: …"), "Command line" (`status`).
 */
import type { RunRow } from '../store/run-rows.ts'
import type { Queries } from '../store/store.ts'
import type { OpenedTest, TestFiles } from './test-files.ts'

/** Pairs of test and system that are remembered. */
const faultsMax = 1000

export interface RenderFaults {
  /** The test was rendered for the run: `fault` why not, undefined where it could be. */
  tell(run: RunRow, test: OpenedTest, fault: string | undefined): void
  /** Of a test by name, for one system (id) or any that waits. */
  find(test: string, system?: number): string | undefined
  /** One line each, none twice. */
  list(): string[]
}

interface Fault {
  readonly test: RunRow['test']
  readonly system: number
  /** Of the file: the same object as long as the file is the same. */
  readonly bytes: Uint8Array
  readonly text: string
}

export function createRenderFaults(queries: Pick<Queries, 'countRuns'>, files: Pick<TestFiles, 'open'>): RenderFaults {
  const faults = new Map<string, Fault>()

  const isCurrent = (fault: Fault): boolean => {
    const opened = files.open(fault.test.name)
    if ('fault' in opened || opened.bytes !== fault.bytes) return false
    return queries.countRuns({ test: fault.test.id, system: fault.system, states: ['requested'] }) > 0
  }
  /** Those that still hold, of these; the others are forgotten. */
  function* current(isMeant: (fault: Fault) => boolean): Generator<Fault, void> {
    for (const [key, fault] of faults) {
      if (!isMeant(fault)) continue
      if (isCurrent(fault)) yield fault
      else faults.delete(key)
    }
  }

  return {
    tell(run, test, text) {
      const key = `${run.test.id} ${run.system.id}`
      faults.delete(key)
      if (text === undefined) return
      faults.set(key, { test: run.test, system: run.system.id, bytes: test.bytes, text })
      const [oldest] = faults.keys()
      if (faults.size > faultsMax && oldest !== undefined) faults.delete(oldest)
    },
    find(test, system) {
      const isMeant = (fault: Fault) => fault.test.name === test && (system === undefined || fault.system === system)
      for (const { text } of current(isMeant)) return text
      return undefined
    },
    list: () => [...new Set([...current(() => true)].map(({ text }) => text))],
  }
}
