/**
 * Protocol tests written as exchanges: what the client sends, what must come back, and the time that passes. No socket and
 * no waiting: the request is parsed and judged by the project's code and the transfer runs on the time of the script.
 *
 *   > RRQ name octet blksize=1408     the client sends            < OACK blksize=1408     the server must have sent
 *   > ACK 0 · > ERROR 8 text          other packets               < DATA 1 (1408)         block (bytes of data)
 *   > HEX 0004                        any bytes                   < ERROR 4 text          code and a part of the text
 *   . 1000 ms                         time passes                 = done                  the transfer's outcome
 *   # a remark, also after a line     `< DATA 2..17 (512)` is one line for several blocks in order
 *
 * Whatever the server sends and the script does not name fails the test, at the next line and at the end.
 */
import assert from 'node:assert/strict'
import { BytesSource } from '../../src/tftp/bytes-source.ts'
import { toNetascii } from '../../src/tftp/netascii.ts'
import { negotiate } from '../../src/tftp/options.ts'
import { formatAck, formatError, formatRequest, parse } from '../../src/tftp/packet.ts'
import { formatRefusal, refuseRequest } from '../../src/tftp/request.ts'
import { Transfer } from '../../src/tftp/transfer.ts'

/** Answers by name: bytes, or a number of bytes to be made up. A name that is missing gets ERROR 1. */
export type Files = Readonly<Record<string, number | Uint8Array>>

/** Runs a script; throws where the server does anything else. Returns the last transfer. */
export function runExchange(files: Files, script: string): Transfer | undefined {
  const sent: Buffer[] = []
  const wire = { send: (packet: Buffer) => sent.push(Buffer.from(packet)) }
  let nowMs = 1_000_000
  let transfer: Transfer | undefined
  let request: Buffer | undefined

  const receive = (packet: Buffer): void => {
    const message = parse(packet)
    if (message?.kind !== 'rrq' && message?.kind !== 'wrq') {
      transfer?.receive(packet, nowMs)
      return
    }
    if (transfer && transfer.outcome === undefined) {
      if (request?.equals(packet) && transfer.firstAckMs < 0) {
        transfer.repeatRequest(nowMs)
        return
      }
      transfer.end('replaced', '')
    }
    const refusal = refuseRequest(message)
    const file = files[message.name]
    if (refusal || file === undefined) {
      sent.push(refusal ? formatRefusal(refusal) : formatError(1, `no such file: ${message.name}`))
      return
    }
    const raw = typeof file === 'number' ? pattern(file) : file
    const bytes = message.mode === 'netascii' ? toNetascii(raw) : raw
    const granted = negotiate(message.options, bytes.length)
    request = packet
    transfer = new Transfer(granted, new BytesSource(bytes, granted.blksize), wire)
    transfer.start(nowMs)
  }

  const pass = (ms: number): void => {
    const end = nowMs + ms
    while (transfer && transfer.wakeMs <= end) {
      nowMs = Math.max(nowMs, transfer.wakeMs)
      transfer.wake(nowMs)
    }
    nowMs = end
  }

  for (const [index, raw] of script.split('\n').entries()) {
    const line = raw.replace(/(^|\s)#.*$/, '').trim()
    if (line === '') continue
    const where = `line ${index + 1}: ${line}`
    const rest = line.slice(1).trim()
    if (!line.startsWith('<')) assert.deepEqual(sent.map(describe), [], `${where}: sent before it and not expected`)
    if (line.startsWith('>')) receive(encode(rest))
    else if (line.startsWith('.')) pass(Number.parseFloat(rest))
    else if (line.startsWith('=')) assert.equal(transfer?.outcome ?? 'running', rest, where)
    else for (const wanted of expand(rest)) expectPacket(sent.shift(), wanted, where)
  }
  assert.deepEqual(sent.map(describe), [], 'sent at the end and not expected')
  return transfer
}

/** Bytes that differ from block to block, so that a wrong block is seen. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + (i >>> 16)) & 0xff
  return bytes
}

function expectPacket(packet: Buffer | undefined, wanted: string, where: string): void {
  assert.ok(packet, `${where}: nothing was sent`)
  const seen = describe(packet)
  if (wanted.startsWith('ERROR')) {
    const [, code, text] = /^ERROR (\d+) ?(.*)$/.exec(wanted) ?? []
    assert.ok(seen.startsWith(`ERROR ${code} `) && seen.includes(text ?? ''), `${where}: sent was ${seen}`)
  } else assert.equal(seen, wanted, where)
}

function expand(text: string): string[] {
  const range = /^DATA (\d+)\.\.(\d+) (\(\d+\))$/.exec(text)
  if (!range) return [text]
  const [first, last] = [Number(range[1]), Number(range[2])]
  return Array.from({ length: last - first + 1 }, (_, i) => `DATA ${(first + i) & 0xffff} ${range[3]}`)
}

/** A packet as the scripts write it. */
function describe(packet: Buffer): string {
  const message = parse(packet)
  switch (message?.kind) {
    case 'data':
      return `DATA ${message.block} (${message.data.length})`
    case 'oack':
      return `OACK ${[...message.options].map(([name, value]) => `${name}=${value}`).join(' ')}`
    case 'error':
      return `ERROR ${message.code} ${message.text}`
    case 'ack':
      return `ACK ${message.block}`
    case 'rrq':
    case 'wrq':
      return `${message.kind} ${message.name}`
    case undefined:
      return `HEX ${packet.toString('hex')}`
  }
}

function encode(text: string): Buffer {
  const [kind, first, second, ...rest] = text.split(' ')
  switch (kind) {
    case 'RRQ':
    case 'WRQ': {
      const options = rest.map((option) => option.split('=') as [string, string])
      return formatRequest(kind === 'RRQ' ? 'rrq' : 'wrq', first ?? '', second ?? '', options)
    }
    case 'ACK':
      return formatAck(Number(first))
    case 'ERROR':
      return formatError(Number(first), [second, ...rest].filter((word) => word !== undefined).join(' '))
    case 'HEX':
      return Buffer.from(first ?? '', 'hex')
    default:
      throw new Error(`no packet: ${text}`)
  }
}
