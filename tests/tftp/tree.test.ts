import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import fc from 'fast-check'
import type { Mac } from '../../src/domain/address.ts'
import { createAnswerBoot } from '../../src/profiles/answer.ts'
import { createProfileFiles } from '../../src/profiles/folder.ts'
import type { Resolve } from '../../src/tftp/resolution.ts'
import { cleanPath, createTree } from '../../src/tftp/tree.ts'
import { createMemoryStore, type MemoryStore } from '../harness/memory-store.ts'

const m1 = '52:54:00:ab:cd:ef' as Mac
const from = { address: '10.77.0.13', port: 2070, local: '10.77.0.1' }
let dir: string
let store: MemoryStore
let resolve: Resolve
let asked: [Mac, string][]
let served: [string | undefined, string][]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pxemngr-tree-'))
  for (const name of ['install', 'menu', 'lab']) writeFileSync(join(dir, `${name}.prof`), `# ${name}\r\n`)
  store = createMemoryStore()
  asked = []
  served = []
  resolve = createTree({
    answerBoot: createAnswerBoot(store.queries, createProfileFiles(dir, Buffer.from('embedded local\n'))),
    url: ({ local }) => `http://${local}:8000`,
    lastMacOf: store.queries.lastMacOf,
    onMacAsked: (mac, { address }) => asked.push([mac, address]),
    onConfigServed: (decision, _from, mac) => served.push([mac, decision.profile]),
  })
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function answer(name: string, requester = from): string {
  const resolution = resolve(name, requester)
  if (resolution.kind === 'bytes') return Buffer.from(resolution.bytes).toString()
  if (resolution.kind === 'file') return `file ${resolution.path}`
  return `ERROR ${resolution.code} ${resolution.text}`
}

