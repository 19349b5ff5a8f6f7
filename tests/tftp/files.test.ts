/** Files: what is below the root and what is not, links, replaced files, shared chunks, embedded loaders, netascii. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { getAsset, listAssets } from '../../src/assets.ts'
import { ChunkCache, FileSource } from '../../src/tftp/file-chunks.ts'
import { openInside } from '../../src/tftp/jail.ts'
import { formatAck, formatRequest, parse } from '../../src/tftp/packet.ts'
import { pattern } from '../harness/tftp-exchange.ts'
import { openPeer, read, startTestServer } from '../harness/tftp-server.ts'

function folder(t: TestContext): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'pxemngr-files-')))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Ages a file, so that what is read of it may be shared. */
function age(path: string): void {
  utimesSync(path, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000))
}

test('only regular files below the root are served: no link out, folder, FIFO, device or socket', async (t) => {
  const outside = folder(t)
  const allowed = folder(t)
  const { port, root, records, server } = await startTestServer(t, { linkTargets: [allowed] })
  writeFileSync(join(outside, 'secret'), 'secret')
  writeFileSync(join(allowed, 'kernel'), 'allowed')
  writeFileSync(join(root, 'plain'), 'plain')
  mkdirSync(join(root, 'dir'))
  writeFileSync(join(root, 'dir', 'inner'), 'inner')
  symlinkSync('dir/inner', join(root, 'inside-link'))
  symlinkSync(join(root, 'dir'), join(root, 'dir-link'))
  symlinkSync(join(outside, 'secret'), join(root, 'out-link'))
  symlinkSync(outside, join(root, 'out-dir'))
  symlinkSync(`${root}-beside`, join(root, 'beside'))
  mkdirSync(`${root}-beside`)
  t.after(() => rmSync(`${root}-beside`, { recursive: true, force: true }))
  writeFileSync(join(`${root}-beside`, 'secret'), 'secret')
  symlinkSync(join(allowed, 'kernel'), join(root, 'target-link'))
  symlinkSync('/dev/zero', join(root, 'zero'))
  symlinkSync('/proc/self/environ', join(root, 'environ'))
  symlinkSync('loop', join(root, 'loop'))
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(root, 'fifo')])

  const peer = await openPeer(t)
  for (const [name, text] of Object.entries({
    plain: 'plain',
    'dir/inner': 'inner',
    'inside-link': 'inner',
    'dir-link/inner': 'inner',
    'target-link': 'allowed',
  })) {
    assert.equal((await read(peer, port, name)).bytes.toString(), text)
  }
  for (const name of [
    'out-link',
    'out-dir/secret',
    'beside/secret',
    `../${outside.slice(1)}/secret`,
    `dir/../../${outside}/secret`,
    'dir/..',
    '..',
    'zero',
    'environ',
    'loop',
    'fifo',
    'dir',
    'dir/',
    '.',
    'plain/x',
    'none',
    'x'.repeat(300),
  ]) {
    await assert.rejects(read(peer, port, name), /ERROR 1 /, name)
  }
  while (server.active() > 0) await sleep(5)
  assert.equal(records.filter(({ outcome }) => outcome === 'refused').length, 17)
})

test('names that are absolute, hold NUL or a backslash, or climb out are refused without a look at the disk', (t) => {
  const root = folder(t)
  writeFileSync(join(root, 'a\\b'), 'x')
  for (const path of ['', '/etc/passwd', 'a\0b', 'a\\b', '..', 'a/../b', '../x', `../${root}/x`]) {
    const result = openInside(root, ['/'], path)
    assert.ok('why' in result && result.why === 'outside', path)
  }
})

test('no path opens a file that does not lie below the root', (t) => {
  const top = folder(t)
  const root = join(top, 'root')
  mkdirSync(join(root, 'a', 'b'), { recursive: true })
  writeFileSync(join(top, 'secret'), 'secret')
  writeFileSync(join(root, 'a', 'file'), 'fine')
  symlinkSync('../..', join(root, 'a', 'up'))
  symlinkSync('a', join(root, 'down'))
  const part = fc.constantFrom('..', '.', 'a', 'b', 'up', 'down', 'root', 'secret', 'file', '', 'etc', 'passwd', '...')
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), (parts) => {
      const result = openInside(root, [], parts.join('/'))
      if (!('fd' in result)) return
      const real = realpathSync(join(root, parts.join('/')))
      assert.ok(real.startsWith(`${root}/`), real)
    }),
    { numRuns: 2000 },
  )
})

