/**
 * The shipped loop while there is nothing to do: the server keeps its question, and a test begins the moment it is asked
 * for. Whatever does not play along (a site's own wait.test, a proxy that is impatient, a server that ends) leaves the loop
 * as it was before there was that.
 *
 * Source: RUNS "Machine URLs" (`/script/run.sh`), RFC 7240 §4.3 (`wait`).
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe } from 'node:test'
import { startFaultProxy } from '../harness/fault-proxy.ts'
import { type LoopLab, loopKinds, stepMs } from '../harness/loop.ts'
import { inLab, nothingLives, says } from '../harness/loop-script.ts'
import { until } from '../harness/process.ts'

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
/** wait.test would have asked again by then. */
const idleMs = 9000

/** Asks for a test once the loop is quiet; ms until its script has begun. */
async function startMs(lab: LoopLab, name: string): Promise<number> {
  const mark = join(lab.dir, `${name} began`)
  await lab.script(name, `echo > "${mark}"\n`)
  const begun = performance.now()
  const run = await lab.request(name)
  await until(
    () => (existsSync(mark) ? true : undefined),
    stepMs,
    () => `${name} does not begin`,
    20,
  )
  const tookMs = performance.now() - begun
  assert.equal((await lab.done(run)).verdict, 'pass')
  return tookMs
}

describe('run.sh without anything to do', { concurrency: 8 }, () => {
  inLab('asks once, and begins a test at once, again and again', loopKinds, async (lab, kind) => {
    const proxy = await startFaultProxy(lab.daemon.url)
    try {
      const loop = lab.loop(kind, { spool: 'spool', forever: true, url: proxy.url })
      const questions = (): number => proxy.asked.filter((asked) => asked === 'GET /nexttest/').length
      for (const [before, name] of ['one', 'two'].entries()) {
        await until(
          () => (questions() > before ? true : undefined),
          stepMs,
          () => `it does not ask:\n${loop.written.stderr}`,
        )
        await pause(idleMs)
        assert.equal(questions(), before + 1, loop.written.stderr)
        const tookMs = await startMs(lab, name)
        // wait.test alone sleeps 3 s at least; a busy machine takes its time to start a shell.
        assert.ok(tookMs < 2900, `${tookMs} ms`)
      }
      const { status, stderr } = await loop.end('SIGTERM')
      assert.equal(status, 143, stderr)
      await nothingLives(lab)
    } finally {
      await proxy.close()
    }
  })

  inLab('is told when the server ends, and waits for the next one', ['curl', 'busybox'], async (lab, kind) => {
    const loop = lab.loop(kind, { spool: 'spool', forever: true })
    await pause(2000)
    const begun = performance.now()
    await lab.daemon.stop()
    assert.ok(performance.now() - begun < 3500, 'the daemon waits for its machines')
    await says(loop, /gives no script \(000\)/)
    await lab.restart()
    await startMs(lab, 'after')
  })

  inLab("runs a site's own wait.test as ever", ['curl'], async (lab, kind) => {
    const mark = join(lab.dir, 'waited')
    writeFileSync(join(lab.daemon.dataDir, 'tests', 'wait.test'), `echo >> "${mark}"\n`)
    lab.loop(kind, { spool: 'spool', forever: true })
    await until(
      () => (existsSync(mark) && readFileSync(mark, 'utf8').length > 2 ? true : undefined),
      stepMs,
      () => 'wait.test is not run again and again',
    )
    await startMs(lab, 'between')
  })

  inLab(
    'asks for shorter times, and then for none, where held questions fail',
    ['curl', 'busybox'],
    async (lab, kind) => {
      const preferences: (string | undefined)[] = []
      const server = createServer((incoming, outgoing) => {
        const prefer = incoming.headers['prefer']
        preferences.push(prefer === undefined ? undefined : String(prefer))
        const answer = (status: number): void => {
          outgoing.writeHead(status, { 'x-pxemngr-run': '0', connection: 'close' }).end('true\n')
        }
        if (prefer === undefined) answer(200)
        else setTimeout(() => answer(504), 6000)
      }).listen(0, '127.0.0.1')
      try {
        const { port } = await new Promise<AddressInfo>((resolve) =>
          server.once('listening', () => resolve(server.address() as AddressInfo)),
        )
        lab.loop(kind, { spool: 'spool', forever: true, url: `http://127.0.0.1:${port}` })
        await until(
          () => (preferences.length >= 7 ? true : undefined),
          stepMs,
          () => preferences.join(', '),
        )
        const [first, ...rest] = preferences
        assert.equal(first, 'wait=45')
        assert.deepEqual(rest.slice(0, 4), ['wait=22', 'wait=11', 'wait=5', undefined])
        assert.deepEqual(rest.slice(4, 6), [undefined, undefined], 'a second longer each time: not yet worth it')
      } finally {
        server.closeAllConnections()
        server.close()
      }
    },
  )
})
