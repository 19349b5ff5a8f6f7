/**
 * The harness itself: what it leaves behind (nothing), and what it says when something does not come.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { rootFiles } from '../../scripts/namespace.mjs'
import { debianPackages, lacking } from './debian.mjs'
import { makeDisk } from './disk.ts'
import { parseReady } from './executable.ts'
import { createNetwork } from './netns.ts'
import { dieWithParent, runToEnd, start, until, within } from './process.ts'

const timeoutMs = 20_000
const noNamespaces =
  process.getuid?.() !== 0
    ? 'needs root, or user namespaces: network namespaces'
    : lacking(['iproute2', 'ethtool']).length > 0 && 'needs Debian packages: iproute2 ethtool'

test('the ready line gives lists of addresses, none where it says off, nothing while it is not complete', () => {
  assert.deepEqual(parseReady('pxemngr ready tftp=127.0.0.1:69,[::1]:69 http=off socket=/a b/s.sock\n'), {
    tftp: ['127.0.0.1:69', '[::1]:69'],
    http: [],
    socket: '/a b/s.sock',
  })
  assert.equal(parseReady('pxemngr ready tftp=127.0.0.1:69 http=off socket=/run/px'), undefined)
  assert.equal(parseReady('something else\n'), undefined)
})

test('what Debian packages are lacking is said by name, and an undeclared one is an error', () => {
  assert.deepEqual(lacking([]), [])
  assert.ok(lacking().every((name) => debianPackages.some((each) => each.name === name)))
  assert.throws(() => lacking(['no-such-package']), /no-such-package is not in debianPackages/)
})

test('a process is ended by its own id and its output is complete', async () => {
  const done = await runToEnd(['sh', '-c', 'cat; echo err >&2; exit 3'], { input: 'in', timeoutMs })
  assert.deepEqual(done, { status: 3, signal: null, stdout: 'in', stderr: 'err\n' })
  const sleeper = start(['sleep', '1000'])
  assert.ok(sleeper.alive())
  assert.equal((await sleeper.end('SIGKILL')).signal, 'SIGKILL')
  assert.ok(!sleeper.alive())
  await assert.rejects(start(['/no/such/program']).ended, /ENOENT/)
})

test('what does not come in time is said in the words given', async () => {
  await assert.rejects(
    within(new Promise(() => {}), 10, () => 'it did not come'),
    /^Error: it did not come$/,
  )
  await assert.rejects(
    until(
      () => undefined,
      10,
      () => 'never seen',
    ),
    /^Error: never seen$/,
  )
  let asked = 0
  const answer = await until(
    () => (++asked === 3 ? 'there' : undefined),
    timeoutMs,
    () => 'late',
    1,
  )
  assert.equal(answer, 'there')
})

test('a program dies with the test process that started it, even if that one is killed', async () => {
  const words = dieWithParent(['sleep', '1000'])
  const parent = start([
    process.execPath,
    '-e',
    `console.log(require('node:child_process').spawn(${JSON.stringify(words[0])}, ${JSON.stringify(words.slice(1))}).pid); setInterval(() => {}, 1000)`,
  ])
  const pid = await until(
    () => /^(\d+)\n/.exec(parent.written.stdout)?.[1],
    timeoutMs,
    () => parent.written.stderr,
  )
  // until the death signal is set, which is when it has become `sleep`
  const isSleep = async (): Promise<true | undefined> =>
    (await runToEnd(['cat', `/proc/${pid}/comm`], { timeoutMs })).stdout === 'sleep\n' ? true : undefined
  await until(isSleep, timeoutMs, () => `${pid} is no sleep`)
  await parent.end('SIGKILL')
  await until(
    async () => ((await isSleep()) ? undefined : true),
    timeoutMs,
    () => `${pid} lives on`,
  )
})

test('namespaces are removed by close, and those of a killed test by the next', { skip: noNamespaces }, async () => {
  const script = `import { createNetwork } from ${JSON.stringify(new URL('netns.ts', import.meta.url).href)}
    console.log(createNetwork().namespace('left').name)
    process.kill(process.pid, 'SIGKILL')`
  const killed = await runToEnd([process.execPath, '--input-type=module', '-e', script], { timeoutMs })
  assert.equal(killed.signal, 'SIGKILL', killed.stderr)
  const abandoned = `/run/netns/${killed.stdout.trim()}`
  assert.ok(existsSync(abandoned))
  const network = createNetwork()
  assert.ok(!existsSync(abandoned))
  const one = network.namespace('one')
  const two = network.namespace('two')
  network.link(
    { space: one, name: 'net0', mac: '52:54:00:ab:cd:01', addresses: ['10.77.0.1/24'] },
    { space: two, name: 'net0', addresses: ['10.77.0.2/24', 'fd77::2/64'] },
  )
  assert.match(one.must('ip', 'link', 'show', 'net0'), /52:54:00:ab:cd:01/)
  assert.throws(() => one.must('ip', 'link', 'show', 'nosuch'), /nosuch/)
  network.close()
  assert.ok(!existsSync(`/run/netns/${one.name}`) && !existsSync(`/run/netns/${two.name}`))
})

test('a disk is a whole number of sectors with a boot signature, and refuses a marker it cannot show', () => {
  const disk = makeDisk('marker')
  assert.equal(disk.length % 512, 0)
  assert.deepEqual([...disk.subarray(510, 512)], [0x55, 0xaa])
  assert.throws(() => makeDisk('ä'), /no marker/)
  assert.throws(() => makeDisk(''), /no marker/)
})

test('every test file that mounts or lays networks is one that an ordinary user runs in a user namespace', () => {
  const top = join(import.meta.dirname, '..')
  const files = readdirSync(top, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.test.ts'))
    .filter((name) => /from '[^']*\/(mount|netns|world|bootlab)\.ts'/.test(readFileSync(join(top, name), 'utf8')))
  assert.deepEqual(files.map((name) => join('tests', name)).sort(), [...rootFiles].sort())
})
