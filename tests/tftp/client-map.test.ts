/**
 * The table of clients' ports: it answers as a `Map` would, whatever comes and goes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ClientKey, clientKey, hashOf } from '../../src/tftp/client.ts'
import { ClientMap } from '../../src/tftp/client-map.ts'

/** Few enough to meet again, of both families, of one host and of many. */
const key = fc.oneof(
  fc.nat(40).map((port) => clientKey('10.0.0.1', 1024 + port)),
  fc.nat(40).map((host) => clientKey(`255.255.255.${host}`, 65535)),
  fc.nat(40).map((port) => clientKey('2001:db8::1', port + 1)),
)
const change = fc.record({ key, value: fc.option(fc.nat(), { nil: undefined }) })

test('what was set is found, what was deleted is not, and nothing else changes', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 600 }), (changes) => {
      const expected = new Map<ClientKey, number>()
      const map = new ClientMap<number>()
      for (const each of changes) {
        if (each.value === undefined) {
          expected.delete(each.key)
          map.delete(each.key)
        } else {
          expected.set(each.key, each.value)
          map.set(each.key, each.value)
        }
        assert.equal(map.size, expected.size)
        assert.equal(map.get(each.key), expected.get(each.key))
      }
      for (const { key: asked } of changes) assert.equal(map.get(asked), expected.get(asked))
    }),
    { numRuns: 300 },
  )
})

test('thousands at once, of one host or of many, are far apart, and all leave', () => {
  for (const keyOf of [
    (i: number) => clientKey('10.0.0.1', i + 1),
    (i: number) => clientKey(`10.${i & 255}.${i >> 8}.7`, 2070),
    (i: number) => clientKey(`fe80::${i.toString(16)}%eth0`, 2070),
  ]) {
    const count = 5000
    const map = new ClientMap<number>()
    for (let i = 0; i < count; i++) map.set(keyOf(i), i)
    const slots = new Set(Array.from({ length: count }, (_, i) => hashOf(keyOf(i)) & 16383))
    // 5,000 thrown at random into 16,384 hit 4,300 of them.
    assert.ok(slots.size > 4000, `${slots.size}`)
    for (let i = 0; i < count; i += 2) map.delete(keyOf(i))
    for (let i = 0; i < count; i++) assert.equal(map.get(keyOf(i)), i % 2 === 0 ? undefined : i)
    for (let i = 1; i < count; i += 2) map.delete(keyOf(i))
    assert.equal(map.size, 0)
    assert.equal(map.get(keyOf(1)), undefined)
  }
})
