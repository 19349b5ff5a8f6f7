/**
 * The examples of `pxemngr help <command>`, each typed into a shell as it is printed, with the built executable as
 * `pxemngr`: what help shows works. `/srv` and the home are folders of the test, `ssh` is a script, and
 * a host of the examples is an address.
 *
 * The first example of each command meets one daemon, the second another, so that each finds what it is about. Source:
 * CONTRACT "Command line" (help with examples).
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { executable, type RunningDaemon, runExecutable, serve } from '../harness/executable.ts'
import { start, until } from '../harness/process.ts'

const mac = '52:54:00:12:34:56'
/** The run that the examples are about, and the one after it. */
const run = 4711
const untilMs = 30_000

let home: string
const daemons: RunningDaemon[] = []

before(() => {
  home = mkdtempSync(join(tmpdir(), 'pxemngr-help-'))
  for (const dir of ['bin', 'srv/backup', '.config/fish/completions']) mkdirSync(join(home, dir), { recursive: true })
  symlinkSync(executable, join(home, 'bin', 'pxemngr'))
  // `ssh HOST COMMAND`, where the host is this one.
  writeFileSync(join(home, 'bin', 'ssh'), '#!/bin/sh\nshift\nexec sh -c "$1"\n')
  chmodSync(join(home, 'bin', 'ssh'), 0o755)
  writeFileSync(join(home, 'machines.txt'), 'm1 52:54:00:99:00:01\nm2 52:54:00:99:00:02\n')
})
after(async () => {
  for (const daemon of daemons) await daemon.close()
  rmSync(home, { recursive: true, force: true })
})

/** A lab that has all that the examples name. `upload`: whether its runs have results. */
async function lab(upload = true): Promise<RunningDaemon> {
  const daemon = await serve()
  daemons.push(daemon)
  const file = (name: string, text: string) => writeFileSync(join(daemon.dataDir, name), text)
  for (const name of ['install', 'memtest'])
    file(`profiles/${name}.prof`, `default 0\nlabel 0\n  localboot 0\n# ${name}\n`)
  for (const name of ['smoke', 'disk']) file(`tests/${name}.test`, '# pxemngr: tags=disk\necho\n')
  file('tests/short.test', '# pxemngr: timeout=1s grace=0s\necho\n')
  for (const name of ['burnin', 'release']) file(`tests/${name}.suite`, 'smoke\ndisk\n')
  await daemon.must('syncbootnames')
  await daemon.must('synctestnames')
  const systems = [`web01 ${mac}`, 'lab 10.34 10.35', 'v01 10.34', 'rack2-01 52:54:00:99:01:01', 'filler 10.99']
  assert.equal((await daemon.run(['addsystem', '--from', '-'], { input: `${systems.join('\n')}\n` })).status, 0)
  await daemon.must('nextboot', '*', 'local')
  await daemon.must('nextboot', 'default', 'local')
  await daemon.must('nexttest', 'filler', ...Array<string>(run - 1).fill('smoke'))
  await daemon.must('delsystem', 'filler')
  for (const version of ['4.1', '4.2']) {
    await daemon.must('nexttest', 'web01', 'smoke', '--version', version)
    if (upload) await work(daemon)
  }
  return daemon
}

/** The machine asks for its oldest run; 0: there is none. */
async function fetchRun(daemon: RunningDaemon): Promise<number> {
  const asked = await fetch(`${daemon.url}/nexttest/${mac}/`, { headers: { connection: 'close' } })
  await asked.text()
  return Number(asked.headers.get('x-pxemngr-run') ?? 0)
}

/** web01 takes three tests and is not heard of again. */
async function makeSick(daemon: RunningDaemon): Promise<void> {
  while (await work(daemon));
  await daemon.must('nexttest', 'web01', 'short', 'short', 'short')
  for (let asked = 0; asked < 3; asked++) assert.ok((await fetchRun(daemon)) > 0)
  const isSick = async () => ((await daemon.json('dpysystem', 'web01')) as { sick: unknown }).sick !== null || undefined
  await until(isSick, untilMs, () => 'web01 is never sick')
}

/** What a machine does: asks for its oldest run and uploads a result. False: there was none. */
async function work(daemon: RunningDaemon): Promise<boolean> {
  const id = await fetchRun(daemon)
  if (!(id > 0)) return false
  const form = new FormData()
  form.append('file', new Blob(['I: done\n']), 'out.log')
  await (await fetch(`${daemon.url}/upload/${id}/`, { method: 'POST', body: form })).text()
  return true
}

