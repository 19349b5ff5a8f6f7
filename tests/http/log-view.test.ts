/**
 * A run's log as lines: however the bytes come, whatever they are, with a window and counts that are right.
 * Source: WEB.md (log: toggles, anchors), CONTRACT "Result files" (any bytes are accepted).
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RunLog } from '../../src/commands/daemon.ts'
import { createLineSplitter, readLog } from '../../src/http/pages/log-view.ts'

/** A log that comes in pieces of that size. */
function logOf(bytes: Uint8Array, pieceBytes = 7): RunLog {
  return {
    sizeBytes: bytes.length,
    final: true,
    async *chunks(start = 0, end = bytes.length) {
      for (let at = start; at < end; at += pieceBytes) yield bytes.subarray(at, Math.min(end, at + pieceBytes))
    },
    close: async () => undefined,
  }
}
const text = (...lines: string[]) => Buffer.from(lines.join('\n'), 'latin1')
const all = { from: 1, show: '', open: false } as const

describe('lines', () => {
  test('the same lines and places come out wherever the bytes are cut', () => {
    const bytes = text('one', '', 'E: two\r', 'three', 'rest')
    for (let piece = 1; piece <= bytes.length; piece += 1) {
      const lines: string[] = []
      const splitter = createLineSplitter((line) => lines.push(Buffer.from(line).toString()))
      for (let at = 0; at < bytes.length; at += piece) splitter.push(bytes.subarray(at, at + piece))
      assert.deepEqual(lines, ['one', '', 'E: two\r', 'three'])
      assert.deepEqual(splitter.position, { offset: bytes.length - 4, lines: 4 })
      splitter.flush()
      assert.equal(lines.at(-1), 'rest')
      assert.deepEqual(splitter.position, { offset: bytes.length, lines: 5 })
    }
  })

  test('a line of megabytes is one line: its beginning is kept, its end counts for the place', () => {
    const lines: Uint8Array[] = []
    const splitter = createLineSplitter((line) => lines.push(line), { offset: 10, lines: 1 })
    for (let each = 0; each < 64; each += 1) splitter.push(Buffer.alloc(64 * 1024, 0x78))
    splitter.push(Buffer.from('\nnext\n'))
    assert.equal(lines.length, 2)
    assert.ok((lines[0]?.length ?? 0) < 128 * 1024)
    assert.deepEqual(splitter.position, { offset: 10 + 64 * 64 * 1024 + 6, lines: 3 })
  })
})

describe('a window of a log', () => {
  test('numbers, kinds and counts are those of the whole log, also of lines that are not shown', async () => {
    const log = logOf(text('V: 1', 'E: a', 'W: b', 'E:c', ' E: d', 'E: e', 'I: caf\u00e9\r', 'X: 1', 'M: x 1 s', ''))
    const window = await readLog(log, { ...all, show: 'EI' })
    assert.deepEqual(
      window.lines.map(({ number, kind, text: shown }) => `${number} ${kind} ${shown}`),
      ['2 error E: a', '6 error E: e', '7 info I: café'],
    )
    assert.deepEqual(window.counts, { version: 1, error: 2, warning: 1, info: 1, exit: 1, measured: 1 })
    assert.equal(window.firstError, 2)
    assert.deepEqual(window.end, { offset: log.sizeBytes, lines: 9 })
  })

  test('a window begins where it is asked to, and says where the next lines and the next error are', async () => {
    const lines = Array.from({ length: 5000 }, (_, at) => (at % 1500 === 999 ? 'E: x' : 'y'))
    const log = logOf(text(...lines, ''), 4096)
    const first = await readLog(log, all)
    assert.equal(first.lines.length, 2000)
    assert.deepEqual([first.earlier, first.next, first.firstError, first.nextError], [false, 2001, 1000, 2500])
    const second = await readLog(log, { ...all, from: 2480 })
    assert.deepEqual(
      [second.lines[0]?.number, second.earlier, second.next, second.nextError],
      [2480, true, 4480, undefined],
    )
    const end = await readLog(log, { ...all, from: 'end' })
    assert.deepEqual(
      [end.lines[0]?.number, end.lines.at(-1)?.number, end.earlier, end.next],
      [3001, 5000, true, undefined],
    )
    const beyond = await readLog(log, { ...all, from: 9999 })
    assert.deepEqual([beyond.lines.length, beyond.next], [0, undefined])
  })

  test('an unfinished line is shown of a log that is whole, and waited for in one that goes on', async () => {
    const log = logOf(text('one', 'E: tw'))
    assert.equal((await readLog(log, all)).lines.length, 2)
    const open = await readLog(log, { ...all, open: true })
    assert.equal(open.lines.length, 1)
    assert.deepEqual(open.end, { offset: 4, lines: 1 })
    assert.equal(open.counts['error'], undefined)
  })

  test('what would turn a line around or cannot be seen is written out, and a long line is cut', async () => {
    const log = logOf(Buffer.concat([Buffer.from('E: \u202etxt\u0000\u001b[0m\n'), Buffer.alloc(9000, 0x7a)]), 1000)
    const [hostile, long] = (await readLog(log, all)).lines
    assert.equal(hostile?.text, 'E: ‹U+202E›txt␀␛[0m')
    assert.equal(long?.text.length, 2001)
    assert.ok(long?.text.endsWith('z…'))
  })

  test('an empty log has no line', async () => {
    const window = await readLog(logOf(Buffer.alloc(0)), all)
    assert.deepEqual([window.lines, window.next, window.cut], [[], undefined, false])
  })
})
