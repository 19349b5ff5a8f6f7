/**
 * The daemon from outside: start, configuration, ready line, listeners, signals, files, through the built executable.
 * Source: CONTRACT "Daemon".
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ask, call, readSmall } from '../harness/api.ts'
import { executable, type RunningDaemon, runExecutable, serve } from '../harness/executable.ts'
import { makeFolder } from '../harness/folder.ts'
import { start, until } from '../harness/process.ts'

async function started(t: TestContext, options: Parameters<typeof serve>[0] = {}): Promise<RunningDaemon> {
  const daemon = await serve(options)
  t.after(() => daemon.close())
  return daemon
}

/** `serve` that is to be refused: its status and its last line on stderr. */
async function refused(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ status: number | null; line: string; stdout: string }> {
  const { status, stderr, stdout } = await runExecutable(['serve', ...args], { env })
  return { status, line: stderr.trimEnd().split('\n').at(-1) ?? '', stdout }
}

test('the first start creates the folders with local.prof and wait.test; they are never put back', async (t) => {
  const dataDir = join(makeFolder(t), 'new')
  const daemon = await started(t, { dataDir })
  const local = join(dataDir, 'profiles', 'local.prof')
  assert.match(readFileSync(local, 'utf8'), /localboot 0/i)
  assert.ok(existsSync(join(dataDir, 'tests', 'wait.test')))
  for (const folder of ['results', 'tftpboot', 'journal'])
    assert.ok(statSync(join(dataDir, folder)).isDirectory(), folder)
  assert.ok(!existsSync(join(dataDir, 'profiles', 'wait.test')))
  await daemon.stop()
  rmSync(local)
  const next = await started(t, { dataDir })
  assert.ok(!existsSync(local), 'not created again')
  const { degraded } = (await next.json('status')) as { degraded: string[] }
  assert.match(degraded.join('\n'), /local/)
})

test('nothing is world-writable or readable where it is secret, whatever the umask', async (t) => {
  const dataDir = join(makeFolder(t), 'data')
  const shell = ['sh', '-c', 'umask 0; exec "$@"', 'sh']
  const daemon = await started(t, { dataDir, prefix: shell })
  await daemon.must('token', 'add', 'ci')
  assert.equal(statSync(daemon.ready.socket).mode & 0o777, 0o660)
  for (const name of readdirSync(dataDir, { recursive: true }).map(String)) {
    const path = join(dataDir, name)
    if (path === daemon.ready.socket) continue
    assert.equal(statSync(path).mode & 0o002, 0, `${name} is world-writable`)
    if (/journal\/|\.sqlite|lock/.test(name)) assert.equal(statSync(path).mode & 0o077, 0, `${name} is not private`)
  }
})

test('SIGTERM and SIGINT end it with status 0 and the socket is gone', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const daemon = await started(t)
    daemon.signal(signal)
    daemon.signal(signal)
    const { status } = await daemon.ended
    assert.equal(status, 0, `${signal}: ${daemon.log()}`)
    assert.ok(!existsSync(daemon.ready.socket))
  }
})

test('a standard output that nobody reads, or that is full, ends no daemon', async (t) => {
  for (const kind of ['unread', 'full']) {
    const socket = join(makeFolder(t), 'p.sock')
    const flags = ['--data-dir', makeFolder(t), '--socket', socket, '--tftp', 'off', '--http', 'off']
    const shell = kind === 'full' ? ['sh', '-c', 'exec "$@" > /dev/full', 'sh'] : []
    const daemon = start([...shell, executable, 'serve', ...flags])
    t.after(() => daemon.child.kill('SIGKILL'))
    if (kind === 'unread') daemon.child.stdout.destroy()
    const said = () => (/ready line/.test(daemon.written.stderr) || !daemon.alive() ? true : undefined)
    await until(said, 20_000, () => daemon.written.stderr)
    const added = await runExecutable(['addsystem', 'a', '52:54:00:12:34:56', '--socket', socket])
    assert.equal(added.status, 0, `${kind}: ${added.stderr}${daemon.written.stderr}`)
    assert.equal((await daemon.end('SIGTERM')).status, 0)
  }
})

