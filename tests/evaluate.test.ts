/**
 * Bundles with compiled code: used where it fits, without harm where it does not. Source: src/evaluate.ts.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { compileBundle, runBundle } from '../src/evaluate.ts'

const code = `"use strict";const fs=require("node:fs");exports.read=()=>typeof fs.readFileSync;
exports.where=[__filename,__dirname];exports.fail=()=>{throw new Error("here")};`
const path = '/pxemngr/some.cjs'

interface Some {
  read(): string
  where: string[]
  fail(): never
}

test('compiled code that another process made is used, and does the same', () => {
  const script = compileBundle(path, code, compileElsewhere(code))
  assert.equal(script.cachedDataRejected, false)
  const some = runBundle(path, script) as Some
  assert.equal(some.read(), 'function')
  assert.deepEqual(some.where, [path, '/pxemngr'])
})

test('compiled code of another source, of another version, cut short or no such thing at all: compiled as ever', () => {
  const change: Record<string, (whole: Buffer, own: string) => Uint8Array> = {
    'another source': (_, own) => compileBundle(path, `${own};exports.more=1`).createCachedData(),
    // The version of V8 is in the first words.
    'another version': (whole) => whole.fill(255 - (whole[4] ?? 0), 4, 8),
    'cut short': (whole) => whole.subarray(0, 100),
    empty: () => new Uint8Array(),
    'no such thing': () => Buffer.from('something else'.repeat(100)),
  }
  for (const [name, made] of Object.entries(change)) {
    // A source of its own: V8 compiles none twice in one process.
    const own = `${code}exports.name=${JSON.stringify(name)}`
    const data = made(compileElsewhere(own), own)
    const script = compileBundle(path, own, data)
    assert.equal(script.cachedDataRejected, true, name)
    assert.equal((runBundle(path, script) as Some).read(), 'function', name)
  }
})

/** What another process compiles of it. */
function compileElsewhere(own: string): Buffer {
  const module = JSON.stringify(join(import.meta.dirname, '../src/evaluate.ts'))
  const program = `const { compileBundle } = await import(${module})
    process.stdout.write(compileBundle(${JSON.stringify(path)}, ${JSON.stringify(own)}).createCachedData())`
  return execFileSync(process.execPath, ['--input-type=module', '-e', program])
}

test('positions in stacks are those of the bundle, in its first line too', () => {
  const { fail } = runBundle(path, compileBundle(path, code)) as Some
  assert.throws(fail, (error: Error) => new RegExp(`${path}:2:\\d+`).test(error.stack ?? ''))
  const first = runBundle(path, compileBundle(path, 'exports.at=()=>new Error("here").stack')) as { at(): string }
  assert.match(first.at(), new RegExp(`${path}:1:16`))
})

test('a bundle gets modules of Node and nothing else', () => {
  const asks = (name: string) => () => runBundle(path, compileBundle(path, `require(${JSON.stringify(name)})`))
  asks('node:path')()
  assert.throws(asks('sql.js'), /asks for sql\.js/)
  assert.throws(asks('./daemon.cjs'), /asks for \.\/daemon\.cjs/)
})
