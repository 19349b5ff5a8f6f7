/** What may be a name. Source: CONTRACT "Command line" (names). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkName, nameFault } from '../../src/domain/name.ts'

test('a name is 1 to 255 bytes of UTF-8 in any script', () => {
  for (const name of ['a', '007', 'naïve 機', '🖥', 'ü'.repeat(127), 'x'.repeat(255), 'a.b', '...', 'a-']) {
    assert.equal(nameFault(name), undefined, name)
  }
})

test('and nothing else: bytes that are no UTF-8, which arrive as U+FFFD, are no name', () => {
  const faults = {
    '': 'it is empty',
    [Buffer.from('bad\xfe', 'latin1').toString('utf8')]: 'it is not valid UTF-8',
    'half\ud800': 'it is not valid UTF-8',
    ['ü'.repeat(128)]: 'it is longer than 255 bytes',
    'a\u001bb': 'it holds a control character',
    'a/b': 'it holds a / or \\',
    '..': 'it is a folder name',
    '-a': 'it starts with -',
  }
  for (const [name, fault] of Object.entries(faults)) assert.equal(nameFault(name), fault, name)
  assert.throws(() => checkName('bad\ufffd', 'system name'), {
    kind: 'invalid',
    message: 'system name "bad\ufffd" is not allowed: it is not valid UTF-8',
  })
})
