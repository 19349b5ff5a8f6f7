/**
 * Differences of texts: applied they give the other text, they are small where little changed, and they end.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Diff, diffLines } from '../../src/domain/diff.ts'

/** What the hunks say of the lines they show. */
function shown({ hunks }: Diff, side: 'before' | 'after'): Map<number, string> {
  const lines = hunks.flat().filter((line) => line[side] !== null)
  return new Map(lines.map((line) => [line[side] ?? 0, line.text]))
}

test('every line a hunk shows is that line of its text, and all that is not shown is the same in both', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 })
  fc.assert(
    fc.property(text, text, (before, after) => {
      const diff = diffLines(before, after)
      for (const [number, line] of shown(diff, 'before')) assert.equal(before[number - 1], line)
      for (const [number, line] of shown(diff, 'after')) assert.equal(after[number - 1], line)
      const lines = diff.hunks.flat()
      const removed = new Set(lines.flatMap(({ kind, before: at }) => (kind === 'removed' ? [at] : [])))
      const added = new Set(lines.flatMap(({ kind, after: at }) => (kind === 'added' ? [at] : [])))
      assert.deepEqual(
        before.filter((_, at) => !removed.has(at + 1)),
        after.filter((_, at) => !added.has(at + 1)),
      )
    }),
  )
})

test('a changed line is shown with three lines around it; two far apart are two hunks', () => {
  const before = Array.from({ length: 40 }, (_, at) => `line ${at}`)
  const after = before.with(5, 'x').with(30, 'y')
  const { hunks, added, removed, coarse } = diffLines(before, after)
  assert.deepEqual([hunks.length, added, removed, coarse], [2, 2, 2, false])
  assert.deepEqual(
    hunks[0]?.map(({ kind }) => kind),
    ['same', 'same', 'same', 'removed', 'added', 'same', 'same', 'same'],
  )
})

test('texts that have nothing in common are said to be replaced, without end of search', () => {
  const many = (word: string) => Array.from({ length: 5000 }, (_, at) => `${word} ${at}`)
  const { coarse, added, removed } = diffLines(many('a'), many('b'))
  assert.deepEqual([coarse, added, removed], [true, 5000, 5000])
  assert.deepEqual(diffLines(['a'], ['a']).hunks, [])
})
