/** Where `backup FILE` and `--junit FILE` write: files, links, FIFOs, stdout. Source: CONTRACT "Command line". */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeFolder } from '../harness/folder.ts'
import { answering, run, withDaemon } from './io.ts'

const bytes = 'I am a backup\n'
const backup = answering(200, 'application/octet-stream', bytes)

describe('a file that is saved', () => {
  it('replaces what a symbolic link leads to, and leaves the link', async (t) => {
    const dir = makeFolder(t)
    writeFileSync(join(dir, 'old'), 'older')
    symlinkSync('old', join(dir, 'link'))
    symlinkSync('link', join(dir, 'second'))
    symlinkSync('new', join(dir, 'dangling'))
    await withDaemon(backup, async ({ socket }) => {
      for (const [name, target] of [
        ['second', 'old'],
        ['dangling', 'new'],
      ] as const) {
        const ran = await run(['backup', join(dir, name), '--socket', socket])
        assert.deepEqual([ran.status, ran.stderr], [0, ''])
        assert.ok(lstatSync(join(dir, name)).isSymbolicLink(), `${name} is still a link`)
        assert.equal(readFileSync(join(dir, target), 'utf8'), bytes)
        assert.ok(lstatSync(join(dir, target)).isFile())
      }
    })
    assert.deepEqual(readdirSync(dir).sort(), ['dangling', 'link', 'new', 'old', 'second'])
  })

  it('through links in a circle, or to a folder or a socket, is refused in one line', async (t) => {
    const dir = makeFolder(t)
    symlinkSync('b', join(dir, 'a'))
    symlinkSync('a', join(dir, 'b'))
    symlinkSync('.', join(dir, 'folder'))
    const listener = createServer()
    await new Promise<void>((resolve) => listener.listen(join(dir, 'socket'), resolve))
    t.after(() => listener.close())
    await withDaemon(backup, async ({ socket }) => {
      for (const name of ['a', 'folder', 'socket']) {
        const ran = await run(['backup', join(dir, name), '--socket', socket])
        assert.equal(ran.status, 1, name)
        assert.match(ran.stderr, /^cannot write "[^"]+": [^\n]+\n$/)
      }
    })
    assert.deepEqual(readdirSync(dir).sort(), ['a', 'b', 'folder', 'socket'])
    assert.ok(lstatSync(join(dir, 'socket')).isSocket())
  })

  it('is written into a FIFO, which waits for its reader and stays a FIFO', async (t) => {
    const fifo = join(makeFolder(t), 'fifo')
    execFileSync('mkfifo', [fifo])
    const large = 'x'.repeat(300_000)
    await withDaemon(answering(200, 'application/octet-stream', large), async ({ socket }) => {
      const running = run(['backup', fifo, '--json', '--socket', socket])
      const [ran, text] = await Promise.all([running, readFile(fifo, 'utf8')])
      assert.deepEqual([ran.status, ran.stderr], [0, ''])
      assert.deepEqual(JSON.parse(ran.stdout), { file: fifo, bytes: large.length })
      assert.equal(text, large)
    })
    assert.ok(lstatSync(fifo).isFIFO())
  })

  it('whose FIFO loses its reader is refused, and one that nobody reads can be interrupted', async (t) => {
    const fifo = join(makeFolder(t), 'fifo')
    execFileSync('mkfifo', [fifo])
    await withDaemon(answering(200, 'application/octet-stream', 'x'.repeat(300_000)), async ({ socket }) => {
      const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK)
      const running = run(['backup', fifo, '--socket', socket])
      // Full at 64 KiB: the writer waits, and hears that the reader has gone.
      const buffer = Buffer.alloc(1)
      for (;;) {
        try {
          if (readSync(reader, buffer) === 1) break
        } catch {
          // Nothing there yet.
        }
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      closeSync(reader)
      const ran = await running
      assert.deepEqual(
        [ran.status, ran.stderr],
        [1, `cannot write ${JSON.stringify(fifo)}: nobody reads it any more\n`],
      )

      const interrupt = new AbortController()
      const waiting = run(['backup', fifo, '--socket', socket], { interrupted: interrupt.signal })
      setTimeout(() => interrupt.abort(), 50)
      assert.equal((await waiting).status, 130)
    })
    assert.ok(lstatSync(fifo).isFIFO())
  })

  it('named - is stdout, with nothing else on it; one that nobody reads to its end is refused', async () => {
    await withDaemon(backup, async ({ socket }) => {
      for (const more of [[], ['--json']]) {
        const ran = await run(['backup', '-', ...more, '--socket', socket])
        assert.deepEqual([ran.status, ran.stdout, ran.stderr], [0, bytes, ''])
      }
      const cut = await run(['backup', '-', '--socket', socket], { stdoutTakes: 3 })
      assert.deepEqual([cut.status, cut.stderr], [1, 'cannot write standard output: nobody reads it any more\n'])
    })
  })

  it('--junit - is the report alone, and the exit status is that of the runs', async () => {
    const result = JSON.stringify({ runs: [], timedOut: false, passed: true })
    await withDaemon(answering(200, 'application/json', result), async ({ socket }) => {
      const ran = await run(['nexttest', 'a', 'smoke', '--wait', '--junit', '-', '--json', '--socket', socket])
      assert.match(ran.stdout, /^<\?xml [\s\S]*<\/testsuites>\n$/, ran.stderr)
    })
  })

  it('--junit in a folder that is none is refused before anything is asked for', async (t) => {
    const dir = makeFolder(t)
    writeFileSync(join(dir, 'file'), '')
    symlinkSync(join(dir, 'nowhere', 'deep'), join(dir, 'lost'))
    symlinkSync('new.xml', join(dir, 'dangling'))
    const result = JSON.stringify({ runs: [], timedOut: false, passed: true })
    await withDaemon(answering(200, 'application/json', result), async ({ socket, requests }) => {
      const ask = (name: string) =>
        run(['nexttest', 'a', 'smoke', '--wait', '--junit', join(dir, name), '--socket', socket])
      for (const name of ['absent/j.xml', 'file/j.xml', 'lost']) {
        const ran = await ask(name)
        assert.deepEqual([ran.status, ran.stdout], [1, ''], name)
        assert.match(ran.stderr, /^cannot write "[^"]+": [^\n]+\n$/)
      }
      assert.deepEqual(requests, [], 'the daemon was not asked')
      for (const name of ['j.xml', 'dangling', 'j.xml']) {
        const ran = await ask(name)
        assert.match(readFileSync(join(dir, name), 'utf8'), /<\/testsuites>/, ran.stderr)
      }
    })
  })
})
