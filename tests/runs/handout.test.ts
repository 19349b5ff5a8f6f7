/**
 * Which run a machine gets, and what a boot between taking and recording it means. Sources: RUNS "Life of a run",
 * "Verdicts" (lost, `rebooted`).
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { Mac } from '../../src/domain/address.ts'
import { silentLog } from '../../src/log.ts'
import { createHandout, type Handed } from '../../src/runs/handout.ts'
import { createLives, type Lives } from '../../src/runs/life.ts'
import { openStateStore, type StateStore } from '../harness/state-store.ts'
import { openTestParts, type TestParts } from '../harness/test-parts.ts'

const person = { who: 'ann', from: 'socket', surface: 'cli' } as const
const mac = '52:54:00:12:34:56' as Mac
const machine = { mac, ip: '10.0.0.1' }

let store: StateStore
let parts: TestParts
let lives: Lives
let rebooted: number[]

beforeEach(async () => {
  store = await openStateStore()
  parts = await openTestParts(store)
  parts.file('smoke.test', 'echo\n')
  await parts.tests.sync()
  lives = createLives()
  rebooted = []
  await store.commit(person, (tx) => {
    const system = tx.nextId('system')
    tx.emit({ type: 'system.added', system, name: 'web01' })
    tx.emit({ type: 'address.added', system, address: { kind: 'mac', text: mac } })
    const run = tx.nextId('run')
    const asked = { system, test: tx.findTest('smoke')?.id ?? 0, attempt: 1, group: run, version: null }
    tx.emit({ type: 'run.requested', run, ...asked })
  })
})
afterEach(async () => {
  await parts.close()
  await store.close()
})

function take(): Handed {
  const { files, renderFaults } = parts.tests
  const handout = createHandout({
    ...{ store, files, lives, log: silentLog, renderFaults },
    keepScript: () => undefined,
    rebooted: (run) => void rebooted.push(run),
  })
  const variables = {
    ...{ testname: 'smoke', system: 'web01', log: { id: 1 }, url: '', mac, ip: '10.0.0.1', profile: '' },
    ...{ upload_url: '', extend_url: '', progress_url: '' },
  }
  const handed = handout.take([1], machine, () => variables)
  assert.ok(handed)
  return handed
}

const bootAt = (atMs: number) => lives.booted({ machine, systemId: 1, read: { profile: 'install' }, atMs })

test('a machine that boots again before its run is recorded as sent has lost it', async () => {
  bootAt(Date.now() - 60_000)
  const handed = take()
  bootAt(Date.now())
  await handed.delivered()
  assert.deepEqual(rebooted, [1])
})

test('a boot from before that becomes known only meanwhile is the one that asked', async () => {
  const handed = take()
  // As after a start of the daemon: read from the timeline in the background.
  const bootMs = Date.now() - 60_000
  const seen = { reached: 'vmlinuz', isLoading: false, configuredMs: bootMs, lastSignMs: bootMs, systemId: 1, machine }
  lives.recall({ bootMs, ...seen })
  await handed.delivered()
  assert.deepEqual(rebooted, [])
  assert.equal(store.queries.getRun(1)?.state, 'sent')
})

test('a machine whose boot was seen under its address alone, and that is known by its MAC meanwhile, did not boot', async () => {
  lives.booted({ machine: { mac: undefined, ip: machine.ip }, systemId: 1, read: { profile: 'install' }, atMs: 1000 })
  const handed = take()
  lives.sign(machine, '/profile/', Date.now())
  lives.sign({ mac, ip: undefined }, '/profile/', Date.now())
  await handed.delivered()
  assert.deepEqual(rebooted, [])
})
