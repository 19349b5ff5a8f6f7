/**
 * The packets of TFTP: bytes ↔ values. The only importer of tftp2's codec, guarded where that one trusts the wire.
 *
 *   RRQ 1, WRQ 2 │ op · name NUL · mode NUL · (option NUL value NUL)*     DATA 3 │ op · block · 0..blksize bytes
 *   ACK 4        │ op · block                                            ERROR 5 │ op · code · text NUL
 *   OACK 6       │ op · (option NUL value NUL)+          (op, block, code: 16 bit, big endian)
 *
 * It decides nothing: whether a request is acceptable is said by `request.ts`, what an ACK means by `transfer.ts`.
 * Sources: RFC 1350 §5, RFC 2347, PROTOCOLS §1 "Packets".
 */
import codec from 'tftp2/packet.js'

export const opcodes = { ...codec.OPCODE, OACK: 6 } as const

/** RFC 1350 §5 and RFC 2347. */
export const errorCodes = {
  other: 0,
  notFound: 1,
  accessViolation: 2,
  diskFull: 3,
  illegalOperation: 4,
  unknownTid: 5,
  optionsRefused: 8,
} as const

/** Bytes of a DATA packet before its data. */
export const DATA_HEADER = 4
/** A conforming client stays under 512 bytes; longer ones are read up to here, beyond it is no request. */
const REQUEST_MAX = 2048
/** An ERROR has to fit every network and the line of a ROM. */
const ERROR_TEXT_MAX = 400

export interface Request {
  readonly kind: 'rrq' | 'wrq'
  /** Decoded as UTF-8; empty only until `request.ts` has refused that; what a path may hold is checked by whoever opens one. */
  readonly name: string
  /** Lower case, as it came otherwise; may be empty. */
  readonly mode: string
  /** Names in lower case, in the client's order, the first of each; values as they came. */
  readonly options: ReadonlyMap<string, string>
}

export type Message =
  | Request
  | { readonly kind: 'data'; readonly block: number; readonly data: Uint8Array }
  | { readonly kind: 'ack'; readonly block: number }
  | { readonly kind: 'error'; readonly code: number; readonly text: string }
  | { readonly kind: 'oack'; readonly options: ReadonlyMap<string, string> }

/** The value of a datagram, or undefined for whatever is no TFTP packet. Never throws. */
export function parse(message: Buffer): Message | undefined {
  if (message.length < 4 || message[0] !== 0) return undefined
  switch (message[1]) {
    case opcodes.RRQ:
    case opcodes.WRQ:
      return parseRequest(message)
    case opcodes.DATA:
      return { kind: 'data', block: message.readUInt16BE(2), data: message.subarray(DATA_HEADER) }
    case opcodes.ACK:
      return { kind: 'ack', block: ackedBlock(message) }
    case opcodes.ERROR:
      return parseError(message)
    case opcodes.OACK: {
      const options = parseOptions(message, 2)
      return options && options.size > 0 ? { kind: 'oack', options } : undefined
    }
    default:
      return undefined
  }
}

/** Block number of an ACK, -1 for any other packet: the one question of a transfer's steady state, without an object. */
export function ackedBlock(packet: Uint8Array): number {
  if (packet.length < 4 || packet[0] !== 0 || packet[1] !== opcodes.ACK) return -1
  return ((packet[2] as number) << 8) | (packet[3] as number)
}

/** undefined if it is no ERROR. A text without its NUL is taken as it is: it is only shown. */
export function parseError(packet: Buffer): { kind: 'error'; code: number; text: string } | undefined {
  if (packet.length < 4 || packet[0] !== 0 || packet[1] !== opcodes.ERROR) return undefined
  const end = packet.indexOf(0, 4)
  const text = packet.toString('utf8', 4, Math.min(end < 0 ? packet.length : end, 4 + ERROR_TEXT_MAX))
  return { kind: 'error', code: packet.readUInt16BE(2), text }
}

/** What a request says behind its name. */
type Wish = Pick<Request, 'mode' | 'options'>

/** Wishes as machines put them, by their bytes: a site's firmware and loaders know a few dozen ways. */
const wishes = new Map<string, Wish>()
const WISHES_MAX = 256
const WISH_BYTES_MAX = 256

function parseRequest(message: Buffer): Request | undefined {
  if (message.length > REQUEST_MAX) return undefined
  const nameEnd = message.indexOf(0, 2)
  if (nameEnd < 0) return undefined
  const wish = findWish(message, nameEnd + 1)
  if (!wish) return undefined
  return {
    kind: message[1] === opcodes.RRQ ? 'rrq' : 'wrq',
    name: message.toString('utf8', 2, nameEnd),
    mode: wish.mode,
    options: wish.options,
  }
}

