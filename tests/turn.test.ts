/** One turn of the event loop: what is shared within it, and nothing longer. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createProfileFiles } from '../src/profiles/folder.ts'
import { createTurn, createTurnEnd, createTurnLimit } from '../src/turn.ts'

test('a turn has one number, also across microtasks; the next has another', async () => {
  const turn = createTurn()
  const first = turn()
  await Promise.resolve()
  assert.equal(turn(), first)
  await nextTurn()
  assert.notEqual(turn(), first)
})

test('tasks are done in order when the turn ends, those given meanwhile in the next', async () => {
  const atTurnEnd = createTurnEnd()
  const done: string[] = []
  atTurnEnd(() => {
    done.push('a')
    atTurnEnd(() => done.push('c'))
  })
  atTurnEnd(() => done.push('b'))
  assert.deepEqual(done, [])
  await nextTurn()
  assert.deepEqual(done, ['a', 'b'])
  await nextTurn()
  assert.deepEqual(done, ['a', 'b', 'c'])
})

test('so many tasks are begun at once in each turn, the others later, in order, also behind one that throws', async () => {
  const limit = createTurnLimit(3)
  const done: number[] = []
  const add = (number: number): void => limit(() => void done.push(number))
  for (let number = 0; number < 8; number++) add(number)
  assert.deepEqual(done, [0, 1, 2])
  await nextTurn()
  // One that comes meanwhile waits behind those that came before it.
  add(8)
  assert.deepEqual(done, [0, 1, 2, 3, 4, 5])
  await nextTurn()
  assert.deepEqual(done, [...Array(9).keys()])
  await nextTurn()
  await nextTurn()
  const thrown = new Error('of a task')
  assert.throws(() => {
    limit(() => {
      throw thrown
    })
  }, thrown)
  for (let number = 9; number < 13; number++) add(number)
  assert.deepEqual(done, [...Array(11).keys()])
  await nextTurn()
  assert.deepEqual(done, [...Array(13).keys()])
})

test('a profile that is changed, made or removed is seen in the next turn', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-turn-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const files = createProfileFiles(dir, Buffer.from('local\n'), Date.now, createTurn())
  const read = (): string => {
    const rendered = files.open('a').render(() => ({ system: '', mac: '', ip: '', profile: 'a', url: '' }))
    return rendered.ok ? Buffer.from(rendered.bytes).toString() : 'none'
  }
  assert.equal(read(), 'none')
  writeFileSync(join(dir, 'a.prof'), 'one\n')
  await nextTurn()
  assert.equal(read(), 'one\n')
  writeFileSync(join(dir, 'a.prof'), 'two\n')
  assert.equal(read(), 'one\n', 'all of one turn get the same')
  await nextTurn()
  assert.equal(read(), 'two\n')
  rmSync(join(dir, 'a.prof'))
  await nextTurn()
  assert.equal(read(), 'none')
})
