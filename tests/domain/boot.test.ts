import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Ip4, type Ip4Prefix, type Mac, parseMac } from '../../src/domain/address.ts'
import { type BootKnowledge, type BootQuestion, decideBoot } from '../../src/domain/boot.ts'
import { createMemoryStore, type MemoryStore } from '../harness/memory-store.ts'

const mac = (text: string) => parseMac(text) as Mac
const m1 = mac('52:54:00:12:34:56')
const m2 = mac('52:54:00:ab:cd:ef')
const m3 = mac('52:54:00:00:00:03')
const ip = '10.77.0.13' as Ip4

function knowledge(store: MemoryStore, bad: Record<string, string> = {}): BootKnowledge {
  return { ...store.queries, profileFault: (name) => bad[name] }
}

function profileOf(store: MemoryStore, question: BootQuestion, bad?: Record<string, string>): string | undefined {
  const decision = decideBoot(question, knowledge(store, bad))
  return decision.found ? decision.profile : undefined
}

describe('the boot decision, name by name', () => {
  it('a MAC boots the next boot of its system', () => {
    const store = createMemoryStore()
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    const decision = decideBoot({ kind: 'mac', mac: m1 }, knowledge(store))
    assert.ok(decision.found)
    assert.equal(decision.profile, 'install')
    assert.equal(decision.decidedBy, 'mac')
    assert.equal(decision.system?.name, 'c1')
    assert.equal(decision.seq, store.seq)
    assert.match(decision.why.join('\n'), /52:54:00:12:34:56 is c1: install, set by ann at 20/)
  })

  it('an unknown MAC is not found, never default, and the hint is the command to type', () => {
    const store = createMemoryStore()
    store.nextBoot('default', 'menu')
    const decision = decideBoot({ kind: 'mac', mac: m1 }, knowledge(store))
    assert.equal(decision.found, false)
    assert.equal(
      !decision.found && decision.hint,
      'no system has 52:54:00:12:34:56: pxemngr addsystem NAME 52:54:00:12:34:56',
    )
    assert.equal(profileOf(store, { kind: 'default' }), 'menu')
  })

  it('a system without any decision is, for the names, as if no system had the address', () => {
    const store = createMemoryStore()
    store.addSystem('c1', m1, ip, '10.77')
    for (const question of [
      { kind: 'mac', mac: m1 },
      { kind: 'ip4', ip },
      { kind: 'prefix4', prefix: '10.77' as Ip4Prefix },
    ] as const) {
      const decision = decideBoot(question, knowledge(store))
      assert.equal(decision.found, false)
      assert.match(!decision.found ? decision.hint : '', /^c1 has no next boot: pxemngr nextboot c1 PROFILE$/)
    }
  })

  it('the names of an address and its prefixes own only what is theirs', () => {
    const store = createMemoryStore()
    store.addSystem('net', '10.77')
    store.nextBoot('net', 'lab')
    assert.equal(profileOf(store, { kind: 'ip4', ip }), undefined)
    assert.equal(profileOf(store, { kind: 'prefix4', prefix: '10.77.0' as Ip4Prefix }), undefined)
    assert.equal(profileOf(store, { kind: 'prefix4', prefix: '10.77' as Ip4Prefix }), 'lab')
  })

  it('default without a decision is not found and says how to set it', () => {
    const decision = decideBoot({ kind: 'default' }, knowledge(createMemoryStore()))
    assert.equal(decision.found, false)
    assert.match(!decision.found ? decision.hint : '', /pxemngr nextboot default PROFILE/)
  })
})

describe('the boot decision among aliases', () => {
  it('M4: the machine boots by the latest decision among its names, whichever was created first', () => {
    const store = createMemoryStore()
    store.addSystem('disk', m1)
    store.addSystem('alias', m1)
    store.nextBoot('disk', 'edeploy')
    store.nextBoot('alias', 'install')
    assert.equal(profileOf(store, { kind: 'machine', macs: [m1], ip: undefined }), 'install')
    store.nextBoot('disk', 'local')
    assert.equal(profileOf(store, { kind: 'mac', mac: m1 }), 'local')
  })

  it('C2: when one name is deleted, the machine boots by the latest of those that remain', () => {
    const store = createMemoryStore()
    store.addSystem('a', m1)
    const b = store.addSystem('b', m1)
    store.nextBoot('a', 'one')
    store.nextBoot('b', 'two')
    store.apply({ type: 'system.removed', system: b, name: 'b' })
    assert.equal(profileOf(store, { kind: 'mac', mac: m1 }), 'one')
  })

  it('M5: aliases do not chain: C shares nothing with A', () => {
    const store = createMemoryStore()
    store.addSystem('a', m1)
    store.addSystem('b', m1, m2)
    store.addSystem('c', m2, m3)
    store.nextBoot('b', 'x')
    store.nextBoot('a', 'y')
    assert.equal(profileOf(store, { kind: 'mac', mac: m1 }), 'y')
    assert.equal(profileOf(store, { kind: 'mac', mac: m2 }), 'x')
    assert.equal(profileOf(store, { kind: 'mac', mac: m3 }), undefined)
  })
})