test('a data directory in a place that takes no folders is refused at once, in one line', {
  timeout: 20_000,
}, async () => {
  const flags = ['--tftp', 'off', '--http', 'off']
  const { status, line } = await refused([
    '--data-dir',
    '/proc/pxemngr/deeper',
    '--socket',
    '/tmp/unused.sock',
    ...flags,
  ])
  assert.equal(status, 1)
  assert.match(line, /^data-dir \/proc\/pxemngr\/deeper: no folder can be made there$/)
  const restored = await runExecutable(['repair', '--data-dir', '/proc/pxemngr'])
  assert.equal(restored.status, 1)
})

test('a request under way is finished before the stop, one that never ends does not hold it up', async (t) => {
  const daemon = await started(t)
  const idle = createSocket('udp4')
  t.after(() => idle.close())
  writeFileSync(join(daemon.dataDir, 'tftpboot', 'big'), Buffer.alloc(100_000))
  const rrq = Buffer.concat([Buffer.from([0, 1]), Buffer.from('big\0octet\0')])
  const answer = once(idle, 'message')
  idle.send(rrq, daemon.tftpPort, '127.0.0.1')
  await answer
  const { status } = await daemon.stop()
  assert.equal(status, 0)
})

test('a socket left behind is taken over, one that answers is not', async (t) => {
  const daemon = await started(t)
  await daemon.kill()
  assert.ok(existsSync(daemon.ready.socket), 'kill -9 leaves it behind')
  const next = await started(t, { dataDir: daemon.dataDir })
  const other = join(makeFolder(t), 'other')
  const { status, line } = await refused([
    '--data-dir',
    other,
    '--socket',
    next.ready.socket,
    '--tftp',
    'off',
    '--http',
    '127.0.0.1:0',
  ])
  assert.equal(status, 1)
  assert.ok(line.includes(next.ready.socket), line)
  assert.equal((await next.run(['status'])).status, 0, 'the first one still answers')
})

test('a port in use is one line that names it, exit 1', async (t) => {
  const udp = createSocket('udp4')
  udp.bind(0, '127.0.0.1')
  await once(udp, 'listening')
  t.after(() => udp.close())
  const tcp = createServer().listen(0, '127.0.0.1')
  await once(tcp, 'listening')
  t.after(() => tcp.close())
  const tcpPort = (tcp.address() as { port: number }).port
  for (const [flag, port] of [
    ['--tftp', udp.address().port],
    ['--http', tcpPort],
  ] as const) {
    const dataDir = join(makeFolder(t), 'd')
    const rest = flag === '--tftp' ? ['--http', '127.0.0.1:0'] : ['--tftp', 'off']
    const { status, line, stdout } = await refused([
      '--data-dir',
      dataDir,
      '--socket',
      join(dataDir, 's'),
      flag,
      `127.0.0.1:${port}`,
      ...rest,
    ])
    assert.equal(status, 1, line)
    assert.ok(line.includes(`127.0.0.1:${port}`) && /in use/.test(line), line)
    assert.equal(stdout, '', 'no ready line')
  }
})

test('a data directory that is a file is one line that says so, exit 1', async (t) => {
  const file = join(makeFolder(t), 'file')
  writeFileSync(file, '')
  const flags = ['--socket', `${file}.sock`, '--tftp', 'off', '--http', '127.0.0.1:0', '--data-dir', file]
  const { status, line } = await refused(flags)
  assert.deepEqual([status, line], [1, `data-dir ${file} is not a folder`])
  const checked = await refused(['--check', ...flags])
  assert.deepEqual([checked.status, checked.line], [1, line])
})

