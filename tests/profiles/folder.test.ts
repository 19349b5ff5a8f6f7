import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createProfileFiles, type ProfileVariables, profileNames } from '../../src/profiles/folder.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pxemngr-profiles-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const embedded = Buffer.from('embedded local\n')
const variables = (): ProfileVariables => ({
  system: 'c1',
  mac: '52:54:00:12:34:56',
  ip: '10.0.0.7',
  profile: 'install',
  url: 'http://10.0.0.1:8000',
})
const write = (name: string, text: string | Uint8Array) => writeFileSync(join(dir, `${name}.prof`), text)
const open = (now?: () => number) => createProfileFiles(dir, embedded, now)

function text(files: ReturnType<typeof open>, name: string): string {
  const rendered = files.render(name, variables)
  return rendered.ok ? Buffer.from(rendered.bytes).toString() : `FAULT ${rendered.fault}`
}

describe('a profile file', () => {
  it('is served byte for byte where it holds no <%', () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at)
    write('raw', bytes)
    const rendered = open().render('raw', () => assert.fail('asked for variables'))
    assert.ok(rendered.ok)
    assert.deepEqual(new Uint8Array(rendered.bytes), bytes)
  })

  it('is served as it is now, however quickly it was edited, in place or by rename', () => {
    const files = open()
    for (let round = 0; round < 50; round += 1) {
      const now = `round ${round % 10}`
      if (round % 2 === 0) write('a', now)
      else {
        writeFileSync(join(dir, 'a.tmp'), now)
        renameSync(join(dir, 'a.tmp'), join(dir, 'a.prof'))
      }
      assert.equal(text(files, 'a'), now)
    }
  })

  it('bytes read within 2 s of the last change are read again, older ones are kept', () => {
    let nowMs = Date.now()
    const files = open(() => nowMs)
    write('a', 'one')
    const first = files.render('a', variables)
    const second = files.render('a', variables)
    assert.ok(first.ok && second.ok)
    nowMs += 10_000
    const third = files.render('a', variables)
    const fourth = files.render('a', variables)
    assert.ok(third.ok && fourth.ok)
    assert.equal(third.bytes, fourth.bytes)
    write('a', 'two')
    assert.equal(text(files, 'a'), 'two')
  })

  it('is rendered as a template where it holds <%, with system mac ip profile url', () => {
    write('install', 'append <%= [system, mac, ip, profile, url].join(" ") %>\r\n')
    assert.equal(text(open(), 'install'), 'append c1 52:54:00:12:34:56 10.0.0.7 install http://10.0.0.1:8000\r\n')
  })

  it('a template that is no UTF-8 keeps its bytes', () => {
    write('latin', Buffer.from('caf\xe9 <%= system %>\n', 'latin1'))
    const rendered = open().render('latin', variables)
    assert.ok(rendered.ok)
    assert.deepEqual(Buffer.from(rendered.bytes), Buffer.from('caf\xe9 c1\n', 'latin1'))
  })

  it('may be a link to a file elsewhere', () => {
    writeFileSync(join(dir, 'elsewhere'), 'linked')
    symlinkSync(join(dir, 'elsewhere'), join(dir, 'a.prof'))
    assert.equal(text(open(), 'a'), 'linked')
    assert.deepEqual(open().names(), ['a'])
  })
})

