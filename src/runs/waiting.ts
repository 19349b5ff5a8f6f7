/**
 * Runs that no machine can fetch, since the file of their test is gone: they wait until it is back. Source: CONTRACT
 * "Command line" (`status`).
 */
import type { RunRow } from '../store/run-rows.ts'
import type { Store } from '../store/store.ts'

/** Runs of one test that are counted, and tests that are named. */
const waitingMax = 1000
const testsMax = 100

/** Tests that were asked for and whose file is gone since, one line each. */
export function waitingForFiles({ queries }: Store): string[] {
  if (queries.countOpen().requested === 0) return []
  const lines: string[] = []
  for (const { id, name, available } of queries.listTests()) {
    if (available || lines.length >= testsMax) continue
    const runs = queries.runs({ test: id, states: ['requested'], limit: waitingMax })
    const first = runs.at(-1)
    if (!first) continue
    const more = runs.length > 1 ? ` and ${runs.length - 1} more wait` : ' waits'
    lines.push(`test ${name} has no file ${name}.test any more: run ${first.id}${more} for it`)
  }
  return lines
}

/** What this run waits for, in words; null: for its machine, or for nothing any more. */
export function waitsFor({ queries }: Store, { state, test }: RunRow): string | null {
  if (state !== 'requested' || queries.getTest(test.id)?.available !== false) return null
  return `the test file ${test.name}.test is missing`
}
