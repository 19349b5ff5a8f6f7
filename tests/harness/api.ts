/**
 * The management API as a test calls it: one request over the daemon's Unix socket or over TCP, answer and status as they
 * came, and small TFTP reads. No client code of the project is used here.
 */
import { createSocket } from 'node:dgram'
import { request } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** Parsed body; undefined where it is no JSON. */
  readonly json: unknown
}

/** A request that gets no answer in this time is an error of its own. */
const answerTimeoutMs = 20_000

export interface Ask {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** Rejects if the connection ends before the answer is whole. */
export function ask(where: { socketPath: string } | { url: string }, path: string, options: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const target =
      'url' in where
        ? { host: new URL(where.url).hostname.replace(/^\[|\]$/g, ''), port: new URL(where.url).port }
        : { socketPath: where.socketPath }
    const call = request(
      { ...target, path, method: options.method ?? 'GET', headers: { ...options.headers }, agent: false },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', reject)
        response.on('aborted', () => reject(new Error('the answer was cut off')))
        response.on('end', () => {
          const text = Buffer.concat(parts).toString('utf8')
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: parse(text) })
        })
      },
    )
    call.setTimeout(answerTimeoutMs, () => call.destroy(new Error(`no answer to ${path} in ${answerTimeoutMs} ms`)))
    call.on('error', reject)
    call.end(options.body)
  })
}

/** `POST /api/v1/<command>` on the Unix socket. */
export function call(socketPath: string, command: string, args: unknown): Promise<Answer> {
  return ask({ socketPath }, `/api/v1/${command}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(args),
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What a small TFTP read gave: the text, or the ERROR. */
export type SmallRead = { readonly text: string } | { readonly error: number; readonly message: string }

/** Reads a file of less than 512 bytes from `127.0.0.1:port` as an RFC 1350 client without options. */
export function readSmall(port: number, name: string, host = '127.0.0.1'): Promise<SmallRead> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    const rrq = Buffer.concat([Buffer.from([0, 1]), Buffer.from(`${name}\0octet\0`)])
    const again = setInterval(() => socket.send(rrq, port, host), 1000)
    const late = setTimeout(() => finish(() => reject(new Error(`no TFTP answer for ${name}`))), answerTimeoutMs)
    const finish = (done: () => void): void => {
      clearInterval(again)
      clearTimeout(late)
      socket.close()
      done()
    }
    socket.on('error', (error) => finish(() => reject(error)))
    socket.on('message', (packet, from) => {
      const opcode = packet.readUInt16BE(0)
      if (opcode === 5) {
        const message = packet.toString('utf8', 4, packet.length - 1)
        finish(() => resolve({ error: packet.readUInt16BE(2), message }))
      } else if (opcode === 3 && packet.readUInt16BE(2) === 1) {
        const text = packet.toString('utf8', 4)
        socket.send(Buffer.from([0, 4, 0, 1]), from.port, from.address, () => finish(() => resolve({ text })))
      }
    })
    socket.send(rrq, port, host)
  })
}
