/** Hostile networks: random and mangled packets, floods, links in virtual time. After each the server answers as before. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { BytesSource } from '../../src/tftp/bytes-source.ts'
import { convertNetascii, toNetascii } from '../../src/tftp/netascii.ts'
import { negotiate } from '../../src/tftp/options.ts'
import {
  ackedBlock,
  formatAck,
  formatData,
  formatError,
  formatOack,
  formatRequest,
  parse,
  parseError,
} from '../../src/tftp/packet.ts'
import { TimerWheel, WheelEntry } from '../../src/tftp/timer-wheel.ts'
import { Transfer } from '../../src/tftp/transfer.ts'
import { pattern } from '../harness/tftp-exchange.ts'
import { generator } from '../harness/tftp-relay.ts'
import { openPeer, read, startTestServer } from '../harness/tftp-server.ts'

/** Text without NUL that is the same after UTF-8. */
const text = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 60 })
  .filter((s) => !s.includes('\0') && s === Buffer.from(s).toString())
const word = fc.stringMatching(/^[a-z]{1,12}$/)

describe('packets', () => {
  test('what is formatted is parsed to the same', () => {
    const options = fc.uniqueArray(fc.tuple(word, fc.stringMatching(/^[0-9a-z]{0,9}$/)), {
      selector: ([name]) => name,
      maxLength: 6,
    })
    fc.assert(
      fc.property(fc.constantFrom('rrq', 'wrq'), text, word, options, (kind, name, mode, list) => {
        assert.deepEqual(parse(formatRequest(kind, name, mode, list)), { kind, name, mode, options: new Map(list) })
      }),
    )
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), fc.uint8Array({ maxLength: 3000 }), (block, data) => {
        const packet = formatData(block, data)
        assert.deepEqual(parse(packet), { kind: 'data', block: block % 65536, data: Buffer.from(data) })
        assert.equal(ackedBlock(formatAck(block)), block % 65536)
        assert.equal(ackedBlock(packet), -1)
      }),
    )
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 }), word, (code, said) => {
        assert.deepEqual(parse(formatError(code, said)), { kind: 'error', code, text: said })
      }),
    )
  })
  test('no datagram makes the parser throw, and what is cut short is no request', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.constantFrom(1, 2, 3, 4, 5, 6), (bytes, opcode) => {
        const packet = Buffer.from([0, opcode, ...bytes])
        parse(packet)
        parse(Buffer.from(bytes))
        parseError(packet)
        ackedBlock(Buffer.from(bytes))
      }),
      { numRuns: 20_000 },
    )
    const whole = formatRequest('rrq', 'pxelinux.0', 'octet', [['blksize', '1408']])
    for (let length = 0; length < whole.length; length++) {
      const message = parse(whole.subarray(0, length))
      // The only shorter request is the one without its option.
      assert.equal(message !== undefined, length === whole.length - 'blksize\x001408\0'.length, `cut to ${length}`)
    }
  })
  test('a name in 8 bits is not folded to 7: AE AE AF is not "../"', () => {
    const packet = Buffer.concat([Buffer.from([0, 1, 0xae, 0xae, 0xaf]), Buffer.from('x\0octet\0')])
    const message = parse(packet)
    assert.ok(message?.kind === 'rrq' && !message.name.includes('.'))
    const mode = parse(
      Buffer.concat([Buffer.from([0, 1]), Buffer.from('x\0'), Buffer.from([0xef]), Buffer.from('ctet\0')]),
    )
    assert.ok(mode?.kind === 'rrq' && mode.mode !== 'octet')
  })
  test('the OACK of any request parses and names nothing that was not asked', () => {
    const name = fc.constantFrom('blksize', 'TSIZE', 'timeout', 'windowsize', 'multicast', '__proto__', 'toString')
    const value = fc.oneof(fc.string(), fc.integer().map(String))
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), fc.nat(), (asked, size) => {
        const map = new Map(asked.map(([key, text]) => [key.toLowerCase(), text]))
        const granted = negotiate(map, size)
        assert.ok(
          granted.blksize >= 8 && granted.blksize <= 65464 && granted.windowsize >= 1 && granted.windowsize <= 64,
        )
        if (!granted.oack) return
        const message = parse(granted.oack)
        assert.ok(message?.kind === 'oack')
        assert.deepEqual(message.options, new Map(Object.entries(granted.options).map(([k, v]) => [k, String(v)])))
        for (const key of message.options.keys()) assert.ok(map.has(key))
      }),
    )
    assert.deepEqual(parse(formatOack([['tsize', 0]])), { kind: 'oack', options: new Map([['tsize', '0']]) })
  })
  test('netascii is the same however it is cut, and converts back', () => {
    const bytes = fc
      .uint8Array({ maxLength: 200 })
      .map((list) => list.map((b) => (b % 3 === 0 ? ([10, 13, 0][b % 3] ?? b) : b % 14)))
    fc.assert(
      fc.property(bytes, fc.integer({ min: 1, max: 7 }), (input, size) => {
        const whole = Buffer.from(toNetascii(input))
        const position = { used: 0, pending: -1 }
        const parts: Buffer[] = []
        for (;;) {
          const part = Buffer.alloc(size)
          const end = convertNetascii(input, position, part, 0, size)
          parts.push(part.subarray(0, end))
          if (end < size) break
        }
        assert.deepEqual(Buffer.concat(parts), whole)
        const back = whole.toString('latin1').replaceAll('\r\n', '\n').replaceAll('\r\0', '\r')
        assert.deepEqual(Buffer.from(back, 'latin1'), Buffer.from(input))
      }),
    )
  })
})

