/**
 * What firmware and loaders send, replayed packet by packet against the built executable over sockets: probes, repeats,
 * half-read files, names of other systems; then netascii over block borders and what an ERROR says to who stands in front
 * of the screen. The same exchanges in virtual time, with losses, are in tests/tftp.
 * Sources: PROTOCOLS 1 ("Real clients"), 2, 6; RFC 1350, 2347, 2348, 2349, 7440; CONTRACT "TFTP".
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { formatAck, formatError, formatRequest, type Message, parse } from '../../src/tftp/packet.ts'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { pattern } from '../harness/tftp-exchange.ts'
import { openPeer, type Peer, read } from '../harness/tftp-server.ts'

const mac = '52:54:00:12:34:56'
const loader = pattern(5000)
let daemon: RunningDaemon
/** A folder beside the data directory that nothing may be read from. */
let outside: string

before(async () => {
  outside = mkdtempSync(join(tmpdir(), 'pxemngr-outside-'))
  writeFileSync(join(outside, 'secret'), 'not for you')
  daemon = await serve()
  await daemon.must('addsystem', 'node1', mac)
  await daemon.must('nextboot', 'node1', 'local')
  for (const name of ['bootx64.efi', 'EFI/debian/grubx64.efi', 'Boot/BCD', 'kernel8.img', 'full']) {
    mkdirSync(join(root(), name, '..'), { recursive: true })
    writeFileSync(join(root(), name), name === 'full' ? pattern(1024) : loader)
  }
  writeFileSync(join(root(), 'empty'), '')
})
after(async () => {
  await daemon?.close()
  rmSync(outside, { recursive: true, force: true })
})

const root = (): string => join(daemon.dataDir, 'tftpboot')

type Options = Readonly<Record<string, string | number>>

/** A client at a port of its own, as long as the test lasts. */
async function client(t: TestContext) {
  const peer = await openPeer(t)
  const next = async (): Promise<{ message: Message; port: number }> => {
    const { packet, port } = await peer.next()
    const message = parse(packet)
    assert.ok(message, `no TFTP packet: ${packet.toString('hex')}`)
    return { message, port }
  }
  const ask = (name: string, options: Options = {}, mode = 'octet'): void =>
    peer.send(
      formatRequest(
        'rrq',
        name,
        mode,
        Object.entries(options).map(([key, value]) => [key, String(value)]),
      ),
      daemon.tftpPort,
    )
  /** The OACK that has to come; its options and the port of the transfer. */
  const granted = async (): Promise<{ options: Record<string, string>; port: number }> => {
    const { message, port } = await next()
    if (message.kind !== 'oack') throw new Error(`an OACK was expected: ${JSON.stringify(message)}`)
    return { options: Object.fromEntries(message.options), port }
  }
  /** The block that has to come: its number and length. */
  const block = async (): Promise<[number, number]> => {
    const { message } = await next()
    if (message.kind !== 'data') throw new Error(`DATA was expected: ${JSON.stringify(message)}`)
    return [message.block, message.data.length]
  }
  return { peer, ask, next, granted, block }
}

/** The ERROR that a name gets. */
async function refusal(t: TestContext, name: string, kind: 'rrq' | 'wrq' = 'rrq', mode = 'octet') {
  const peer = await openPeer(t)
  peer.send(formatRequest(kind, name, mode, []), daemon.tftpPort)
  const message = parse((await peer.next()).packet)
  if (message?.kind !== 'error') throw new Error(`${name}: an ERROR was expected: ${JSON.stringify(message)}`)
  return { code: message.code, text: message.text }
}

async function whole(peer: Peer, name: string, options: Record<string, string>, mode = 'octet'): Promise<Buffer> {
  return (await read(peer, daemon.tftpPort, name, options, mode)).bytes
}

