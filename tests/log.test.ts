/** What the log says to a terminal: text of machines and names from disk never steer it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLog } from '../src/log.ts'

const odd = ['\u001b[31m', 'a\u001b]0;x\u0007b', '\u009b2J', 'two\nlines', 'a b\u0085', 'c=\u007f', '\r']

test('control characters of messages and fields are escapes on a terminal', () => {
  for (const text of odd) {
    const lines: string[] = []
    const log = createLog('info', true, (line) => lines.push(line))
    log.warn(`message ${text}`, { plain: text, list: [text], nested: { text }, error: new Error(text) })
    assert.equal(lines.length, 1)
    assert.match(lines[0] ?? '', /^[^\u0000-\u001f\u007f-\u009f]*\n$/)
  }
})

test('in a pipe a line is JSON, with the text as it is', () => {
  for (const text of odd) {
    const lines: string[] = []
    createLog('info', false, (line) => lines.push(line)).info(text, { field: text })
    assert.match(lines[0] ?? '', /^[^\n]*\n$/)
    const { message, field } = JSON.parse(lines[0] ?? '') as { message: string; field: string }
    assert.deepEqual([message, field], [text, text])
  }
})
