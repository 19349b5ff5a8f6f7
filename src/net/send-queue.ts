/**
 * How much of what a connection was given the peer has not acknowledged: whether an answer arrived at a machine whose
 * power may be gone. A write that succeeded says no more than that the kernel has the bytes.
 *
 * From `/proc/net/tcp` and `tcp6`, which Linux has for the network namespace of the process; nobody asks often (a run
 * whose connection stays open), and who asks at the same time shares one read. Source: proc_net(5), Linux
 * `Documentation/networking/proc_net_tcp.rst` (`tx_queue`).
 */
import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'

/** Both ends of a connection, as `node:net` names them. */
export interface Ends {
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

/** Bytes that the peer's kernel has not acknowledged; undefined where that cannot be known. Never rejects. */
export async function unacknowledgedBytes(ends: Ends): Promise<number | undefined> {
  const { localAddress, localPort, remoteAddress, remotePort } = ends
  if (localAddress === undefined || remoteAddress === undefined) return undefined
  if (localPort === undefined || remotePort === undefined) return undefined
  const local = plainAddress(localAddress)
  const key = `${formatEnd(local, localPort)} ${formatEnd(plainAddress(remoteAddress), remotePort)}`
  return findQueue(await read(isIPv6(local) ? '/proc/net/tcp6' : '/proc/net/tcp'), key)
}

const reads = new Map<string, Promise<string>>()

function read(path: string): Promise<string> {
  let reading = reads.get(path)
  if (!reading) {
    reading = readFile(path, 'latin1')
      .catch(() => '')
      .finally(() => reads.delete(path))
    reads.set(path, reading)
  }
  return reading
}

/**
 * Of the table's text, the queue of the connection with these ends, `local remote` as the table has them:
 * `   1: 0100007F:1F40 0100007F:C350 01 000000A5:00000000 …`, the queue being the hex number before the last colon shown.
 */
export function findQueue(table: string, key: string): number | undefined {
  const at = table.indexOf(` ${key} `)
  if (at < 0) return undefined
  const queue = /^ [0-9A-F]{2} ([0-9A-F]{8}):/.exec(table.slice(at + key.length + 1, at + key.length + 20))?.[1]
  return queue === undefined ? undefined : Number.parseInt(queue, 16)
}

/** `127.0.0.1`, 8000 → `0100007F:1F40`: words of 32 bits in the byte order of the machine, which is little-endian. */
export function formatEnd(address: string, port: number): string {
  const bytes = isIPv6(address) ? bytesOf6(address) : address.split('.').map(Number)
  let hex = ''
  for (let word = 0; word < bytes.length; word += 4) {
    for (let byte = 3; byte >= 0; byte--) hex += hexOf(bytes[word + byte] ?? 0, 2)
  }
  return `${hex}:${hexOf(port, 4)}`
}

function hexOf(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}

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

/** `::ffff:10.0.0.1` → `10.0.0.1`; a device name has no place in the table. */
function plainAddress(address: string): string {
  const [plain = ''] = address.split('%')
  return plain.startsWith('::ffff:') && plain.includes('.') ? plain.slice(7) : plain
}