test('an unknown key or bad value stops the start with one line that names it, exit 2', async (t) => {
  const dir = makeFolder(t)
  const file = join(dir, 'pxemngr.toml')
  const withFile = async (text: string) => {
    writeFileSync(file, text)
    return refused(['--config', file, '--data-dir', join(dir, 'd')])
  }
  for (const [text, words] of [
    ['htttp = "127.0.0.1:0"\n', ['htttp', 'http']],
    ['log-level = "loud"\n', ['log-level', 'loud', 'debug']],
    ['max-upload = "4 elephants"\n', ['max-upload']],
    ['max-upload = "0B"\n', ['max-upload', '0B']],
    ['tftp = []\n', ['tftp = []', 'off']],
    ['tftp-single-port = "perhaps"\n', ['tftp-single-port', 'perhaps']],
    ['http = [\n', [file]],
  ] as const) {
    const { status, line } = await withFile(text)
    assert.equal(status, 2, `${text}: ${line}`)
    for (const word of [file, ...words]) assert.ok(line.includes(word), `${text}: ${line}`)
  }
  for (const args of [
    ['--http', 'nowhere'],
    ['--http', '127.0.0.1:70000'],
    ['--tftp-ports', '5-4'],
    ['--nonsense'],
    ['--log-level', 'x'],
    ['extra'],
  ]) {
    const { status, line } = await refused(args)
    assert.equal(status, 2, `${args.join(' ')}: ${line}`)
    assert.ok(line.includes((args[0] ?? '').replace(/^--/, '')), line)
  }
  const { status, line } = await refused(['--check'], { PXEMNGR_LOG_LEVEL: 'loud' })
  assert.equal(status, 2)
  assert.match(line, /PXEMNGR_LOG_LEVEL/)
})

test('--check only checks: exit 0, nothing created', async (t) => {
  const dataDir = join(makeFolder(t), 'none')
  const { status, stdout } = await runExecutable(['serve', '--check', '--data-dir', dataDir])
  assert.equal(status, 0)
  assert.doesNotMatch(stdout, /ready/)
  assert.ok(!existsSync(dataDir))
})

test('flag beats environment beats file beats default', async (t) => {
  const dir = makeFolder(t)
  const file = join(dir, 'c.toml')
  writeFileSync(file, `public-url = "http://file:1"\nlog-level = "error"\n`)
  const tftpText = async (flags: readonly string[], env: Readonly<Record<string, string>>): Promise<string> => {
    const daemon = await started(t, { flags: ['--config', file, ...flags], env })
    writeFileSync(join(daemon.dataDir, 'profiles', 'u.prof'), '# <%= url %>\n')
    await daemon.must('syncbootnames')
    await daemon.must('nextboot', 'default', 'u')
    const read = await readSmall(daemon.tftpPort, 'pxelinux.cfg/default')
    return 'text' in read ? read.text : read.message
  }
  assert.equal(await tftpText([], {}), '# http://file:1\n')
  assert.equal(await tftpText([], { PXEMNGR_PUBLIC_URL: 'http://env:2' }), '# http://env:2\n')
  assert.equal(
    await tftpText(['--public-url', 'http://flag:3'], { PXEMNGR_PUBLIC_URL: 'http://env:2' }),
    '# http://flag:3\n',
  )
})

test('an unknown PXEMNGR_ variable is a warning', async (t) => {
  const daemon = await started(t, { env: { PXEMNGR_HTPP: 'x' } })
  assert.match(daemon.log(), /PXEMNGR_HTPP/)
})

test('several listen addresses and off', async (t) => {
  const daemon = await started(t, { http: '127.0.0.1:0,127.0.0.2:0', tftp: 'off' })
  assert.equal(daemon.ready.tftp.length, 0)
  assert.equal(daemon.ready.http.length, 2)
  for (const address of daemon.ready.http)
    assert.equal((await ask({ url: `http://${address}` }, '/healthz')).status, 200)
  assert.match(daemon.stdout(), /tftp=off /)
})

test('IPv6 addresses are listened on and printed in brackets', async (t) => {
  const daemon = await started(t, { http: '[::1]:0', tftp: '[::1]:0' })
  assert.match(daemon.ready.http[0] ?? '', /^\[::1\]:\d+$/)
  assert.match(daemon.ready.tftp[0] ?? '', /^\[::1\]:\d+$/)
  assert.equal((await ask({ url: daemon.url }, '/healthz')).status, 200)
})

