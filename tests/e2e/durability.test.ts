/**
 * What survives, through the built executable: kill -9 at random instants, torn and damaged journals, full and failing
 * disks. Sources: DESIGN "State" and "Failure, by rule"; CONTRACT "Daemon".
 */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ask, call, readSmall } from '../harness/api.ts'
import { type RunningDaemon, runExecutable, serve } from '../harness/executable.ts'
import { type FailingDisk, failingDisk, noFaults } from '../harness/faults.ts'
import { makeFolder } from '../harness/folder.ts'
import { makeReadOnly, mountTmpfs, noMounts } from '../harness/mount.ts'
import { until } from '../harness/process.ts'

async function started(t: TestContext, options: Parameters<typeof serve>[0]): Promise<RunningDaemon> {
  const daemon = await serve(options)
  t.after(() => daemon.close())
  return daemon
}

const segmentsOf = (dataDir: string): string[] =>
  readdirSync(join(dataDir, 'journal'))
    .filter((name) => /^\d+\.jsonl$/.test(name))
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
    .map((name) => join(dataDir, 'journal', name))

const lastSegment = (dataDir: string): string => {
  const last = segmentsOf(dataDir).at(-1)
  assert.ok(last, 'there is a journal segment')
  return last
}

const mac = (n: number): string =>
  `52:54:${[24, 16, 8, 0].map((shift) => ((n >> shift) & 255).toString(16).padStart(2, '0')).join(':')}`

interface Listed {
  readonly systems: readonly { readonly name: string; readonly addresses: readonly { readonly address: string }[] }[]
}

async function listed(daemon: RunningDaemon): Promise<Map<string, string[]>> {
  const { systems } = (await call(daemon.ready.socket, 'dpysystem', {})).json as Listed
  return new Map(systems.map(({ name, addresses }) => [name, addresses.map(({ address }) => address)]))
}

/** Rounds of the kill test, and how many clients change things at once in each. */
const killRounds = 200
/** A machine that is busy with something else does as many as it can in this time, and no fewer than so many. */
const killRoundsMs = 400_000
const killRoundsMin = 40
const clients = 6
const systemsInBulk = 5

test('after kill -9 at a random instant under parallel load everything acknowledged is there, nothing is half there', async (t) => {
  const dataDir = makeFolder(t)
  const asked = new Map<string, string[]>()
  const acknowledged = new Set<string>()
  const bulks: string[][] = []
  let number = 0
  const end = performance.now() + killRoundsMs
  let rounds = killRounds
  for (let round = 0; round <= rounds; round++) {
    if (performance.now() > end) rounds = Math.max(round, killRoundsMin)
    const daemon = await serve({ dataDir })
    try {
      const there = await listed(daemon)
      for (const name of acknowledged)
        assert.ok(there.has(name), `round ${round}: ${name} was acknowledged and is gone`)
      for (const [name, addresses] of there) {
        assert.deepEqual(addresses, asked.get(name), `round ${round}: ${name} is half there`)
      }
      for (const names of bulks) {
        const found = names.filter((name) => there.has(name)).length
        assert.ok(found === 0 || found === names.length, `round ${round}: ${found} of ${names.length} of one command`)
      }
      if (round === rounds) break
      let running = true
      const client = async (): Promise<void> => {
        while (running) {
          const bulk = number % 7 === 0
          const systems = Array.from({ length: bulk ? systemsInBulk : 1 }, () => {
            number++
            return {
              name: `s${number}`,
              addresses: [mac(number * 4), mac(number * 4 + 1), `10.${number >> 8}.${number & 255}.1`],
            }
          })
          for (const { name, addresses } of systems) asked.set(name, addresses)
          if (bulk) bulks.push(systems.map(({ name }) => name))
          try {
            const { status, text } = await call(daemon.ready.socket, 'addsystem', bulk ? { systems } : systems[0])
            assert.equal(status, 200, text)
            for (const { name } of systems) acknowledged.add(name)
          } catch (error) {
            if (running || error instanceof assert.AssertionError) throw error
          }
        }
      }
      const load = Array.from({ length: clients }, client)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 120))
      running = false
      await daemon.kill()
      await Promise.all(load)
    } finally {
      await daemon.close()
    }
  }
  assert.ok(acknowledged.size > rounds, `only ${acknowledged.size} commands were acknowledged in all rounds`)
})

