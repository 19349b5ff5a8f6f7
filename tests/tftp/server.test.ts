/** The server on loopback: who is answered from where, who is refused, and what is recorded. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { silentLog } from '../../src/log.ts'
import { formatAck, formatError, formatRequest, parse } from '../../src/tftp/packet.ts'
import { openTftpServer } from '../../src/tftp/server.ts'
import { pattern } from '../harness/tftp-exchange.ts'
import { openPeer, read, startTestServer } from '../harness/tftp-server.ts'

test('a computed answer and a file arrive whole, from a port that is not the request port', async (t) => {
  const { port, root, answers, record } = await startTestServer(t)
  answers.set('pxelinux.cfg/default', pattern(153))
  writeFileSync(join(root, 'kernel'), pattern(300_000))
  const peer = await openPeer(t)
  const small = await read(peer, port, 'pxelinux.cfg/default', { tsize: '0', blksize: '1408' })
  assert.deepEqual(small.bytes, pattern(153))
  const large = await read(peer, port, 'kernel', { tsize: '0', blksize: '1408', windowsize: '1' })
  assert.deepEqual(large.bytes, pattern(300_000))
  for (const seen of [small, large]) assert.ok(!seen.ports.includes(port) && new Set(seen.ports).size === 1)
  const done = await record(({ name }) => name === 'kernel')
  assert.deepEqual(
    { ...done, startedMs: 0, durationMs: 0, port: 0 },
    {
      startedMs: 0,
      durationMs: 0,
      client: '127.0.0.1',
      port: 0,
      local: '127.0.0.1',
      name: 'kernel',
      mode: 'octet',
      options: { tsize: 300_000, blksize: 1408, windowsize: 1 },
      sizeBytes: 300_000,
      sentBytes: 300_000,
      retransmissions: 0,
      outcome: 'done',
      detail: '',
    },
  )
})

test('the resolver gets the name decoded as UTF-8, with its backslashes and folders as they came', async (t) => {
  const { port, answers, asked } = await startTestServer(t)
  for (const name of ['\\Boot\\BCD', 'größe/ñ', '/a//./b', '%41']) {
    answers.set(name, Buffer.from(name))
    const { bytes } = await read(await openPeer(t), port, name)
    assert.equal(bytes.toString(), name)
  }
  assert.deepEqual(asked, ['\\Boot\\BCD', 'größe/ñ', '/a//./b', '%41'])
})

test('single-port mode answers everything from the request port', async (t) => {
  const { port, root, answers, record } = await startTestServer(t, { singlePort: true })
  answers.set('small', pattern(2000))
  writeFileSync(join(root, 'file'), pattern(100_000))
  const peer = await openPeer(t)
  for (const [name, size] of [
    ['small', 2000],
    ['file', 100_000],
  ] as const) {
    const { bytes, ports } = await read(peer, port, name, { blksize: '1000' })
    assert.deepEqual(bytes, pattern(size))
    assert.deepEqual([...new Set(ports)], [port])
  }
  await assert.rejects(read(peer, port, 'none'), /ERROR 1 none: not found/)
  peer.send(formatAck(7), port)
  await peer.silence(50)
  assert.equal((await record(({ name }) => name === 'file')).outcome, 'done')
})

for (const size of [1, 4, 64]) {
  test(`--tftp-ports with ${size} port(s): answers leave from the range only`, async (t) => {
    const from = freeRange(size)
    const ports = { from, to: from + size - 1 }
    const { port, root, answers } = await startTestServer(t, { ports })
    answers.set('small', pattern(600))
    writeFileSync(join(root, 'file'), pattern(50_000))
    const peers = await Promise.all(Array.from({ length: 6 }, () => openPeer(t)))
    const seen = await Promise.all(peers.flatMap((peer) => [read(peer, port, 'file', { blksize: '1408' })]))
    const more = await Promise.all(peers.map((peer) => read(peer, port, 'small')))
    for (const { bytes, ports: used } of seen) {
      assert.deepEqual(bytes, pattern(50_000))
      assert.ok(used.every((one) => one >= ports.from && one <= ports.to))
    }
    for (const { bytes, ports: used } of more) {
      assert.equal(bytes.length, 600)
      assert.ok(used.every((one) => one >= ports.from && one <= ports.to))
    }
  })
}

test('IPv6 is served as IPv4 is', async (t) => {
  if (!Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'))) {
    t.skip('this machine has no ::1')
    return
  }
  const { server, port, root, answers, record } = await startTestServer(t, { listen: [{ address: '::1', port: 0 }] })
  assert.match(server.addresses()[0] ?? '', /^\[::1\]:\d+$/)
  answers.set('small', pattern(700))
  writeFileSync(join(root, 'file'), pattern(70_000))
  const peer = await openPeer(t, '::1')
  assert.deepEqual((await read(peer, port, 'small')).bytes, pattern(700))
  assert.deepEqual((await read(peer, port, 'file', { windowsize: '1' })).bytes, pattern(70_000))
  assert.equal((await record(({ name }) => name === 'file')).client, '::1')
})

test('with a wildcard the answer leaves from the address that was asked, for answers and files', async (t) => {
  const { server, port, root, answers } = await startTestServer(t, { listen: [{ address: '::', port: 0 }] })
  assert.deepEqual(server.addresses(), [`[::]:${port}`])
  answers.set('small', pattern(100))
  writeFileSync(join(root, 'file'), pattern(5000))
  const locals = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ scopeid }) => !scopeid)
    .map(({ address }) => address)
  assert.ok(locals.includes('127.0.0.1'))
  for (const local of locals) {
    const peer = await openPeer(t, local)
    for (const name of ['small', 'file', 'none']) {
      peer.send(formatRequest('rrq', name, 'octet'), port)
      const answer = await peer.next()
      assert.equal(answer.address, local)
      peer.send(formatError(0, 'seen'), answer.port)
    }
  }
})

test('a stranger at a transfer port gets ERROR 5 and the transfer goes on', async (t) => {
  const { port, root, answers, record } = await startTestServer(t)
  answers.set('small', pattern(1000))
  writeFileSync(join(root, 'file'), pattern(2000))
  for (const name of ['small', 'file']) {
    const peer = await openPeer(t)
    const stranger = await openPeer(t)
    peer.send(formatRequest('rrq', name, 'octet'), port)
    const first = await peer.next()
    for (const packet of [formatAck(1), formatAck(0), formatRequest('rrq', 'x', 'octet')]) {
      stranger.send(packet, first.port)
      const answer = parse((await stranger.next()).packet)
      assert.deepEqual(answer, { kind: 'error', code: 5, text: 'unknown transfer ID' })
    }
    stranger.send(formatError(0, 'die'), first.port)
    stranger.send(Buffer.from('x'), first.port)
    await stranger.silence(50)
    let at = first
    for (let block = 1; ; block++) {
      const message = parse(at.packet)
      assert.ok(message?.kind === 'data' && message.block === block)
      peer.send(formatAck(block), at.port)
      if (message.data.length < 512) break
      at = await peer.next()
    }
    const done = await record((one) => one.name === name)
    assert.equal(done.outcome, 'done')
    assert.equal(done.retransmissions, 0)
  }
})

for (const name of ['small', 'file']) {
  /** A peer whose transfer is past its first ACK; `port` is the server's port of it. */
  const acknowledged = async (t: TestContext) => {
    const world = await startTestServer(t)
    world.answers.set('small', pattern(1000))
    writeFileSync(join(world.root, 'file'), pattern(1000))
    const peer = await openPeer(t)
    const rrq = formatRequest('rrq', name, 'octet', [['tsize', '0']])
    peer.send(rrq, world.port)
    const first = await peer.next()
    peer.send(rrq, world.port)
    assert.deepEqual(await peer.next(), first, 'a repeat before the first ACK is answered by the same transfer')
    assert.equal(world.server.active(), 1)
    peer.send(formatAck(0), first.port)
    assert.equal((await peer.next()).packet.length, 516)
    peer.send(rrq, world.port)
    let anew = await peer.next()
    while (anew.port === first.port) anew = await peer.next() // DATA 1 again, from the timer
    assert.deepEqual(anew.packet, first.packet)
    return { ...world, peer, first, anew }
  }

  test(`the same RRQ right after the first ACK serves a machine that was reset anew (${name})`, async (t) => {
    const { peer, first, anew, server, records } = await acknowledged(t)
    peer.send(formatAck(0), anew.port)
    let data = await peer.next()
    while (data.port === first.port) data = await peer.next()
    assert.equal(data.packet.length, 516)
    peer.send(formatAck(1), anew.port)
    do data = await peer.next()
    while (data.port !== anew.port || data.packet.length === 516)
    peer.send(formatAck(2), anew.port)
    while (server.active() > 0) await sleep(5)
    assert.deepEqual(records.map(({ outcome }) => outcome).sort(), ['done', 'replaced'])
  })

  test(`an RRQ that was on its way when its answer went out does not end the transfer (${name})`, async (t) => {
    const { peer, first, anew, server, records } = await acknowledged(t)
    peer.send(formatError(5, 'unknown transfer'), anew.port) // what iPXE says to a second OACK
    peer.send(formatAck(1), first.port)
    let data = await peer.next()
    while (data.packet.length === 516) data = await peer.next()
    assert.equal(data.port, first.port)
    peer.send(formatAck(2), first.port)
    while (server.active() > 0) await sleep(5)
    assert.ok(records.some(({ outcome, sentBytes }) => outcome === 'done' && sentBytes === 1000))
  })
}