test('SIGHUP reads the configuration and the profile folder again', async (t) => {
  const dir = makeFolder(t)
  const file = join(dir, 'c.toml')
  writeFileSync(file, 'log-level = "error"\n')
  const daemon = await started(t, { flags: ['--config', file] })
  assert.doesNotMatch(daemon.log(), /"level":"debug"/)
  writeFileSync(file, 'log-level = "debug"\n')
  writeFileSync(join(daemon.dataDir, 'profiles', 'fresh.prof'), 'x\n')
  daemon.signal('SIGHUP')
  await until(
    async () => ((await daemon.must('profiles')).includes('fresh') ? true : undefined),
    10_000,
    () => 'fresh is not registered',
  )
  await until(
    async () => {
      await ask({ url: daemon.url }, '/profile/52:54:00:00:00:01/')
      return daemon.log().includes('"level":"debug"') ? true : undefined
    },
    10_000,
    () => daemon.log(),
  )
  writeFileSync(file, 'log-level = "loud"\n')
  daemon.signal('SIGHUP')
  await until(
    () => (/log-level/.test(daemon.log()) ? true : undefined),
    10_000,
    () => daemon.log(),
  )
  assert.equal((await daemon.run(['status'])).status, 0, 'a bad file is said and changes nothing')
})

test('logs are JSON lines on stderr where it is no terminal', async (t) => {
  const daemon = await started(t)
  await readSmall(daemon.tftpPort, 'pxelinux.cfg/default')
  await until(
    () => (daemon.logLines().some((line) => JSON.stringify(line).includes('pxelinux.cfg/default')) ? true : undefined),
    5000,
    () => daemon.log(),
  )
  for (const line of daemon.log().trimEnd().split('\n')) assert.doesNotThrow(() => JSON.parse(line), line)
})

test('systemd is told when it is ready', async (t) => {
  // Node has no Unix datagram sockets, so a stand-in of systemd-notify in front of PATH records that it was called.
  const dir = makeFolder(t)
  const calls = join(dir, 'calls')
  writeFileSync(join(dir, 'systemd-notify'), `#!/bin/sh\necho "$@ $NOTIFY_SOCKET" >> ${calls}\n`)
  chmodSync(join(dir, 'systemd-notify'), 0o755)
  await started(t, { env: { NOTIFY_SOCKET: '/run/example', PATH: `${dir}:${process.env['PATH']}` } })
  await until(
    () => (existsSync(calls) ? true : undefined),
    5000,
    () => 'systemd-notify was not called',
  )
  assert.match(readFileSync(calls, 'utf8'), /--ready.*\/run\/example/)
})

const isRoot = process.getuid?.() === 0

test('as root with `user` it binds first, then becomes that account', {
  skip: isRoot ? false : 'needs root: an account to become',
}, async (t) => {
  const daemon = await started(t, { flags: ['--user', 'nobody'] })
  const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8')
  const uid = /^nobody:[^:]*:(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[1]
  assert.ok(uid)
  assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, 'm'))
  assert.match(status, /^CapEff:\t0+$/m)
  await daemon.must('addsystem', 'one', '52:54:00:00:00:01')
  writeFileSync(join(daemon.dataDir, 'tftpboot', 'file'), 'content')
  assert.deepEqual(await readSmall(daemon.tftpPort, 'file'), { text: 'content' })
  assert.equal((await daemon.stop()).status, 0)
  const unknown = await refused(['--user', 'no-such-account', '--data-dir', join(makeFolder(t), 'd')])
  assert.equal(unknown.status, 2)
  assert.match(
    unknown.line,
    /--user: "no-such-account" is not allowed: user is the name of an account such as pxemngr, or none; this system has/,
  )
  const checked = await refused(['--check', '--user', 'no-such-account'])
  assert.deepEqual([checked.status, checked.line], [2, unknown.line])
})