/** A data directory with a few systems, stopped as told. */
async function dataDirWith(t: TestContext, names: readonly string[], end: 'stop' | 'kill'): Promise<string> {
  const dataDir = makeFolder(t)
  const daemon = await serve({ dataDir })
  try {
    for (const [n, name] of names.entries()) await daemon.must('addsystem', name, mac(n + 1))
    await daemon[end]()
  } finally {
    await daemon.close()
  }
  return dataDir
}

test('a torn last line is set aside and said, and everything before it is there', async (t) => {
  const dataDir = await dataDirWith(t, ['one', 'two'], 'kill')
  appendFileSync(lastSegment(dataDir), '{"seq":999,"at":"2026-')
  const daemon = await started(t, { dataDir })
  assert.deepEqual([...(await listed(daemon)).keys()], ['one', 'two'])
  const { degraded, notices } = (await daemon.json('status')) as { degraded: string[]; notices: string[] }
  assert.deepEqual(degraded, [], 'nothing acknowledged is lost')
  assert.match(notices.join('\n'), /journal\.tail-/)
  assert.ok(
    readdirSync(dataDir)
      .concat(readdirSync(join(dataDir, 'journal')))
      .some((name) => name.includes('journal.tail-')),
  )
  await daemon.must('addsystem', 'three', mac(9))
})

test('repair and a refused start show what would steer a terminal as signs, whatever is on disk', async (t) => {
  const dataDir = await dataDirWith(t, ['one', 'two'], 'kill')
  const segment = segmentsOf(dataDir).find((file) => readFileSync(file, 'utf8').includes('"one"'))
  assert.ok(segment)
  const odd = '\u001b]0;title\u0007 \u009b31m \u007f no record'
  writeFileSync(segment, readFileSync(segment, 'utf8').replace(/^.*"one".*$/m, odd))
  const flags = ['--tftp', 'off', '--http', 'off', '--socket', join(dataDir, 'p.sock')]
  const start = await runExecutable(['serve', '--data-dir', dataDir, ...flags])
  const dry = await runExecutable(['repair', '--dry-run', '--data-dir', dataDir])
  const repaired = await runExecutable(['repair', '--data-dir', dataDir])
  for (const [what, { status, stdout, stderr }] of Object.entries({ start, dry, repaired })) {
    assert.equal(status, 1, what)
    assert.doesNotMatch(stdout + stderr, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/, what)
  }
  assert.match(dry.stdout, /‹U\+009B›31m ␡ no record/)
})

test('a flipped byte refuses the start with file, line and the repair command; repair keeps the file and says what is lost', async (t) => {
  const dataDir = await dataDirWith(t, ['one', 'two', 'three'], 'stop')
  const segment = segmentsOf(dataDir).find((file) => readFileSync(file, 'utf8').includes('"two"'))
  assert.ok(segment)
  const bytes = readFileSync(segment)
  const at = bytes.indexOf('"two"') + 1
  bytes[at] = (bytes[at] ?? 0) ^ 0x01
  writeFileSync(segment, bytes)
  const line = bytes.subarray(0, at).filter((byte) => byte === 10).length + 1
  const before = readFileSync(segment)

  const flags = ['--tftp', 'off', '--http', '127.0.0.1:0', '--socket', join(dataDir, 'p.sock')]
  const refused = await runExecutable(['serve', '--data-dir', dataDir, ...flags])
  assert.equal(refused.status, 1)
  assert.equal(refused.stdout, '')
  const said = refused.stderr.trimEnd().split('\n').at(-1) ?? ''
  assert.ok(said.includes(`${segment}:${line}`) || (said.includes(segment) && said.includes(`line ${line}`)), said)
  assert.match(said, /pxemngr repair/)
  assert.deepEqual(readFileSync(segment), before, 'a refused start changes nothing')

  const dry = await runExecutable(['repair', '--dry-run', '--data-dir', dataDir])
  assert.equal(dry.status, 1, dry.stderr)
  const asJson = await runExecutable(['--json', 'repair', '--dry-run', '--data-dir', dataDir])
  assert.equal(asJson.status, 1, asJson.stderr)
  assert.deepEqual(JSON.parse(asJson.stdout), { lines: dry.stdout.trimEnd().split('\n'), lostAcknowledged: true })
  assert.deepEqual(readFileSync(segment), before, '--dry-run changes nothing')
  const repaired = await runExecutable(['repair', '--data-dir', dataDir])
  assert.equal(repaired.status, 1, 'acknowledged records are lost')
  assert.notEqual(repaired.stdout + repaired.stderr, '')
  const daemon = await started(t, { dataDir })
  const names = [...(await listed(daemon)).keys()]
  assert.ok(names.includes('one') && !names.includes('two'), names.join())
})

