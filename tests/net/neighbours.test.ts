import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Ip4, Mac } from '../../src/domain/address.ts'
import { createNeighbours, type NeighbourSource, parseArp, parseIpNeigh } from '../../src/net/neighbours.ts'

const header = 'IP address       HW type     Flags       HW address            Mask     Device\n'
const line = (ip: string, mac = '52:54:00:ab:cd:ef', { type = '0x1', flags = '0x2', device = 'eth0' } = {}) =>
  `${ip.padEnd(16)} ${type}         ${flags}         ${mac}     *        ${device}\n`
const attached = [
  { device: 'eth0', address: '10.77.0.1', prefixLength: 24 },
  { device: 'bee0', address: '10.78.0.1', prefixLength: 16 },
]
const ip = '10.77.0.13' as Ip4
const mac = '52:54:00:ab:cd:ef' as Mac

describe('/proc/net/arp', () => {
  it('C8: an interface whose name is hex digits is not taken for the MAC', () => {
    const table = parseArp(header + line('10.78.1.2', mac, { device: 'bee0' }), attached)
    assert.deepEqual([...table], [['10.78.1.2', mac]])
  })

  it('entries that are incomplete, of other hardware or without a MAC do not count, permanent ones do', () => {
    const text =
      header +
      line('10.77.0.2', mac, { flags: '0x0' }) +
      line('10.77.0.3', mac, { type: '0x20' }) +
      line('10.77.0.4', '00:00:00:00:00:00') +
      line('10.77.0.5', mac, { flags: '0x6' })
    assert.deepEqual([...parseArp(text, attached).keys()], ['10.77.0.5'])
  })

  it('only addresses of a subnet attached to that very interface count', () => {
    const text = header + line('10.77.1.13') + line('10.78.1.2') + line('10.77.0.14', mac, { device: 'gone' })
    assert.equal(parseArp(text, attached).size, 0)
  })

  it('the whole address must match: 10.77.0.1 is not 10.77.0.13', () => {
    const table = parseArp(header + line('10.77.0.13'), attached)
    assert.equal(table.get('10.77.0.1' as Ip4), undefined)
  })

  it('any text is read without throwing', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseArp(header + text, attached)))
  })
})

describe('the neighbour table', () => {
  function source(given: Partial<NeighbourSource> = {}) {
    const state = { text: header, nowMs: 5000, reads: 0, ran: [] as string[] }
    const readArp = () => {
      state.reads += 1
      return state.text
    }
    const runIp = async (address: string) => {
      state.ran.push(address)
      return '[]'
    }
    return {
      state,
      neighbours: createNeighbours({ readArp, attached: () => attached, runIp, nowMs: () => state.nowMs, ...given }),
    }
  }

  it('is read at most once a second for known addresses, and again at once for an unknown one', () => {
    const { state, neighbours } = source()
    state.text = header + line(ip)
    for (let at = 0; at < 100; at += 1) assert.equal(neighbours.macOf(ip), mac)
    assert.equal(state.reads, 1)
    state.nowMs += 30
    state.text += line('10.77.0.14', '52:54:00:00:00:14')
    assert.equal(neighbours.macOf('10.77.0.14' as Ip4), '52:54:00:00:00:14')
    assert.equal(state.reads, 2)
    state.nowMs += 1000
    state.text = header
    assert.equal(neighbours.macOf(ip), undefined)
  })

  it('machines that ask in the same instant are all found, each by a read of its own', () => {
    const { state, neighbours } = source()
    state.text = header + line(ip)
    assert.equal(neighbours.macOf(ip), mac)
    for (const last of ['15', '16']) {
      state.text += line(`10.77.0.${last}`, `52:54:00:00:00:${last}`)
      assert.equal(neighbours.macOf(`10.77.0.${last}` as Ip4), `52:54:00:00:00:${last}`)
    }
    assert.equal(state.reads, 3)
  })

  it('a flood from behind routers, or of one address that stays unknown, does not read it each time', () => {
    const { state, neighbours } = source()
    for (let at = 0; at < 250; at += 1) assert.equal(neighbours.macOf(`192.0.2.${at}` as Ip4), undefined)
    assert.equal(state.reads, 1)
    for (let at = 0; at < 250; at += 1) assert.equal(neighbours.macOf('10.77.0.99' as Ip4), undefined)
    assert.equal(state.reads, 2)
    state.nowMs += 30
    state.text += line('10.77.0.99')
    assert.equal(neighbours.macOf('10.77.0.99' as Ip4), mac)
  })

  it('an address behind a router is looked at anew when an interface with its network has come up', () => {
    let networks = attached
    const { state, neighbours } = source({ attached: () => networks })
    const later = '192.0.2.7' as Ip4
    assert.equal(neighbours.macOf(later), undefined)
    networks = [...attached, { device: 'eth1', address: '192.0.2.1', prefixLength: 24 }]
    state.text += line(later, mac, { device: 'eth1' })
    assert.equal(neighbours.macOf(later), undefined, 'within the second it is what was found')
    state.nowMs += 1000
    assert.equal(neighbours.macOf(later), mac)
  })

  it('M1: finds the IP of a MAC, in lower case as Linux prints it', () => {
    const { state, neighbours } = source()
    state.text = header + line(ip)
    assert.equal(neighbours.ipOf(mac), ip)
    assert.equal(neighbours.ipOf('52:54:00:00:00:01' as Mac), undefined)
  })

  it('a table that cannot be read is an empty one', () => {
    const { neighbours } = source({
      readArp: () => {
        throw new Error('EACCES')
      },
    })
    assert.equal(neighbours.macOf(ip), undefined)
  })

  it('IPv6 is asked of ip, without a shell, only for addresses, a few at once', async () => {
    const waiting: ((text: string) => void)[] = []
    const asked: string[] = []
    const { neighbours } = source({
      runIp: (address) => {
        asked.push(address)
        return new Promise((resolve) => waiting.push(resolve))
      },
    })
    assert.equal(await neighbours.findMac6('fd00::1; reboot'), undefined)
    assert.equal(await neighbours.findMac6('--help'), undefined)
    const answers = Array.from({ length: 10 }, () => neighbours.findMac6('fd00::7%eth0'))
    assert.equal(asked.length, 4)
    for (const done of waiting) done(JSON.stringify([{ dst: 'fd00::7', dev: 'eth0', lladdr: mac, state: ['STALE'] }]))
    const macs = await Promise.all(answers)
    assert.equal(macs.filter((found) => found === mac).length, 4)
  })

  it('an ip that is not installed or prints nonsense is no answer', async () => {
    for (const runIp of [() => Promise.reject(new Error('ENOENT')), async () => 'nonsense', async () => '{}']) {
      assert.equal(await source({ runIp }).neighbours.findMac6('fd00::7'), undefined)
    }
  })
})

describe('ip -j neigh', () => {
  it('counts usable states of the very address and device', () => {
    const of = (entry: object, device?: string) =>
      parseIpNeigh(
        JSON.stringify([{ dst: 'fe80::7', dev: 'eth0', lladdr: mac, state: ['REACHABLE'], ...entry }]),
        'fe80::7',
        device,
      )
    assert.equal(of({}), mac)
    assert.equal(of({}, 'eth1'), undefined)
    assert.equal(of({ state: ['FAILED'] }), undefined)
    assert.equal(of({ state: ['NOARP'] }), undefined)
    assert.equal(of({ dst: 'fe80::8' }), undefined)
    assert.equal(of({ lladdr: undefined }), undefined)
    assert.equal(parseIpNeigh('[null, 3]', 'fe80::7'), undefined)
  })
})
