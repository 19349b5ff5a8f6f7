/**
 * `addsystem --from`: what a line is, which fault is said where, all or nothing, and how long 10,000 lines take.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addsystem, checkSystem } from '../../src/commands/addsystem.ts'
import type { ClientContext } from '../../src/commands/definition.ts'
import { parseSystemFile } from '../../src/commands/system-file.ts'
import { Refusal } from '../../src/domain/errors.ts'
import { openManagement } from '../harness/management.ts'

const parse = (text: string | Uint8Array) =>
  parseSystemFile(typeof text === 'string' ? new TextEncoder().encode(text) : text, 'hosts', checkSystem)

test('a line is a name and its addresses; comments, blank lines, tabs, CRLF and a BOM are nothing', () => {
  const text = '\ufeff# rack 12\r\n\r\nweb01 52:54:00:12:34:56\t10.0.3.7  # front\r\n\t\nlab 10.34\nweb01#2 10.0.0.1'
  assert.deepEqual(parse(text), [
    { name: 'web01', addresses: ['52:54:00:12:34:56', '10.0.3.7'] },
    { name: 'lab', addresses: ['10.34'] },
    { name: 'web01#2', addresses: ['10.0.0.1'] },
  ])
  assert.deepEqual(parse(''), [])
})

test('a fault names file and line', () => {
  const fault = (text: string | Uint8Array, line: RegExp) =>
    assert.throws(
      () => parse(text),
      (error) => error instanceof Refusal && error.exit === 1 && line.test(error.message),
    )
  fault('a 10.0.0.1\n\nb\n', /^hosts:3: "b" has no address/)
  fault('a 10.0.0.1\nb 10.0.0.300\n', /^hosts:2: "10\.0\.0\.300" is no address/)
  fault('../x 10.0.0.1', /^hosts:1: system name "\.\.\/x" is not allowed/)
  fault('default 10.0.0.1', /^hosts:1: default is a reserved name/)
  fault(new Uint8Array([0x61, 0xff, 0x0a]), /^hosts is not UTF-8 text$/)
})

test('the client reads the file or standard input and sends the systems', async () => {
  const bytes = new TextEncoder().encode('a 10.0.0.1\n')
  const client: ClientContext = {
    async readFile(path) {
      assert.equal(path, 'hosts')
      return bytes
    },
    refuseUnwritable: () => {},
    writeFile: async () => {},
    readStandardInput: async () => bytes,
  }
  const systems = [{ name: 'a', addresses: ['10.0.0.1'] }]
  assert.deepEqual(await addsystem.prepare?.({ from: 'hosts' }, client), { systems })
  assert.deepEqual(await addsystem.prepare?.({ from: '-' }, client), { systems })
  assert.deepEqual(await addsystem.prepare?.({ name: 'a', addresses: ['10.0.0.1'] }, client), systems[0])
})

test('one bad system of many changes nothing, and is named', async () => {
  const m = await openManagement()
  const { seq } = m.store
  const systems = [
    { name: 'a', addresses: ['10.0.0.1'] },
    { name: 'b', addresses: ['10.0.0'] },
    { name: 'c', addresses: ['x'] },
  ]
  const { status, body } = await m.call('addsystem', { systems })
  assert.equal(status, 400)
  assert.match(String(body['detail']), /^systems\[2\]: "x" is no address/)
  assert.equal(m.store.seq, seq)
  await m.shut()
})

test('10,000 lines are one record, in under 2 s', async () => {
  const m = await openManagement()
  const { seq } = m.store
  const lines = Array.from({ length: 10_000 }, (_, at) => {
    const hex = at.toString(16).padStart(6, '0')
    return `node${at} 52:54:00:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}\n`
  })
  const before = process.threadCpuUsage()
  const { status } = await m.call('addsystem', { systems: parse(lines.join('')) })
  const { user, system } = process.threadCpuUsage(before)
  const tookMs = (user + system) / 1000
  assert.equal(status, 200)
  assert.equal(m.store.seq, seq + 1)
  assert.equal(m.store.queries.countSystems(), 10_000)
  assert.ok(tookMs < 2000, `${tookMs} ms of this thread`)
  await m.shut()
})