describe('the boot decision of a machine that asks once', () => {
  it('takes MAC, then IP, then the longer prefix, then the shorter, then default', () => {
    const store = createMemoryStore()
    const ask = () => profileOf(store, { kind: 'machine', macs: [m1], ip })
    assert.equal(ask(), undefined)
    for (const [name, address] of [
      ['default', undefined],
      ['net2', '10.77'],
      ['net3', '10.77.0'],
      ['host', ip],
      ['c1', m1],
    ] as const) {
      if (address) store.addSystem(name, address)
      store.nextBoot(name, `of-${name}`)
      assert.equal(ask(), `of-${name}`)
    }
  })

  it('M2: an IP prefix with a letter in its hex is found', () => {
    const store = createMemoryStore()
    store.addSystem('net', '10.77')
    store.nextBoot('net', 'x')
    assert.equal(profileOf(store, { kind: 'machine', macs: [], ip }), 'x')
  })

  it('C7: a step that yields no decision falls to the next', () => {
    const store = createMemoryStore()
    store.addSystem('c1', m1)
    store.addSystem('net', '10.77')
    store.nextBoot('net', 'lab')
    assert.equal(profileOf(store, { kind: 'machine', macs: [m1], ip }), 'lab')
  })

  it('takes the second MAC where the first is nobody’s', () => {
    const store = createMemoryStore()
    store.addSystem('c1', m2)
    store.nextBoot('c1', 'install')
    assert.equal(profileOf(store, { kind: 'machine', macs: [m1, m2], ip: undefined }), 'install')
  })

  it('a caller without any address is told so', () => {
    const decision = decideBoot({ kind: 'machine', macs: [], ip: undefined }, knowledge(createMemoryStore()))
    assert.equal(!decision.found && decision.hint, 'the caller is not known by MAC or IP address')
  })
})

describe('the boot decision and remembered reports', () => {
  const report = (store: MemoryStore, of: Mac | null, at: Ip4 | null, system: number | null, profile = 'local') =>
    store.apply({ type: 'report.remembered', mac: of, ip: at, system, profile })

  it('a MAC with a remembered report gets that, and not default', () => {
    const store = createMemoryStore()
    store.nextBoot('default', 'install')
    report(store, m1, null, null)
    assert.equal(profileOf(store, { kind: 'mac', mac: m1 }), 'local')
    assert.equal(profileOf(store, { kind: 'machine', macs: [m1], ip }), 'local')
    assert.equal(profileOf(store, { kind: 'machine', macs: [m2], ip }), 'install')
  })

  it('holds while a system with the MAC has no decision, and ends with its first', () => {
    const store = createMemoryStore()
    report(store, m1, null, null)
    store.addSystem('c1', m1)
    assert.equal(profileOf(store, { kind: 'mac', mac: m1 }), 'local')
    store.nextBoot('c1', 'install')
    assert.equal(profileOf(store, { kind: 'mac', mac: m1 }), 'install')
  })

  it('a prefix caller’s report holds for that machine only, until the prefix system gets a decision', () => {
    const store = createMemoryStore()
    const net = store.addSystem('net', '10.77')
    store.nextBoot('net', 'install')
    report(store, m1, ip, net)
    assert.equal(profileOf(store, { kind: 'machine', macs: [m1], ip }), 'local')
    assert.equal(profileOf(store, { kind: 'ip4', ip }), 'local')
    assert.equal(profileOf(store, { kind: 'ip4', ip: '10.77.0.14' as Ip4 }), undefined)
    assert.equal(profileOf(store, { kind: 'machine', macs: [m2], ip: '10.77.0.14' as Ip4 }), 'install')
    store.nextBoot('net', 'rescue')
    assert.equal(profileOf(store, { kind: 'machine', macs: [m1], ip }), 'rescue')
    assert.equal(profileOf(store, { kind: 'mac', mac: m1 }), undefined)
  })

  it('an unknown MAC’s report gives way to a later decision for the IP it asks from', () => {
    const store = createMemoryStore()
    report(store, m1, null, null)
    store.addSystem('host', ip)
    assert.equal(profileOf(store, { kind: 'mac', mac: m1, ip }), 'local')
    store.nextBoot('host', 'install')
    assert.equal(profileOf(store, { kind: 'mac', mac: m1, ip }), undefined)
    assert.equal(profileOf(store, { kind: 'machine', macs: [m1], ip }), 'install')
    assert.equal(profileOf(store, { kind: 'mac', mac: m1 }), 'local')
  })
})

describe('the boot decision and bad profiles', () => {
  it('C1: a missing or bad profile is local, never somebody else’s, and the reason says why', () => {
    const store = createMemoryStore()
    store.addSystem('c1', m1)
    store.nextBoot('default', 'menu')
    store.nextBoot('c1', 'gone')
    const decision = decideBoot({ kind: 'mac', mac: m1 }, knowledge(store, { gone: 'no file gone.prof' }))
    assert.ok(decision.found)
    assert.equal(decision.profile, 'local')
    assert.equal(decision.decided, 'gone')
    assert.match(decision.why.at(-1) ?? '', /profile gone cannot be served \(no file gone.prof\): local instead/)
  })

  it('local stays local even where its own file is bad', () => {
    const store = createMemoryStore()
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'local')
    const decision = decideBoot({ kind: 'mac', mac: m1 }, knowledge(store, { local: 'no file' }))
    assert.equal(decision.found && decision.profile, 'local')
    assert.equal(decision.why.length, 1)
  })
})
