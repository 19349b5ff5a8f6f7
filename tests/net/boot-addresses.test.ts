import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type Mac, parseMac } from '../../src/domain/address.ts'
import { Refusal } from '../../src/domain/errors.ts'
import { createBootAddresses } from '../../src/net/boot-addresses.ts'
import { createMemoryStore } from '../harness/memory-store.ts'

const mac = (n: number) => parseMac(n.toString(16).padStart(12, '0')) as Mac

describe('which MAC booted from which address', () => {
  it('is recorded when it changes, and known at once', async () => {
    let nowMs = 0
    const store = createMemoryStore()
    const addresses = createBootAddresses(store, () => nowMs)
    addresses.saw('10.0.0.7', mac(1))
    assert.equal(addresses.macOf('10.0.0.7'), mac(1))
    await turn()
    addresses.saw('10.0.0.7', mac(1))
    await turn()
    assert.equal(store.records.length, 1)
    assert.deepEqual(store.records[0]?.events, [{ type: 'boot.address', ip: '10.0.0.7', mac: mac(1) }])
    assert.deepEqual(store.options[0], { durable: false })
    nowMs += 5000
    addresses.saw('10.0.0.7', mac(2))
    await turn()
    assert.equal(store.queries.lastMacOf('10.0.0.7'), mac(2))
    assert.equal(addresses.macOf('10.0.0.8'), undefined)
  })

  it('an address that changes its MAC all the time makes one record a second at most, the last one wins', async () => {
    let nowMs = 0
    const store = createMemoryStore()
    const addresses = createBootAddresses(store, () => nowMs)
    for (let at = 0; at < 1001; at += 1) {
      nowMs += 10
      addresses.saw('10.0.0.7', mac(at % 3))
      await turn()
    }
    assert.ok(store.records.length >= 5 && store.records.length <= 12, `${store.records.length} records`)
    assert.equal(addresses.macOf('10.0.0.7'), mac(1000 % 3))
    nowMs += 5000
    addresses.saw('10.0.0.7', mac(1))
    await turn()
    assert.equal(store.queries.lastMacOf('10.0.0.7'), mac(1))
  })

  it('a flood of invented MACs is bounded in the journal, and takes nothing from known machines', async () => {
    const store = createMemoryStore()
    store.addSystem('c1', mac(0xffffff))
    const addresses = createBootAddresses(store, () => 0)
    const before = store.records.length
    for (let at = 0; at < 20_000; at += 1) addresses.saw(`10.1.${at >> 8}.${at & 255}`, mac(at))
    await turn()
    assert.equal(store.records.length - before, 1000)
    addresses.saw('10.2.0.1', mac(0xffffff))
    await turn()
    assert.equal(store.queries.lastMacOf('10.2.0.1'), mac(0xffffff))
    assert.equal(addresses.macOf('10.1.78.31'), mac(19_999))
    assert.equal(addresses.macOf('10.1.10.0'), undefined, 'the oldest unrecorded ones are dropped')
  })

  it('stays in memory while changes are refused, and is recorded with the next boot', async () => {
    let nowMs = 0
    const store = createMemoryStore()
    store.fail = new Refusal('unavailable', 'disk full')
    const addresses = createBootAddresses(store, () => nowMs)
    addresses.saw('10.0.0.7', mac(1))
    await turn()
    assert.equal(addresses.macOf('10.0.0.7'), mac(1))
    store.fail = undefined
    nowMs += 60_000
    addresses.saw('10.0.0.7', mac(1))
    await turn()
    assert.equal(store.queries.lastMacOf('10.0.0.7'), mac(1))
  })
})
