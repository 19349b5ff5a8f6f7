/**
 * Tests by suite or tag, and names by a pattern: `node[01-40]`, `rack[1,3]-*`, `web?`. An exact name is looked for by the caller, first.
 *
 * Ranges keep their zeros (`[01-40]`: 01, 02 …) and may stand several times; globs know `*` and `?`. Source: RUNS
 * "Commands" (selectors).
 */

/** Words of `nexttest` that stand for tests: `@suite`, `tag:<t>`. Anything else is the name of one test. */
export const suiteMark = '@'
export const tagMark = 'tag:'

/** Whether such a word asks for a suite or a tag: no test can have it as its name. */
export function isTestSelector(word: string): boolean {
  return word.startsWith(suiteMark) || word.startsWith(tagMark)
}

/** Names that ranges may stand for: more than there are machines. */
const expandedMax = 100_000

/** Those of `names` that fit: in the order of the ranges, then of `names`; none if the text is no pattern. */
export function selectNames(selector: string, names: Iterable<string>): string[] {
  const patterns = expandRanges(selector)
  if (patterns === undefined) return []
  const known = [...names]
  const exact = new Set(known)
  const found = new Set<string>()
  for (const pattern of patterns) {
    if (!/[*?]/.test(pattern)) {
      if (exact.has(pattern)) found.add(pattern)
      continue
    }
    const parts = [...pattern]
    for (const name of known) if (fitsGlob([...name], parts)) found.add(name)
  }
  return [...found]
}

/** Why nothing can fit the pattern: its ranges stand for more names than are tried. */
export function selectorFault(selector: string): string | undefined {
  if (expandRanges(selector) !== undefined) return undefined
  return `the range is too large, it may stand for at most ${expandedMax} names`
}

/** `n[1-2]x[a]` is no range and stays as it is. undefined: they stand for more than `expandedMax` names. */
function expandRanges(selector: string): string[] | undefined {
  let expanded = ['']
  let at = 0
  for (const range of selector.matchAll(/\[(\d{1,9}(?:-\d{1,9})?(?:,\d{1,9}(?:-\d{1,9})?)*)\]/g)) {
    const before = selector.slice(at, range.index)
    at = range.index + range[0].length
    const numbers: string[] = []
    for (const part of (range[1] ?? '').split(',')) {
      const [first = '', last = first] = part.split('-')
      const from = Number(first)
      const to = Number(last)
      if ((to - from + 1) * expanded.length > expandedMax) return undefined
      for (let each = from; each <= to; each++) numbers.push(String(each).padStart(first.length, '0'))
    }
    if (numbers.length * expanded.length > expandedMax) return undefined
    expanded = expanded.flatMap((start) => numbers.map((number) => `${start}${before}${number}`))
  }
  return expanded.map((start) => `${start}${selector.slice(at)}`)
}

/** Whether a name fits a glob: in steps of their lengths, whatever the pattern (no regular expression: those may take for ever). */
function fitsGlob(name: readonly string[], pattern: readonly string[]): boolean {
  let at = 0
  let part = 0
  /** Where the last `*` stands, and how much of the name it has taken so far. */
  let star = -1
  let taken = 0
  while (at < name.length) {
    if (pattern[part] === '*') {
      star = part
      taken = at
      part += 1
    } else if (part < pattern.length && (pattern[part] === '?' || pattern[part] === name[at])) {
      at += 1
      part += 1
    } else if (star >= 0) {
      taken += 1
      at = taken
      part = star + 1
    } else return false
  }
  while (pattern[part] === '*') part += 1
  return part === pattern.length
}