/** Debian's account without rights. */
const nobody = 65534

test('a file that may not be read is ERROR 2', async (t) => {
  const { port, root } = await startTestServer(t)
  writeFileSync(join(root, 'closed'), 'x')
  chmodSync(join(root, 'closed'), 0)
  // Root may read every file: the threads of this process are somebody else's for a moment.
  const isRoot = process.getuid?.() === 0
  const peer = await openPeer(t)
  chmodSync(root, 0o755)
  if (isRoot) process.seteuid?.(nobody)
  try {
    await assert.rejects(read(peer, port, 'closed'), /ERROR 2 closed: may not be read/)
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
})

test('a root that is a link is followed at each request', async (t) => {
  const top = folder(t)
  for (const version of ['v1', 'v2']) {
    mkdirSync(join(top, version))
    writeFileSync(join(top, version, 'file'), version)
  }
  symlinkSync('v1', join(top, 'current'))
  const { port, server } = await startTestServer(t, { root: join(top, 'current') })
  const peer = await openPeer(t)
  assert.equal((await read(peer, port, 'file')).bytes.toString(), 'v1')
  symlinkSync('v2', join(top, 'next'))
  renameSync(join(top, 'next'), join(top, 'current'))
  assert.equal((await read(peer, port, 'file')).bytes.toString(), 'v2')
  server.reconfigure({ root: join(top, 'v1'), linkTargets: [] })
  assert.equal((await read(peer, port, 'file')).bytes.toString(), 'v1')
})

for (const singlePort of [false, true]) {
  test(`a file replaced while it is sent is sent as it was opened (singlePort ${singlePort})`, async (t) => {
    const { port, root, record } = await startTestServer(t, { singlePort })
    const size = 400_000
    const path = join(root, 'kernel')
    writeFileSync(path, pattern(size))
    age(path)
    const peer = await openPeer(t)
    peer.send(formatRequest('rrq', 'kernel', 'octet', [['blksize', '1000']]), port)
    const first = await peer.next()
    writeFileSync(join(root, 'new'), Buffer.alloc(size, 'n'))
    renameSync(join(root, 'new'), path)
    const parts: Buffer[] = []
    for (let block = 0; block <= 400; block++) {
      peer.send(formatAck(block), first.port)
      const message = parse((await peer.next()).packet)
      assert.ok(message?.kind === 'data' && message.block === block + 1)
      parts.push(Buffer.from(message.data))
    }
    peer.send(formatAck(401), first.port)
    assert.ok(Buffer.concat(parts).equals(pattern(size)))
    assert.equal((await record(() => true)).outcome, 'done')
    assert.ok((await read(peer, port, 'kernel')).bytes.equals(Buffer.alloc(size, 'n')))
  })
}

test('a file that is cut while it is sent ends with an ERROR, one that grows is sent to its first size', async (t) => {
  const { port, root, record } = await startTestServer(t)
  for (const name of ['cut', 'grown']) writeFileSync(join(root, name), pattern(300_000))
  const [cut, grown] = [await openPeer(t), await openPeer(t)]
  const open = async (peer: typeof cut, name: string): Promise<number> => {
    peer.send(formatRequest('rrq', name, 'octet', [['blksize', '1000']]), port)
    return (await peer.next()).port
  }
  const [cutPort, grownPort] = [await open(cut, 'cut'), await open(grown, 'grown')]
  truncateSync(join(root, 'cut'), 10)
  cut.send(formatAck(0), cutPort)
  assert.match((await cut.next()).packet.toString(), /became shorter/)
  assert.equal((await record(({ name }) => name === 'cut')).outcome, 'failed')
  appendFileSync(join(root, 'grown'), pattern(5000))
  let bytes = 0
  for (let block = 0; block <= 300; block++) {
    grown.send(formatAck(block), grownPort)
    bytes += (await grown.next()).packet.length - 4
  }
  grown.send(formatAck(301), grownPort)
  assert.equal(bytes, 300_000)
  assert.equal((await record(({ name }) => name === 'grown')).outcome, 'done')
})

test('embedded loaders are served under their names, and a file of the root goes before them', async (t) => {
  const [loader] = listAssets('loaders')
  if (loader === undefined) {
    t.skip('no loaders were built into this checkout')
    return
  }
  const { port, root } = await startTestServer(t)
  const peer = await openPeer(t)
  const { bytes } = await read(peer, port, loader, { blksize: '1408' })
  assert.ok(bytes.equals(getAsset(`loaders/${loader}`)))
  writeFileSync(join(root, loader), 'mine')
  assert.equal((await read(peer, port, loader)).bytes.toString(), 'mine')
})

test('a file in netascii is converted across blocks, repeats included', async (t) => {
  const { port, root } = await startTestServer(t)
  const text = 'x\r\ny\n\rz\n'.repeat(4000)
  writeFileSync(join(root, 'text'), text)
  const wanted = text.replaceAll(/[\r\n]/g, (c) => (c === '\n' ? '\r\n' : '\r\0'))
  for (const options of [{ blksize: '9', windowsize: '1', tsize: '0' }, { blksize: '8' }, {}]) {
    const peer = await openPeer(t)
    const { bytes } = await read(peer, port, 'text', options, 'netascii')
    assert.equal(bytes.toString('latin1'), wanted)
  }
})

test('chunks are shared, bounded and the same packets whatever is read before', (t) => {
  const top = folder(t)
  const size = 40 * 1024 * 1024 + 77
  writeFileSync(join(top, 'big'), pattern(size))
  age(join(top, 'big'))
  const whole = pattern(size)
  const cache = new ChunkCache()
  const open = (blksize: number): FileSource => {
    const file = openInside(top, [], 'big')
    assert.ok('fd' in file)
    return new FileSource(
      cache,
      cache.openFile(file.fd, file.sizeBytes, file.identity, file.modifiedMs),
      blksize,
      () => false,
    )
  }
  const check = (source: FileSource, blksize: number, block: number): void => {
    const packet = source.packet(block)
    assert.equal(packet.readUInt32BE(0), 0x30000 + (block & 0xffff))
    const start = (block - 1) * blksize
    assert.ok(packet.subarray(4).equals(whole.subarray(start, start + blksize)), `block ${block} of ${blksize}`)
  }
  const before = readdirSync('/proc/self/fd').length
  const sources = [512, 1408, 65464, 1408].map((blksize) => ({ blksize, source: open(blksize) }))
  assert.equal(readdirSync('/proc/self/fd').length, before + 1)
  fc.assert(
    fc.property(
      fc.nat(3),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 1, max: 200 }),
      (which, part, count) => {
        const { source, blksize } = sources[which] as (typeof sources)[number]
        const from = 1 + Math.floor(part * (source.lastBlock - 1))
        for (let block = from; block <= Math.min(from + count, source.lastBlock); block++) check(source, blksize, block)
      },
    ),
    { numRuns: 150 },
  )
  for (const { source, blksize } of sources) {
    check(source, blksize, source.lastBlock)
    source.close()
  }
  assert.equal(readdirSync('/proc/self/fd').length, before)
})

test('descriptors and ports are given back after transfers and refusals', async (t) => {
  const { port, root, server } = await startTestServer(t)
  writeFileSync(join(root, 'file'), pattern(3000))
  const peer = await openPeer(t)
  const round = async (): Promise<number> => {
    for (let i = 0; i < 30; i++) {
      await read(peer, port, 'file')
      await assert.rejects(read(peer, port, 'none'))
    }
    while (server.active() > 0) await sleep(5)
    return readdirSync('/proc/self/fd').length
  }
  const first = await round()
  assert.ok((await round()) <= first + 2)
  assert.ok(existsSync(join(root, 'file')))
})
