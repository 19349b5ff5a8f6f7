/**
 * The name somebody probably meant: for unknown keys, options and commands.
 */

/** More than this many slips in a name are no slip but another name. */
const editsMax = 3
/** Longer words are no misspelt name, and comparing them would take time. */
const lengthMax = 40

/** The nearest of `names` by insertions, deletions, replacements and swaps of neighbours; undefined if none is near. */
export function findNearest(typed: string, names: readonly string[]): string | undefined {
  if (typed.length > lengthMax) return undefined
  let best: string | undefined
  let bestEdits = Math.min(editsMax, Math.floor(typed.length / 2)) + 1
  for (const name of names) {
    if (Math.abs(name.length - typed.length) >= bestEdits) continue
    const edits = countEdits(typed, name)
    if (edits < bestEdits) {
      best = name
      bestEdits = edits
    }
  }
  return best ?? names.find((name) => typed.length > 2 && name.startsWith(typed))
}

/** Names that are listed rather than left to be looked up. */
const listedMax = 8

/**
 * For a name that is not there: which was probably meant; else all there are, if they are few; else `see`, where to look
 * them up. undefined where there is nothing to say.
 */
export function hintFor(typed: string, names: readonly string[], see: string): string | undefined {
  const nearest = findNearest(typed, names)
  if (nearest !== undefined) return `did you mean ${nearest}?`
  if (names.length === 0) return undefined
  if (names.length === 1) return `there is only ${names[0]}`
  return names.length <= listedMax ? `there are ${names.join(', ')}` : `see ${see}`
}

/** Optimal string alignment distance, row by row. */
function countEdits(a: string, b: string): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let edits = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + (same ? 0 : 1))
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) edits = Math.min(edits, (before[j - 2] ?? 0) + 1)
      row.push(edits)
    }
    before = above
    above = row
  }
  return above[b.length] ?? 0
}
