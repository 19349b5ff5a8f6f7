/**
 * The shipped loop on a bad day, against the built executable: the server is away or answers nonsense, the loop is killed,
 * the machine reboots, the disk of the spool is full. A script is started once, whatever happens, and its result arrives.
 *
 * Scripts wait for a file (a gate) that the test makes, so that nothing depends on how fast anything is. Source: RUNS
 * "Life of a run" (late, rebooted), "Machine URLs".
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { findProgram } from '../harness/debian.mjs'
import type { Finished } from '../harness/executable.ts'
import { type Fault, type FaultProxy, startFaultProxy } from '../harness/fault-proxy.ts'
import { kindFault, type LoopKind, type LoopLab, openLoopLab, stepMs } from '../harness/loop.ts'
import { type Running, until, within } from '../harness/process.ts'

/** run.sh: `tries_max`, and one more by --once before it ends. */
const uploadsOnce = 6
const asksOnce = 5
/** What `tries_max` tries take, with their pauses, on a busy machine. */
const onceMs = 150_000

/** A script that says that it has started, waits for its gate, and ends. */
interface Gated {
  readonly run: number
  started(): Promise<true>
  open(): void
  /** How often it was started. */
  starts(): number
}

async function gated(lab: LoopLab, name = 'gated'): Promise<Gated> {
  const [starts, gate] = [join(lab.dir, `${name} starts`), join(lab.dir, `${name} gate`)]
  await lab.script(
    name,
    `echo "I: started"\necho >> "${starts}"\nuntil [ -e "${gate}" ]; do sleep 0.2; done\necho "I: finished"\n`,
  )
  const count = () => (existsSync(starts) ? readFileSync(starts, 'utf8').length : 0)
  return {
    run: await lab.request(name),
    started: () =>
      until(
        () => count() > 0 || undefined,
        stepMs,
        () => 'the script does not start',
      ),
    open: () => writeFileSync(gate, ''),
    starts: count,
  }
}

const whole = 'I: started\nI: finished\nX: 0\n'

function finished(loop: Running): Promise<Finished> {
  return within(loop.ended, onceMs, () => `the loop does not end:\n${loop.written.stderr}`)
}

function says(loop: Running, pattern: RegExp): Promise<true> {
  return until(
    () => pattern.test(loop.written.stderr) || undefined,
    onceMs,
    () => `${pattern}:\n${loop.written.stderr}`,
  )
}

/** The logs of a run in the results folder: one for each upload. */
const logs = (lab: LoopLab, run: number): string[] => lab.files(run).filter((name) => name.endsWith('.log'))

const nothingLives = (lab: LoopLab): Promise<true> =>
  until(
    () => lab.living().length === 0 || undefined,
    stepMs,
    () => `these still live:\n${lab.living().join('\n')}`,
  )

/** Ends everything of the loop and its scripts at once, as a power cut does. */
function powerCut(lab: LoopLab): Promise<true> {
  for (const each of lab.living()) spawnSync('kill', ['-KILL', String(Number.parseInt(each, 10))])
  return nothingLives(lab)
}

/** A test with a lab of its own, for each kind of machine; skipped by name where there is none. */
function inLab(title: string, kinds: readonly LoopKind[], run: (lab: LoopLab, kind: LoopKind) => Promise<void>): void {
  for (const kind of kinds) {
    test(`${title} (${kind})`, { skip: kindFault(kind) ?? false }, async () => {
      const lab = await openLoopLab()
      try {
        await run(lab, kind)
      } finally {
        await lab.close()
      }
    })
  }
}

async function throughProxy(lab: LoopLab, use: (proxy: FaultProxy) => Promise<void>): Promise<void> {
  const proxy = await startFaultProxy(lab.daemon.url)
  try {
    await use(proxy)
  } finally {
    await proxy.close()
  }
}

