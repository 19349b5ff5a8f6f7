/**
 * The machine that installs for ever is told from the one that is switched on every day. Source: `boot-loop.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findLoop, type SeenBoot } from '../../src/domain/boot-loop.ts'

const minute = 60_000
const now = Date.parse('2026-11-28T12:00:00Z')

/** Minutes ago → a boot of `install` by record 7 whose kernel was sent. */
function boot(minutesAgo: number, changes: Partial<SeenBoot> = {}): SeenBoot {
  const outcome = { verdict: 'pass', outcome: 'kernel sent' } as const
  return {
    startedMs: now - minutesAgo * minute,
    machine: '52:54:00:12:34:56',
    profile: 'install',
    seq: 7,
    outcome,
    ...changes,
  }
}

const find = (boots: readonly SeenBoot[], signMs?: number) => findLoop(boots, signMs, 'web01', now)

test('three starts in a row without a report are told, with since when and what ends it', () => {
  const loop = find([boot(10), boot(40), boot(70), boot(100)])
  assert.equal(loop?.starts, 4)
  assert.equal(loop.sinceMs, now - 100 * minute)
  assert.equal(loop.outcome, 'started 4 times')
  assert.match(loop.clue, /^It has started install 4 times in 1 h 30 min and never reported: .*\/localboot\//)
  assert.match(loop.clue, /pxemngr nextboot web01 local ends that\.$/)
})

test('the start that is under way counts', () => {
  const running = { verdict: 'running', outcome: 'booting' } as const
  assert.equal(find([boot(0, { outcome: running }), boot(30), boot(60)])?.starts, 3)
})

test('one or two starts are no loop', () => {
  assert.equal(find([]), undefined)
  assert.equal(find([boot(10)]), undefined)
  assert.equal(find([boot(10), boot(40)]), undefined)
})

test('starts that are far apart, or long past, are none', () => {
  assert.equal(find([boot(10), boot(24 * 60), boot(48 * 60)]), undefined)
  assert.equal(find([boot(200), boot(230), boot(260)]), undefined)
})

test('another decision, the local disk, a report or a boot that failed ends the row', () => {
  assert.equal(find([boot(10), boot(20), boot(30, { seq: 6 }), boot(40)]), undefined)
  assert.equal(find([boot(10), boot(20), boot(30, { profile: 'other' })]), undefined)
  const local = { profile: 'local', outcome: { verdict: 'pass', outcome: 'local disk' } } as const
  assert.equal(find([boot(10, local), boot(20, local), boot(30, local)]), undefined)
  assert.equal(
    find([boot(5, { outcome: { verdict: 'pass', outcome: 'reported' } }), boot(10), boot(20), boot(30)]),
    undefined,
  )
  const failed = { outcome: { verdict: 'fail', outcome: 'kernel not found' } } as const
  assert.equal(find([boot(5, failed), boot(10, failed), boot(20, failed)]), undefined)
  // Only the last one is failed already: that is said by itself. One in between belongs to the row and is not counted.
  assert.equal(find([boot(10), boot(20, failed), boot(30), boot(40)])?.starts, 3)
  assert.equal(find([boot(10, { profile: undefined, seq: undefined }), boot(20), boot(30), boot(40)]), undefined)
})

test('a machine that fetched a test shows that what it boots works', () => {
  const boots = [boot(10), boot(20), boot(30), boot(40)]
  assert.equal(find(boots, now - 5 * minute), undefined)
  assert.equal(find(boots, now - 15 * minute), undefined)
  assert.equal(find(boots, now - 35 * minute)?.starts, 3)
})

test('what a name holds cannot steer a terminal', () => {
  const loop = findLoop(
    [1, 2, 3].map((at) => boot(at, { profile: 'in\u001b[31m' })),
    undefined,
    'w\u202eb',
    now,
  )
  assert.ok(loop && !/[\u001b\u202e]/.test(loop.clue))
})
