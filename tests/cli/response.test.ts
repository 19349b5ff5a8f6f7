/** HTTP/1.1 answers, whole, in pieces, cut and wrong. Source: RFC 9112 §4, §6, §7. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { AnswerFault, ByteReader, readBody, readHead } from '../../src/cli/response.ts'

function reader(...pieces: (string | Uint8Array)[]): ByteReader {
  const left = pieces.map((piece) => Buffer.from(piece as string))
  return new ByteReader(async () => left.shift() ?? null)
}

async function read(from: ByteReader): Promise<{ status: number; body: string; type: string | undefined }> {
  const head = await readHead(from)
  assert.ok(head)
  const pieces: Uint8Array[] = []
  for await (const piece of readBody(from, head)) pieces.push(piece)
  return { status: head.status, body: Buffer.concat(pieces).toString(), type: head.headers.get('content-type') }
}

const chunked =
  'HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0a \r\n, \r\nworld!\r\n0\r\nTrailer: x\r\n\r\n'
const counted = 'HTTP/1.1 404 Not Found\r\ncontent-length:  5 \r\nX:\r\n\r\nhello'

const faultKind = (kind: 'garbage' | 'cut') => (error: unknown) => {
  assert.ok(error instanceof AnswerFault, String(error))
  assert.equal(error.kind, kind, error.message)
  return true
}

describe('a whole answer', () => {
  it('by chunks, extensions and trailers included, however it is cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: chunked.length })), async (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), chunked.length]
        const pieces = at.slice(1).map((end, index) => chunked.slice(at[index], end))
        assert.deepEqual(await read(reader(...pieces)), { status: 200, body: 'hello, \r\nworld!', type: 'a/b' })
      }),
      { numRuns: 200 },
    )
  })
  it('by length, byte by byte, and no byte more', async () => {
    assert.equal((await read(reader(...counted.split('')))).body, 'hello')
    assert.equal((await read(reader(`${counted}more`))).body, 'hello')
    assert.equal((await read(reader(counted))).status, 404)
  })
  it('by the end of the connection; without a body', async () => {
    assert.equal((await read(reader('HTTP/1.0 200 OK\r\n\r\nhel', 'lo'))).body, 'hello')
    assert.equal((await read(reader('HTTP/1.1 204 No Content\r\n\r\nx'))).body, '')
    assert.equal((await read(reader('HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n'))).body, '')
  })
  it('a connection that ends without a byte has no head', async () => {
    assert.equal(await readHead(reader()), null)
  })
})

describe('what is not whole', () => {
  it('is told at every byte at which it may be cut', async () => {
    for (const whole of [chunked, counted]) {
      for (let end = 1; end < whole.length; end++) {
        await assert.rejects(read(reader(whole.slice(0, end))), faultKind('cut'), `cut at ${end}`)
      }
    }
  })
})

describe('what is no answer', () => {
  const wrong = {
    'another protocol': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    'an old HTTP': 'HTTP/2 200\r\n\r\n',
    'no status': 'HTTP/1.1 OK\r\n\r\n',
    'a status out of range': 'HTTP/1.1 999 x\r\n\r\n',
    'a header without name': 'HTTP/1.1 200 OK\r\n: x\r\n\r\n',
    'a folded header': 'HTTP/1.1 200 OK\r\nA: x\r\n y\r\n\r\n',
    'a length that is none': 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
    'a length beyond numbers': `HTTP/1.1 200 OK\r\nContent-Length: ${'9'.repeat(30)}\r\n\r\n`,
    'another encoding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
    'a chunk without size': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
    'a negative chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n',
    'a chunk longer than its size': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n',
    'a chunk beyond numbers': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'f'.repeat(14)}\r\n`,
    'an endless chunk line': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(10_000)}`,
    'an endless head': `HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(20_000)}`,
    'a head without end': 'x'.repeat(100_000),
    'NUL bytes': Buffer.concat([Buffer.alloc(100), Buffer.from('\r\n\r\n')]),
  }
  for (const [name, bytes] of Object.entries(wrong)) {
    it(name, async () => {
      await assert.rejects(read(reader(bytes)), faultKind('garbage'))
    })
  }
  it('any bytes end in an answer or in a fault', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, started) => {
        const from = reader(...(started ? [chunked.slice(0, 70)] : []), bytes)
        try {
          await read(from)
        } catch (error) {
          assert.ok(error instanceof AnswerFault || error instanceof assert.AssertionError, String(error))
        }
      }),
    )
  })
  it('a chunk of 1 GB is handed out as it comes, not kept', async () => {
    let given = 0
    const from = new ByteReader(async () => {
      if (given === 0) {
        given = 1
        return Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n')
      }
      return given++ > 100 ? null : Buffer.alloc(64 * 1024)
    })
    const head = await readHead(from)
    assert.ok(head)
    let largest = 0
    await assert.rejects(async () => {
      for await (const piece of readBody(from, head)) largest = Math.max(largest, piece.length)
    }, faultKind('cut'))
    assert.equal(largest, 64 * 1024)
  })
})