describe('run.sh on a bad day', { concurrency: 8 }, () => {
  inLab(
    'a server that was away when a test ended gets its result once it is back',
    ['curl', 'busybox'],
    async (lab, kind) => {
      const script = await gated(lab)
      const loop = lab.loop(kind, { spool: 'spool', forever: true })
      await script.started()
      await lab.daemon.stop()
      script.open()
      await says(loop, /not uploaded \(000\), kept in /)
      assert.equal(readFileSync(join(lab.dir, 'spool', `run-${script.run}`, 'log'), 'utf8'), whole)
      await lab.restart()
      const { verdict, late } = await lab.done(script.run)
      await says(loop, /: uploaded, X: 0\n/)
      assert.deepEqual([verdict, late, lab.log(script.run).toString()], ['pass', false, whole])
      assert.deepEqual([logs(lab, script.run), script.starts()], [[`${script.run}.log`], 1])
      assert.equal((await loop.end('SIGTERM')).status, 143)
      await nothingLives(lab)
      assert.deepEqual(
        readdirSync(join(lab.dir, 'spool')).filter((name) => name.startsWith('run-')),
        [],
      )
    },
  )

  inLab(
    'a loop that is killed and started again waits for the script that still runs',
    ['curl', 'busybox'],
    async (lab, kind) => {
      const script = await gated(lab)
      const first = lab.loop(kind, { spool: 'spool' })
      await script.started()
      await first.end('SIGKILL')
      const second = lab.loop(kind, { spool: 'spool' })
      await says(second, /its script still runs\n/)
      script.open()
      assert.equal((await finished(second)).status, 0)
      assert.deepEqual([lab.log(script.run).toString(), script.starts()], [whole, 1])
      assert.deepEqual([(await lab.show(script.run)).verdict, logs(lab, script.run)], ['pass', [`${script.run}.log`]])
      await nothingLives(lab)
    },
  )

  inLab(
    'a script that was killed together with its loop is not run again; what it wrote arrives',
    ['curl', 'busybox'],
    async (lab, kind) => {
      const script = await gated(lab)
      lab.loop(kind, { spool: 'spool' })
      await script.started()
      await powerCut(lab)
      const { status, stderr } = await finished(lab.loop(kind, { spool: 'spool' }))
      assert.equal(status, 0, stderr)
      assert.match(
        lab.log(script.run).toString(),
        /^I: started\nE: interrupted: its script was ended from outside, .*\n$/,
      )
      const { verdict, late } = await lab.show(script.run)
      assert.deepEqual([verdict, late, script.starts()], ['fail', false, 1])
    },
  )

  inLab(
    'after a reboot the run is lost, and what was spooled is a late upload',
    ['curl', 'busybox'],
    async (lab, kind) => {
      const script = await gated(lab)
      await lab.daemon.must('nextboot', 'here', 'local')
      lab.loop(kind, { spool: 'spool' })
      await script.started()
      await until(
        async () => (await lab.show(script.run)).state === 'running' || undefined,
        stepMs,
        () => 'no progress has come',
      )
      await powerCut(lab)
      // As the next boot finds it: the kernel's name for the boot is another.
      const boot = '00000000-0000-4000-8000-000000000000'
      const folder = join(lab.dir, 'spool', `run-${script.run}`)
      const runner = readFileSync(join(folder, 'runner'), 'utf8').trim().split(' ')
      writeFileSync(join(folder, 'boot'), `${boot}\n`)
      writeFileSync(join(folder, 'runner'), `${[...runner.slice(0, 2), boot].join(' ')}\n`)
      assert.equal((await fetch(`${lab.daemon.url}/ipxe/`)).status, 200)
      const lost = await lab.done(script.run)
      assert.deepEqual([lost.verdict, lost.reason], ['lost', 'rebooted'])
      assert.equal(await lab.daemon.must('log', String(script.run)), 'I: started\n', 'what came as progress')

      assert.equal((await finished(lab.loop(kind, { spool: 'spool' }))).status, 0)
      const { verdict, late } = await lab.show(script.run)
      assert.deepEqual([verdict, late, script.starts()], ['fail', true, 1])
      assert.match(lab.log(script.run).toString(), /^I: started\nE: interrupted: the machine rebooted before .*\n$/)
    },
  )

  inLab(
    'a loop that is stopped ends its script; the next one uploads the result',
    ['curl', 'busybox'],
    async (lab, kind) => {
      const script = await gated(lab)
      const first = lab.loop(kind, { spool: 'spool' })
      await script.started()
      first.child.kill('SIGTERM')
      assert.equal((await finished(first)).status, 143)
      await nothingLives(lab)
      assert.equal((await finished(lab.loop(kind, { spool: 'spool' }))).status, 0)
      assert.equal(lab.log(script.run).toString(), 'I: started\nE: ended: the loop was stopped by SIGTERM\n')
      assert.equal(script.starts(), 1)
    },
  )

  inLab('a power cut between the last line and the upload leaves one result', ['curl'], async (lab, kind) => {
    const script = await gated(lab)
    const loop = lab.loop(kind, { spool: 'spool', forever: true })
    await script.started()
    await lab.daemon.stop()
    script.open()
    await says(loop, /not uploaded/)
    await powerCut(lab)
    await lab.restart()
    assert.equal((await finished(lab.loop(kind, { spool: 'spool' }))).status, 0)
    assert.deepEqual([lab.log(script.run).toString(), script.starts()], [whole, 1])
  })

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

  describe('with a full disk', { skip: smallDiskFault() ?? false, concurrency: 4 }, () => {
    inLab(
      'a script that fills it ends, and its result says what is missing',
      ['curl', 'busybox'],
      async (lab, kind) => {
        await lab.script(
          'fills',
          `echo "I: started"\ndd if=/dev/zero bs=65536 count=64 2>/dev/null | tr '\\000' a\nexit 5\n`,
        )
        const run = await lab.request('fills')
        const { status, stderr } = await finished(lab.loop(kind, { spool: 'small', prefix: smallDisk(lab, '1m') }))
        assert.equal(status, 0, stderr)
        assert.match(stderr, /the disk of .*\/small is full: output may be missing\n/)
        const [first, ...rest] = lab.log(run).toString().split('\n')
        assert.equal(first, 'I: started')
        assert.match(rest.join('\n'), /^E: .*full/m)
        assert.match(rest.join('\n'), /\nX: 5\n$/)
        const { verdict, exit } = await lab.show(run)
        assert.deepEqual([verdict, exit], ['fail', 5])
      },
    )

    inLab('nothing is asked for where nothing could be kept', ['curl', 'busybox'], async (lab, kind) => {
      const script = await gated(lab)
      const { status, stderr } = await finished(lab.loop(kind, { spool: 'small', prefix: smallDisk(lab, '128k') }))
      assert.equal(status, 1)
      assert.match(stderr, /^run\.sh: no room in .*\/small: asks for nothing\n$/)
      assert.deepEqual([script.starts(), (await lab.show(script.run)).state], [0, 'requested'])
    })
  })
})

/** A command that mounts a disk of this size as the spool `small`, in a mount namespace that ends with the command. */
function smallDisk(lab: LoopLab, size: string): string[] {
  const spool = join(lab.dir, 'small')
  mkdirSync(spool, { recursive: true })
  return onSmallDisk(spool, size)
}

function onSmallDisk(spool: string, size: string): string[] {
  const [unshare, shell, mount] = [findProgram('unshare'), findProgram('sh'), findProgram('mount')]
  const own = process.getuid?.() === 0 ? '-m' : '-rm'
  const script = `${mount} -t tmpfs -o size=${size} none "$0" && exec "$@"`
  return [unshare ?? 'unshare', own, shell ?? 'sh', '-c', script, spool]
}

/** Why there can be no small disk here; undefined if there can. */
function smallDiskFault(): string | undefined {
  const [program = '', ...words] = onSmallDisk('/tmp', '64k')
  const { status } = spawnSync(program, [...words, findProgram('true') ?? 'true'])
  return status === 0 ? undefined : 'needs a mount namespace with a tmpfs'
}
