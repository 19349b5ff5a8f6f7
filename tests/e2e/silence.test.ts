/**
 * A daemon that is gone without a word: what a stream then does, through the built executable. The daemon is stopped
 * (SIGSTOP), so its connections stay open and nothing comes. Source: CONTRACT "Command line" (exit status 3).
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runExecutable, serve } from '../harness/executable.ts'

/** Longer than a stream is silent before the daemon is asked, and shorter than asking takes altogether. */
const quietMs = 18_000

test('streams of a daemon that stands still end with exit status 3 and one line; of one that is only quiet they go on', async (t) => {
  const daemon = await serve({ tftp: 'off' })
  t.after(() => daemon.close())
  t.after(() => daemon.signal('SIGCONT'))
  writeFileSync(join(daemon.dataDir, 'tests', 'smoke.test'), 'echo\n')
  await daemon.must('synctestnames')
  await daemon.must('addsystem', 'm', '127.0.0.1')
  await daemon.must('nexttest', 'm', 'smoke')
  let open = 4
  const follow = async (words: readonly string[], where = ['--socket', daemon.ready.socket]) => {
    const done = await runExecutable([...words, ...where])
    open -= 1
    return done
  }
  const streams = [
    follow(['nexttest', 'm', 'smoke', '--wait']),
    follow(['history', '--follow']),
    follow(['log', '1', '--follow']),
    follow(['log', '1', '--follow'], ['--url', daemon.url]),
  ]
  await new Promise((resolve) => setTimeout(resolve, quietMs))
  assert.equal(open, 4, 'quiet is not gone')
  daemon.signal('SIGSTOP')
  for (const [at, { status, stderr }] of (await Promise.all(streams)).entries()) {
    assert.equal(status, 3, `${at}: ${stderr}`)
    const line = stderr.trimEnd().split('\n').at(-1) ?? ''
    assert.match(line, at === 0 ? /^the connection to the daemon broke: .*runs? 2/ : /it does not answer any more/)
  }
})
