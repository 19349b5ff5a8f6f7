import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { selectPart } from '../../src/http/range.ts'

const file = { sizeBytes: 1000, etag: '"abc"', modifiedMs: Date.UTC(2026, 10, 23, 8, 0, 0, 400) }
const part = (headers: Record<string, string>, method = 'GET', of = file) =>
  selectPart(method, (name) => headers[name], of)
const range = (value: string, more: Record<string, string> = {}) => {
  const { status, start, end } = part({ range: value, ...more })
  return [status, start, end]
}

describe('RFC 9110 §14: Range', () => {
  it('first to last, open end, last bytes', () => {
    assert.deepEqual(range('bytes=0-99'), [206, 0, 100])
    assert.deepEqual(range('bytes=999-'), [206, 999, 1000])
    assert.deepEqual(range('bytes=-100'), [206, 900, 1000])
    assert.deepEqual(range('bytes=-5000'), [206, 0, 1000])
    assert.deepEqual(range('bytes=10-99999'), [206, 10, 1000])
    assert.deepEqual(range(`bytes=10-${'9'.repeat(30)}`), [206, 10, 1000])
    assert.equal(part({ range: 'bytes=0-99' }).headers['content-range'], 'bytes 0-99/1000')
  })

  it('what begins behind the end is 416 with the size', () => {
    assert.deepEqual(range('bytes=1000-'), [416, 0, 0])
    assert.deepEqual(range('bytes=-0'), [416, 0, 0])
    assert.equal(part({ range: 'bytes=1000-' }).headers['content-range'], 'bytes */1000')
    assert.equal(part({ range: 'bytes=0-' }, 'GET', { ...file, sizeBytes: 0 }).status, 416)
  })

  it('several ranges, other units and nonsense are the whole file', () => {
    for (const value of [
      'bytes=0-1,5-6',
      'lines=0-1',
      'bytes=5-2',
      'bytes=-',
      'bytes=a-b',
      '',
      'bytes=99999999999999999999-',
    ]) {
      assert.deepEqual(range(value), [200, 0, 1000], value)
    }
  })

  it('means nothing for HEAD', () => {
    assert.equal(part({ range: 'bytes=0-1' }, 'HEAD').status, 200)
  })

  it('any header selects a part within the file', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d{0,5}-\d{0,5}$/)),
        fc.nat(2000),
        (value, sizeBytes) => {
          const { start, end, status } = part({ range: value }, 'GET', { ...file, sizeBytes })
          assert.ok(start >= 0 && start <= end && end <= sizeBytes)
          if (status === 206) assert.ok(end > start)
        },
      ),
    )
  })
})

describe('RFC 9110 §13: conditions', () => {
  it('If-Range: a part only of the very same version', () => {
    assert.deepEqual(range('bytes=0-9', { 'if-range': '"abc"' }), [206, 0, 10])
    assert.deepEqual(range('bytes=0-9', { 'if-range': 'Mon, 23 Nov 2026 08:00:00 GMT' }), [206, 0, 10])
    for (const other of ['"abd"', 'W/"abc"', 'Mon, 23 Nov 2026 08:00:01 GMT', 'abc']) {
      assert.deepEqual(range('bytes=0-9', { 'if-range': other }), [200, 0, 1000], other)
    }
    const young = { ...file, etag: 'W/"abc"' }
    assert.equal(part({ range: 'bytes=0-9', 'if-range': 'W/"abc"' }, 'GET', young).status, 200)
  })

  it('If-None-Match: 304 without a body, by weak comparison, and it beats the date', () => {
    for (const tags of ['"abc"', 'W/"abc"', '"x", "abc"', '*']) {
      assert.deepEqual(part({ 'if-none-match': tags }).status, 304, tags)
    }
    const headers = { 'if-none-match': '"x"', 'if-modified-since': 'Mon, 23 Nov 2026 08:00:00 GMT' }
    assert.equal(part(headers).status, 200)
    assert.equal(part({ 'if-none-match': '"abc"' }).headers['etag'], '"abc"')
  })

  it('If-Modified-Since counts whole seconds', () => {
    const since = (text: string) => part({ 'if-modified-since': text }).status
    assert.equal(since('Mon, 23 Nov 2026 08:00:00 GMT'), 304)
    assert.equal(since('Mon, 23 Nov 2026 07:59:59 GMT'), 200)
    assert.equal(since('nonsense'), 200)
    assert.equal(
      part({ 'if-modified-since': 'Mon, 23 Nov 2026 08:00:00 GMT' }, 'GET', { ...file, modifiedMs: undefined as never })
        .status,
      200,
    )
  })
})
