/**
 * The latest results of each version, kept ready for the overviews (matrix, versions, comparison, first page): a version
 * is read from the store when it is first asked for, some milliseconds at a time, and then kept as its runs change, one
 * result for each record.
 *
 * Not durable and not a source of truth: the store is. Source: DESIGN "Speed" (nothing on the event loop over 10 ms).
 */
import { classify } from '../../domain/compare.ts'
import type { JournalRecord } from '../../domain/event.ts'
import type { Verdict } from '../../domain/verdict.ts'
import type { LatestRun, Named } from '../../store/run-rows.ts'
import type { Store } from '../../store/store.ts'

/** Versions kept: what a matrix shows at most, and some that comparisons ask for. Each takes a MB at 10,000 results. */
const versionsKept = 64
/** Results read from the store before others get their turn: some 5 ms. */
const rowsPerTurn = 2000

export type Counts = Readonly<Partial<Record<Verdict, number>>>

/** The latest results of one system. */
export interface SystemResults {
  readonly system: Named
  readonly counts: Counts
  /** Ids of the tests that fail. */
  readonly failing: ReadonlySet<number>
}

export interface Expected {
  readonly system: Named
  readonly test: Named
  readonly suite: string
}

export interface VersionIndex {
  /** Latest done run of each system and test. */
  latest(version: number): Promise<Iterable<LatestRun>>
  /** The same, added up by system. */
  systems(version: number): Promise<ReadonlyMap<number, SystemResults>>
  counts(version: number): Promise<Counts>
  /** What suites expect and nobody ran. */
  missing(version: number): Promise<readonly Expected[]>
  /** How many results changed for the worse and for the better from one version to another. */
  changes(before: number, after: number): Promise<{ readonly regressions: number; readonly fixed: number }>
  close(): void
}

interface Kept {
  /** By system and test. */
  readonly rows: Map<number, { readonly system: Named; readonly runs: Map<number, LatestRun> }>
  /** Added up; a system that changed is left out until somebody asks. */
  readonly results: Map<number, SystemResults>
  /** The lowest and the highest id that ever was in `rows`. */
  range: { first: number; last: number }
  counts: Counts | undefined
  expected: readonly Expected[] | undefined
  missing: readonly Expected[] | undefined
  changes: { readonly before: Kept; readonly revision: number; readonly regressions: number; readonly fixed: number }[]
  /** Advances with each change. */
  revision: number
  loaded: Promise<void>
}

