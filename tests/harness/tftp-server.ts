/**
 * A TFTP server on loopback for a test: a folder as its root, computed answers by name, all records kept; and a small client
 * that sends and waits for single packets.
 */
import { createSocket, type Socket } from 'node:dgram'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { silentLog } from '../../src/log.ts'
import { formatAck, formatRequest, parse } from '../../src/tftp/packet.ts'
import type { TransferRecord } from '../../src/tftp/resolution.ts'
import { openTftpServer, type TftpServer, type TftpServerOptions } from '../../src/tftp/server.ts'

export interface TestServer {
  readonly server: TftpServer
  /** Of the first address. */
  readonly port: number
  readonly root: string
  /** Names that are answered at once; all others are files. */
  readonly answers: Map<string, Uint8Array>
  readonly asked: string[]
  readonly records: TransferRecord[]
  /** Waits until a record fits; fails after 10 s. */
  record(fits: (record: TransferRecord) => boolean): Promise<TransferRecord>
}

/** Opens one and closes it after the test. */
export async function startTestServer(t: TestContext, options: Partial<TftpServerOptions> = {}): Promise<TestServer> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'pxemngr-tftp-')))
  const answers = new Map<string, Uint8Array>()
  const asked: string[] = []
  const records: TransferRecord[] = []
  const server = await openTftpServer({
    listen: [{ address: '127.0.0.1', port: 0 }],
    singlePort: false,
    root,
    linkTargets: [],
    resolve: (name) => {
      asked.push(name)
      const bytes = answers.get(name)
      return bytes ? { kind: 'bytes', bytes } : { kind: 'file', path: name.replace(/^\/+/, '') }
    },
    onTransfer: (record) => records.push(record),
    log: silentLog,
    ...options,
  })
  t.after(async () => {
    await server.close(0)
    rmSync(root, { recursive: true, force: true })
  })
  const port = Number(/:(\d+)$/.exec(server.addresses()[0] ?? '')?.[1])
  const record = async (fits: (record: TransferRecord) => boolean): Promise<TransferRecord> => {
    const end = Date.now() + 10_000
    for (;;) {
      const found = records.find(fits)
      if (found) return found
      if (Date.now() > end) throw new Error(`no such record among ${JSON.stringify(records)}`)
      await sleep(5)
    }
  }
  return { server, port, root, answers, asked, records, record }
}

export interface Peer {
  readonly socket: Socket
  /** Sends to a port of the server. */
  send(packet: Buffer, port: number): void
  /** The next datagram; rejects after `ms`. */
  next(ms?: number): Promise<{ packet: Buffer; port: number; address: string }>
  /** Resolves if nothing comes for so long. */
  silence(ms: number): Promise<void>
}

/** A bare client socket, closed after the test. */
export async function openPeer(t: TestContext, address = '127.0.0.1'): Promise<Peer> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  socket.bindSync({ address })
  t.after(() => socket.close())
  const arrived: { packet: Buffer; port: number; address: string }[] = []
  let wake = (): void => {}
  socket.on('message', (packet, from) => {
    arrived.push({ packet: Buffer.from(packet), port: from.port, address: from.address })
    wake()
  })
  const wait = (ms: number): Promise<boolean> =>
    new Promise((resolve) => {
      if (arrived.length > 0) return resolve(true)
      const timer = setTimeout(() => resolve(false), ms)
      wake = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  return {
    socket,
    send: (packet, port) => socket.send(packet, port, address),
    async next(ms = 5000) {
      await wait(ms)
      const first = arrived.shift()
      if (!first) throw new Error(`nothing came within ${ms} ms`)
      return first
    },
    async silence(ms) {
      await wait(ms)
      const first = arrived.shift()
      if (first) throw new Error(`not silent: ${first.packet.toString('hex').slice(0, 80)}`)
    },
  }
}

/** Reads a file as a plain client does and returns it; throws the text of an ERROR. */
export async function read(
  peer: Peer,
  port: number,
  name: string,
  options: Record<string, string> = {},
  mode = 'octet',
): Promise<{ bytes: Buffer; ports: number[] }> {
  peer.send(formatRequest('rrq', name, mode, Object.entries(options)), port)
  const parts: Buffer[] = []
  const ports: number[] = []
  let blksize = 512
  for (let expected = 1; ; ) {
    const { packet, port: from } = await peer.next()
    ports.push(from)
    const message = parse(packet)
    if (message?.kind === 'error') throw new Error(`ERROR ${message.code} ${message.text}`)
    if (message?.kind === 'oack') {
      blksize = Number(message.options.get('blksize') ?? 512)
      peer.send(formatAck(0), from)
    } else if (message?.kind === 'data' && message.block === (expected & 0xffff)) {
      parts.push(Buffer.from(message.data))
      peer.send(formatAck(expected++), from)
      if (message.data.length < blksize) return { bytes: Buffer.concat(parts), ports }
    }
  }
}
