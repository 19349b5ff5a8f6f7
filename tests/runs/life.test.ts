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
