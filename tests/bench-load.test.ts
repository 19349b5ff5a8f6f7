/**
 * The load generators of the bench count right: against trivial servers of this file that answer well, wrongly, late or
 * not at all. Nothing is timed here. Source: scripts/bench/load/*.c.
 */
import assert from 'node:assert/strict'
import { createSocket, type RemoteInfo } from 'node:dgram'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { compileGenerators } from '../scripts/bench/load.ts'
import { findProgram } from './harness/debian.mjs'

const dir = mkdtempSync(join(tmpdir(), 'pxemngr-bench-test-'))
after(() => rmSync(dir, { recursive: true, force: true }))

const hasCompiler = findProgram('cc') !== undefined
const options = hasCompiler ? {} : { skip: 'needs a C compiler (Debian package gcc)' }
const generators = hasCompiler ? await compileGenerators(join(dir, 'programs')) : undefined

function load(): NonNullable<typeof generators> {
  assert.ok(generators)
  return generators
}

let lists = 0
/** A list that asks for these names and expects these contents. */
function list(wanted: Readonly<Record<string, Uint8Array | string>>): string {
  const number = ++lists
  const lines = Object.entries(wanted).map(([name, content], at) => {
    const path = join(dir, `content-${number}-${at}`)
    writeFileSync(path, content)
    return `${name}\t${path}\n`
  })
  const path = join(dir, `list-${number}`)
  writeFileSync(path, lines.join(''))
  return path
}

const word = (value: number): number[] => [(value >> 8) & 255, value & 255]

interface TftpOptions {
  /** Content of a name; undefined: ERROR 1. */
  readonly find: (name: string) => Uint8Array | undefined
  /** Packets for which this is true are not sent. `count` is the number of packets sent or dropped so far. */
  readonly drop?: (count: number) => boolean
  /** `tsize` to put into the OACK instead of the size. */
  readonly tsize?: number
}

interface TftpServer {
  readonly port: number
  /** RRQs heard, the ports of clients, who asked for what (`address name`), codes of ERRORs. */
  readonly heard: {
    rrqs: number
    readonly ports: Set<number>
    readonly readers: Set<string>
    readonly errors: number[]
  }
  close(): void
}

