/**
 * `npm start` as a person uses it, on a checkout that is built: what it says, and that ending it ends the daemon.
 * Source: CONTRACT "Set-up".
 */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runExecutable } from '../harness/executable.ts'
import { start, until } from '../harness/process.ts'

const projectDir = join(import.meta.dirname, '..', '..')

/** The process and all below it, newest last. */
function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => descendants(Number(child))))]
}

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
