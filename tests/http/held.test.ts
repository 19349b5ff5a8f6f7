/** Held questions by themselves: how many, for how long, and in which order they are answered. Source: RFC 7240 §4.3. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { Mac } from '../../src/domain/address.ts'
import { createHeldQuestions, type HeldQuestions, type Released, waitSeconds } from '../../src/http/held.ts'
import type { MachineIdentity } from '../../src/runs/life.ts'
import { createTurns } from '../../src/runs/turns.ts'

const oneTurn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

/** An answer whose connection is there. */
function outgoing(): ServerResponse {
  return Object.assign(new EventEmitter(), {
    destroyed: false,
    socket: { writable: true },
  }) as unknown as ServerResponse
}

function hold(
  held: HeldQuestions,
  name: string,
  told: string[],
  more: { systems?: number[]; nothing?: boolean; machine?: MachineIdentity } = {},
) {
  const response = outgoing()
  const isHeld = held.hold({
    machine: more.machine ?? { mac: undefined, ip: name },
    systems: more.systems ?? [1],
    seconds: 60,
    outgoing: response,
    answer(why: Released) {
      if (more.nothing === true && why === 'requested') return false
      told.push(`${name} ${why}`)
      return true
    },
  })
  return { isHeld, response }
}

test('the preference to wait, in seconds, a minute at most', () => {
  for (const [prefer, seconds] of [
    [undefined, 0],
    ['wait=45', 45],
    ['wait=3600', 60],
    ['wait=0', 0],
    ['wait="10"', 10],
    ['respond-async, wait=10', 10],
    ['wait=10; x, y', 10],
    ['wait=9999999', 0],
    ['wait=1.5', 0],
    ['xwait=5', 0],
  ] as const) {
    assert.equal(waitSeconds(prefer), seconds, prefer)
  }
})

test('who asked last is answered first, until there is nothing left; the rest is held on', async () => {
  const held = createHeldQuestions(createTurns(), 100)
  const told: string[] = []
  hold(held, 'first', told, { nothing: true })
  hold(held, 'second', told)
  hold(held, 'other', told, { systems: [2] })
  hold(held, 'both', told, { systems: [2, 1] })
  held.wake(1)
  assert.deepEqual(told, [], 'sockets are looked at first')
  await oneTurn()
  assert.deepEqual([told, held.count], [['both requested', 'second requested'], 2])
  held.wake(3)
  held.close()
  assert.deepEqual([told.slice(2), held.count], [['first closing', 'other closing'], 0])
})

test('whose connection ends before its turn gets nothing', async () => {
  const held = createHeldQuestions(createTurns(), 100)
  const told: string[] = []
  const { response } = hold(held, 'gone', told)
  const half = hold(held, 'half', told)
  held.wake(1)
  response.emit('close')
  Object.assign(half.response.socket ?? {}, { writable: false })
  await oneTurn()
  assert.deepEqual([told, held.count], [[], 1])
  half.response.emit('close')
  assert.equal(held.count, 0)
})

test('no more than a quarter of the files that may be open are held, and none once it is closed', () => {
  const held = createHeldQuestions(createTurns(), 12)
  const told: string[] = []
  const kept = ['a', 'b', 'c', 'd'].map((name) => hold(held, name, told))
  assert.deepEqual(
    kept.map(({ isHeld }) => isHeld),
    [true, true, true, false],
  )
  kept[0]?.response.emit('close')
  assert.equal(hold(held, 'e', told).isHeld, true)
  held.close()
  assert.equal(hold(held, 'f', told).isHeld, false)
  assert.equal(kept[1]?.response.listenerCount('close'), 0)
})

test('a machine that boots is held no longer, whichever of its addresses is known; others are', () => {
  const macs = ['52:54:00:00:00:01', '52:54:00:00:00:02'] as Mac[]
  const [one, two] = macs
  const ip = '10.0.0.1'
  /** Held as the first says, a boot as the second: whether that ends it. */
  for (const [machine, boot, ends] of [
    [{ mac: undefined, ip }, { mac: undefined, ip }, true],
    [{ mac: undefined, ip }, { mac: one, ip }, true],
    [{ mac: one, ip }, { mac: undefined, ip }, true],
    [{ mac: one, ip }, { mac: one, ip }, true],
    [{ mac: one, ip: undefined }, { mac: one, ip }, true],
    [{ mac: one, ip: '10.0.0.9' }, { mac: one, ip }, true],
    // Behind a router: one address, two machines.
    [{ mac: one, ip }, { mac: two, ip }, false],
    [{ mac: undefined, ip: '10.0.0.2' }, { mac: undefined, ip }, false],
    [{ mac: one, ip: undefined }, { mac: undefined, ip }, false],
    [{ mac: one, ip: undefined }, { mac: undefined, ip: undefined }, false],
  ] as [MachineIdentity, MachineIdentity, boolean][]) {
    const held = createHeldQuestions(createTurns(), 100)
    const told: string[] = []
    const { response } = hold(held, 'it', told, { machine })
    hold(held, 'other', told, { machine: { mac: undefined, ip: '10.0.0.3' } })
    held.booted(boot)
    assert.deepEqual([told, held.count], ends ? [['it booted'], 1] : [[], 2], `${JSON.stringify([machine, boot])}`)
    response.emit('close')
    held.booted(boot)
    assert.equal(held.count, 1)
    held.close()
  }
})
