/** What a peer has not acknowledged, from the kernel's tables. Source: proc_net(5) (`/proc/net/tcp`, `tcp6`). */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { findQueue, formatEnd, unacknowledgedBytes } from '../../src/net/send-queue.ts'

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1000 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F40 0100007F:C350 01 000000A5:00000000 01:00000014 00000000     0        0 1001 3 0000000000000000 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 1002 1 0000000000000000 20 4 30 10 -1
`

test('the queue is that of the connection with these very ends, in this direction', () => {
  const [server, client] = [formatEnd('127.0.0.1', 8000), formatEnd('127.0.0.1', 50_000)]
  assert.deepEqual([server, client], ['0100007F:1F40', '0100007F:C350'])
  assert.equal(findQueue(table, `${server} ${client}`), 0xa5)
  assert.equal(findQueue(table, `${client} ${server}`), 0)
  assert.equal(findQueue(table, `${server} ${formatEnd('127.0.0.2', 50_000)}`), undefined)
  assert.equal(findQueue('', `${server} ${client}`), undefined)
})

test('addresses are written as the tables have them', () => {
  for (const [address, hex] of [
    ['10.77.0.13', '0D004D0A'],
    ['::1', '00000000000000000000000001000000'],
    ['fe80::5054:ff:fe12:3456', '000080FE00000000FF005450563412FE'],
    ['2001:db8:1:2:3:4:5:6', 'B80D0120020001000400030006000500'],
    ['fd00::', '000000FD000000000000000000000000'],
  ] as const) {
    assert.equal(formatEnd(address, 80), `${hex}:0050`, address)
  }
})

/** The server's side of a connection whose client does not read. */
async function connected(t: TestContext, host: string): Promise<{ ours: Socket; peer: Socket }> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const peer = connect({ host, port: (server.address() as AddressInfo).port })
  const [ours] = (await once(server, 'connection')) as [Socket]
  for (const socket of [ours, peer]) socket.on('error', () => {})
  t.after(() => {
    ours.destroy()
    peer.destroy()
    server.close()
  })
  return { ours, peer }
}

for (const host of ['127.0.0.1', '::1']) {
  test(`a small answer is acknowledged by a peer that lives, what it has no room for is not (${host})`, async (t) => {
    const { ours, peer } = await connected(t, host).catch(() => ({ ours: undefined, peer: undefined }))
    if (!ours || !peer) return t.skip(`no ${host} here`)
    peer.pause()
    ours.write('small')
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.deepEqual(await Promise.all([unacknowledgedBytes(ours), unacknowledgedBytes(ours)]), [0, 0])
    ours.write(Buffer.alloc(64 * 1024 * 1024))
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.ok(((await unacknowledgedBytes(ours)) ?? 0) > 0)
    return undefined
  })
}

test('of a connection that is gone nothing is known', async (t) => {
  const { ours } = await connected(t, '127.0.0.1')
  const { localAddress, localPort, remoteAddress, remotePort } = ours
  ours.resetAndDestroy()
  await once(ours, 'close')
  assert.equal(await unacknowledgedBytes(ours), undefined)
  assert.equal(await unacknowledgedBytes({ localAddress, localPort, remoteAddress, remotePort }), undefined)
})
