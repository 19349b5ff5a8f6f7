import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { afterEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { QuickSender } from '../../src/tftp/quick-sender.ts'
import { openSocket } from '../../src/tftp/sockets.ts'

const open: Socket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.close()
})

function pair(address: string): { sender: Socket; receiver: Socket; received: Buffer[] } {
  const receiver = openSocket(address, 0, false)
  const sender = openSocket(address, 0, false)
  open.push(receiver, sender)
  sender.connectSync(receiver.address().port, address)
  const received: Buffer[] = []
  receiver.on('message', (packet) => received.push(packet))
  return { sender, receiver, received }
}

async function until(condition: () => boolean): Promise<void> {
  for (let waitedMs = 0; waitedMs < 5000 && !condition(); waitedMs += 5) await sleep(5)
  assert.ok(condition())
}

/** A socket as far as it is looked at, whose handle answers `result`. */
function socketOf(result: number, calls: unknown[][]): Socket {
  const send = (...args: [object, Uint8Array[], ...unknown[]]): number => {
    calls.push([args[0], [...args[1]], ...args.slice(2)])
    return result
  }
  return { [Symbol('state symbol')]: { handle: { send } } } as unknown as Socket
}

describe('sending without the layers of node:dgram', () => {
  for (const address of ['127.0.0.1', '::1']) {
    it(`the runtime has the form that is known, and every packet arrives as it is, alone (${address})`, async () => {
      const { sender, received } = pair(address)
      const quick = QuickSender.of(sender)
      assert.ok(quick, 'Node has changed below `Socket.send`: read its lib/dgram.js and src/udp_wrap.cc again')
      const packets = Array.from({ length: 100 }, (_, i) => Buffer.alloc(i * 14, i))
      for (const packet of packets) quick.send(packet)
      await until(() => received.length >= packets.length)
      assert.deepEqual(received, packets)
      sender.send('as ever')
      await until(() => received.length > packets.length)
      assert.equal(received.at(-1)?.toString(), 'as ever')
    })
  }

  it('a peer that is not there is a loss, as for any packet', async () => {
    const { sender, receiver } = pair('127.0.0.1')
    const quick = QuickSender.of(sender)
    const port = receiver.address().port
    open.splice(open.indexOf(receiver), 1)
    receiver.close()
    for (let i = 0; i < 20; i++) {
      quick?.send(Buffer.from('lost'))
      await sleep(1)
    }
    const again = openSocket('127.0.0.1', port, false)
    open.push(again)
    const heard = new Promise<Buffer>((resolve) => again.on('message', resolve))
    quick?.send(Buffer.from('here'))
    quick?.send(Buffer.from('here'))
    assert.equal((await heard).toString(), 'here')
  })

  it('a packet that has to wait keeps its request and its bytes, all others share one', () => {
    assert.ok(QuickSender.of(pair('127.0.0.1').sender))
    const packets = [Buffer.from('a'), Buffer.from('b')] as const
    for (const [result, same] of [
      [2, true],
      [-11, true],
      [0, false],
    ] as const) {
      const calls: unknown[][] = []
      const quick = QuickSender.of(socketOf(result, calls))
      for (const packet of packets) quick?.send(packet)
      const [first, second] = calls.map(([request]) => request as { list?: unknown })
      assert.equal(first === second, same)
      assert.deepEqual(first?.list, same ? undefined : [packets[0]])
      assert.deepEqual(
        calls.map((call) => call.slice(1)),
        packets.map((packet) => [[packet], 1, false]),
      )
    }
  })

  it('where the form is another one, there is none', () => {
    for (const odd of [{}, { [Symbol('state symbol')]: {} }, { [Symbol('state symbol')]: { handle: { send: 1 } } }]) {
      assert.equal(QuickSender.of(odd as unknown as Socket), undefined)
    }
    const closed = createSocket('udp4')
    closed.close()
    assert.equal(QuickSender.of(closed), undefined)
  })
})
