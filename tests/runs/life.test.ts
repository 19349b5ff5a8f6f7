import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Mac } from '../../src/domain/address.ts'
import { createLives } from '../../src/runs/life.ts'

/** As `machinesMax`. */
const remembered = 20_000
const macOf = (number: number): Mac =>
  `52:54:00:${[16, 8, 0].map((bits) => ((number >> bits) & 255).toString(16).padStart(2, '0')).join(':')}` as Mac

test('a machine that is heard of all the time outlives those that fell silent, however many there are', () => {
  const lives = createLives()
  const busy = { mac: macOf(0), ip: undefined }
  for (let number = 1; number <= remembered + 10; number++) {
    lives.sign({ mac: macOf(number), ip: undefined }, '/localboot/', number * 10)
    // More often than a place is given anew.
    if (number % 50 === 0) lives.sign(busy, 'vmlinuz', number * 10)
  }
  assert.equal(lives.find(busy)?.reached, 'vmlinuz')
  assert.equal(lives.find(busy)?.lastSignMs, remembered * 10)
  assert.equal(lives.find({ mac: macOf(1), ip: undefined }), undefined)
  assert.equal([...lives.all()].length, remembered)
  const lastSigns = [...lives.all()].map(({ lastSignMs }) => lastSignMs)
  for (const [index, ms] of lastSigns.entries())
    assert.ok(ms <= (lastSigns[index + 1] ?? ms) + 1000, 'order is right to a second')
})

test('the same configuration again within a boot is one boot, whose last sign and place go on', () => {
  const lives = createLives()
  const boots: number[] = []
  lives.onBoot(({ atMs }) => void boots.push(atMs))
  const [first, second] = [1, 2].map((number) => ({ mac: macOf(number), ip: `10.0.0.${number}` }))
  if (!first || !second) throw new Error('two machines')
  const booted = (machine: typeof first, atMs: number, profile = 'install', systemId = 1) =>
    lives.booted({ machine: { ...machine }, systemId, read: { profile }, atMs })
  booted(first, 100_000)
  booted(second, 100_500)
  booted(first, 100_900)
  const order = () => [...lives.all()].map(({ machine }) => machine.mac)
  assert.deepEqual(order(), [first.mac, second.mac], 'within a second it keeps its place')
  booted(first, 102_000, 'install', 7)
  assert.deepEqual(order(), [second.mac, first.mac])
  const { bootMs, lastSignMs, reached, systemId } = lives.find(first) ?? {}
  assert.deepEqual([bootMs, lastSignMs, reached, systemId], [100_000, 102_000, 'the profile install', 7])
  booted(first, 103_000, 'rescue')
  assert.deepEqual([lives.find(first)?.bootMs, lives.find(first)?.reached], [100_000, 'the profile rescue'])
  booted({ ...first, ip: '10.0.0.9' }, 104_000, 'rescue')
  assert.equal(lives.find(first)?.machine.ip, '10.0.0.9', 'also from another address')
  lives.sign({ mac: undefined, ip: '10.0.0.9' }, 'vmlinuz', 104_500)
  booted({ ...first, ip: '10.0.0.9' }, 105_000, 'rescue')
  assert.deepEqual(order(), [second.mac, first.mac], 'what was seen of its address alone is gone')
  lives.sign(first, 'vmlinuz', 106_000)
  booted(first, 107_000, 'rescue')
  booted(first, 130_000, 'rescue')
  assert.deepEqual(boots, [100_000, 100_500, 107_000, 130_000], 'a kernel, or silence, ends a boot')
})

test('a clock that is set back gives a machine a new place, not an old one for ever', () => {
  const lives = createLives()
  const [first, second] = [1, 2].map((number) => ({ mac: macOf(number), ip: undefined })) as [
    { mac: Mac; ip: undefined },
    { mac: Mac; ip: undefined },
  ]
  lives.sign(first, 'a', 100_000)
  lives.sign(second, 'a', 100_000)
  lives.sign(first, 'b', 5_000)
  assert.deepEqual(
    [...lives.all()].map(({ machine }) => machine.mac),
    [second.mac, first.mac],
  )
})

test('a boot after the clock was set back is another one', () => {
  const lives = createLives()
  const boots: number[] = []
  lives.onBoot(({ atMs }) => void boots.push(atMs))
  const machine = { mac: macOf(1), ip: undefined }
  for (const atMs of [9_000_000, 100_000, 101_000, 100_500]) {
    lives.booted({ machine, systemId: 1, read: { profile: 'install' }, atMs })
  }
  assert.deepEqual(boots, [9_000_000, 100_000])
  assert.equal(lives.find(machine)?.bootMs, 100_000)
})
