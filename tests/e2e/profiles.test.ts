/**
 * What is in the profile folder and may be no profile: what a link brings in from elsewhere, and the reserved name.
 * Through the built executable. Sources: CONTRACT "Daemon" (`link-targets`), "Command line" (names).
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ask, readSmall } from '../harness/api.ts'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { until } from '../harness/process.ts'

const bootName = 'pxelinux.cfg/01-52-54-00-00-00-01'
const secret = 'default 0\nlabel 0\n  kernel SECRET\n'

let daemon: RunningDaemon
let elsewhere: string
let allowed: string

const at = (name: string) => join(daemon.dataDir, 'profiles', name)
const boots = async () => JSON.stringify(await readSmall(daemon.tftpPort, bootName))
const run = async (...words: string[]) => {
  const { status, stdout, stderr } = await daemon.run(words)
  return { status, stdout, stderr }
}
const degraded = async () => ((await daemon.json('status')) as { degraded: string[] }).degraded

before(async () => {
  elsewhere = realpathSync(mkdtempSync(join(tmpdir(), 'pxemngr-elsewhere-')))
  allowed = join(elsewhere, 'allowed')
  mkdirSync(allowed)
  writeFileSync(join(elsewhere, 'secret'), secret)
  writeFileSync(join(allowed, 'good'), 'default 0\nlabel 0\n  kernel allowed\n')
  daemon = await serve({ flags: ['--link-targets', allowed] })
  writeFileSync(at('install.prof'), 'default 0\nlabel 0\n  kernel install\n')
  await daemon.must('syncbootnames')
  await daemon.must('addsystem', 's1', '52:54:00:00:00:01')
})
after(async () => {
  await daemon.close()
  rmSync(elsewhere, { recursive: true, force: true })
})

describe('a profile that is a link', () => {
  const line = () =>
    `${at('out.prof')}: a link leads out of the profile folder (link-targets may name the folder it leads to)`

  test('out of the folder is not offered, and profiles and status say so in one line', async () => {
    symlinkSync(join(elsewhere, 'secret'), at('out.prof'))
    assert.doesNotMatch(await daemon.must('syncbootnames'), /out/)
    const listed = await run('profiles')
    assert.deepEqual([listed.status, listed.stdout, listed.stderr], [0, 'local\ninstall\n', `out: ${line()}\n`])
    assert.deepEqual(await run('nextboot', 's1', 'out'), { status: 1, stdout: '', stderr: `${line()}\n` })
    assert.deepEqual(await degraded(), [line()])
    assert.equal((await ask({ url: daemon.url }, '/nextboot/out/')).status, 404)
    rmSync(at('out.prof'))
    assert.deepEqual(await degraded(), [])
  })

  test('chains, relative links and a link to a link out are seen through', async () => {
    for (const [name, to] of [
      ['one', 'two.prof'],
      ['two', '../profiles/three'],
      ['three', join(elsewhere, 'secret')],
      ['parent', '../pxemngr.sock/../journal'],
      ['proc', '/proc/self/environ'],
    ] as const)
      symlinkSync(to, name === 'three' ? at('three') : at(`${name}.prof`))
    assert.equal((await run('profiles')).stdout, 'local\ninstall\n')
    for (const name of ['one', 'two', 'proc'])
      assert.match((await run('nextboot', 's1', name)).stderr, /a link leads out/)
    for (const name of ['one.prof', 'two.prof', 'three', 'parent.prof', 'proc.prof']) rmSync(at(name))
  })

  test('within the folder, or into a folder of link-targets, is a profile as any other', async () => {
    symlinkSync('install.prof', at('same.prof'))
    symlinkSync(join(allowed, 'good'), at('let.prof'))
    for (const [name, kernel] of [
      ['same', 'install'],
      ['let', 'allowed'],
    ] as const) {
      await daemon.must('nextboot', 's1', name)
      assert.match(await boots(), new RegExp(`kernel ${kernel}`))
    }
    assert.equal((await run('profiles')).stdout, 'local\ninstall\nlet\nsame\n')
    assert.deepEqual(await degraded(), [])
  })

  test('that is turned outwards under a machine gives it local, and comes back', async () => {
    await daemon.must('nextboot', 's1', 'same')
    assert.match(await boots(), /kernel install/)
    symlinkSync(join(elsewhere, 'secret'), at('turned'))
    renameSync(at('turned'), at('same.prof'))
    assert.match(await boots(), /localboot/i)
    assert.match((await daemon.must('history')) ?? '', /same/)
    assert.match((await degraded()).join('\n'), /profile same may not be served: s1 boot local instead/)
    symlinkSync('install.prof', at('turned'))
    renameSync(at('turned'), at('same.prof'))
    assert.match(await boots(), /kernel install/)
    await until(
      async () => ((await degraded()).length === 0 ? true : undefined),
      10_000,
      () => 'same is not there again',
    )
  })

  test('local.prof too: the one inside the executable is served', async () => {
    const own = join(daemon.dataDir, 'own')
    renameSync(at('local.prof'), own)
    symlinkSync(join(elsewhere, 'secret'), at('local.prof'))
    await daemon.must('addsystem', 's2', '52:54:00:00:00:02')
    await ask({ url: daemon.url }, '/localboot/52:54:00:00:00:02/')
    const text = JSON.stringify(await readSmall(daemon.tftpPort, 'pxelinux.cfg/01-52-54-00-00-00-02'))
    assert.match(text, /localboot/i)
    rmSync(at('local.prof'))
    renameSync(own, at('local.prof'))
  })
})

describe('default is a reserved name', () => {
  const line =
    'default is a reserved name and cannot be used for a profile: it stands for the machines that no system has'

  test('a profile called so is refused in one line, with and without its file, and is not offered', async () => {
    for (const isThere of [false, true]) {
      if (isThere) writeFileSync(at('default.prof'), secret)
      for (const system of ['s1', 'default'])
        assert.deepEqual(await run('nextboot', system, 'default'), { status: 1, stdout: '', stderr: `${line}\n` })
    }
    assert.doesNotMatch(await daemon.must('syncbootnames'), /default/)
    const { stdout, stderr } = await run('profiles')
    assert.doesNotMatch(stdout, /default/)
    assert.equal(stderr, `default: ${line}\n`)
    assert.deepEqual(await degraded(), [line])
    await daemon.must('nextboot', 'default', 'install')
    assert.match(JSON.stringify(await readSmall(daemon.tftpPort, 'pxelinux.cfg/default')), /kernel install/)
    rmSync(at('default.prof'))
  })

  test('a test cannot be asked for on it: no machine would fetch it', async () => {
    writeFileSync(join(daemon.dataDir, 'tests', 'smoke.test'), 'echo\n')
    await daemon.must('synctestnames')
    const { status, stdout, stderr } = await run('nexttest', 'default', 'smoke')
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, /^default is no machine: .*\n$/)
    assert.equal(await daemon.must('results', '--state', 'requested'), '')
  })
})
