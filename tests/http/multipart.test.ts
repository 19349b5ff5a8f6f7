/**
 * multipart/form-data as a stream: however the bytes are cut, the parts are the same; what is not whole is said so.
 * Sources: RFC 7578, RFC 2046 §5.1.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { boundaryOf, MultipartFault, readMultipart } from '../../src/http/multipart.ts'

interface Part {
  readonly name: string | undefined
  readonly fileName: string | undefined
  text: string
  ended: boolean
}

async function* cutAt(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let from = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    yield bytes.subarray(from, Math.max(from, cut))
    from = Math.max(from, cut)
  }
  yield bytes.subarray(from)
}

async function read(text: string, cuts: readonly number[] = [], boundary = 'B'): Promise<Part[]> {
  const parts: Part[] = []
  await readMultipart(cutAt(Buffer.from(text, 'latin1'), cuts), boundary, async ({ name, fileName }) => {
    const part: Part = { name, fileName, text: '', ended: false }
    parts.push(part)
    return {
      write: (chunk) => {
        part.text += Buffer.from(chunk).toString('latin1')
      },
      end: () => {
        part.ended = true
      },
    }
  })
  return parts
}

const head = (name: string, file?: string) =>
  `Content-Disposition: form-data; name="${name}"${file === undefined ? '' : `; filename="${file}"`}\r\n\r\n`
const body =
  `preamble\r\n--B\r\n${head('file', 'a b.log')}I: x\r\n--other\r\n--\r\n\0E: y\r\n--B  \r\n${head('empty', '')}\r\n--B\r\n` +
  `Content-Type: text/xml\r\n${head('plain')}value\r\n--B--\r\nepilogue --B`

test('parts, names and bytes are the same however the body is cut', async () => {
  const whole = await read(body)
  assert.deepEqual(whole, [
    { name: 'file', fileName: 'a b.log', text: 'I: x\r\n--other\r\n--\r\n\0E: y', ended: true },
    { name: 'empty', fileName: '', text: '', ended: true },
    { name: 'plain', fileName: undefined, text: 'value', ended: true },
  ])
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: body.length }), { maxLength: 8 }), async (cuts) => {
      assert.deepEqual(await read(body, cuts), whole)
    }),
  )
  assert.deepEqual(
    await read(
      body,
      Array.from(body, (_, at) => at),
    ),
    whole,
    'a byte at a time',
  )
})

test('a body that ends before its last delimiter is cut off, wherever', async () => {
  const end = body.indexOf('--B--') + '--B--'.length
  for (let cut = 0; cut < end; cut++) {
    await assert.rejects(read(body.slice(0, cut)), MultipartFault, `${cut}`)
  }
  assert.equal((await read(body.slice(0, end))).length, 3)
})

test('the head of a part is bounded, and so is what stands behind a delimiter', async () => {
  await assert.rejects(read(`--B\r\nX: ${'a'.repeat(20_000)}\r\n\r\nx\r\n--B--`), /longer than 16384 bytes/)
  await assert.rejects(read(`--B${' '.repeat(20_000)}`), /no end of line/)
})

test('quotes, a name without quotes, and a UTF-8 name in either form', async () => {
  const form = (disposition: string) => read(`--B\r\nContent-Disposition: form-data; ${disposition}\r\n\r\nx\r\n--B--`)
  assert.equal((await form('name="a\\"b"; filename="c"'))[0]?.name, 'a"b')
  assert.equal((await form('name=file; filename=c.log'))[0]?.fileName, 'c.log')
  assert.equal((await form("name=file; filename*=utf-8''%C3%A9.log"))[0]?.fileName, 'é.log')
})

test('the boundary: quoted, in any place, or none', () => {
  assert.equal(boundaryOf('multipart/form-data; boundary=abc'), 'abc')
  assert.equal(boundaryOf('Multipart/Form-Data; charset=utf-8; boundary="a b"'), 'a b')
  for (const type of [
    undefined,
    '',
    'text/plain',
    'multipart/form-data',
    'multipart/mixed; boundary=a',
    `multipart/form-data; boundary=${'x'.repeat(300)}`,
  ]) {
    assert.equal(boundaryOf(type), undefined)
  }
})
