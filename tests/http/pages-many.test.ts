/**
 * 10,000 systems: the machines page stays fast, and its first building keeps nobody waiting.
 * Source: WEB.md "Behaviour" (lists of 10,000), DESIGN "Speed" (event loop).
 */
import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { test } from 'node:test'
import { openSite } from '../harness/site.ts'

const systems = 10_000
/** On an ordinary machine; CI machines that share two cores with other work get the slack. */
const pageMs = 50
const slack = 4

test('10,000 systems: a page within 50 ms, filtered, sorted or deep in the list', async (t) => {
  const site = await openSite()
  t.after(() => site.close())
  await site.store.commit({ who: 'ann', from: 'socket', surface: 'cli' }, (tx) => {
    for (let at = 0; at < systems; at += 1) {
      const system = tx.nextId('system')
      tx.emit({ type: 'system.added', system, name: `node${at}` })
      const mac = `02:00:00:${[16, 8, 0].map((by) => ((at >> by) & 255).toString(16).padStart(2, '0')).join(':')}`
      tx.emit({ type: 'address.added', system, address: { kind: 'mac', text: mac as never } })
      tx.emit({ type: 'boot.decided', decision: tx.nextId('decision'), system, profile: at % 9 ? 'local' : 'rescue' })
    }
  })

  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const first = await site.get('/')
  delay.disable()
  assert.match(first.text, /1–100 of 10,000/)
  assert.match(first.text, /8,888<\/b> <bdi>local/)
  assert.ok(delay.max / 1e6 < 2 * pageMs * slack, `the first page held the loop for ${delay.max / 1e6} ms`)

  for (const path of ['/', '/?q=node99', '/?sort=-next', '/?sort=since&page=100', '/?q=02:00:00:00:27:0f']) {
    const times: number[] = []
    for (let round = 0; round < 7; round += 1) {
      const began = performance.now()
      const { status } = await site.get(path)
      times.push(performance.now() - began)
      assert.equal(status, 200)
    }
    const median = times.sort((a, b) => a - b)[3] ?? Number.NaN
    t.diagnostic(`${path}: ${median.toFixed(1)} ms`)
    assert.ok(median < pageMs * slack, `${path} took ${median} ms`)
  }

  await site.call('nextboot', { name: 'node9999', profile: 'local' })
  const began = performance.now()
  assert.match((await site.get('/?q=node9999')).text, /just now/)
  assert.ok(performance.now() - began < pageMs * slack, 'a changed row costs no new building')
})