describe('pxelinux.cfg/', () => {
  it('a MAC’s name is the profile’s file byte for byte, at once after the command', () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    assert.equal(answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'), '# install\r\n')
    store.nextBoot('c1', 'lab')
    assert.equal(answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'), '# lab\r\n')
    assert.deepEqual(asked.at(-1), [m1, '10.77.0.13'])
    assert.deepEqual(served.at(-1), ['52:54:00:ab:cd:ef', 'lab'])
  })

  it('a leading slash, a folder, a backslash and ./ make no difference', () => {
    store.nextBoot('default', 'menu')
    for (const name of [
      '/pxelinux.cfg/default',
      'a/b/pxelinux.cfg/default',
      './/pxelinux.cfg//default',
      '\\pxelinux.cfg\\default',
      'x/../pxelinux.cfg/default',
    ]) {
      assert.equal(answer(name), '# menu\r\n', name)
    }
  })

  it('an unknown MAC gets ERROR 1 with the command to type, and default when it asks for it', () => {
    store.nextBoot('default', 'menu')
    assert.equal(
      answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'),
      'ERROR 1 no system has 52:54:00:ab:cd:ef: pxemngr addsystem NAME 52:54:00:ab:cd:ef',
    )
    assert.equal(answer('pxelinux.cfg/default'), '# menu\r\n')
  })

  it('an IP address and its prefixes are found by their hex name, each for itself', () => {
    store.addSystem('net', '10.77')
    store.nextBoot('net', 'lab')
    assert.match(
      answer('pxelinux.cfg/0A4D000D'),
      /^ERROR 1 no system has 10\.77\.0\.13: pxemngr addsystem NAME 10\.77\.0\.13$/,
    )
    for (const miss of ['0A4D000', '0A4D00', '0A4D0', '0A4', '0A', '0'])
      assert.match(answer(`pxelinux.cfg/${miss}`), /^ERROR 1 /)
    // Machines whose address begins like this may well be there.
    for (const part of ['0A4D000', '0A4', '0A'])
      assert.equal(
        answer(`pxelinux.cfg/${part}`),
        `ERROR 1 no system can have the address ${part}: it has not 2 to 4 whole octets`,
      )
    assert.equal(answer('pxelinux.cfg/0A4D'), '# lab\r\n')
    store.addSystem('host', '10.77.0.13')
    store.nextBoot('host', 'install')
    assert.equal(answer('pxelinux.cfg/0A4D000D'), '# install\r\n')
  })

  it('C7: a system without a decision is ERROR 1 and says what to type', () => {
    store.addSystem('c1', m1)
    assert.equal(
      answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'),
      'ERROR 1 c1 has no next boot: pxemngr nextboot c1 PROFILE',
    )
  })

  it('a MAC with a remembered report gets that', () => {
    store.apply({ type: 'report.remembered', mac: m1, ip: null, system: null, profile: 'local' })
    assert.equal(answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'), 'embedded local\n')
  })

  it('a UUID is ERROR 1, in both byte orders', () => {
    assert.match(answer('pxelinux.cfg/b8945908-d6a6-41a9-611d-74a6ab80b83d'), /^ERROR 1 no system has the UUID/)
  })

  it('the names of the search are never files, others below it are', () => {
    for (const name of ['01-52-54-00-00-00-00', 'C0A8025B', 'C', 'BEEF', 'default']) {
      assert.match(answer(`boot/pxelinux.cfg/${name}`), /^ERROR 1 /, name)
    }
    for (const name of [
      'menu.cfg',
      'default-arm',
      'beef',
      '01-52-54-00-00-00',
      '20-52-54-00-00-00-00',
      'sub/default',
    ]) {
      assert.equal(answer(`pxelinux.cfg/${name}`), `file pxelinux.cfg/${name}`)
    }
    assert.equal(answer('notpxelinux.cfg/default'), 'file notpxelinux.cfg/default')
    assert.equal(answer('default'), 'file default')
  })

  it('C1: a missing or failing profile is local, never somebody else’s', () => {
    store.addSystem('c1', m1)
    store.nextBoot('default', 'menu')
    store.nextBoot('c1', 'gone')
    assert.equal(answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'), 'embedded local\n')
    writeFileSync(join(dir, 'gone.prof'), '<%= nosuch %>')
    assert.equal(answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'), 'embedded local\n')
    writeFileSync(join(dir, 'gone.prof'), 'fine')
    assert.equal(answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'), 'fine')
  })

  it('a template sees the machine that asks', () => {
    writeFileSync(join(dir, 'install.prof'), '<%= [system, mac, ip, profile, url].join(" ") %>')
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    store.nextBoot('default', 'install')
    assert.equal(
      answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'),
      'c1 52:54:00:ab:cd:ef 10.77.0.13 install http://10.77.0.1:8000',
    )
    store.apply({ type: 'boot.address', ip: from.address, mac: m1 })
    assert.equal(answer('pxelinux.cfg/default'), 'default 52:54:00:ab:cd:ef 10.77.0.13 install http://10.77.0.1:8000')
    assert.match(answer('pxelinux.cfg/default', { ...from, address: 'fe80::1' }), /^default {2}fe80::1 /)
  })

  it('R1: there is no instant without an answer while the next boot changes', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    for (let round = 0; round < 500; round += 1) {
      store.nextBoot('c1', round % 2 === 0 ? 'lab' : 'install')
      assert.match(answer('pxelinux.cfg/01-52-54-00-ab-cd-ef'), /^# (lab|install)/)
    }
  })
})

describe('names of files', () => {
  it('are relative to the root, and never leave it', () => {
    assert.equal(answer('/boot/pxelinux.0'), 'file boot/pxelinux.0')
    assert.equal(answer('\\Boot\\BCD'), 'file Boot/BCD')
    assert.equal(answer('a%2e%2e/b c'), 'file a%2e%2e/b c')
    for (const out of ['../etc/passwd', '..', '/../x', 'a/../../x', '\\..\\x']) {
      assert.match(answer(out), /^ERROR 2 the name leads out of the TFTP root$/)
    }
    assert.equal(answer('a\0b'), 'ERROR 2 the name holds a NUL')
    for (const nothing of ['', '/', './/', 'a/..']) assert.equal(answer(nothing), 'ERROR 1 no file is named')
  })

  it('any name is clean or refused, and cleaning twice changes nothing', () => {
    const part = fc.constantFrom('..', '.', '', 'a', 'pxelinux.cfg', 'default', '\\', '/', '\0', '01-52-54-00-ab-cd-ef')
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const path = cleanPath(parts.join('/'))
        if (path !== undefined) {
          assert.equal(cleanPath(path), path)
          assert.ok(!path.startsWith('/') && !path.split('/').includes('..') && !path.includes('\\'))
        }
        resolve(parts.join('/'), from)
      }),
    )
  })

  it('ERROR texts are short enough for every packet', () => {
    store.addSystem('x'.repeat(255), m1)
    assert.ok(answer('pxelinux.cfg/01-52-54-00-ab-cd-ef').length < 220)
  })
})
