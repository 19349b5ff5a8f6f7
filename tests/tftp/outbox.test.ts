/** Datagrams that leave together at the end of a turn: none of them may cost the others. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { Outbox } from '../../src/tftp/outbox.ts'

test('what cannot be sent is lost alone; the others of its turn leave in order, once', async (t) => {
  const receiver = createSocket('udp4')
  const sender = createSocket('udp4')
  const closed = createSocket('udp4')
  t.after(() => receiver.close())
  t.after(() => sender.close())
  receiver.bind(0, '127.0.0.1')
  await once(receiver, 'listening')
  const { port } = receiver.address() as AddressInfo
  await new Promise<void>((resolve) => closed.close(resolve))
  const heard: string[] = []
  receiver.on('message', (packet) => heard.push(packet.toString()))

  const outbox = new Outbox()
  const client = { address: '127.0.0.1', port, local: '127.0.0.1' }
  outbox.send(sender, Buffer.from('one'), client)
  outbox.send(closed, Buffer.from('its socket is closed'), client)
  outbox.send(sender, Buffer.from('port 0'), { ...client, port: 0 })
  outbox.send(sender, Buffer.from('two'), client)
  assert.equal(outbox.waiting, true)
  outbox.flush()
  assert.equal(outbox.waiting, false)
  outbox.flush()
  while (heard.length < 2) await once(receiver, 'message')
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(heard, ['one', 'two'])
})
