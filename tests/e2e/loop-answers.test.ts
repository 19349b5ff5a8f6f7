/**
 * The shipped loop and a server on a bad day, against the built executable behind a proxy that refuses, cuts, answers
 * nonsense or loses answers: tries are counted and become fewer, nothing is run that is no script, each result arrives once.
 *
 * Source: RUNS "Machine URLs", CONTRACT "What machines ask over HTTP".
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'node:test'
import { type Fault, type FaultProxy, startFaultProxy } from '../harness/fault-proxy.ts'
import type { LoopKind, LoopLab } from '../harness/loop.ts'
import { finished, type Gated, gated, inLab, logs, onceMs, says, whole } from '../harness/loop-script.ts'
import { until } from '../harness/process.ts'

/** run.sh: `tries_max`, and one more by --once before it ends. */
const uploadsOnce = 6
const asksOnce = 5

async function throughProxy(lab: LoopLab, use: (proxy: FaultProxy) => Promise<void>): Promise<void> {
  const proxy = await startFaultProxy(lab.daemon.url)
  try {
    await use(proxy)
  } finally {
    await proxy.close()
  }
}

describe('run.sh and a server on a bad day', { concurrency: 8 }, () => {
  for (const fault of [503, 507, 429, 'noise', 'page', 'cut'] as const satisfies Fault[]) {
    const kinds: LoopKind[] = fault === 503 ? ['curl', 'busybox'] : typeof fault === 'number' ? ['curl'] : ['busybox']
    inLab(
      `an upload that is answered by ${fault} is tried some times, kept, and tried at the next start`,
      kinds,
      async (lab, kind) => {
        await throughProxy(lab, async (proxy) => {
          const script = await gated(lab)
          script.open()
          const isUpload = (asked: string) => asked === `POST /upload/${script.run}/`
          proxy.fault = (asked) => (isUpload(asked) ? fault : undefined)
          const first = await finished(lab.loop(kind, { spool: 'spool', url: proxy.url }))
          assert.equal(first.status, 1)
          assert.match(first.stderr, /run\.sh: 1 not uploaded, kept in .*\n$/)
          assert.equal(proxy.asked.filter(isUpload).length, uploadsOnce)
          assert.notEqual((await lab.show(script.run)).state, 'done')
          proxy.fault = () => undefined
          assert.equal((await finished(lab.loop(kind, { spool: 'spool', url: proxy.url }))).status, 0)
          assert.deepEqual([lab.log(script.run).toString(), script.starts()], [whole, 1])
          assert.deepEqual(logs(lab, script.run), [`${script.run}.log`])
        })
      },
    )
  }

  for (const fault of [503, 'noise', 'page', 'cut'] as const satisfies Fault[]) {
    const kinds: LoopKind[] = [fault === 503 || fault === 'cut' ? 'curl' : 'busybox']
    inLab(
      `a question that is answered by ${fault} is asked less and less often, and runs nothing`,
      kinds,
      async (lab, kind) => {
        await throughProxy(lab, async (proxy) => {
          const script = await gated(lab)
          proxy.fault = () => fault
          const { status, stderr } = await finished(lab.loop(kind, { spool: 'spool', url: proxy.url }))
          assert.equal(status, 1)
          assert.match(stderr, /^run\.sh: http\S+\/nexttest\/ .*\n$/, 'one line, however often')
          assert.deepEqual(
            proxy.asked,
            Array.from({ length: asksOnce }, () => 'GET /nexttest/'),
          )
          assert.deepEqual([script.starts(), (await lab.show(script.run)).state], [0, 'requested'])
        })
      },
    )
  }

  inLab('a server that is not there is asked some times', ['curl', 'busybox'], async (lab, kind) => {
    await lab.daemon.stop()
    const { status, stderr } = await finished(lab.loop(kind, { spool: 'spool' }))
    assert.deepEqual([status, stderr], [1, `run.sh: ${lab.daemon.url}/nexttest/ gives no script (000)\n`])
  })

  inLab(
    'a refused question says what the server says, which names the remedy, where the client keeps it',
    ['curl', 'GNU wget', 'busybox'],
    async (lab, kind) => {
      await lab.daemon.must('delsystem', 'here')
      const { status, stderr } = await finished(lab.loop(kind, { spool: 'spool' }))
      const told = kind === 'busybox' ? '' : ': no system has 127.0.0.1: pxemngr addsystem NAME 127.0.0.1'
      assert.deepEqual([status, stderr], [1, `run.sh: ${lab.daemon.url}/nexttest/ gives no script (404)${told}\n`])
    },
  )

  inLab('a refused result says what the server says', ['curl', 'GNU wget'], async (lab, kind) => {
    const script = await gated(lab)
    const loop = lab.loop(kind, { spool: 'spool' })
    await says(loop, /starts/)
    await lab.daemon.must('cancel', String(script.run))
    script.open()
    const { stderr } = await finished(loop)
    assert.match(stderr, new RegExp(`refuses the result \\(409\\); it is kept in \\S+: run ${script.run} is cancelled`))
  })

  inLab(
    'a result that is too large for the server arrives shortened, and says so',
    ['curl', 'busybox'],
    async (lab, kind) => {
      await throughProxy(lab, async (proxy) => {
        await lab.script('large', `dd if=/dev/zero bs=65536 count=4 2>/dev/null | tr '\\000' a\nexit 9\n`)
        const run = await lab.request('large')
        let uploads = 0
        proxy.fault = (asked) => (asked.startsWith('POST /upload/') && uploads++ === 0 ? 413 : undefined)
        assert.equal((await finished(lab.loop(kind, { spool: 'spool', url: proxy.url }))).status, 0)
        const line = 'E: only the first 65536 of 262150 bytes were uploaded: the server takes no more (413)\n'
        assert.equal(lab.log(run).toString(), `${'a'.repeat(65_536)}\n${line}X: 9\n`)
      })
    },
  )

  for (const fault of [413, 403] as const) {
    inLab(
      `a result that the server never takes (${fault}) is kept for people, and not sent again`,
      ['curl'],
      async (lab, kind) => {
        await throughProxy(lab, async (proxy) => {
          const script = await gated(lab)
          script.open()
          proxy.fault = (asked) => (asked.startsWith('POST /upload/') ? fault : undefined)
          const { status, stderr } = await finished(lab.loop(kind, { spool: 'spool', url: proxy.url }))
          assert.equal(status, 0)
          assert.match(
            stderr,
            new RegExp(`the server refuses the result \\(${fault}\\); it is kept in .*/spool/refused\\n`),
          )
          const kept = readFileSync(join(lab.dir, 'spool', 'refused', `run-${script.run}`, 'log'), 'utf8')
          assert.ok(kept.startsWith('I: started\nI: finished\n') && kept.endsWith('X: 0\n'), kept)
          assert.equal(proxy.asked.filter((asked) => asked.startsWith('POST /upload/')).length, fault === 413 ? 2 : 1)
        })
      },
    )
  }

  inLab(
    'an upload whose answer was lost is sent again, and is the same result',
    ['curl', 'busybox'],
    async (lab, kind) => {
      await throughProxy(lab, async (proxy) => {
        const script = await gated(lab)
        script.open()
        let uploads = 0
        proxy.fault = (asked) => (asked.startsWith('POST /upload/') && uploads++ === 0 ? 'lost' : undefined)
        assert.equal((await finished(lab.loop(kind, { spool: 'spool', url: proxy.url }))).status, 0)
        assert.deepEqual([lab.log(script.run).toString(), script.starts(), uploads], [whole, 1, 2])
        const { verdict, late } = await lab.show(script.run)
        assert.deepEqual([verdict, late], ['pass', false])
      })
    },
  )

  inLab('a result that its server does not take holds up no other', ['curl'], async (lab, kind) => {
    await throughProxy(lab, async (proxy) => {
      /** Leaves a result in the spool that was not tried yet: the loop is stopped beneath its script. */
      const spooled = async (name: string): Promise<Gated> => {
        const script = await gated(lab, name)
        const loop = lab.loop(kind, { spool: 'spool', url: proxy.url })
        await script.started()
        loop.child.kill('SIGTERM')
        assert.equal((await finished(loop)).status, 143)
        return script
      }
      const first = await spooled('first')
      proxy.fault = (asked) => (asked === `POST /upload/${first.run}/` ? 507 : undefined)
      const second = await spooled('second')
      const { status, stderr } = await finished(lab.loop(kind, { spool: 'spool', url: proxy.url }))
      assert.equal(status, 1)
      assert.match(stderr, /run\.sh: 1 not uploaded, kept in .*\n$/)
      assert.deepEqual([(await lab.show(second.run)).state, second.starts(), first.starts()], ['done', 1, 1])
      assert.notEqual((await lab.show(first.run)).state, 'done')
    })
  })

  inLab(
    'progress that is refused, lost or cut off changes nothing of the result',
    ['curl', 'busybox'],
    async (lab, kind) => {
      await throughProxy(lab, async (proxy) => {
        const script = await gated(lab)
        const faults: Fault[] = [503, 'lost', 'cut', 'noise', 416]
        const isPiece = (asked: string) => asked.startsWith('POST /progress/')
        proxy.fault = (asked) => (isPiece(asked) ? faults.shift() : undefined)
        const loop = lab.loop(kind, { spool: 'spool', url: proxy.url })
        await script.started()
        await until(
          async () =>
            (await lab.daemon.run(['log', String(script.run)])).stdout === 'I: started\n' ? true : undefined,
          onceMs,
          () => 'no progress has come',
        )
        script.open()
        assert.equal((await finished(loop)).status, 0)
        assert.equal(lab.log(script.run).toString(), whole)
      })
    },
  )
})
