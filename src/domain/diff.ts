/**
 * The difference of two texts line by line, as hunks with context, in bounded time.
 *
 * Myers' O(ND) search over what is left between the common beginning and end; where the texts differ in more lines than
 * `editsMax` the middle is shown as replaced (`coarse`). Source: E. Myers, "An O(ND) Difference Algorithm" (1986).
 */

export interface DiffLine {
  readonly kind: 'same' | 'removed' | 'added'
  readonly text: string
  /** Line numbers from 1; null on the side that does not have it. */
  readonly before: number | null
  readonly after: number | null
}

export interface Diff {
  /** Runs of lines with context around each change. */
  readonly hunks: readonly (readonly DiffLine[])[]
  readonly added: number
  readonly removed: number
  /** The middle was too different to be matched line by line. */
  readonly coarse: boolean
}

const editsMax = 1000
const context = 3

export function diffLines(before: readonly string[], after: readonly string[]): Diff {
  let head = 0
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1
  let tail = 0
  while (
    tail < before.length - head &&
    tail < after.length - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) {
    tail += 1
  }
  const a = before.slice(head, before.length - tail)
  const b = after.slice(head, after.length - tail)
  const kinds = search(a, b)
  const edits = kinds ?? [...a.map(() => 'removed' as const), ...b.map(() => 'added' as const)]
  const lines: DiffLine[] = []
  let [at, to] = [0, 0]
  const push = (kind: DiffLine['kind']): void => {
    const text = (kind === 'added' ? after[to] : before[at]) ?? ''
    lines.push({ kind, text, before: kind === 'added' ? null : at + 1, after: kind === 'removed' ? null : to + 1 })
    if (kind !== 'added') at += 1
    if (kind !== 'removed') to += 1
  }
  for (let each = 0; each < head; each++) push('same')
  for (const kind of edits) push(kind)
  for (let each = 0; each < tail; each++) push('same')
  const added = edits.filter((kind) => kind === 'added').length
  const removed = edits.filter((kind) => kind === 'removed').length
  return { hunks: hunksOf(lines), added, removed, coarse: kinds === undefined }
}

/** The edits from `a` to `b` in order; undefined if there are more than `editsMax`. */
function search(a: readonly string[], b: readonly string[]): DiffLine['kind'][] | undefined {
  const limit = Math.min(editsMax, a.length + b.length)
  let reach = new Map<number, number>([[1, 0]])
  const steps: Map<number, number>[] = []
  for (let edits = 0; edits <= limit; edits++) {
    steps.push(new Map(reach))
    const next = new Map(reach)
    for (let k = -edits; k <= edits; k += 2) {
      const down = k === -edits || (k !== edits && (next.get(k - 1) ?? -1) < (next.get(k + 1) ?? -1))
      let x = down ? (next.get(k + 1) ?? 0) : (next.get(k - 1) ?? 0) + 1
      let y = x - k
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1
        y += 1
      }
      next.set(k, x)
      if (x >= a.length && y >= b.length) return trace(steps, a.length, b.length)
    }
    reach = next
  }
  return undefined
}

function trace(steps: readonly Map<number, number>[], width: number, height: number): DiffLine['kind'][] {
  const kinds: DiffLine['kind'][] = []
  let [x, y] = [width, height]
  for (let edits = steps.length - 1; edits >= 0; edits--) {
    const reach = steps[edits] ?? new Map<number, number>()
    const k = x - y
    const down = k === -edits || (k !== edits && (reach.get(k - 1) ?? -1) < (reach.get(k + 1) ?? -1))
    const from = down ? k + 1 : k - 1
    const fromX = reach.get(from) ?? 0
    const fromY = fromX - from
    while (x > fromX && y > fromY) {
      kinds.push('same')
      x -= 1
      y -= 1
    }
    if (edits === 0) break
    kinds.push(down ? 'added' : 'removed')
    x = fromX
    y = fromY
  }
  return kinds.reverse()
}

function hunksOf(lines: readonly DiffLine[]): DiffLine[][] {
  const hunks: DiffLine[][] = []
  let until = -1
  for (const [at, line] of lines.entries()) {
    if (line.kind !== 'same') {
      const start = Math.max(0, at - context)
      if (start > until) hunks.push(lines.slice(start, at))
      else hunks.at(-1)?.push(...lines.slice(until, at).filter((_, index) => until + index < at))
      hunks.at(-1)?.push(line)
      until = at + 1
      continue
    }
    if (until >= 0 && at === until && at < lines.length) {
      const last = lines.slice(0, at).findLastIndex(({ kind }) => kind !== 'same')
      if (at - last <= context) {
        hunks.at(-1)?.push(line)
        until = at + 1
      }
    }
  }
  return hunks
}