/** All transfers from one port; sends a window at each ACK; no timer: the client's repeated packets drive it. */
async function serveTftp({ find, drop = () => false, tsize }: TftpOptions): Promise<TftpServer> {
  const socket = createSocket('udp4')
  const heard = { rrqs: 0, ports: new Set<number>(), readers: new Set<string>(), errors: [] as number[] }
  const transfers = new Map<number, { content: Uint8Array; blksize: number; windowsize: number; acked: number }>()
  let count = 0
  const send = (bytes: readonly number[] | Uint8Array, to: RemoteInfo): void => {
    if (!drop(count++)) socket.send(Uint8Array.from(bytes), to.port, to.address)
  }
  const takeRequest = (packet: Buffer, from: RemoteInfo): void => {
    heard.rrqs++
    heard.ports.add(from.port)
    const [name = '', , ...rest] = packet.toString('latin1', 2).split('\0')
    const asked = new Map(rest.flatMap((key, at) => (at % 2 === 0 ? [[key, Number(rest[at + 1])] as const] : [])))
    heard.readers.add(`${from.address} ${name}`)
    const content = find(name)
    if (!content) {
      send([...word(5), ...word(1), ...Buffer.from('not here\0')], from)
      return
    }
    const { blksize = 512, windowsize = 1 } = Object.fromEntries(asked)
    transfers.set(from.port, { content, blksize, windowsize, acked: 0 })
    const granted = [`tsize\0${tsize ?? content.length}\0`, `blksize\0${blksize}\0`]
    if (asked.has('windowsize')) granted.push(`windowsize\0${windowsize}\0`)
    send([...word(6), ...Buffer.from(granted.join(''))], from)
  }
  socket.on('message', (packet, from) => {
    const opcode = packet.readUInt16BE(0)
    if (opcode === 1) takeRequest(packet, from)
    if (opcode === 5) heard.errors.push(packet.readUInt16BE(2))
    const transfer = transfers.get(from.port)
    if (opcode !== 4 || !transfer) return
    const { content, blksize, windowsize } = transfer
    transfer.acked += (packet.readUInt16BE(2) - transfer.acked) & 0xffff
    const { acked } = transfer
    for (let block = acked + 1; block <= acked + windowsize; block++) {
      const at = (block - 1) * blksize
      if (at > content.length) break
      send([...word(3), ...word(block), ...content.subarray(at, at + blksize)], from)
    }
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return { port: socket.address().port, heard, close: () => socket.close() }
}

const bytesOf = (size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, at) => (at * 7 + (at >> 8) + (at >> 16) * 13) & 255)

async function withTftp<T>(given: TftpOptions, use: (server: TftpServer) => Promise<T>): Promise<T> {
  const server = await serveTftp(given)
  try {
    return await use(server)
  } finally {
    server.close()
  }
}

const at = (port: number): { host: string; port: number } => ({ host: '127.0.0.1', port })

test('small TFTP reads are counted one by one, each from a port of its own', options, async () => {
  const wanted: Record<string, Uint8Array> = { a: bytesOf(153), 'pxelinux.cfg/b': bytesOf(1), empty: bytesOf(0) }
  await withTftp({ find: (name) => wanted[name] }, async ({ port, heard }) => {
    const result = await load().tftp(at(port), list(wanted), ['clients=3', 'blksize=1408', 'reads=4'])
    assert.equal(result.reads, 12)
    assert.equal(result.bytes, 4 * 154)
    assert.equal(result.retransmissions, 0)
    assert.equal(heard.rrqs, 12)
    assert.ok(heard.ports.size > 3, 'ports are not used for all reads of a client')
    assert.ok(result.p50Us > 0 && result.p50Us <= result.p99Us && result.p99Us <= result.maxUs)
  })
})

test('each file of the list is read from an address of its own where that is asked for', options, async () => {
  const names = ['a', 'b', 'c']
  await withTftp({ find: (name) => Buffer.from(name) }, async ({ port, heard }) => {
    const wanted = list(Object.fromEntries(names.map((name) => [name, name])))
    await load().tftp(at(port), wanted, ['clients=2', 'blksize=512', 'sources=127.100.0.0', 'reads=3'])
    assert.deepEqual([...heard.readers].sort(), ['127.100.0.1 a', '127.100.0.2 b', '127.100.0.3 c'])
  })
})

for (const windowsize of [1, 4, 16]) {
  test(`a file of whole blocks is read to its empty last block with windowsize ${windowsize}`, options, async () => {
    const content = bytesOf(1408 * 50)
    await withTftp({ find: () => content }, async ({ port }) => {
      const words = ['clients=2', 'blksize=1408', `windowsize=${windowsize}`, 'reads=2']
      const result = await load().tftp(at(port), list({ file: content }), words)
      assert.deepEqual([result.reads, result.bytes], [4, 4 * content.length])
    })
  })
  test(`lost packets are asked for again with windowsize ${windowsize}, and the file is right`, options, async () => {
    const content = bytesOf(1408 * 40 + 7)
    await withTftp({ find: () => content, drop: (count) => count === 0 || count === 12 }, async ({ port }) => {
      const words = ['clients=1', 'blksize=1408', `windowsize=${windowsize}`, 'reads=1']
      const result = await load().tftp(at(port), list({ file: content }), words)
      assert.deepEqual([result.reads, result.bytes], [1, content.length])
      assert.ok(result.retransmissions >= 2, `${result.retransmissions} retransmissions`)
    })
  })
}

test('block numbers roll over after 65535', options, async () => {
  const content = bytesOf(8 * 66_000 + 3)
  await withTftp({ find: () => content }, async ({ port }) => {
    const words = ['clients=1', 'blksize=8', 'windowsize=64', 'reads=1']
    const result = await load().tftp(at(port), list({ file: content }), words)
    assert.deepEqual([result.reads, result.bytes], [1, content.length])
  })
})

for (const [what, served] of [
  ['a changed byte', bytesOf(3000).fill(1, 2000, 2001)],
  ['a missing byte', bytesOf(2999)],
  ['a byte too many', bytesOf(3001)],
] as const) {
  test(`${what} in a TFTP read leaves no figure`, options, async () => {
    await withTftp({ find: () => served, tsize: 3000 }, async ({ port }) => {
      const read = load().tftp(at(port), list({ file: bytesOf(3000) }), ['clients=1', 'blksize=512', 'reads=1'])
      await assert.rejects(read, /errors, the first: file: block \d+ is not the file's/)
    })
  })
}

test('a refusal, a wrong size and silence leave no figure, and say why', options, async () => {
  const wanted = list({ file: 'x' })
  const words = ['clients=1', 'blksize=512', 'reads=1']
  await withTftp({ find: () => undefined }, async ({ port }) => {
    await assert.rejects(load().tftp(at(port), wanted, words), /1 errors, the first: file: ERROR 1 not here/)
  })
  await withTftp({ find: () => bytesOf(1), tsize: 2 }, async ({ port }) => {
    await assert.rejects(load().tftp(at(port), wanted, words), /an OACK that does not fit the request/)
  })
  await withTftp({ find: () => bytesOf(1), drop: () => true }, async ({ port, heard }) => {
    await assert.rejects(load().tftp(at(port), wanted, words), /1 errors, the first: file: no answer/)
    assert.equal(heard.rrqs, 6)
  })
})

test('what is under way when the time is over is aborted with an ERROR and is no read', options, async () => {
  const content = bytesOf(1408 * 100)
  let released = false
  const drop = (count: number): boolean => count > 20 && !released
  await withTftp({ find: () => content, drop }, async ({ port, heard }) => {
    const words = ['clients=1', 'blksize=1408', 'seconds=0.3']
    const result = await load().tftp(at(port), list({ file: content }), words)
    released = true
    assert.deepEqual([result.reads, result.bytes], [0, 20 * 1408])
    assert.deepEqual(heard.errors, [0])
  })
})

test('what has not been answered when the time is up is not left behind as a transfer', options, async () => {
  const content = bytesOf(153)
  await withTftp({ find: () => content, drop: (count) => count === 0 }, async ({ port, heard }) => {
    const words = ['clients=1', 'blksize=1408', 'seconds=0.2']
    const result = await load().tftp(at(port), list({ file: content }), words)
    assert.deepEqual([result.reads, result.errors, heard.rrqs], [0, 0, 2])
    assert.deepEqual(heard.errors, [0])
  })
})

async function withHttp<T>(answer: RequestListener, use: (port: number) => Promise<T>): Promise<T> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    return await use((server.address() as AddressInfo).port)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

const httpWords = ['connections=3', 'seconds=0.2']
/** Where each answer is wrong it ends sooner, after the hundredth: a busy machine may take its time for the first. */
const wrongWords = ['connections=3', 'seconds=10']

test('HTTP answers are counted one by one on connections that stay', options, async () => {
  const big = bytesOf(1_000_000)
  const wanted: Record<string, Uint8Array | string> = { '/big': big, '/empty': '' }
  const seen = { requests: 0, ports: new Set<number>(), bytes: 0 }
  await withHttp(
    (request, response) => {
      seen.requests++
      seen.ports.add(request.socket.remotePort ?? 0)
      response.end(wanted[request.url ?? ''])
    },
    async (port) => {
      const result = await load().http(at(port), list(wanted), httpWords)
      assert.equal(result.retransmissions, 0)
      assert.equal(seen.ports.size, 3)
      assert.ok(result.reads > 0 && result.reads <= seen.requests && result.reads >= seen.requests - 3)
      // every other request is for the big one; of three the answer may be under way at the end
      assert.ok(result.bytes >= (Math.floor(result.reads / 2) - 3) * big.length)
      assert.ok(result.bytes <= Math.ceil(seen.requests / 2) * big.length)
    },
  )
})

for (const [what, answer, reason] of [
  ['another status', (_, response) => void response.writeHead(404).end('bench0'), /HTTP\/1.1 404/],
  ['another body', (_, response) => void response.end('bench1'), /the body differs/],
  ['another length', (_, response) => void response.end('bench'), /Content-Length 5, expected 6/],
  [
    'no length',
    (_, response) => void response.writeHead(200, { 'transfer-encoding': 'chunked' }).end('bench0'),
    /no Content-Length/,
  ],
] satisfies readonly (readonly [string, RequestListener, RegExp])[]) {
  test(`an HTTP answer with ${what} leaves no figure`, options, async () => {
    await withHttp(answer, async (port) => {
      await assert.rejects(load().http(at(port), list({ '/a/': 'bench0' }), wrongWords), reason)
    })
  })
}

test('a connection that ends inside an HTTP answer leaves no figure', options, async () => {
  const cut: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-length': 6 })
    response.write('ben', () => response.socket?.destroy())
  }
  await withHttp(cut, async (port) => {
    await assert.rejects(load().http(at(port), list({ '/a/': 'bench0' }), wrongWords), /ended inside an answer/)
  })
})

/** Hands out run 1, 2, … by `/nexttest/`, and takes each once; `uploaded`: the bodies that came, as text. */
function machineServer(uploaded: string[], answer = 'uploaded'): RequestListener {
  let run = 0
  return (request, response) => {
    if (request.method === 'GET') {
      run += 1
      const url = `http://${request.headers.host}/upload/${run}/?token=t${run}`
      response.writeHead(200, { 'x-pxemngr-upload': url, 'content-length': 2 }).end('#!')
      return
    }
    let body = `${request.url} `
    request.setEncoding('latin1')
    request.on('data', (part: string) => {
      body += part
    })
    request.on('end', () => {
      uploaded.push(body)
      response.writeHead(200, { 'content-length': answer.length }).end(answer)
    })
  }
}

test('machines ask and upload in turn, and each cycle counts once', options, async () => {
  const uploaded: string[] = []
  await withHttp(machineServer(uploaded), async (port) => {
    const logs = list({ '/nexttest/a/': 'I: log of a\n', '/nexttest/b/': 'I: b\n' })
    const result = await load().cycles(at(port), logs, ['cycles=3'])
    assert.deepEqual([result.reads, result.bytes], [6, 3 * 17])
    assert.equal(new Set(uploaded.map((body) => body.split(' ')[0])).size, 6, 'each run is uploaded once')
    for (const log of ['I: log of a\n', 'I: b\n']) {
      const form = `\r\n\r\n${log}\r\n--pxemngr-bench-0123456789--\r\n`
      assert.equal(uploaded.filter((body) => body.endsWith(form)).length, 3)
    }
    assert.match(uploaded[0] ?? '', /^\/upload\/\d+\/\?token=t\d+ --pxemngr-bench-0123456789\r\n/)
  })
})

for (const [what, answer, reason] of [
  ['no run', (_, response) => void response.writeHead(200, { 'content-length': 1 }).end('#'), /no run was handed out/],
  ['a refusal', (_, response) => void response.writeHead(404).end(), /HTTP\/1.1 404/],
  ['an end', (request) => void request.socket.end(), /the connection ended/],
  ['an upload that is not kept', machineServer([], 'uploadeD'), /an upload was answered uploadeD/],
] satisfies readonly (readonly [string, RequestListener, RegExp])[]) {
  test(`a machine that is answered with ${what} leaves no figure`, options, async () => {
    await withHttp(answer, async (port) => {
      await assert.rejects(load().cycles(at(port), list({ '/nexttest/a/': 'x' }), ['cycles=2']), reason)
    })
  })
}
