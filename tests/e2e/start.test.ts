/**
 * `npm start` as a person uses it, on a checkout that is built: what it says, and that ending it ends the daemon.
 * Source: CONTRACT "Set-up".
 */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { executable, runExecutable } from '../harness/executable.ts'
import { start, until } from '../harness/process.ts'

const projectDir = join(import.meta.dirname, '..', '..')

/** The process and all below it, newest last. */
function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => descendants(Number(child))))]
}

test('npm start of what is built builds nothing, says nothing of it, and is ready within 2 s', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-again-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const built = statSync(executable)
  const flags = ['--data-dir', dir, '--socket', join(dir, 'p.sock'), '--tftp', '127.0.0.1:0', '--http', '127.0.0.1:0']
  // A machine that does other things too may need longer once; never each time.
  const took: number[] = []
  for (let round = 0; round < 5 && !took.some((ms) => ms < 2000); round++) {
    const began = performance.now()
    const npm = start(['npm', 'start', '--silent', '--', ...flags], { cwd: projectDir })
    await until(
      () => (npm.written.stdout.includes('pxemngr ready ') ? true : undefined),
      60_000,
      () => npm.written.stderr,
      10,
    )
    took.push(performance.now() - began)
    await until(
      () => (npm.written.stderr.includes('Ctrl-C') ? true : undefined),
      60_000,
      () => npm.written.stderr,
    )
    assert.doesNotMatch(npm.written.stderr, /^\[\d+\.\d s\]/m, 'no step of a build')
    await npm.end('SIGTERM')
    await until(
      () => (existsSync(join(dir, 'p.sock')) ? undefined : true),
      15_000,
      () => npm.written.stderr,
    )
  }
  assert.ok(Math.min(...took) < 2000, `ready after ${took.map(Math.round).join(', ')} ms`)
  const now = statSync(executable)
  assert.deepEqual([now.ino, now.mtimeMs], [built.ino, built.mtimeMs])
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`npm start says where DHCP points and what to type; ${signal} ends the daemon too`, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'pxemngr-start-'))
    t.after(() => rmSync(dir, { recursive: true, force: true }))
    const socket = join(dir, 'p.sock')
    const flags = ['--data-dir', dir, '--socket', socket, '--tftp', '127.0.0.1:0', '--http', '127.0.0.1:0']
    const npm = start(['npm', 'start', '--silent', '--', ...flags], { cwd: projectDir })
    t.after(() => npm.end('SIGKILL'))
    await until(
      () => (npm.written.stderr.includes('Ctrl-C') ? true : undefined),
      60_000,
      () => npm.written.stderr,
    )
    assert.match(npm.written.stdout, /^pxemngr ready tftp=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+ socket=\S+$/m)
    assert.match(npm.written.stderr, /next-server 127\.0\.0\.1/)
    assert.match(npm.written.stderr, /pxelinux\.0 for BIOS, syslinux\.efi for UEFI/)
    assert.match(npm.written.stderr, /http:\/\/127\.0\.0\.1:\d+\//)
    const commands = npm.written.stderr.match(/^ {2}\S+ --socket \S+ (addsystem|nextboot|status)\b.*$/gm)
    assert.equal(commands?.length, 3, 'the next three commands')
    // The next commands work as they are printed.
    const line = /^ {2}(\S+) (--socket \S+) status$/m.exec(npm.written.stderr)
    assert.ok(line, npm.written.stderr)
    const words = (line[2] ?? '').split(' ')
    assert.equal((await runExecutable([...words, 'status'], { cwd: projectDir })).status, 0)
    // SIGTERM reaches npm alone, Ctrl-C everything the terminal started.
    const group = signal === 'SIGINT' ? descendants(npm.child.pid ?? 0) : [npm.child.pid ?? 0]
    for (const pid of group) process.kill(pid, signal)
    await until(
      () => (existsSync(socket) ? undefined : true),
      15_000,
      () => `the daemon goes on\n${npm.written.stderr}`,
    )
    assert.equal((await runExecutable(['status', '--socket', socket])).status, 3)
  })
}
