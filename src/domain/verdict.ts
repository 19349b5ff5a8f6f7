/**
 * Verdicts and run states: the one table of meaning, order, glyph and colour that pages, commands and exports follow.
 *
 * A run goes through states (`runStates`); one that is done has a verdict (`verdicts`, worst first). What a cell without
 * any result shows is `missing`. Which evidence gives which verdict is `result.ts`. Sources: CONTRACT's RUNS "Life of a
 * run", "Verdicts"; WEB.md "Look".
 */

/** Worst first: a group of runs is as bad as its worst. `outcome`: how comparisons count it (RUNS "Compare"). */
export const verdicts = {
  fail: { glyph: '✕', word: 'failed', tone: 'fail', outcome: 'fail', hatched: false },
  lost: { glyph: '?', word: 'lost', tone: 'lost', outcome: 'inconclusive', hatched: true },
  infra: { glyph: '⚡', word: 'infrastructure', tone: 'infra', outcome: 'inconclusive', hatched: true },
  warn: { glyph: '!', word: 'passed with warnings', tone: 'warn', outcome: 'pass', hatched: false },
  pass: { glyph: '✓', word: 'passed', tone: 'pass', outcome: 'pass', hatched: false },
  skip: { glyph: '–', word: 'skipped', tone: 'skip', outcome: 'inconclusive', hatched: false },
} as const

export type Verdict = keyof typeof verdicts
export type Outcome = (typeof verdicts)[Verdict]['outcome']

/** Worst first. */
export const verdictNames = Object.keys(verdicts) as readonly Verdict[]

export function isVerdict(text: string): text is Verdict {
  return Object.hasOwn(verdicts, text)
}

/** The worst of them; undefined of none. */
export function worstOf(given: Iterable<Verdict>): Verdict | undefined {
  let worst: Verdict | undefined
  for (const verdict of given) {
    if (worst === undefined || verdictNames.indexOf(verdict) < verdictNames.indexOf(worst)) worst = verdict
  }
  return worst
}

/** In the order of a run's life. `open`: something is still expected of it. */
export const runStates = {
  requested: { glyph: '○', word: 'waiting', tone: 'waiting', open: true },
  sent: { glyph: '●', word: 'sent', tone: 'running', open: true },
  running: { glyph: '●', word: 'running', tone: 'running', open: true },
  done: { glyph: '', word: 'done', tone: 'done', open: false },
  cancelled: { glyph: '–', word: 'cancelled', tone: 'skip', open: false },
  expired: { glyph: '–', word: 'expired', tone: 'skip', open: false },
} as const

export type RunState = keyof typeof runStates

/** What a cell shows that should have a result and has none. */
export const missing = { glyph: '', word: 'missing', tone: 'missing' } as const

/** The letter that pxemngr 0.8 had for it: `uploaded`: whether a result came in. */
export function letterOf(state: RunState, uploaded: boolean): 'R' | 'S' | 'D' | 'E' {
  switch (state) {
    case 'requested':
      return 'R'
    case 'sent':
    case 'running':
      return 'S'
    case 'done':
      return uploaded ? 'D' : 'E'
    case 'cancelled':
    case 'expired':
      return 'E'
    default:
      return state satisfies never
  }
}

/** Verdicts after which a run is tried again, where its test has retries (RUNS "Life of a run"). */
export function isRetried(verdict: Verdict): boolean {
  return verdict === 'fail' || verdict === 'lost' || verdict === 'infra'
}
