/**
 * The shipped loop on a machine on a bad day, against the built executable: the server is away, the loop is killed, the
 * machine reboots, the disk of the spool is full. A script is started once, whatever happens, and its result arrives.
 *
 * Scripts wait for a file (a gate) that the test makes, so that nothing depends on how fast anything is. Source: RUNS
 * "Life of a run" (late, rebooted), "Machine URLs".
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'node:test'
import { findProgram } from '../harness/debian.mjs'
import { type LoopLab, openLoopLab, stepMs } from '../harness/loop.ts'
import { finished, gated, inLab, logs, nothingLives, powerCut, says, whole } from '../harness/loop-script.ts'
import { until } from '../harness/process.ts'

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

  inLab(
    'runs of two servers with the same id are two runs, and each server gets its own',
    ['curl'],
    async (lab, kind) => {
      const other = await openLoopLab()
      try {
        const [mine, others] = [await gated(lab), await gated(other)]
        assert.equal(mine.run, others.run)
        others.open()
        const first = lab.loop(kind, { spool: 'spool' })
        await mine.started()
        first.child.kill('SIGTERM')
        await finished(first)
        await lab.daemon.stop()
        const between = await finished(lab.loop(kind, { spool: 'spool', url: other.daemon.url }))
        assert.equal(between.status, 1, 'one is left')
        assert.equal(other.log(others.run).toString(), whole)
        await lab.restart()
        assert.equal((await finished(lab.loop(kind, { spool: 'spool' }))).status, 0)
        assert.match(lab.log(mine.run).toString(), /^I: started\nE: ended: .*\n$/)
        assert.deepEqual([mine.starts(), others.starts()], [1, 1])
      } finally {
        await other.close()
      }
    },
  )

  inLab(
    'a script whose output no file may hold (ulimit -f) ends, the loop goes on, and the result says what is missing',
    ['curl', 'GNU wget', 'busybox'],
    async (lab, kind) => {
      await lab.script(
        'fills',
        `echo "I: started"\ndd if=/dev/zero bs=65536 count=64 2>/dev/null | tr '\\000' a\nexit 0\n`,
      )
      await lab.script('next', 'echo "I: next"\n')
      const [run, next] = [await lab.request('fills'), await lab.request('next')]
      const loop = lab.loop(kind, { spool: 'spool', first: 'ulimit -f 1200', forever: true })
      await lab.done(next)
      assert.equal((await loop.end('SIGTERM')).status, 143, loop.written.stderr)
      assert.match(loop.written.stderr, /run \d+: its log takes no more: only its beginning is uploaded\n/)
      const [first, , ...rest] = lab.log(run).toString().split('\n')
      assert.equal(first, 'I: started')
      assert.match(rest.join('\n'), /^E: only the first \d+ of \d+ bytes were uploaded: .*\nX: \d+\n$/)
      assert.deepEqual([(await lab.show(run)).verdict, (await lab.show(next)).verdict], ['fail', 'pass'])
      assert.equal(lab.log(next).toString(), 'I: next\nX: 0\n')
    },
  )

  inLab(
    'results of a server that is gone for good hinder no other; too many are dropped, the oldest first, and said',
    ['curl', 'busybox'],
    async (lab, kind) => {
      const gone = 'http://127.0.0.1:9'
      const spool = join(lab.dir, 'spool')
      for (let each = 1; each <= 23; each++) {
        const folder = join(spool, `run-${1000 + each}`)
        mkdirSync(folder, { recursive: true })
        const files = {
          ...{ script: 'echo\n', upload: `${gone}/upload/${each}/?token=${each}\n`, progress: '', extend: '' },
          ...{ timeout: '60\n', url: `${gone}\n`, boot: 'x\n', log: 'X: 0\n', status: 'X: 0\n', whole: '' },
        }
        for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
        utimesSync(join(folder, 'status'), each, each)
      }
      await lab.script('works', 'echo "I: works"\n')
      const run = await lab.request('works')
      const { status, stderr } = await finished(lab.loop(kind, { spool: 'spool' }))
      assert.equal(status, 1, 'something is left')
      assert.deepEqual([(await lab.show(run)).verdict, lab.log(run).toString()], ['pass', 'I: works\nX: 0\n'])
      const dropped = [...stderr.matchAll(/run (\d+) of http:\/\/127\.0\.0\.1:9: DROPPED, .*: X: 0\n/g)].map(
        ([, id]) => id,
      )
      assert.deepEqual(dropped.sort(), ['1001', '1002', '1003'], stderr)
      assert.match(stderr, /20 not uploaded, kept in /)
      const left = readdirSync(spool).filter((name) => name.startsWith('run-'))
      assert.deepEqual([left.length, left.includes('run-1003'), left.includes('run-1004')], [20, false, true])
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
