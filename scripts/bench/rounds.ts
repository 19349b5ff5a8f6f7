/**
 * Runs one cell: everybody is measured once in each round, forwards and backwards in turn (A B C, C B A, …), so that what
 * else happens on the machine meets all of them alike.
 */
import { loadavg } from 'node:os'
import type { Bench } from './bench.ts'
import type { Absent, Cell, Contest, Sample, Subject } from './cell.ts'
import { judge, type Verdict } from './figures.ts'

export interface Outcome {
  readonly cell: Cell
  readonly samples: ReadonlyMap<string, readonly Sample[]>
  readonly absent: readonly Absent[]
  /** Subjects whose measurement went wrong, and how; they have no figures. */
  readonly failed: readonly Absent[]
  readonly verdicts: readonly Verdict[]
  /** Load average (1 min) before and after. */
  readonly load: readonly [number, number]
  readonly seconds: number
}

export async function runCell(cell: Cell, bench: Bench, rounds: number): Promise<Outcome> {
  const before = loadavg()[0] ?? 0
  const started = performance.now()
  const samples = new Map<string, Sample[]>()
  const failed: Absent[] = []
  const contest = await cell.prepare(bench).catch((error: unknown): Contest => {
    const subjects = [...new Set(cell.targets.map(({ subject }) => subject))]
    failed.push(...subjects.map((name) => ({ name, why: reasonOf(error) })))
    return { subjects: [], absent: [], close: async () => {} }
  })
  try {
    const warmUps = cell.warmUps ?? 1
    for (let round = -warmUps; round < rounds; round++) {
      for (const subject of order(contest.subjects, round)) {
        if (failed.some(({ name }) => name === subject.name)) continue
        bench.progress(`${cell.name} ${round < 0 ? 'warm-up' : `round ${round + 1} of ${rounds}`}: ${subject.name}`)
        try {
          if (round === -warmUps) await subject.warmUp?.()
          const sample = await subject.measure()
          if (round >= 0) samples.set(subject.name, [...(samples.get(subject.name) ?? []), sample])
        } catch (error) {
          samples.delete(subject.name)
          failed.push({ name: subject.name, why: reasonOf(error) })
        }
      }
    }
  } finally {
    bench.progress('')
    await contest.close()
  }
  return {
    cell,
    samples,
    absent: contest.absent,
    failed,
    verdicts: cell.targets.map((target) => judge(target, cell.metrics, samples)),
    load: [before, loadavg()[0] ?? 0],
    seconds: (performance.now() - started) / 1000,
  }
}

function order(subjects: readonly Subject[], round: number): readonly Subject[] {
  return round % 2 === 0 ? subjects : subjects.toReversed()
}

/** What went wrong, as one line. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}