test('another RRQ from the same port replaces the transfer, from file to answer and back', async (t) => {
  const { port, root, answers, server, records } = await startTestServer(t)
  answers.set('small', pattern(600))
  writeFileSync(join(root, 'file'), pattern(2000))
  const peer = await openPeer(t)
  for (const name of ['file', 'small', 'file', 'small']) {
    peer.send(formatRequest('rrq', name, 'octet', [['blksize', '1024']]), port)
    const answer = await peer.next()
    assert.equal(parse(answer.packet)?.kind, 'oack')
  }
  const { bytes } = await read(peer, port, 'file')
  assert.deepEqual(bytes, pattern(2000))
  while (server.active() > 0) await sleep(5)
  assert.deepEqual(records.map(({ name, outcome }) => `${name} ${outcome}`).sort(), [
    'file done',
    'file replaced',
    'file replaced',
    'small replaced',
    'small replaced',
  ])
})

test('the 5,001st transfer is refused with an ERROR and the server goes on', async (t) => {
  const { port, answers, server, record } = await startTestServer(t)
  answers.set('small', pattern(600))
  const peers = await Promise.all(Array.from({ length: 5000 }, () => openPeer(t)))
  const rrq = formatRequest('rrq', 'small', 'octet')
  const answered: Promise<unknown>[] = []
  for (const [i, peer] of peers.entries()) {
    peer.send(rrq, port)
    answered.push(peer.next(20_000))
    // A request port's buffer holds a few hundred datagrams where the account may not widen it.
    if (i % 100 === 99) await Promise.all(answered.splice(0))
  }
  assert.equal(server.active(), 5000)
  const late = await openPeer(t)
  await assert.rejects(read(late, port, 'small'), /ERROR 0 .*busy/)
  assert.equal((await record(({ outcome }) => outcome === 'refused')).name, 'small')
  for (const peer of peers.slice(0, 10)) peer.send(rrq, port)
  for (const peer of peers.slice(0, 10)) {
    const { port: from } = await peer.next()
    peer.send(formatError(0, 'enough'), from)
  }
  while (server.active() > 4990) await sleep(5)
  assert.deepEqual((await read(late, port, 'small')).bytes, pattern(600))
})