interface Link {
  readonly lose: number
  readonly double: number
  readonly delayMs: number
  readonly jitterMs: number
}

/** A client of RFC 7440 on a link in virtual time; returns what it has, once both sides are done. */
function transferOver(
  link: Link,
  size: number,
  options: Record<string, string>,
  seed: number,
): { bytes: Buffer; sent: number } {
  const random = generator(seed)
  const granted = negotiate(new Map(Object.entries(options)), size)
  const queue: { at: number; packet: Buffer; toClient: boolean }[] = []
  let now = 1000
  let sent = 0
  const insert = (one: (typeof queue)[number]): void => {
    let place = queue.length
    while (place > 0 && (queue[place - 1]?.at ?? 0) > one.at) place--
    queue.splice(place, 0, one)
  }
  const put = (packet: Buffer, toClient: boolean): void => {
    for (let copies = random() < link.lose ? 0 : random() < link.double ? 2 : 1; copies > 0; copies--) {
      insert({
        at: now + link.delayMs + random() * link.jitterMs,
        packet: Buffer.from(packet),
        toClient,
      })
    }
  }
  const wire = {
    send: (packet: Buffer) => {
      sent++
      put(packet, true)
    },
  }
  const transfer = new Transfer(granted, new BytesSource(pattern(size), granted.blksize), wire)
  const parts: Buffer[] = []
  let last = granted.oack ? -1 : 0
  let heard = now
  let unacknowledged = 0
  let done = false
  const acknowledge = (): void => {
    unacknowledged = 0
    put(formatAck(Math.max(0, last)), false)
  }
  const client = (packet: Buffer): void => {
    heard = now
    const message = parse(packet)
    if (message?.kind === 'oack') {
      if (last < 0) last = 0
      if (last === 0) acknowledge()
    } else if (message?.kind === 'data' && last >= 0) {
      if (message.block === ((last + 1) & 0xffff)) {
        last++
        parts.push(Buffer.from(message.data))
        done = message.data.length < granted.blksize
        if (++unacknowledged >= granted.windowsize || done) acknowledge()
      } else acknowledge()
    }
  }
  transfer.start(now)
  for (let steps = 0; transfer.outcome === undefined; steps++) {
    assert.ok(steps < 200_000, 'the transfer does not end')
    const next = queue[0]
    const clientWakes = done ? Number.POSITIVE_INFINITY : heard + 3000
    now = Math.max(now, Math.min(next?.at ?? Number.POSITIVE_INFINITY, transfer.wakeMs, clientWakes))
    if (next && next.at <= now) {
      queue.shift()
      if (next.toClient) client(next.packet)
      else transfer.receive(next.packet, now)
    } else if (transfer.wakeMs <= now) transfer.wake(now)
    else {
      heard = now
      if (last >= 0) acknowledge()
    }
  }
  // The last ACK may be lost for ever: the client has everything then, and the server gave up.
  assert.ok(transfer.outcome === 'done' || done, `${transfer.outcome} at block ${last}`)
  return { bytes: Buffer.concat(parts), sent }
}

