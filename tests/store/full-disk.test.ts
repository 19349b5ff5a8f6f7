/**
 * A disk that is really full: a small tmpfs, filled to the last byte. Named skip where it cannot be mounted.
 */
import assert from 'node:assert/strict'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Mac } from '../../src/domain/address.ts'
import { Refusal } from '../../src/domain/errors.ts'
import { makeReadOnly, mountTmpfs, noMounts } from '../harness/mount.ts'
import { addSystem, decide, machine, open, operator } from '../harness/store-folder.ts'

function fill(path: string): void {
  const fd = openSync(path, 'w')
  const chunk = Buffer.alloc(4096, 1)
  try {
    for (;;) if (writeSync(fd, chunk) < chunk.length) break
  } catch (error) {
    assert.match(String(error), /ENOSPC/)
  } finally {
    closeSync(fd)
  }
}

async function until(what: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!what()) {
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`)
    await wait(10)
  }
}

test('on a full disk people are refused, machines report, boots go on, and writing resumes by itself', {
  skip: noMounts,
}, async (t) => {
  const dir = mountTmpfs(t, '8m')
  const mac = '52:54:00:00:00:01' as Mac
  const store = await open(t, dir, { retryMs: 30 })
  const id = await store.commit(operator, (tx) => {
    const system = addSystem(tx, 'c1', mac)
    decide(tx, system, 'install')
    return system
  })
  fill(join(dir, 'ballast'))
  const big = store.commit(operator, (tx) => addSystem(tx, 'x'.repeat(200_000)))
  await assert.rejects(big, (error) => error instanceof Refusal && /no space left/.test(error.message))
  await store.commit(machine, (tx) => decide(tx, id, 'local'), { plane: 'machine' })
  assert.equal(store.queries.nextBootOf(mac)?.profile, 'local')
  await assert.rejects(
    store.commit(operator, (tx) => decide(tx, id, 'install')),
    (error) => error instanceof Refusal && error.kind === 'unavailable',
  )
  for (let i = 0; i < 200; i += 1) {
    await store.commit(machine, (tx) => decide(tx, id, i % 2 === 0 ? 'again' : 'local'), { plane: 'machine' })
  }
  rmSync(join(dir, 'ballast'))
  await until(() => store.degradations().length === 0)
  await store.commit(operator, (tx) => addSystem(tx, 'c2'))
  await store.close()
  const again = await open(t, dir)
  assert.deepEqual(
    again.queries.listSystems().map(({ name }) => name),
    ['c1', 'c2'],
  )
  assert.equal(again.queries.nextBootOf(mac)?.profile, 'local')
  assert.deepEqual(again.degradations(), [])
})

test('on a read-only disk the store opens without a lock: boots go on, changes are refused and said why', {
  skip: noMounts,
}, async (t) => {
  const dir = mountTmpfs(t, '8m')
  const mac = '52:54:00:00:00:01' as Mac
  const store = await open(t, dir)
  await store.commit(operator, (tx) => decide(tx, addSystem(tx, 'c1', mac), 'install'))
  await store.close()
  makeReadOnly(dir)
  const again = await open(t, dir)
  assert.equal(again.queries.nextBootOf(mac)?.profile, 'install')
  await assert.rejects(
    again.commit(operator, (tx) => addSystem(tx, 'c2')),
    (error) => error instanceof Refusal && /read-only/.test(error.message),
  )
  assert.deepEqual(
    again
      .degradations()
      .map(({ code }) => code)
      .sort(),
    ['not-locked', 'writes-refused'],
  )
})