test('a port in use is refused with the errno error and the address, wildcard or not', async (t) => {
  const taken = createSocket({ type: 'udp4', reuseAddr: true })
  const { port } = taken.bindSync({ address: '127.0.0.1' })
  t.after(() => taken.close())
  for (const address of ['127.0.0.1', '0.0.0.0', '::']) {
    const opening = openTftpServer({
      listen: [{ address, port }],
      singlePort: false,
      root: '/nonexistent',
      linkTargets: [],
      resolve: () => ({ kind: 'error', code: 1, text: '' }),
      onTransfer: () => {},
      log: silentLog,
    })
    await assert.rejects(opening, (error: NodeJS.ErrnoException) => {
      assert.equal(error.code, 'EADDRINUSE')
      assert.match(error.message, new RegExp(`TFTP \\S+:${port}: the port is in use`))
      return true
    })
  }
})

test('closing lets a transfer finish within its time, then tells the clients and frees the port', async (t) => {
  const { port, root, server, record } = await startTestServer(t)
  writeFileSync(join(root, 'file'), pattern(2000))
  const [quick, slow, late] = [await openPeer(t), await openPeer(t), await openPeer(t)]
  quick.send(formatRequest('rrq', 'file', 'octet'), port)
  slow.send(formatRequest('rrq', 'file', 'octet'), port)
  const first = await quick.next()
  await slow.next()
  const closing = server.close(300)
  late.send(formatRequest('rrq', 'file', 'octet'), port)
  let at = first
  for (let block = 1; block <= 4; block++) {
    quick.send(formatAck(block), at.port)
    if (block < 4) at = await quick.next()
  }
  await closing
  assert.equal((await record(({ outcome }) => outcome === 'done')).name, 'file')
  assert.equal((await record(({ outcome }) => outcome === 'aborted')).detail, 'the server is stopping')
  assert.match((await slow.next()).packet.toString(), /the server is stopping/)
  await late.silence(20)
  const again = createSocket('udp4')
  again.bindSync({ address: '127.0.0.1', port })
  again.close()
})

/** A range of free ports on loopback. */
function freeRange(size: number): number {
  for (let from = 20_000 + Math.floor(Math.random() * 20_000); ; from += size) {
    const sockets = []
    try {
      for (let i = 0; i < size; i++) {
        const socket = createSocket('udp4')
        sockets.push(socket)
        socket.bindSync({ address: '127.0.0.1', port: from + i })
      }
      return from
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    } finally {
      for (const socket of sockets) socket.close()
    }
  }
}
