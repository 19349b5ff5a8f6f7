/** What is no request is answered with a line of text. Source: RFC 9112 §3, §3.2. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createHttpServer } from '../../src/http/server.ts'

/** Everything the server sends for these bytes until it closes. */
async function send(t: TestContext, ...pieces: readonly string[]): Promise<string> {
  const server = createHttpServer((incoming, outgoing) => {
    incoming.resume()
    if (incoming.url === '/half') outgoing.write('half')
    else if (incoming.url !== '/never') outgoing.end('fine')
  }, 'tcp')
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1')
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  const [first = '', ...rest] = pieces
  socket.write(first)
  for await (const piece of socket) {
    text += piece
    const next = rest.shift()
    if (next !== undefined) socket.write(next)
  }
  await closed
  return text
}

const answered = (status: number, line: string) =>
  new RegExp(`^HTTP/1\\.1 ${status} [^\\r]+\\r\\n(?:[^\\r]+\\r\\n)*\\r\\n(?:[0-9a-f]+\\r\\n)?${line}\\n`)

test('an unknown method is 405 like any other, what is no HTTP at all 400, with a line', async (t) => {
  const unknown = await send(t, 'BREW / HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.match(unknown, answered(405, 'The method of this request is not known'))
  assert.match(unknown, /\r\nAllow: GET, HEAD\r\n/)
  assert.match(await send(t, '\u0016\u0003\u0001\u0000'), answered(400, 'This is no HTTP request: [^\\n]+'))
  assert.match(
    await send(t, 'GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n'),
    answered(400, 'This is no HTTP request: [^\\n]+'),
  )
})

test('HTTP/1.1 without Host gets 400 with a line, also where it asks before it sends; HTTP/1.0 needs none', async (t) => {
  const line = answered(400, 'This request has no Host header, which HTTP/1\\.1 asks for')
  assert.match(await send(t, 'GET / HTTP/1.1\r\n\r\n'), line)
  assert.match(await send(t, 'POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n'), line)
  const twice = answered(400, 'This request has more than one Host header')
  assert.match(await send(t, 'GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n'), twice)
  assert.match(await send(t, 'GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 [\s\S]*fine$/)
})

test('a header that is too large gets 431 with a line', async (t) => {
  const large = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`
  assert.match(await send(t, large), answered(431, 'The header of this request is too large'))
})

test('after an answer the next bad request on the connection gets its line, in the middle of one nothing is put in', async (t) => {
  const after = await send(t, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'BREW / HTTP/1.1\r\n\r\n')
  assert.match(after, /^HTTP\/1\.1 200 [\s\S]*fine[\s\S]*HTTP\/1\.1 405 [\s\S]*not known\n$/)
  const ask = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
  for (const before of [ask('/half'), ask('/half') + ask('/'), ask('/half') + ask('/never')]) {
    const half = await send(t, before, 'BREW / HTTP/1.1\r\n\r\n').catch(String)
    assert.doesNotMatch(half, / 4\d\d /, before)
  }
})