describe('links in virtual time', () => {
  test('whatever is lost, doubled and reordered, the client gets the file', () => {
    const link = fc.record({
      lose: fc.double({ min: 0, max: 0.1, noNaN: true }),
      double: fc.double({ min: 0, max: 0.3, noNaN: true }),
      delayMs: fc.double({ min: 0.05, max: 200, noNaN: true }),
      jitterMs: fc.double({ min: 0, max: 50, noNaN: true }),
    })
    const options = fc.record(
      {
        blksize: fc.constantFrom('32', '100', '1408'),
        windowsize: fc.integer({ min: 1, max: 70 }).map(String),
        timeout: fc.constantFrom('1', '3'),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(link, fc.integer({ min: 0, max: 6000 }), options, fc.integer(), (conditions, size, asked, seed) => {
        assert.ok(transferOver(conditions, size, asked, seed).bytes.equals(pattern(size)))
      }),
      { numRuns: 150 },
    )
  })
  test('on a link that doubles every packet no block is sent twice', () => {
    const link = { lose: 0, double: 1, delayMs: 5, jitterMs: 0 }
    const { sent } = transferOver(link, 512 * 100 + 1, {}, 1)
    assert.equal(sent, 101)
  })
})

test('the timer wheel wakes everything within a slot, whatever moves', async () => {
  const wheel = new TimerWheel(() => performance.now())
  class Entry extends WheelEntry {
    wakeMs: number
    woken = 0
    constructor(inMs: number) {
      super()
      this.wakeMs = performance.now() + inMs
    }
    wake(nowMs: number): void {
      assert.ok(nowMs >= this.wakeMs, 'never early')
      this.woken++
    }
  }
  const entries = Array.from({ length: 300 }, (_, i) => new Entry(i))
  for (const entry of entries) wheel.arm(entry)
  const [sooner, never, off] = [new Entry(100_000), new Entry(50), new Entry(50)]
  for (const entry of [sooner, never, off]) wheel.arm(entry)
  sooner.wakeMs = performance.now() + 60
  wheel.arm(sooner)
  never.wakeMs = Number.POSITIVE_INFINITY
  wheel.disarm(off)
  wheel.disarm(off)
  const end = Date.now() + 10_000
  while (wheel.count > 0 && Date.now() < end) await sleep(10)
  assert.deepEqual([wheel.count, sooner.woken, never.woken, off.woken], [0, 1, 0, 0])
  assert.ok(entries.every(({ woken }) => woken === 1))
})

describe('the server after', () => {
  test('random datagrams at its request and transfer ports', async (t) => {
    const { port, root, answers, server } = await startTestServer(t)
    answers.set('small', pattern(1000))
    writeFileSync(join(root, 'file'), pattern(5000))
    const random = generator(11)
    const attacker = await openPeer(t)
    const ports = [port]
    for (const name of ['small', 'file']) {
      const peer = await openPeer(t)
      peer.send(formatRequest('rrq', name, 'octet'), port)
      ports.push((await peer.next()).port)
    }
    for (let i = 0; i < 5000; i++) {
      const packet = Buffer.from(Array.from({ length: Math.floor(random() * 60) }, () => Math.floor(random() * 256)))
      if (packet.length > 2 && i % 2 === 0) packet.set([0, Math.floor(random() * 8)])
      attacker.send(packet, ports[i % ports.length] as number)
      if (i % 200 === 0) await sleep(1)
    }
    for (const name of ['small', 'file']) assert.ok((await read(await openPeer(t), port, name)).bytes.length >= 1000)
    assert.ok(server.active() <= 5000)
  })

  test('a flood of requests for answers, files and nothing from one port', async (t) => {
    const { port, root, answers, server } = await startTestServer(t)
    answers.set('small', pattern(1000))
    writeFileSync(join(root, 'file'), pattern(5000))
    const attacker = await openPeer(t)
    const names = ['small', 'file', 'none', 'small', '..', 'file']
    for (let i = 0; i < 3000; i++) {
      const options: [string, string][] = i % 2 ? [['tsize', '0']] : []
      attacker.send(
        formatRequest(i % 7 === 0 ? 'wrq' : 'rrq', names[i % names.length] as string, 'octet', options),
        port,
      )
      if (i % 100 === 0) await sleep(1)
    }
    for (const name of ['small', 'file']) assert.ok((await read(await openPeer(t), port, name)).bytes.length >= 1000)
    // The attacker has one port, so one transfer at most.
    while (server.active() > 1) await sleep(5)
  })

  test('silence for an unparsable request, a packet of no kind and an empty datagram; ERROR 4 without name or mode', async (t) => {
    const { port, records } = await startTestServer(t)
    const peer = await openPeer(t)
    for (const hex of [
      '',
      '00',
      '0001',
      '000178',
      '00017800',
      '00017800006f00',
      '0009',
      '0004ffff',
      '00050001610000',
      '0003000161',
      '00066100620000',
    ]) {
      peer.send(Buffer.from(hex, 'hex'), port)
    }
    peer.send(Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(4000, 'x')]), port)
    await peer.silence(100)
    peer.send(formatRequest('wrq', 'x', 'octet'), port)
    assert.match((await peer.next()).packet.toString('latin1', 2), /^\0\x02/)
    for (const [name, mode] of [
      ['x', 'mail'],
      ['x', ''],
      ['', 'octet'],
      ['', ''],
    ] as const) {
      peer.send(formatRequest('rrq', name, mode), port)
      assert.match((await peer.next()).packet.toString('latin1', 2), /^\0\x04[^\0]+\0$/, `${name} ${mode}`)
    }
    assert.deepEqual(
      records.map(({ outcome }) => outcome),
      Array.from({ length: 5 }, () => 'refused'),
    )
  })
})
