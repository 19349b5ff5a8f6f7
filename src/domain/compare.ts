/**
 * What changed from one version to another, and how steady a history is: computed here only, for command, API and pages.
 *
 * Of each system and test the latest run of each version counts. PASS is pass and warn, FAIL is fail (waived ones too),
 * everything else is inconclusive. Source: RUNS "Results" (compare); the words are KernelCI's.
 */
import { type Outcome, type Verdict, verdicts } from './verdict.ts'

/** In the order in which they are shown: what a person has to look at first. */
export const changeKinds = {
  regression: { title: 'Regressions', words: 'regressed' },
  fixed: { title: 'Fixed', words: 'fixed' },
  newFailure: { title: 'New failures', words: 'failed, without a pass before' },
  stillFailing: { title: 'Still failing', words: 'failing as before' },
  lostCoverage: { title: 'Lost coverage', words: 'lost: no conclusive result any more' },
  disappeared: { title: 'Disappeared', words: 'without any result now' },
  newPass: { title: 'New passes', words: 'passed, without a result before' },
  appeared: { title: 'Appeared', words: 'new, without a conclusive result' },
} as const

export type ChangeKind = keyof typeof changeKinds

/** The latest run of a system and a test. */
export interface Latest {
  readonly run: number
  readonly system: { readonly id: number; readonly name: string }
  readonly test: { readonly id: number; readonly name: string }
  readonly verdict: Verdict
  readonly waived: boolean
}

export interface Side {
  readonly run: number
  readonly verdict: Verdict
  readonly waived: boolean
}

export interface Change {
  readonly kind: ChangeKind
  readonly system: string
  readonly test: string
  readonly before: Side | null
  readonly after: Side | null
}

/** undefined: nothing to say (passes as before, or is inconclusive as before). */
export function classify(before: Verdict | undefined, after: Verdict | undefined): ChangeKind | undefined {
  const was: Outcome | undefined = before && verdicts[before].outcome
  const is: Outcome | undefined = after && verdicts[after].outcome
  switch (is) {
    case 'fail':
      return was === 'pass' ? 'regression' : was === 'fail' ? 'stillFailing' : 'newFailure'
    case 'pass':
      return was === 'fail' ? 'fixed' : was === 'pass' ? undefined : 'newPass'
    case 'inconclusive':
      return was === undefined ? 'appeared' : was === 'inconclusive' ? undefined : 'lostCoverage'
    case undefined:
      return was === undefined ? undefined : 'disappeared'
    default:
      return is satisfies never
  }
}

/** Changes by kind, in the order of `changeKinds`, then by system and test. */
export function compareVersions(before: Iterable<Latest>, after: Iterable<Latest>): Change[] {
  const was = bySystem(before)
  const is = bySystem(after)
  const changes: Change[] = []
  const compare = (either: Latest, a: Latest | undefined, b: Latest | undefined) => {
    const kind = classify(a?.verdict, b?.verdict)
    if (!kind) return
    changes.push({ kind, system: either.system.name, test: either.test.name, before: sideOf(a), after: sideOf(b) })
  }
  for (const [system, runs] of is) {
    const old = was.get(system)
    for (const [test, run] of runs) compare(run, old?.get(test), run)
  }
  for (const [system, runs] of was) {
    const fresh = is.get(system)
    for (const [test, run] of runs) if (!fresh?.has(test)) compare(run, run, undefined)
  }
  const order = Object.keys(changeKinds)
  return changes.sort(
    (a, b) =>
      order.indexOf(a.kind) - order.indexOf(b.kind) || compareText(a.system, b.system) || compareText(a.test, b.test),
  )
}

function bySystem(runs: Iterable<Latest>): Map<number, Map<number, Latest>> {
  const found = new Map<number, Map<number, Latest>>()
  for (const run of runs) {
    const own = found.get(run.system.id) ?? new Map<number, Latest>()
    found.set(run.system.id, own.set(run.test.id, run))
  }
  return found
}

function sideOf(run: Latest | undefined): Side | null {
  return run ? { run: run.run, verdict: run.verdict, waived: run.waived } : null
}

/** Made at the first use: it costs a millisecond, and the client loads this file. */
let collator: Intl.Collator | undefined
function compareText(a: string, b: string): number {
  collator ??= new Intl.Collator('en', { numeric: true })
  return collator.compare(a, b)
}

/** A change of outcome so many results ago weighs half of one that was just now. */
const halfLife = 5

/**
 * 0 (steady) to 1 (changes at each result): changes between PASS and FAIL among the conclusive results, oldest first;
 * recent ones weigh more, by half every five results.
 */
export function flakyScore(history: readonly Verdict[]): number {
  const outcomes = history.map((verdict) => verdicts[verdict].outcome).filter((outcome) => outcome !== 'inconclusive')
  let weights = 0
  let flips = 0
  for (let at = outcomes.length - 1; at > 0; at--) {
    const weight = 0.5 ** ((outcomes.length - 1 - at) / halfLife)
    weights += weight
    if (outcomes[at] !== outcomes[at - 1]) flips += weight
  }
  return weights === 0 ? 0 : flips / weights
}

/** Index of the first of the failures that last until now (oldest first), or undefined if the last conclusive one passed. */
export function failingSince(history: readonly Verdict[]): number | undefined {
  let since: number | undefined
  for (let at = history.length - 1; at >= 0; at--) {
    const verdict = history[at]
    const outcome = verdict && verdicts[verdict].outcome
    if (outcome === 'pass') break
    if (outcome === 'fail') since = at
  }
  return since
}
