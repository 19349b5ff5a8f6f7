/**
 * The boot timeline from outside: what a machine fetched, by TFTP and by HTTP, on its page and in the API.
 * Source: DESIGN "State" (trace), "Boot" (a boot: requests in order, bytes, times, how it ended).
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ask, readSmall } from '../harness/api.ts'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { makeFolder } from '../harness/folder.ts'
import { until } from '../harness/process.ts'

interface Step {
  readonly kind: string
  readonly name: string
  readonly sizeBytes: number | null
  readonly sentBytes: number
  readonly outcome: string
  readonly at: string
}

const mac = '52:54:00:00:00:01'
const ipxe = { 'user-agent': 'iPXE/1.21.1+git' }
const kernel = randomBytes(3_000_000)

/** A daemon with one machine, which is whoever asks from here, and a kernel for it. */
async function started(t: TestContext, dataDir?: string): Promise<RunningDaemon> {
  const daemon = await serve(dataDir === undefined ? {} : { dataDir })
  t.after(() => daemon.close())
  await daemon.must('addsystem', 'node1', mac)
  writeFileSync(join(daemon.dataDir, 'profiles', 'install.prof'), 'default a\nlabel a\nkernel vmlinuz\n')
  writeFileSync(join(daemon.dataDir, 'tftpboot', 'vmlinuz'), kernel)
  writeFileSync(join(daemon.dataDir, 'tftpboot', 'preseed.cfg'), 'd-i\n')
  await daemon.must('syncbootnames')
  await daemon.must('nextboot', 'node1', 'install')
  return daemon
}

async function boots(daemon: RunningDaemon): Promise<{ steps: Step[] }[]> {
  const { status, json, text } = await ask({ url: daemon.url }, '/api/v1/boots')
  assert.equal(status, 200, text)
  return (json as { boots: { steps: Step[] }[] }).boots
}

test('kernels that come over HTTP are steps of the boot, as those of TFTP are', async (t) => {
  const daemon = await started(t)
  const fetched = (path: string, headers: Record<string, string>) => ask({ url: daemon.url }, path, { headers })
  // A person who looks at files is no boot.
  assert.equal((await fetched('/boot/vmlinuz', { 'user-agent': 'Mozilla/5.0' })).status, 200)
  assert.deepEqual(await boots(daemon), [])

  const before = Date.now()
  await readSmall(daemon.tftpPort, `pxelinux.cfg/01-${mac.replaceAll(':', '-')}`)
  await fetched(`/ipxe/${mac}/`, ipxe)
  await fetched('/boot/vmlinuz', ipxe)
  await fetched('/boot/not-there', ipxe)
  await fetched('/boot/preseed.cfg', { 'user-agent': 'Wget/1.21' })
  const [boot, ...others] = await until(
    async () => {
      const found = await boots(daemon)
      return (found[0]?.steps.length ?? 0) >= 5 ? found : undefined
    },
    10_000,
    () => daemon.log(),
  )
  assert.deepEqual(others, [])
  // TFTP's step stands where its last ACK was heard, which may be after the next request: compared without order.
  const steps = boot?.steps.map(({ kind, name, sizeBytes, sentBytes, outcome }) =>
    [kind, name, sizeBytes, sentBytes, outcome].join(' '),
  )
  assert.deepEqual(steps?.sort(), [
    'http /boot/not-there  0 refused',
    'http /boot/preseed.cfg 4 4 done',
    `http /boot/vmlinuz ${kernel.length} ${kernel.length} done`,
    'http ipxe  0 done',
    `tftp pxelinux.cfg/01-${mac.replaceAll(':', '-')} 33 33 done`,
  ])
  for (const { at } of boot?.steps ?? []) assert.ok(Date.parse(at) >= before - 1 && Date.parse(at) <= Date.now(), at)
  const page = await ask({ url: daemon.url }, '/system/1/', { headers: { accept: 'text/html' } })
  assert.match(page.text, /\/boot\/vmlinuz[\s\S]{0,400}2\.9 MiB/)

  // The boot's own page says why it got that: the record that decided, which is known here by its number.
  const listed = await ask({ url: daemon.url }, '/boots?format=json')
  const [row] = (listed.json as { boots: Record<string, unknown>[] }).boots
  const { history } = (await daemon.json('history', 'node1')) as { history: { seq: number; changes: string[] }[] }
  const decided = history.find(({ changes }) => changes.some((change) => change.includes('next boot install')))
  assert.deepEqual(
    [row?.['machine'], row?.['profile'], row?.['decided_by'], row?.['record'], row?.['reached']],
    ['node1', 'install', 'mac', decided?.seq, 'kernel'],
  )
  const own = await ask({ url: daemon.url }, `/boots/${row?.['id']}`, { headers: { accept: 'text/html' } })
  assert.match(own.text, /its MAC is that of node1[\s\S]*?\(record \d+\)/)
  assert.match(own.text, /\/boot\/preseed\.cfg/)
})

