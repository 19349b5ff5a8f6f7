/** What a peer has not acknowledged, from the kernel's tables. Source: proc_net(5) (`/proc/net/tcp`, `tcp6`). */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConnectionTable, formatEnd, parseConnection, unacknowledgedBytes } from '../../src/net/send-queue.ts'

const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
const lineOf = (n: number, local: string, remote: string, queue = 0): string =>
  `${String(n).padStart(4)}: ${local} ${remote} 01 ${queue.toString(16).toUpperCase().padStart(8, '0')}:00000003 01:00000014 00000000     0        0 1001 3 0000000000000000 20 4 30 10 -1`

/** A table that says so. */
function tableOf(t: TestContext, lines: string[]): { table: ConnectionTable; write(lines: string[]): void } {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-tcp-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'tcp')
  const write = (now: string[]) => writeFileSync(path, `${[head, ...now].join('\n')}\n`)
  write(lines)
  return { table: new ConnectionTable(path), write }
}

test('the queue is that of the connection with these very ends, in this direction', async (t) => {
  const [server, client] = [formatEnd('127.0.0.1', 8000), formatEnd('127.0.0.1', 50_000)]
  assert.deepEqual([server, client], ['0100007F:1F40', '0100007F:C350'])
  assert.equal(parseConnection(head), undefined)
  assert.equal(parseConnection(''), undefined)
  const listening = `   0: ${server} 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1000 1 0 100 0 0 10 0`
  const { table } = tableOf(t, [listening, lineOf(1, server, client, 0xa5), lineOf(12_345, client, server)])
  const keys = [`${server} ${client}`, `${client} ${server}`, `${server} ${formatEnd('127.0.0.2', 50_000)}`]
  assert.deepEqual(await Promise.all([...keys, ...keys].map((key) => table.find(key))), [
    ...[0xa5, 0, undefined],
    ...[0xa5, 0, undefined],
  ])
})

test('where there is no table nothing is known', async () => {
  assert.equal(await new ConnectionTable('/proc/net/no-such-table').find('a'), undefined)
})

test('five hundred questions at once to a long table are one look, in short pieces of the main loop', async (t) => {
  const ends = Array.from({ length: 30_000 }, (_, n) => formatEnd(`10.0.${n >> 8}.${n & 255}`, 50_000))
  const server = formatEnd('10.1.0.1', 80)
  const lines = ends.map((end, n) => lineOf(n, server, end, n))
  const { table, write } = tableOf(t, lines)
  let longestMs = 0
  let last = performance.now()
  let isOver = false
  const turn = (): void => {
    const now = performance.now()
    longestMs = Math.max(longestMs, now - last)
    last = now
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  const asked = ends.slice(-500)
  const found = await Promise.all(asked.map((end) => table.find(`${server} ${end}`)))
  assert.deepEqual(
    found,
    asked.map((_, n) => ends.length - 500 + n),
  )
  // To look through 4 MB for each of them would take seconds.
  assert.ok(longestMs < 200, `the main loop stood still for ${longestMs} ms`)
  isOver = true
  // Whoever asks then is told what is there after the question, once a second.
  write([lineOf(0, server, ends[0] ?? '', 7)])
  const begun = performance.now()
  assert.deepEqual(await Promise.all([table.find(`${server} ${ends[0]}`), table.find(`${server} ${ends[1]}`)]), [
    7,
    undefined,
  ])
  assert.ok(performance.now() - begun > 500)
})

test('addresses are written as the tables have them', () => {
  for (const [address, hex] of [
    ['10.77.0.13', '0D004D0A'],
    ['::1', '00000000000000000000000001000000'],
    ['fe80::5054:ff:fe12:3456', '000080FE00000000FF005450563412FE'],
    ['2001:db8:1:2:3:4:5:6', 'B80D0120020001000400030006000500'],
    ['fd00::', '000000FD000000000000000000000000'],
    ['fe80::1%eth0', '000080FE000000000000000001000000'],
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
