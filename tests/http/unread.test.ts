/**
 * Bodies as `readBody` gives them: small announced ones in one piece, others as they come, and what is cut off rejects.
 * Source: `unread.ts`.
 */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { readBody } from '../../src/http/unread.ts'

type Read = { readonly pieces: readonly Buffer[] } | { readonly error: NodeJS.ErrnoException }

async function read(incoming: IncomingMessage): Promise<Read> {
  const pieces: Buffer[] = []
  try {
    for await (const piece of readBody(incoming)) pieces.push(Buffer.from(piece))
    return { pieces }
  } catch (error) {
    return { error: error as NodeJS.ErrnoException }
  }
}

/** What a server reads of a request that `send` writes. `begin` comes before the server reads. */
async function exchange(
  send: (socket: Socket) => Promise<void>,
  begin: (incoming: IncomingMessage) => Promise<void> = async () => {},
): Promise<Read> {
  const found = Promise.withResolvers<Read>()
  const server = createServer((incoming, outgoing) => {
    const end = (): void => void outgoing.end()
    const reading = begin(incoming).then(() => read(incoming))
    reading.then(found.resolve, found.reject).then(end, end)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => {})
  socket.setNoDelay(true)
  try {
    await send(socket)
    return await found.promise
  } finally {
    socket.destroy()
    server.closeAllConnections()
    server.close()
  }
}

const head = (...lines: string[]): string => ['POST / HTTP/1.1', 'host: x', ...lines, '', ''].join('\r\n')
const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const whole = (found: Read): string => {
  assert.ok('pieces' in found, 'error' in found ? found.error.message : '')
  return Buffer.concat(found.pieces).toString()
}

test('a small body is one piece, however it comes', async () => {
  const text = 'I: a line of a log\n'.repeat(20)
  for (const size of [text.length, 7, 1]) {
    const found = await exchange(async (socket) => {
      socket.write(head(`content-length: ${text.length}`))
      for (let at = 0; at < text.length; at += size) {
        socket.write(text.slice(at, at + size))
        if (at % 5 === 0) await wait(0)
      }
    })
    assert.equal(whole(found), text)
    assert.equal('pieces' in found && found.pieces.length, 1)
  }
  assert.equal(whole(await exchange(async (socket) => void socket.write(head('content-length: 0')))), '')
})

test('a larger one, and one of unknown length, is read as it comes', async () => {
  const large = Buffer.alloc(200_000, 'x')
  const found = await exchange(async (socket) => {
    socket.write(head(`content-length: ${large.length}`))
    socket.write(large)
  })
  assert.equal(whole(found), large.toString())
  assert.ok('pieces' in found && found.pieces.length > 1)
  const first = Promise.withResolvers<string>()
  const chunked = await exchange(
    async (socket) => {
      socket.write(`${head('transfer-encoding: chunked')}2\r\nab\r\n`)
      assert.equal(await first.promise, 'ab', 'it was not waited for the end')
      socket.write('1\r\nc\r\n0\r\n\r\n')
    },
    async (incoming) => {
      incoming.once('data', (piece) => first.resolve(String(piece)))
      await first.promise
    },
  )
  assert.equal(whole(chunked), 'c')
})

test('a connection that ends before its small body does rejects, also where it ended before anybody read', async () => {
  for (const end of ['destroy', 'reset'] as const) {
    for (const isLate of [false, true]) {
      const found = await exchange(
        async (socket) => {
          socket.write(`${head('content-length: 20')}half`)
          await wait(20)
          if (end === 'reset') socket.resetAndDestroy()
          else socket.destroy()
        },
        async (incoming) => {
          if (isLate) await new Promise((resolve) => incoming.once('close', resolve))
        },
      )
      assert.ok('error' in found, `${end}, ${isLate}`)
      assert.equal(found.error.code, 'ECONNRESET')
    }
  }
})