/** A network namespace of its own, as root, which an ordinary user can be in a user namespace. */
const ownNetwork = ['unshare', ...(isRoot ? [] : ['--user', '--map-root-user']), '--net']
const noNamespace =
  spawnSync(ownNetwork[0] ?? '', [...ownNetwork.slice(1), 'true']).status !== 0 && 'needs root, or user namespaces'

test('`user` with `tftp-ports` that its transfers could not bind is refused at start and by --check, in one line', {
  skip: noNamespace,
}, async (t) => {
  const dataDir = join(makeFolder(t), 'd')
  const flags = ['--user', 'nobody', '--data-dir', dataDir, '--http', '127.0.0.1:0', '--tftp', '127.0.0.1:0']
  // A network namespace of its own, where the kernel's default holds: this host may let everybody bind every port.
  const asked = async (more: readonly string[]) => {
    const { status, stderr } = await runExecutable(['serve', ...flags, ...more], { prefix: ownNetwork })
    return { status, lines: stderr.trimEnd().split('\n') }
  }
  for (const more of [[], ['--check']]) {
    const { status, lines } = await asked(['--tftp-ports', '1000-1100', ...more])
    assert.equal(status, 2)
    assert.equal(lines.length, 1, lines.join('\n'))
    assert.match(lines[0] ?? '', /tftp-ports "1000-1100".* user "nobody".* 1024.*CAP_NET_BIND_SERVICE/)
  }
  assert.ok(!existsSync(dataDir), 'nothing was started')
  assert.equal((await asked(['--tftp-ports', '1024-1100', '--check'])).status, 0)
  assert.equal((await asked(['--tftp-ports', '1000-1100', '--tftp-single-port', '--check'])).status, 0)
})

test('with `user`, computed answers and files leave from the range of `tftp-ports`', {
  skip: isRoot ? false : 'needs root: an account to become',
}, async (t) => {
  const first = 20_000 + (process.pid % 10_000) // below the ports that the kernel gives out by itself
  const daemon = await started(t, { flags: ['--user', 'nobody', '--tftp-ports', `${first}-${first + 63}`] })
  await daemon.must('addsystem', 'one', '52:54:00:00:00:01')
  await daemon.must('nextboot', 'one', 'local')
  writeFileSync(join(daemon.dataDir, 'tftpboot', 'file'), 'content')
  for (const name of ['file', 'pxelinux.cfg/01-52-54-00-00-00-01']) {
    const socket = createSocket('udp4')
    const answer = once(socket, 'message', { signal: AbortSignal.timeout(10_000) })
    socket.send(Buffer.from(`\0\x01${name}\0octet\0`), daemon.tftpPort, '127.0.0.1')
    const [packet, { port }] = (await answer) as [Buffer, { port: number }]
    socket.close()
    assert.equal(packet[1], 3, `${name} is sent`)
    assert.ok(port >= first && port < first + 64, `${name} came from ${port}`)
  }
})

const unprivilegedPorts = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'))

test('where nobody set tftp and port 69 is not permitted it takes 6969 and says so', {
  skip: unprivilegedPorts <= 69 && 'this host lets everybody bind port 69',
}, async (t) => {
  const dir = makeFolder(t)
  chmodSync(dir, 0o777)
  const words = [
    'setpriv',
    '--reuid',
    '65534',
    '--regid',
    '65534',
    '--clear-groups',
    '--inh-caps=-all',
    '--bounding-set=-all',
    '--',
  ]
  const args = ['serve', '--data-dir', join(dir, 'd'), '--http', '127.0.0.1:0']
  const daemon = start([...(isRoot ? words : []), executable, ...args])
  t.after(() => daemon.end('SIGKILL'))
  await until(
    () => (/^pxemngr ready /m.test(daemon.written.stdout) ? true : undefined),
    30_000,
    () => daemon.written.stderr,
  )
  assert.match(daemon.written.stdout, /tftp=0\.0\.0\.0:6969/)
  assert.match(daemon.written.stderr, /6969/)
})