test('a kernel that was cut off is a step that says how far it came', async (t) => {
  const daemon = await started(t)
  writeFileSync(join(daemon.dataDir, 'tftpboot', 'big'), Buffer.alloc(64 * 1024 * 1024))
  await ask({ url: daemon.url }, `/ipxe/${mac}/`, { headers: ipxe })
  await new Promise<void>((resolve, reject) => {
    get(`${daemon.url}/boot/big`, { headers: ipxe, agent: false }, (response) => {
      response.once('data', () => response.destroy())
      response.once('close', resolve)
      response.on('error', () => {})
    }).on('error', reject)
  })
  const step = await until(
    async () => (await boots(daemon))[0]?.steps.find(({ name }) => name === '/boot/big'),
    10_000,
    () => daemon.log(),
  )
  assert.equal(step.outcome, 'aborted')
  // Nothing but its own word says which machine it is: it may sit behind a router.
  const listed = await ask({ url: daemon.url }, '/boots?format=json')
  assert.equal((listed.json as { boots: Record<string, unknown>[] }).boots[0]?.['mac'], mac)
  assert.ok(step.sentBytes < 64 * 1024 * 1024)
})

test('a timeline that does not answer is one line of status and of the page, boots go on, and it comes back', async (t) => {
  const dataDir = makeFolder(t)
  // Whoever opens it for reading waits until somebody writes: as a file on a dead mount.
  const fifo = join(dataDir, 'trace.sqlite')
  execFileSync('mkfifo', [fifo])
  const daemon = await started(t, dataDir)
  const config = `pxelinux.cfg/01-${mac.replaceAll(':', '-')}`
  const line = 'the boot timeline is not available: it does not answer'
  await readSmall(daemon.tftpPort, config)
  const asked = await ask({ url: daemon.url }, '/api/v1/boots')
  assert.equal(asked.status, 503)
  assert.equal((asked.json as { detail: string }).detail, line)
  assert.ok('text' in (await readSmall(daemon.tftpPort, config)), 'boots go on')
  const { status, stdout } = await daemon.run(['status'])
  assert.equal(status, 1)
  assert.equal(stdout.split('\n').filter((each) => each.includes(line)).length, 1, stdout)
  assert.equal(daemon.logLines().filter((each) => String(each['message'] ?? each['msg']).includes(line)).length, 1)
  const page = await ask({ url: daemon.url }, '/system/1/', { headers: { accept: 'text/html' } })
  assert.equal(page.status, 200)
  assert.match(page.text, /The record of boots does not answer just now/)

  writeFileSync(fifo, '') // what waited goes on: nothing is in it, so it is set aside
  await until(
    async () => ((await daemon.run(['status'])).status === 0 ? true : undefined),
    20_000,
    () => daemon.log(),
  )
  const [boot] = await boots(daemon)
  assert.equal(boot?.steps.length, 2, 'the steps of meanwhile are there')
})

test('a timeline that hangs does not hold up the stop', async (t) => {
  const dataDir = makeFolder(t)
  execFileSync('mkfifo', [join(dataDir, 'trace.sqlite')])
  const daemon = await started(t, dataDir)
  await readSmall(daemon.tftpPort, 'nothing')
  assert.equal((await ask({ url: daemon.url }, '/api/v1/boots')).status, 503)
  await daemon.stop() // throws if it takes too long
  const last =
    readFileSync(join(dataDir, 'journal', '1.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .at(-1) ?? ''
  assert.match(last, /daemon\.stopped/, 'the journal was closed')
})

test('explain says what a machine would get, what is missing for it, and that it starts again and again', async (t) => {
  const daemon = await started(t)
  const explain = async (...args: string[]) => daemon.run(['explain', ...args])
  const before = await explain('node1')
  assert.equal(before.status, 0, before.stderr)
  assert.match(
    before.stdout,
    /^node1 52:54:00:00:00:01: boots install\n.*set by .*\n {2}entry a:\n {4}vmlinuz {2}2\.9 MiB\n$/,
  )
  // What was only looked at beforehand was given to nobody.
  assert.deepEqual(await boots(daemon), [])

  for (let start = 0; start < 3; start += 1) {
    await readSmall(daemon.tftpPort, 'pxelinux.0')
    await readSmall(daemon.tftpPort, `pxelinux.cfg/01-${mac.replaceAll(':', '-')}`)
    await ask({ url: daemon.url }, '/boot/vmlinuz', { headers: ipxe })
  }
  const again = await explain(mac)
  assert.match(again.stdout, /\n {2}last boot \S+: install, \w+.*\n {2}wrong: It has started install 3 times in /)
  assert.equal(again.status, 1)

  symlinkSync('/etc/hostname', join(daemon.dataDir, 'tftpboot', 'out'))
  const text = 'default a\nui ldlinux.c32\nlabel a\nkernel out\nappend initrd=none,http://other/x <%= mac %>\n'
  writeFileSync(join(daemon.dataDir, 'profiles', 'install.prof'), text)
  const { stdout, status } = await explain('node1', '--loader', 'pxelinux')
  assert.equal(status, 1)
  assert.match(stdout, /\n {4}ldlinux\.c32 {2}\d/, 'one of the loaders in the executable')
  assert.match(stdout, /\n {4}http:\/\/other\/x {2}from another server, not looked at\n/)
  assert.match(
    stdout,
    /\n {2}wrong: out: a link leads out of the TFTP root\n {2}wrong: none: is not there: put it below /,
  )
  assert.ok(stdout.endsWith(text.replace('<%= mac %>', mac)))
})