test('a journal cut at any place starts with exactly the whole records before the cut', async (t) => {
  const dataDir = await dataDirWith(t, ['one', 'two', 'three'], 'kill')
  const segment = lastSegment(dataDir)
  const bytes = readFileSync(segment)
  const lines = bytes.toString('utf8').split('\n')
  const cuts = [1, 2, 7, 40].map((back) => bytes.length - back).concat(Math.floor(bytes.length / 2))
  for (const cut of cuts) {
    const copy = join(makeFolder(t), 'data')
    cpSync(dataDir, copy, { recursive: true })
    const name = join(copy, segment.slice(dataDir.length))
    truncateSync(name, cut)
    const whole = bytes.subarray(0, cut).toString('utf8').split('\n').length - 1
    const expected = lines.slice(0, whole).flatMap((line) => /"system\.added".*?"name":"(\w+)"/.exec(line)?.[1] ?? [])
    const daemon = await serve({ dataDir: copy })
    try {
      assert.deepEqual([...(await listed(daemon)).keys()], expected, `cut at ${cut}`)
    } finally {
      await daemon.close()
    }
  }
})

test('a second daemon on the same data directory is refused, and the lock is gone with its process', async (t) => {
  const daemon = await started(t, {})
  const flags = ['--tftp', 'off', '--http', '127.0.0.1:0', '--socket', join(daemon.dataDir, 'other.sock')]
  const second = await runExecutable(['serve', '--data-dir', daemon.dataDir, ...flags])
  assert.equal(second.status, 1)
  assert.ok(second.stderr.includes(daemon.dataDir), second.stderr)
  const repair = await runExecutable(['repair', '--data-dir', daemon.dataDir])
  assert.equal(repair.status, 1, 'repair takes the same lock')
  assert.equal((await daemon.run(['status'])).status, 0)
  await daemon.kill()
  const next = await started(t, { dataDir: daemon.dataDir })
  assert.equal((await next.run(['status'])).status, 0)
})

async function withFailingDisk(t: TestContext): Promise<{ daemon: RunningDaemon; disk: FailingDisk; dataDir: string }> {
  const dataDir = makeFolder(t)
  const disk = failingDisk(dataDir)
  t.after(() => disk.close())
  const daemon = await started(t, { dataDir, env: disk.env })
  await daemon.must('addsystem', 'node', mac(1))
  writeFileSync(join(dataDir, 'profiles', 'install.prof'), 'default 0\nlabel 0\n  kernel k\n')
  await daemon.must('syncbootnames')
  await daemon.must('nextboot', 'node', 'install')
  return { daemon, disk, dataDir }
}

const configName = `pxelinux.cfg/01-${mac(1).replaceAll(':', '-')}`

