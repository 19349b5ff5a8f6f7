import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Ip4, Mac } from '../../src/domain/address.ts'
import { decideReport } from '../../src/domain/report.ts'
import { createMemoryStore } from '../harness/memory-store.ts'

const m1 = '52:54:00:12:34:56' as Mac
const m2 = '52:54:00:ab:cd:ef' as Mac
const ip = '10.77.0.13' as Ip4

describe('a machine’s report', () => {
  it('is recorded for the system that decided its boot', () => {
    const store = createMemoryStore()
    store.addSystem('a', m1)
    const b = store.addSystem('b', m1)
    store.nextBoot('a', 'x')
    store.nextBoot('b', 'install')
    const target = decideReport({ macs: [m1], ip }, 'local', store.queries)
    assert.deepEqual(target, { kind: 'system', system: { id: b, name: 'b' }, unchanged: false })
  })

  it('changes nothing where the deciding system boots that already', () => {
    const store = createMemoryStore()
    const a = store.addSystem('a', m1)
    store.addSystem('b', m1)
    store.nextBoot('b', 'install')
    store.nextBoot('a', 'local')
    assert.deepEqual(decideReport({ macs: [m1], ip: undefined }, 'local', store.queries), {
      kind: 'system',
      system: { id: a, name: 'a' },
      unchanged: true,
    })
  })

  it('C7: goes to the system with the MAC although it has no decision and default decided', () => {
    const store = createMemoryStore()
    store.nextBoot('default', 'local')
    const c1 = store.addSystem('c1', m1)
    const target = decideReport({ macs: [m1], ip }, 'local', store.queries)
    assert.deepEqual(target, { kind: 'system', system: { id: c1, name: 'c1' }, unchanged: false })
  })

  it('goes to the IP system that decided, although the MAC’s system has no decision', () => {
    const store = createMemoryStore()
    store.addSystem('c1', m1)
    const host = store.addSystem('host', ip)
    store.nextBoot('host', 'install')
    const target = decideReport({ macs: [m1], ip }, 'local', store.queries)
    assert.equal(target.kind === 'system' && target.system.id, host)
  })

  it('never changes default: an unknown MAC is remembered by itself', () => {
    const store = createMemoryStore()
    store.nextBoot('default', 'install')
    assert.deepEqual(decideReport({ macs: [m1], ip }, 'local', store.queries), {
      kind: 'remembered',
      mac: m1,
      ip: null,
      system: null,
      unchanged: false,
    })
  })

  it('never changes a prefix system: remembered for that IP and the MAC', () => {
    const store = createMemoryStore()
    const net = store.addSystem('net', '10.77')
    store.nextBoot('net', 'install')
    const target = decideReport({ macs: [m1], ip }, 'local', store.queries)
    assert.deepEqual(target, {
      kind: 'remembered',
      mac: m1,
      ip,
      system: { id: net, name: 'net' },
      unchanged: false,
    })
    store.apply({ type: 'report.remembered', mac: null, ip, system: net, profile: 'local' })
    const byIp = decideReport({ macs: [], ip }, 'local', store.queries)
    assert.equal(byIp.kind === 'remembered' && byIp.unchanged, true)
    const withMac = decideReport({ macs: [m1], ip }, 'local', store.queries)
    assert.equal(withMac.kind === 'remembered' && withMac.unchanged, false)
    const other = decideReport({ macs: [], ip: '10.77.0.99' as Ip4 }, 'local', store.queries)
    assert.equal(other.kind === 'remembered' && other.unchanged, false)
  })

  it('takes the second MAC where no system has the first', () => {
    const store = createMemoryStore()
    const c2 = store.addSystem('c2', m2)
    const target = decideReport({ macs: [m1, m2], ip: undefined }, 'local', store.queries)
    assert.equal(target.kind === 'system' && target.system.id, c2)
  })

  it('a repeated report of an unknown MAC changes nothing', () => {
    const store = createMemoryStore()
    store.apply({ type: 'report.remembered', mac: m1, ip: null, system: null, profile: 'local' })
    const target = decideReport({ macs: [m1], ip: undefined }, 'local', store.queries)
    assert.equal(target.kind === 'remembered' && target.unchanged, true)
  })

  it('without any address there is nobody to remember', () => {
    assert.deepEqual(decideReport({ macs: [], ip }, 'local', createMemoryStore().queries), { kind: 'nobody' })
  })
})