describe('a bad profile', () => {
  it('C1: a missing one is a fault that names the file, and is back as soon as the file is', () => {
    const files = open()
    assert.equal(files.unservable('gone'), `no file ${join(dir, 'gone.prof')}`)
    write('gone', 'x')
    assert.equal(files.unservable('gone'), undefined)
    unlinkSync(join(dir, 'gone.prof'))
    assert.match(files.fault('gone') ?? '', /no file/)
  })

  it('a template that does not compile is a fault with file and line, the others go on', () => {
    write('bad', 'default 0\n<%= ( %>\n')
    write('good', 'x')
    const files = open()
    assert.match(files.unservable('bad') ?? '', /bad\.prof:2: /)
    assert.equal(files.unservable('good'), undefined)
    assert.deepEqual(files.names().sort(), ['bad', 'good'])
  })

  it('a rendering that fails is kept for people until the file changes, and concerns no other machine', () => {
    write('pick', '\n<% if (system === "c1") throw new Error("no") %>ok')
    const files = open()
    assert.match(text(files, 'pick'), /^FAULT .*pick\.prof:2: Error: no$/)
    assert.match(files.fault('pick') ?? '', /pick\.prof:2: Error: no$/)
    assert.equal(files.unservable('pick'), undefined)
    const other = files.render('pick', () => ({ ...variables(), system: 'c2' }))
    assert.equal(other.ok && Buffer.from(other.bytes).toString(), '\nok')
    write('pick', 'fine')
    assert.equal(files.fault('pick'), undefined)
  })

  it('C9: local is always there: the embedded one where its file is missing, bad or fails', () => {
    const files = open()
    assert.equal(text(files, 'local'), 'embedded local\n')
    assert.equal(files.unservable('local'), undefined)
    assert.match(files.fault('local') ?? '', /no file/)
    write('local', '<%= nosuch %>')
    assert.equal(text(files, 'local'), 'embedded local\n')
    assert.match(files.fault('local') ?? '', /local\.prof:1: ReferenceError/)
    write('local', '<%= ( %>')
    assert.equal(text(files, 'local'), 'embedded local\n')
    write('local', 'own')
    assert.equal(text(files, 'local'), 'own')
    assert.equal(files.fault('local'), undefined)
  })

  it('a FIFO, a folder, a dangling link and a huge file are faults and never block', () => {
    execFileSync('mkfifo', [join(dir, 'fifo.prof')])
    mkdirSync(join(dir, 'folder.prof'))
    symlinkSync('nowhere', join(dir, 'dangling.prof'))
    symlinkSync('loop.prof', join(dir, 'loop.prof'))
    write('huge', Buffer.alloc(1024 * 1024 + 1))
    const files = open()
    assert.match(files.unservable('fifo') ?? '', /not a regular file/)
    assert.match(files.unservable('folder') ?? '', /not a regular file/)
    assert.match(files.unservable('dangling') ?? '', /no file/)
    assert.match(files.unservable('loop') ?? '', /ELOOP/)
    assert.match(files.unservable('huge') ?? '', /larger than/)
    assert.deepEqual(files.names(), ['huge'])
  })

  it('S2: a name that leaves the folder is no profile', () => {
    writeFileSync(join(dir, 'secret.prof'), 'x')
    mkdirSync(join(dir, 'sub'))
    const files = createProfileFiles(join(dir, 'sub'), embedded)
    for (const name of ['../secret', 'a/../../secret', '', '.', 'x\0y']) {
      assert.equal(files.has(name), false)
      assert.equal(files.render(name, variables).ok, false)
    }
  })

  it('the suffix is case-sensitive, a bare .prof and names that are no UTF-8 are none', () => {
    const entries = ['a.prof', 'b.PROF', '.prof', '-l.prof', 'c.prof~', 'é.prof'].map((name) => Buffer.from(name))
    assert.deepEqual(profileNames([...entries, Buffer.from('caf\xe9.prof', 'latin1')]), ['a', 'é'])
  })

  it('an old date on a new file is seen too', () => {
    const files = open()
    write('a', 'one')
    const past = new Date(Date.now() - 60_000)
    utimesSync(join(dir, 'a.prof'), past, past)
    assert.equal(text(files, 'a'), 'one')
    write('a', 'two')
    utimesSync(join(dir, 'a.prof'), past, past)
    assert.equal(text(files, 'a'), 'two')
  })
})

describe('the text of a profile, for people', () => {
  const read = (name: string) => open().text(name)
  it('is the file as it is, also where it does not compile, in UTF-8 or else byte for byte', () => {
    write('plain', 'label é\n')
    assert.deepEqual(read('plain'), { text: 'label é\n', template: false, embedded: false })
    write('bad', '<% if (\n')
    assert.notEqual(open().fault('bad'), undefined)
    assert.deepEqual(read('bad'), { text: '<% if (\n', template: true, embedded: false })
    write('old', Buffer.from('caf\xe9\n', 'latin1'))
    assert.equal(read('old')?.text, 'café\n')
  })
  it('of local is the embedded one where its file is missing, and of others there is none', () => {
    assert.deepEqual(read('local'), { text: 'embedded local\n', template: false, embedded: true })
    write('local', 'own\n')
    assert.deepEqual(read('local'), { text: 'own\n', template: false, embedded: false })
    assert.equal(read('nosuch'), undefined)
  })
  it('is not read through a link out of the folder, from what is no file, or by a name that can be none', () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'pxemngr-elsewhere-'))
    try {
      writeFileSync(join(elsewhere, 'key'), 'secret')
      symlinkSync(join(elsewhere, 'key'), join(dir, 'out.prof'))
      symlinkSync(join(elsewhere, 'key'), join(dir, 'local.prof'))
      mkdirSync(join(dir, 'folder.prof'))
      execFileSync('mkfifo', [join(dir, 'fifo.prof')])
      write('default', 'x')
      for (const name of ['out', 'folder', 'fifo', 'default', '../x', '']) assert.equal(read(name), undefined, name)
      assert.equal(read('local')?.embedded, true)
    } finally {
      rmSync(elsewhere, { recursive: true })
    }
  })
})