/** Asks until changes are taken again; the daemon tries every few seconds. */
async function changesAgain(daemon: RunningDaemon, name: string): Promise<void> {
  const end = Date.now() + 30_000
  for (;;) {
    const { status, text } = await call(daemon.ready.socket, 'addsystem', {
      name,
      addresses: [mac(1000 + name.length)],
    })
    if (status === 200) return
    assert.ok(Date.now() < end, `changes are still refused: ${text}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

for (const [what, orders, status] of [
  ['a failing write', ['write EIO', 'match /journal/'], 503],
  ['a full disk', ['write ENOSPC', 'match /journal/'], 503],
  ['a disk gone read-only', ['write EROFS', 'match /journal/'], 503],
  ['a write that comes up short', ['short 7', 'match /journal/'], 503],
  ['a failing sync', ['sync EIO', 'match /journal/'], 500],
] as const) {
  test(`L5: ${what} refuses the change with the reason, boots go on, and writing resumes in a new segment`, {
    skip: noFaults,
  }, async (t) => {
    const { daemon, disk, dataDir } = await withFailingDisk(t)
    const before = segmentsOf(dataDir).length
    disk.order(...orders)
    const first = await call(daemon.ready.socket, 'addsystem', { name: 'lost', addresses: [mac(2)] })
    assert.ok(first.status === status || first.status === 507, `${first.status} ${first.text}`)
    if (status === 500) assert.match(first.text, /not known to be kept/i)
    const second = await call(daemon.ready.socket, 'addsystem', { name: 'lost2', addresses: [mac(3)] })
    assert.ok(second.status === 503 || second.status === 507, `${second.status} ${second.text}`)
    assert.deepEqual([...(await listed(daemon)).keys()], ['node'], 'nothing of it is served')
    assert.match(JSON.stringify(await readSmall(daemon.tftpPort, configName)), /kernel k/)
    const degraded = ((await daemon.json('status')) as { degraded: string[] }).degraded.join('\n')
    assert.notEqual(degraded, '', 'status says that changes are refused')
    disk.order()
    await changesAgain(daemon, 'after')
    assert.ok(segmentsOf(dataDir).length > before, 'a new segment')
    await daemon.kill()
    const next = await started(t, { dataDir })
    const names = [...(await listed(next)).keys()]
    assert.ok(names.includes('node') && names.includes('after'), names.join())
    assert.ok(!names.includes('lost2'), 'a refused change is not there after a restart')
    if (status !== 500) assert.ok(!names.includes('lost'), 'a refused change is not there after a restart')
  })
}

test('while the disk stands still between decision and sync nothing of the change is served, nor after it failed', {
  skip: noFaults,
}, async (t) => {
  const { daemon, disk } = await withFailingDisk(t)
  // The machine's address is a record of its own: it must not be the one that stands still.
  await readSmall(daemon.tftpPort, configName)
  await daemon.must('addsystem', 'other', mac(2))
  disk.order('stall', 'match /journal/')
  let answered = false
  const change = call(daemon.ready.socket, 'nextboot', { name: 'node', profile: 'local' }).then((answer) => {
    answered = true
    return answer
  })
  for (let look = 0; look < 10; look++) {
    assert.match(JSON.stringify(await readSmall(daemon.tftpPort, configName)), /kernel k/)
    const { json } = await call(daemon.ready.socket, 'dpysystem', { name: 'node' })
    assert.match(JSON.stringify(json), /"install"/)
    assert.doesNotMatch(JSON.stringify(json), /"local"/)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.equal(answered, false, 'no acknowledgement before the sync')
  disk.order('sync EIO', 'match /journal/')
  const { status } = await change
  assert.equal(status, 500)
  assert.match(JSON.stringify(await readSmall(daemon.tftpPort, configName)), /kernel k/)
  disk.order()
})

test('a report that cannot be written anywhere is answered 503, and the machine boots local all the same', {
  skip: noFaults,
}, async (t) => {
  const { daemon, disk } = await withFailingDisk(t)
  disk.order('write EIO', 'sync EIO')
  const report = await ask({ url: daemon.url }, `/localboot/${mac(1)}/`)
  assert.equal(report.status, 503)
  assert.match(JSON.stringify(await readSmall(daemon.tftpPort, configName)), /localboot/i)
  const { degraded } = (await daemon.json('status')) as { degraded: string[] }
  assert.ok(
    degraded.some((line) => line.includes(mac(1)) || line.includes('node')),
    degraded.join('\n'),
  )
  disk.order()
  const end = Date.now() + 30_000
  while (((await daemon.json('dpysystem', 'node')) as { next: string }).next !== 'local') {
    assert.ok(Date.now() < end, 'the report is written once the disk takes it')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
})

test('on a full file system reports are still kept, changes are refused, and all resumes when there is room', {
  skip: noMounts,
}, async (t) => {
  const mount = mountTmpfs(t, '24m')
  const dataDir = join(mount, 'data')
  mkdirSync(dataDir)
  const daemon = await started(t, { dataDir })
  writeFileSync(join(dataDir, 'profiles', 'install.prof'), 'default 0\nlabel 0\n  kernel k\n')
  await daemon.must('addsystem', 'node', mac(1))
  await daemon.must('syncbootnames')
  await daemon.must('nextboot', 'node', 'install')
  const filler = join(mount, 'filler')
  assert.throws(() => {
    for (;;) appendFileSync(filler, Buffer.alloc(4096))
  }, /ENOSPC/)
  // What is left of the segment's last block takes some records more.
  let refusal = ''
  for (let n = 0; n < 200 && refusal === ''; n++) {
    const { status, text } = await call(daemon.ready.socket, 'addsystem', { name: `x${n}`, addresses: [mac(50 + n)] })
    if (status !== 200) refusal = text
  }
  assert.match(refusal, /space|full/i)
  const report = await ask({ url: daemon.url }, `/localboot/${mac(1)}/`)
  assert.deepEqual([report.status, report.text], [200, 'Next boot set to local'])
  await daemon.kill()
  const next = await started(t, { dataDir })
  assert.equal(
    ((await next.json('dpysystem', 'node')) as { next: string }).next,
    'local',
    'the report outlives kill -9',
  )
  rmSync(filler)
  await changesAgain(next, 'roomy')
})

test('a data directory that cannot be written is refused in one line that names it', {
  skip: noMounts,
}, async (t) => {
  const mount = mountTmpfs(t, '8m')
  makeReadOnly(mount)
  const other = makeFolder(t)
  const flags = ['--tftp', 'off', '--http', '127.0.0.1:0', '--socket', join(other, 'p.sock')]
  const refused = await runExecutable(['serve', '--data-dir', join(mount, 'data'), ...flags])
  assert.equal(refused.status, 1)
  assert.ok(refused.stderr.includes(join(mount, 'data')), refused.stderr)
})

test('a results folder that cannot be written any more: uploads are refused with the reason, and status says so', {
  skip: noMounts,
}, async (t) => {
  const results = mountTmpfs(t, '8m')
  const daemon = await started(t, { flags: ['--results-dir', results] })
  writeFileSync(join(daemon.dataDir, 'tests', 'smoke.test'), 'true\n')
  await daemon.must('addsystem', 'one', mac(1))
  await daemon.must('nexttest', 'one', 'smoke')
  const upload = () => {
    const body = new FormData()
    body.set('file', new Blob(['I: all is well\n']), 'out')
    return fetch(`${daemon.url}/upload/1/`, { method: 'POST', body })
  }
  makeReadOnly(results)
  const refused = await until(
    async () => {
      const answer = await upload()
      return answer.status === 507 ? answer.text() : undefined
    },
    5_000,
    () => daemon.log(),
  )
  assert.equal(refused, `the folder ${results} cannot be written: the file system is read-only: no results are taken`)
  const { status, stdout } = await daemon.run(['status'])
  assert.equal(status, 1)
  assert.ok(stdout.includes(`Degraded: ${refused}`), stdout)
})

test('a backup restores into an empty data directory, and never over one that is in use', async (t) => {
  const daemon = await started(t, {})
  await daemon.must('addsystem', 'one', mac(1), '10.3')
  const dir = makeFolder(t)
  const file = join(dir, 'backup')
  await daemon.must('backup', file)
  assert.equal(statSync(file).mode & 0o077, 0, 'a backup is private')
  await daemon.must('addsystem', 'later', mac(2))
  const over = await runExecutable(['restore', file, '--data-dir', daemon.dataDir])
  assert.equal(over.status, 1)
  const dataDir = join(dir, 'restored')
  const done = await runExecutable(['restore', file, '--data-dir', dataDir])
  assert.equal(done.status, 0, done.stderr)
  const restored = await started(t, { dataDir })
  assert.deepEqual(Object.fromEntries(await listed(restored)), { one: [mac(1), '10.3'] })
  await restored.must('addsystem', 'two', mac(3))
  await restored.stop()
  const again = await runExecutable(['restore', file, '--data-dir', dataDir])
  assert.equal(again.status, 1, 'not over a data directory with a journal')
  writeFileSync(file, readFileSync(file).subarray(0, 100))
  const half = await runExecutable(['restore', file, '--data-dir', join(dir, 'half')])
  assert.equal(half.status, 1)
  assert.ok(!existsSync(join(dir, 'half')), 'half a backup restores nothing')
  const absent = await runExecutable(['restore', join(dir, 'absent'), '--data-dir', join(dir, 'half')])
  assert.deepEqual(
    [absent.status, absent.stderr],
    [1, `cannot read ${JSON.stringify(join(dir, 'absent'))}: no such file or directory\n`],
  )
})

test('a backup and a copy of the folders that help names bring all back, logs of results too', async (t) => {
  const daemon = await started(t, {})
  await daemon.must('addsystem', 'one', '127.0.0.1')
  writeFileSync(join(daemon.dataDir, 'tests', 'smoke.test'), 'true\n')
  await daemon.must('synctestnames')
  await daemon.must('nexttest', 'one', 'smoke')
  const form = new FormData()
  form.append('file', new Blob(['I: all is well\n']), 'log')
  const headers = { connection: 'close' }
  const uploaded = await fetch(`${daemon.url}/upload/1/`, { method: 'POST', body: form, headers })
  assert.equal(await uploaded.text(), 'uploaded')
  const { stdout: help } = await runExecutable(['help', 'backup'])
  const folders = ['profiles', 'tests', 'tftp', 'results']
  for (const folder of folders) assert.match(help, new RegExp(`${folder}-(dir|root)`), 'help names what is not in it')

  const dir = makeFolder(t)
  const file = join(dir, 'backup')
  await daemon.must('backup', file)
  const dataDir = join(dir, 'restored')
  for (const folder of ['profiles', 'tests', 'tftpboot', 'results']) {
    cpSync(join(daemon.dataDir, folder), join(dataDir, folder), { recursive: true })
  }
  const restored = await runExecutable(['--json', 'restore', file, '--data-dir', dataDir])
  assert.equal(restored.status, 0, restored.stderr)
  assert.deepEqual(Object.keys(JSON.parse(restored.stdout) as object), ['records'])
  const again = await started(t, { dataDir })
  assert.equal(await again.must('log', '1'), 'I: all is well\n')
  assert.equal(await again.must('show', '1'), await daemon.must('show', '1'))
  assert.equal((await again.run(['status'])).status, 0)
})

test('a journal that is moved away under the daemon is noticed: changes exit 1, status too, boots go on', async (t) => {
  const dataDir = makeFolder(t)
  const daemon = await started(t, { dataDir })
  await daemon.must('addsystem', 'one', mac(1))
  await daemon.must('nextboot', 'one', 'local')
  renameSync(join(dataDir, 'journal'), join(dataDir, 'journal.old'))
  const unheard = await daemon.run(['addsystem', 'lost', mac(2)])
  assert.equal(unheard.status, 1)
  // The daemon also looks by itself once a second, and may have been first.
  const told =
    /^(not known to be kept: |changes are refused since ).*journal\/1\.jsonl was removed, moved or replaced: put it back/
  assert.match(unheard.stderr, told)
  const refused = await daemon.run(['addsystem', 'refused', mac(3)])
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /^changes are refused since /)
  const status = await daemon.run(['status', '--json'])
  assert.equal(status.status, 1)
  assert.match((JSON.parse(status.stdout) as { degraded: string[] }).degraded.join('\n'), /1\.jsonl was removed/)
  assert.equal((await ask({ url: daemon.url }, `/profile/${mac(1)}/`)).text, 'local')
  renameSync(join(dataDir, 'journal.old'), join(dataDir, 'journal'))
  const again = async () => (await daemon.run(['addsystem', 'two', mac(4)])).status === 0 || undefined
  await until(again, 20_000, () => daemon.log())
  await daemon.kill()
  const restarted = await started(t, { dataDir })
  assert.deepEqual([...(await listed(restarted)).keys()], ['one', 'two'])
})