export function createVersionIndex(store: Store): VersionIndex {
  const { queries } = store
  const kept = new Map<number, Kept>()

  const put = (version: Kept, run: LatestRun): void => {
    const row = version.rows.get(run.system.id) ?? { system: run.system, runs: new Map<number, LatestRun>() }
    version.rows.set(run.system.id, row)
    row.runs.set(run.test.id, run)
    const { first, last } = version.range
    version.range = { first: Math.min(first, run.run), last: Math.max(last, run.run) }
  }

  const changed = (version: Kept, system: number): void => {
    version.results.delete(system)
    version.counts = undefined
    version.missing = undefined
    version.changes = []
    version.revision += 1
  }

  /** Reads one result anew. */
  const refresh = (id: number, version: Kept, system: number, test: number): void => {
    const run = queries.latestRun(id, system, test)
    if (run) put(version, run)
    else {
      const row = version.rows.get(system)
      row?.runs.delete(test)
      if (row?.runs.size === 0) version.rows.delete(system)
    }
    changed(version, system)
  }

  const touch = ({ events }: JournalRecord): void => {
    if (kept.size === 0) return
    for (const event of events) {
      switch (event.type) {
        case 'run.closed':
        case 'run.uploaded':
        case 'run.waived': {
          const run = queries.getRun(event.run)
          if (!run) break // removed by a later event of the same record
          for (const [id, version] of kept) {
            // Where it was before: a second upload may name another version.
            const isHere = version.rows.get(run.system.id)?.runs.get(run.test.id)?.run === event.run
            if (isHere || id === run.version?.id) refresh(id, version, run.system.id, run.test.id)
          }
          break
        }
        case 'run.removed':
          for (const [id, { range }] of kept) {
            if (event.run >= range.first && event.run <= range.last) kept.delete(id)
          }
          break
        case 'suite.given': {
          const version = kept.get(queries.findVersion(event.version)?.id ?? 0)
          if (version) {
            version.expected = undefined
            version.missing = undefined
          }
          break
        }
        case 'system.removed':
        case 'system.renamed':
          kept.clear()
          break
        default: // the others change no result
      }
    }
  }
  const stop = store.onApplied(touch)

  const load = async (id: number, version: Kept): Promise<void> => {
    let after = { system: 0, test: 0 }
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      const rows = queries.latestAfter(id, after, rowsPerTurn)
      for (const run of rows) put(version, run)
      const last = rows.at(-1)
      if (!last || rows.length < rowsPerTurn) return
      after = { system: last.system.id, test: last.test.id }
    }
  }

  const find = async (id: number): Promise<Kept> => {
    for (;;) {
      const known = kept.get(id)
      if (known) {
        await known.loaded
        // It may have been dropped while it was read: then what was read is not whole.
        if (kept.get(id) !== known) continue
        kept.delete(id)
        kept.set(id, known)
        return known
      }
      const version: Kept = {
        rows: new Map(),
        results: new Map(),
        range: { first: Number.MAX_SAFE_INTEGER, last: 0 },
        counts: undefined,
        expected: undefined,
        missing: undefined,
        changes: [],
        revision: 0,
        loaded: Promise.resolve(),
      }
      version.loaded = load(id, version)
      kept.set(id, version)
      const [oldest] = kept.keys()
      if (kept.size > versionsKept && oldest !== undefined) kept.delete(oldest)
      await version.loaded
    }
  }

  const resultsOf = (version: Kept): ReadonlyMap<number, SystemResults> => {
    for (const [id, { system, runs }] of version.rows) {
      if (!version.results.has(id)) version.results.set(id, { system, ...addUp(runs.values()) })
    }
    return version.results
  }

  return {
    latest: async (id) => runsOf(await find(id)),
    systems: async (id) => resultsOf(await find(id)),
    async counts(id) {
      const version = await find(id)
      if (!version.counts) {
        const counts: Partial<Record<Verdict, number>> = {}
        for (const each of resultsOf(version).values()) addCounts(counts, each.counts)
        version.counts = counts
      }
      return version.counts
    },
    async missing(id) {
      const version = await find(id)
      version.expected ??= queries.expectedOf(id)
      version.missing ??= version.expected.filter(({ system, test }) => !version.rows.get(system.id)?.runs.has(test.id))
      return version.missing
    },
    async changes(a, b) {
      const before = await find(a)
      const after = await find(b)
      const known = after.changes.find((each) => each.before === before && each.revision === before.revision)
      if (known) return known
      const found = { before, revision: before.revision, ...countChanges(before, after) }
      after.changes = [found]
      return found
    },
    close: stop,
  }
}

function* runsOf({ rows }: Kept): Generator<LatestRun> {
  for (const { runs } of rows.values()) yield* runs.values()
}

/** Verdicts of some runs, and which of their tests fail. */
export function addUp(runs: Iterable<LatestRun>): Omit<SystemResults, 'system'> {
  const counts: Partial<Record<Verdict, number>> = {}
  let failing = noTests
  for (const { verdict, test } of runs) {
    counts[verdict] = (counts[verdict] ?? 0) + 1
    if (verdict === 'fail') failing = failing === noTests ? new Set([test.id]) : failing.add(test.id)
  }
  return { counts, failing }
}

/** One for all that fail nowhere; never added to. */
const noTests: Set<number> = new Set()

function addCounts(sum: Partial<Record<Verdict, number>>, more: Counts): void {
  for (const [verdict, count] of Object.entries(more) as [Verdict, number][]) sum[verdict] = (sum[verdict] ?? 0) + count
}

function countChanges(before: Kept, after: Kept): { regressions: number; fixed: number } {
  let [regressions, fixed] = [0, 0]
  for (const [system, { runs }] of after.rows) {
    const was = before.rows.get(system)?.runs
    if (!was) continue
    for (const [test, { verdict }] of runs) {
      const kind = classify(was.get(test)?.verdict, verdict)
      if (kind === 'regression') regressions += 1
      else if (kind === 'fixed') fixed += 1
    }
  }
  return { regressions, fixed }
}