describe('clients, each with its quirk', () => {
  test('Intel ROM: size probe ended by ERROR 0, the same request twice, then the data from the next port', async (t) => {
    const probe = await client(t)
    probe.ask('bootx64.efi', { tsize: 0 })
    const first = await probe.granted()
    assert.deepEqual(first.options, { tsize: '5000' })
    probe.ask('bootx64.efi', { tsize: 0 })
    const again = await probe.granted()
    assert.deepEqual(again, first, 'a repeated request is the same transfer, not a second one')
    probe.peer.send(formatError(0, 'TFTP Aborted'), first.port)
    await probe.peer.silence(1200)
    assert.deepEqual(await whole(await openPeer(t), 'bootx64.efi', { blksize: '1456' }), loader)
    const transfers = await daemon.must('status', '--transfers')
    assert.match(
      transfers,
      / bootx64\.efi octet tsize=5000 0\/5000 bytes .* probe: client: TFTP Aborted$/m,
      'a size probe is no error',
    )
  })

  test('PXELINUX: tsize as the size of the file, for answers too, and ERROR 1 at once for each name of its search', async (t) => {
    const { ask, granted, next } = await client(t)
    for (const name of ['b8945908-d6a6-41a9-611d-74a6ab80b83d', '01-52-54-00-12-34-57', '7F000001', '7F00000', '7']) {
      ask(`pxelinux.cfg/${name}`, { tsize: 0, blksize: 1408 })
      const { message } = await next()
      assert.equal(message.kind === 'error' && message.code, 1, name)
    }
    ask('pxelinux.cfg/01-52-54-00-12-34-56', { tsize: 0, blksize: 1408 })
    const answer = await granted()
    const text = await whole(await openPeer(t), 'pxelinux.cfg/01-52-54-00-12-34-56', {})
    assert.deepEqual(answer.options, { tsize: String(text.length), blksize: '1408' })
  })

  test('iPXE: blksize 1432 and tsize, and its script by HTTP', async (t) => {
    const { ask, granted } = await client(t)
    ask('undionly.kpxe', { blksize: 1432, tsize: 0 })
    const { options } = await granted()
    assert.equal(options['blksize'], '1432')
    assert.ok(Number(options['tsize']) > 50_000, 'a loader of the executable, with its real size')
    const response = await fetch(`${daemon.url}/ipxe/${mac}/`, { headers: { 'user-agent': 'iPXE/1.21.1' } })
    assert.match(await response.text(), /^#!ipxe\n[\s\S]*(sanboot|exit)/)
  })

  test('EDK2: ERROR 8 after the OACK, then the data in windows of 4', async (t) => {
    const { peer, ask, granted, block } = await client(t)
    ask('bootx64.efi', { tsize: 0, blksize: 1468, windowsize: 4 })
    const probe = await granted()
    assert.deepEqual(probe.options, { tsize: '5000', blksize: '1468', windowsize: '4' })
    peer.send(formatError(8, 'User aborted the transfer'), probe.port)
    ask('bootx64.efi', { blksize: 1468, windowsize: 4 })
    const { port } = await granted()
    peer.send(formatAck(0), port)
    assert.deepEqual(
      [await block(), await block(), await block(), await block()],
      [
        [1, 1468],
        [2, 1468],
        [3, 1468],
        [4, 596],
      ],
    )
    peer.send(formatAck(4), port)
    await peer.silence(300)
  })

  test('shim: the second stage from its own folder, given up half-way and begun again with another buffer', async (t) => {
    const { peer, ask, granted, block } = await client(t)
    ask('/EFI/debian/grubx64.efi', { tsize: 0, blksize: 512 })
    const first = await granted()
    peer.send(formatAck(0), first.port)
    assert.deepEqual(await block(), [1, 512])
    // Its buffer is too small: no ERROR, no ACK, the same file once more from the same port.
    ask('/EFI/debian/grubx64.efi', { blksize: 512 })
    const second = await granted()
    assert.deepEqual(second.options, { blksize: '512' })
    peer.send(formatAck(0), second.port)
    assert.deepEqual(await block(), [1, 512], 'from the beginning')
    peer.send(formatError(0, 'done'), second.port)
    assert.deepEqual(await whole(await openPeer(t), '//EFI/debian/./grubx64.efi', {}), loader)
  })

  test('GRUB: many small files that are not there, and a half-read one closed by ERROR 0', async (t) => {
    const { peer, ask, granted, block, next } = await client(t)
    for (const name of ['fonts/unicode.pf2', 'x86_64-efi/command.lst', 'x86_64-efi/fs.lst', 'grub.cfg-7F000001']) {
      ask(`/grub/${name}`, { blksize: 1024, tsize: 0 })
      const { message } = await next()
      assert.equal(message.kind === 'error' && message.code, 1, name)
    }
    ask('bootx64.efi', { blksize: 1024, tsize: 0 })
    const { port } = await granted()
    peer.send(formatAck(0), port)
    assert.deepEqual(await block(), [1, 1024])
    peer.send(formatError(0, 'closed'), port)
    await peer.silence(1200)
  })

  test('U-Boot: its timeout is granted and kept, ACKs of blocks not expected are not answered', async (t) => {
    const { peer, ask, granted, block } = await client(t)
    ask('bootx64.efi', { timeout: 1, tsize: 0, blksize: 1468 })
    const { options, port } = await granted()
    assert.deepEqual(options, { timeout: '1', tsize: '5000', blksize: '1468' })
    peer.send(formatAck(0), port)
    assert.deepEqual(await block(), [1, 1468])
    const sent = Date.now()
    peer.send(formatAck(0), port)
    peer.send(formatAck(9), port)
    assert.deepEqual(await block(), [1, 1468], 'repeated by the timer alone')
    assert.ok(Date.now() - sent >= 900, 'not before the granted second')
    peer.send(formatError(0, 'enough'), port)
  })

  test('Raspberry Pi: names below its serial number are ERROR 1 at once, then the file from the root', async (t) => {
    const { ask, next } = await client(t)
    const began = Date.now()
    for (const name of ['bootsig.bin', '2f1c8a90/start.elf', '2f1c8a90/config.txt', 'dc-a6-32-00-00-01/start4.elf']) {
      ask(name, { tsize: 0, blksize: 1024 })
      const { message } = await next()
      assert.equal(message.kind === 'error' && message.code, 1, name)
    }
    assert.ok(Date.now() - began < 2000, 'it asks for dozens of them before it boots')
    assert.deepEqual(await whole(await openPeer(t), 'kernel8.img', { tsize: '0', blksize: '1024' }), loader)
  })

  test('Windows boot manager: backslashes stand for slashes', async (t) => {
    assert.deepEqual(await whole(await openPeer(t), '\\Boot\\BCD', { tsize: '0', blksize: '1456' }), loader)
  })

  test('busybox, curl, tftp-hpa and atftp ask with tsize alone, with three options, and with none', async (t) => {
    for (const options of [{ tsize: '0' }, { tsize: '0', blksize: '512', timeout: '6' }, {}]) {
      assert.deepEqual(await whole(await openPeer(t), 'bootx64.efi', options), loader)
      assert.deepEqual(
        await whole(await openPeer(t), 'full', options),
        pattern(1024),
        'a full last block, an empty one',
      )
      assert.equal((await whole(await openPeer(t), 'empty', options)).length, 0)
    }
  })
})

describe('the server at its sockets', () => {
  test('options that are out of range, unknown or given twice are left out, the others are granted', async (t) => {
    const { peer, ask, granted } = await client(t)
    ask('bootx64.efi', { blksize: 7, timeout: 256, windowsize: 0, multicast: '', tsize: 123 })
    const { options, port } = await granted()
    assert.deepEqual(options, { tsize: '5000' }, 'the real size, whatever was sent')
    peer.send(formatError(0, ''), port)
    const large = await client(t)
    large.ask('bootx64.efi', { BLKSIZE: 65464, windowsize: 65535 })
    const answer = await large.granted()
    assert.deepEqual([answer.options['blksize'], answer.options['windowsize']], ['65464', '64'])
    large.peer.send(formatError(0, ''), answer.port)
  })

  test("a stranger at a transfer's port gets ERROR 5, and the transfer goes on", async (t) => {
    const { peer, ask, granted, block } = await client(t)
    ask('bootx64.efi', { blksize: 1024 })
    const { port } = await granted()
    const stranger = await openPeer(t)
    stranger.send(formatAck(0), port)
    const said = parse((await stranger.next()).packet)
    assert.deepEqual([said?.kind, said?.kind === 'error' && said.code], ['error', 5])
    peer.send(formatAck(0), port)
    assert.deepEqual(await block(), [1, 1024])
    peer.send(formatError(0, ''), port)
  })

  test('netascii: a pair that two blocks share, whatever the size of blocks, and CR as CR NUL', async (t) => {
    // 511 bytes, then a line feed: its CR ends block 1, its LF begins block 2.
    const text = `${'x'.repeat(511)}\n${'y'.repeat(509)}\r\r\n`
    writeFileSync(join(root(), 'lines'), text)
    const wire = text.replace(/\r|\n/g, (sign) => (sign === '\n' ? '\r\n' : '\r\0'))
    for (const options of [{}, { blksize: '8' }, { blksize: '513' }] as Record<string, string>[]) {
      const got = await whole(await openPeer(t), 'lines', options, 'NetASCII')
      assert.equal(got.toString('latin1'), wire, JSON.stringify(options))
    }
    assert.equal((await whole(await openPeer(t), 'lines', {})).toString('latin1'), text, 'octet is byte for byte')
  })

  test('nothing outside the root is served: dots, absolute names, backslashes, links, folders, FIFOs', async (t) => {
    symlinkSync(join(outside, 'secret'), join(root(), 'link'))
    symlinkSync(outside, join(root(), 'folder-link'))
    execFileSync('mkfifo', [join(root(), 'fifo')])
    const secret = join(outside, 'secret')
    const climb = `${'../'.repeat(12)}${secret.slice(1)}`
    for (const name of [climb, climb.replaceAll('/', '\\'), secret, 'link', 'folder-link/secret', 'EFI', 'fifo', '']) {
      const { code, text } = await refusal(t, name)
      assert.ok(code === 1 || code === 2 || code === 4, `${name}: ERROR ${code} ${text}`)
      assert.doesNotMatch(text, /not for you/)
    }
  })

  test('ERROR texts say why, and what to type', async (t) => {
    assert.deepEqual(await refusal(t, 'pxelinux.cfg/01-52-54-00-12-34-99'), {
      code: 1,
      text: 'no system has 52:54:00:12:34:99: pxemngr addsystem NAME 52:54:00:12:34:99',
    })
    await daemon.must('addsystem', 'undecided', '52:54:00:12:34:98')
    assert.match((await refusal(t, 'pxelinux.cfg/01-52-54-00-12-34-98')).text, /pxemngr nextboot undecided /)
    assert.match((await refusal(t, 'pxelinux.cfg/default')).text, /pxemngr nextboot default /)
    assert.match((await refusal(t, 'no/such/file')).text, /no\/such\/file/)
    assert.match((await refusal(t, 'link')).text, /leads out of the TFTP root/)
    assert.equal((await refusal(t, 'bootx64.efi', 'wrq')).code, 2, 'writing is refused')
    assert.equal((await refusal(t, 'bootx64.efi', 'rrq', 'mail')).code, 4)
  })

  test('each transfer is a record: client, file, options, bytes, outcome; in the log and in status', async (t) => {
    await whole(await openPeer(t), 'kernel8.img', { blksize: '1024', tsize: '0' })
    const line = /127\.0\.0\.1 kernel8\.img octet blksize=1024 tsize=5000 5000\/5000 bytes \d+ ms done$/m
    assert.match(await daemon.must('status', '--transfers'), line)
    const logged = daemon.logLines().find((each) => JSON.stringify(each).includes('"kernel8.img"'))
    assert.ok(logged, daemon.log())
  })
})