test('a folder that cannot be read is one line that names it, exit 1', async (t) => {
  const dir = makeFolder(t)
  writeFileSync(join(dir, 'file'), '')
  const { status, line } = await refused([
    '--data-dir',
    join(dir, 'file', 'below'),
    '--tftp',
    'off',
    '--http',
    '127.0.0.1:0',
  ])
  assert.equal(status, 1)
  assert.ok(line.includes(join(dir, 'file', 'below')), line)
  mkdirSync(join(dir, 'd'))
  const profiles = await refused([
    '--data-dir',
    join(dir, 'd'),
    '--profiles-dir',
    join(dir, 'file'),
    '--tftp',
    'off',
    '--http',
    '127.0.0.1:0',
  ])
  assert.equal(profiles.status, 1)
  assert.ok(profiles.line.includes(join(dir, 'file')), profiles.line)
})

test('folders that are gone while it runs: status and commands say which, in one line, and machines boot local', async (t) => {
  const daemon = await started(t)
  const [profiles, tests] = [join(daemon.dataDir, 'profiles'), join(daemon.dataDir, 'tests')]
  writeFileSync(join(profiles, 'install.prof'), 'default x\n')
  await daemon.must('syncbootnames')
  await daemon.must('addsystem', 'one', '52:54:00:12:34:56')
  await daemon.must('nextboot', 'one', 'install')
  rmSync(profiles, { recursive: true })
  rmSync(tests, { recursive: true })
  writeFileSync(tests, '')
  const lines = [
    `the profile folder ${profiles} cannot be read: it is not there`,
    `the test folder ${tests} cannot be read: it is no folder`,
  ]
  const status = await daemon.run(['status'])
  assert.equal(status.status, 1)
  assert.deepEqual(status.stdout.match(/(?<=Degraded: ).*/g), [`${lines[0]}: machines boot local`, lines[1]])
  for (const [at, name] of ['syncbootnames', 'synctestnames'].entries()) {
    const { status: exit, stderr } = await daemon.run([name])
    assert.deepEqual([exit, stderr], [1, `${lines[at]}\n`])
  }
  assert.match(
    (await daemon.run(['nextboot', 'one', 'local'])).stderr,
    /^Boot name local has no file local\.prof any more/,
  )
  const read = await readSmall(daemon.tftpPort, 'pxelinux.cfg/01-52-54-00-12-34-56')
  assert.match('text' in read ? read.text : read.message, /LOCALBOOT 0/)
  assert.equal(await daemon.must('profiles'), '')
  for (const path of ['/', '/system/1/', '/setup']) assert.equal((await ask(daemon, path)).status, 200, path)
})

test('NODE_OPTIONS of the caller do not reach it', async (t) => {
  const file = join(makeFolder(t), 'evil.cjs')
  writeFileSync(file, 'console.log("evil")')
  const { status, stdout } = await runExecutable(['--version'], { env: { NODE_OPTIONS: `-r ${file}` } })
  assert.equal(status, 0)
  assert.match(stdout, /^pxemngr \d+\.\d+\.\d+ \S+\n$/)
})

test('licenses names what is inside, and where the source of the loaders is', async () => {
  const { status, stdout } = await runExecutable(['licenses'])
  assert.equal(status, 0)
  for (const word of ['sql.js', 'hono', 'SQLite', 'Node.js', 'syslinux', 'apt-get source syslinux', 'GPL'])
    assert.ok(stdout.includes(word), word)
})

test('status has the shape of the contract', async (t) => {
  const daemon = await started(t)
  const { json } = await call(daemon.ready.socket, 'status', {})
  const status = json as Record<string, unknown>
  for (const key of ['version', 'uptime', 'ready', 'degraded', 'listeners', 'counts', 'journal', 'loaders'])
    assert.ok(key in status, key)
  assert.deepEqual((status['listeners'] as Record<string, unknown>)['http'], daemon.ready.http)
  for (const loader of [
    'pxelinux.0',
    'lpxelinux.0',
    'ldlinux.c32',
    'syslinux.efi',
    'ldlinux.e64',
    'undionly.kpxe',
    'ipxe.efi',
    'snponly.efi',
    'grubnetx64.efi',
  ]) {
    assert.ok((status['loaders'] as string[]).includes(loader), loader)
  }
})
