/**
 * Room for results: what others write to the disk counts soon, what is being written here at once. Source: RUNS "Commands"
 * (`keep-free`).
 */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { createSpaceGuard } from '../../src/runs/space.ts'

test('the disk is asked again a moment later; until then what was written here counts', () => {
  let now = 0
  const guard = createSpaceGuard(
    tmpdir(),
    () => ({ bytes: 0 }),
    () => now,
  )
  assert.equal(guard.fault(), undefined)
  guard.written(Number.MAX_SAFE_INTEGER)
  assert.match(String(guard.fault()), /bytes free, and keep-free keeps 0: no results are taken$/)
  now += 90
  assert.notEqual(guard.fault(), undefined)
  now += 60
  assert.equal(guard.fault(), undefined, 'it has room, as the disk itself says')
  assert.match(String(guard.fault(Number.MAX_SAFE_INTEGER)), /no results are taken/)
})