/** Machines of one kind come in crowds: the wish of the request before is the likeliest. */
let latest: { readonly tail: Uint8Array; readonly wish: Wish } | undefined

function findWish(message: Buffer, at: number): Wish | undefined {
  if (latest && endsWith(message, at, latest.tail)) return latest.wish
  const tail = message.toString('latin1', at)
  let wish = wishes.get(tail)
  if (!wish) {
    wish = parseWish(message, at)
    if (!wish || tail.length > WISH_BYTES_MAX) return wish
    if (wishes.size >= WISHES_MAX) wishes.clear()
    wishes.set(tail, wish)
  }
  latest = { tail: Uint8Array.from(message.subarray(at)), wish }
  return wish
}

function endsWith(message: Uint8Array, at: number, tail: Uint8Array): boolean {
  if (message.length - at !== tail.length) return false
  for (let i = 0; i < tail.length; i++) if (message[at + i] !== tail[i]) return false
  return true
}

function parseWish(message: Buffer, modeAt: number): Wish | undefined {
  const modeEnd = message.indexOf(0, modeAt)
  if (modeEnd < 0) return undefined
  // One character a byte: the codec decodes 7 bits, which would turn AE AE AF into "../" and mangle UTF-8.
  const options = parseOptions(message, modeEnd + 1)
  return options && { mode: message.toString('latin1', modeAt, modeEnd).toLowerCase(), options }
}

/** undefined if a string lacks its NUL. */
function parseOptions(message: Buffer, start: number): ReadonlyMap<string, string> | undefined {
  if (start === message.length) return noOptions
  const options = new Map<string, string>()
  let at = start
  while (at < message.length) {
    const reader = codec.createReader(message, at)
    const name = reader.readStr()
    const value = reader.readStr()
    at += name.length + value.length + 2
    if (at > message.length) return undefined
    const key = name.toLowerCase()
    if (!options.has(key)) options.set(key, value)
  }
  return options
}

const noOptions: ReadonlyMap<string, string> = new Map()

/** DATA; `block` counts on beyond 16 bits and is sent modulo 65536 (after 65535 comes 0). */
export function formatData(block: number, data: Uint8Array): Buffer {
  const packet = Buffer.allocUnsafe(DATA_HEADER + data.length)
  writeDataHeader(packet, 0, block)
  packet.set(data, DATA_HEADER)
  return packet
}

/** Writes the four bytes before the data at `offset`. */
export function writeDataHeader(packet: Uint8Array, offset: number, block: number): void {
  packet[offset] = 0
  packet[offset + 1] = opcodes.DATA
  packet[offset + 2] = (block >>> 8) & 0xff
  packet[offset + 3] = block & 0xff
}

export function formatAck(block: number): Buffer {
  return codec.createAck(block & 0xffff)
}

/** RRQ or WRQ, for the tests' clients. */
export function formatRequest(
  kind: 'rrq' | 'wrq',
  name: string,
  mode: string,
  options: Iterable<readonly [string, string]> = [],
): Buffer {
  const head = codec.createRequest(kind === 'rrq' ? opcodes.RRQ : opcodes.WRQ, '', mode)
  const tail = [...options].map(([option, value]) => `${option}\0${value}\0`).join('')
  return Buffer.concat([head.subarray(0, 2), Buffer.from(name), head.subarray(2), Buffer.from(tail, 'latin1')])
}

/** OACK of the options granted, in that order; never called with none (RFC 2347: an OACK is never empty). */
export function formatOack(options: Iterable<readonly [string, number]>): Buffer {
  let text = '\0\u0006'
  for (const [name, value] of options) text += `${name}\0${value}\0`
  return Buffer.from(text, 'latin1')
}

/** ERROR with a text for whoever stands in front of the screen: one line, cut to what a ROM can show. */
export function formatError(code: number, text: string): Buffer {
  const line = Buffer.from(text.replaceAll(/[\0-\x1f\x7f]+/g, ' '))
  const packet = Buffer.alloc(4 + Math.min(line.length, ERROR_TEXT_MAX) + 1)
  packet[1] = opcodes.ERROR
  packet.writeUInt16BE(code, 2)
  line.copy(packet, 4, 0, ERROR_TEXT_MAX)
  return packet
}
