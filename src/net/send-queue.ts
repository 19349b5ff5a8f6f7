/**
 * How much of what a connection was given the peer has not acknowledged: whether an answer arrived at a machine whose
 * power may be gone. A write that succeeded says no more than that the kernel has the bytes.
 *
 * From `/proc/net/tcp` and `tcp6`, which Linux has for the network namespace of the process: a line for each socket, 4 KiB
 * of them in a read, 2 to 4 ms of CPU for a thousand. So whoever asks within a second shares one look at a table, which is read
 * in short pieces of the main loop, and not by libuv's pool: no disk is behind it, and a call for each read would cost more.
 * Source: proc_net(5), Linux `Documentation/networking/proc_net_tcp.rst` (`tx_queue`).
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { isIPv6 } from 'node:net'

/** Both ends of a connection, as `node:net` names them. */
export interface Ends {
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

/** From the end of one look at a table to the next, ms. */
const lookGapMs = 1000
/** A piece of a look takes no longer than about this, ms. */
const pieceMs = 2
/** Asked for in one read; the kernel gives less. */
const readBytes = 64 * 1024

/** Bytes that the peer's kernel has not acknowledged; undefined where that cannot be known. Never rejects. */
export async function unacknowledgedBytes(ends: Ends): Promise<number | undefined> {
  const { localAddress, localPort, remoteAddress, remotePort } = ends
  if (localAddress === undefined || remoteAddress === undefined) return undefined
  if (localPort === undefined || remotePort === undefined) return undefined
  const key = `${formatEnd(localAddress, localPort)} ${formatEnd(remoteAddress, remotePort)}`
  return (isIPv6(localAddress) ? table6 : table4).find(key)
}

type Found = (bytes: number | undefined) => void

/** A table of connections as the kernel prints it. */
export class ConnectionTable {
  readonly #path: string
  /** Who asked since the last look began, by connection. */
  #asked = new Map<string, Found[]>()
  #isPlanned = false
  #lookedMs = Number.NEGATIVE_INFINITY

  constructor(path: string) {
    this.#path = path
  }

  /** The queue of the connection with these ends (`local remote` as the table has them) after this; undefined: none there. */
  find(key: string): Promise<number | undefined> {
    return new Promise((resolve) => {
      const others = this.#asked.get(key)
      if (others) others.push(resolve)
      else this.#asked.set(key, [resolve])
      this.#plan()
    })
  }

  #plan(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    const waitMs = Math.max(0, this.#lookedMs + lookGapMs - performance.now())
    setTimeout(() => void this.#look(), waitMs).unref()
  }

  async #look(): Promise<void> {
    const asked = this.#asked
    this.#asked = new Map()
    try {
      await this.#read(asked)
    } catch {
      // No such table here: nothing is known.
    }
    for (const others of asked.values()) for (const found of others) found(undefined)
    this.#lookedMs = performance.now()
    this.#isPlanned = false
    if (this.#asked.size > 0) this.#plan()
  }

  /** Answers and takes out of `asked` what is in the table. */
  async #read(asked: Map<string, Found[]>): Promise<void> {
    const table = openSync(this.#path, 'r')
    try {
      const buffer = Buffer.allocUnsafe(readBytes)
      let rest = ''
      let begunMs = performance.now()
      while (asked.size > 0) {
        const size = readSync(table, buffer)
        if (size === 0) return
        const lines = (rest + buffer.toString('latin1', 0, size)).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) {
          const connection = parseConnection(line)
          const others = connection && asked.get(connection.key)
          if (!others) continue
          asked.delete(connection.key)
          for (const found of others) found(connection.bytes)
        }
        if (performance.now() - begunMs < pieceMs) continue
        await new Promise(setImmediate)
        begunMs = performance.now()
      }
    } finally {
      closeSync(table)
    }
  }
}

const table4 = new ConnectionTable('/proc/net/tcp')
const table6 = new ConnectionTable('/proc/net/tcp6')

/** Number, both ends, state, bytes not acknowledged: `   1: 0100007F:1F40 0100007F:C350 01 000000A5:00000000 …`. */
const connectionLine = /^ *\d+: ([0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4}) [0-9A-F]{2} ([0-9A-F]{8}):/

/** A line of a table; undefined for its head. */
export function parseConnection(line: string): { readonly key: string; readonly bytes: number } | undefined {
  const [, key, queue] = connectionLine.exec(line) ?? []
  return key === undefined || queue === undefined ? undefined : { key, bytes: Number.parseInt(queue, 16) }
}

/** `127.0.0.1`, 8000 → `0100007F:1F40`: words of 32 bits in the byte order of the machine, which is little-endian. */
export function formatEnd(address: string, port: number): string {
  // A device name has no place in the table.
  const [plain = ''] = address.split('%')
  const bytes = isIPv6(plain) ? bytesOf6(plain) : plain.split('.').map(Number)
  let hex = ''
  for (let word = 0; word < bytes.length; word += 4) {
    for (let byte = 3; byte >= 0; byte--) hex += hexOf(bytes[word + byte] ?? 0, 2)
  }
  return `${hex}:${hexOf(port, 4)}`
}

function hexOf(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}

/** Of an address without IPv4 in its text: a listener for IPv6 takes no IPv4 (`ipv6Only`). */
function bytesOf6(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const groupsOf = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const first = groupsOf(head)
  const last = tail === undefined ? [] : groupsOf(tail)
  const middle = Array.from({ length: 8 - first.length - last.length }, () => '0')
  return [...first, ...(tail === undefined ? [] : middle), ...last].flatMap((group) => {
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 255]
  })
}