/** Commands with the lines of their examples, as `help` prints them. */
async function examples(): Promise<Map<string, string[]>> {
  const { stdout } = await runExecutable(['help'])
  const list = /^Commands:\n([\s\S]*?)\n\n/m.exec(stdout)?.[1] ?? ''
  const found = new Map<string, string[]>()
  for (const line of list.split('\n')) {
    const command = /^ {2}(\S+(?: \S+)?) {2,}/.exec(`${line}  `)?.[1] ?? ''
    const help = await runExecutable(['help', ...command.split(' ')])
    assert.equal(help.status, 0, command)
    const part = /^Examples:\n([\s\S]*?)\n\n/m.exec(help.stdout)?.[1] ?? ''
    found.set(
      command,
      part.split('\n').flatMap((each) => /^ {2}(\S.*)$/.exec(each)?.[1] ?? []),
    )
  }
  return found
}

/** What takes away what other examples are about comes last. */
const last = ['expire', 'webhook remove', 'token revoke', 'removeaddress', 'renamesystem', 'delsystem']
/** What has to be done before, in words of the command line. */
const first: Readonly<Record<string, readonly string[]>> = {
  'pxemngr renamesystem db01 web01': ['renamesystem', 'web01', 'db01'],
  'pxemngr delsystem web01': ['renamesystem', 'db01', 'web01'],
}
/** Exit statuses beside 0: of a message that nobody here takes, of machines that are not well. */
const alsoStatus: Readonly<Record<string, number>> = { 'webhook test': 1, explain: 1 }

test('every example of help does what it says, typed as it stands', { timeout: 180_000 }, async () => {
  const all = [...(await examples())]
  assert.ok(all.length > 30, 'the commands are found')
  for (const [command, lines] of all) assert.ok(lines.length >= 2, `${command} has its examples`)
  const labs = [await lab(), await lab(), await lab()]
  for (const daemon of labs) {
    await daemon.must('webhook', 'add', 'http://192.0.2.1/', '--on', 'machine.sick')
  }
  const place = ([command]: (typeof all)[number]): number => last.indexOf(command)
  for (const [command, lines] of [...all].sort((a, b) => place(a) - place(b))) {
    for (const [at, line] of lines.entries()) {
      // A run that has a result cannot be cancelled.
      const daemon = command === 'cancel' ? await lab(false) : labs[at]
      assert.ok(daemon, `${command} has more examples than there are labs`)
      const before = first[line]
      if (before) await daemon.must(...before)
      if (command === 'release') await makeSick(daemon)
      const { status, stderr } = await type(daemon, command, line)
      assert.ok(status === 0 || status === alsoStatus[command], `${line}: exit ${status}: ${stderr}`)
    }
  }
})

async function type(daemon: RunningDaemon, command: string, line: string) {
  // Those that work on a data directory without a daemon get one of their own.
  const isLocal = ['serve', 'repair', 'restore'].includes(command)
  const dataDir = join(home, command === 'restore' ? 'empty' : 'srv/pxemngr')
  const env = {
    PATH: `${join(home, 'bin')}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    ...(isLocal
      ? { PXEMNGR_DATA_DIR: dataDir, PXEMNGR_HTTP: '127.0.0.1:0', PXEMNGR_TFTP: '127.0.0.1:0' }
      : { PXEMNGR_SOCKET: daemon.ready.socket }),
    ...(command === 'serve' ? { PXEMNGR_SOCKET: join(home, 'serve.sock') } : {}),
  }
  // A name that no server of names knows is refused at once; the address is one that nobody has.
  const typed = line.replaceAll(' /srv/', ` ${home}/srv/`).replace('//chat.example.org/', '//192.0.2.1/')
  const shell = start(['bash', '-c', `exec 2>&1; ${typed}`], { env, cwd: home })
  shell.child.stdin.end()
  if (line === 'pxemngr serve --data-dir /srv/pxemngr') {
    await until(
      () => /^pxemngr ready /m.test(shell.written.stdout) || undefined,
      untilMs,
      () => shell.written.stdout,
    )
    shell.child.kill('SIGTERM')
  } else if (line === 'pxemngr history --follow') {
    await until(
      () => /next boot local/.test(shell.written.stdout) || undefined,
      untilMs,
      () => shell.written.stdout,
    )
    shell.child.kill('SIGINT')
    const { status } = await shell.ended
    return { status: status === 130 ? 0 : status, stderr: shell.written.stdout }
  } else if (line.includes(' --wait ')) {
    // Its machine works as long as there is something to do.
    while (shell.alive()) {
      await work(daemon)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  const { status } = await shell.ended
  return { status, stderr: shell.written.stdout }
}
