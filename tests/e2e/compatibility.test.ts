/**
 * The commands and machine URLs of pxemngr 0.8 through the built executable, table by table: what is printed where, with
 * which status, in which order things are checked. Exit statuses are those of CONTRACT "Command line".
 * Source: COMPATIBILITY sections 3, 4.1, 4.2, 6 (numbers in the titles) and 5 (bug ids).
 */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ask, readSmall } from '../harness/api.ts'
import { executable, type RunningDaemon, runExecutable, serve } from '../harness/executable.ts'
import { runToEnd, until } from '../harness/process.ts'

let daemon: RunningDaemon

/** Runs a command: [exit status, stdout, stderr]. */
async function run(...args: string[]): Promise<[number | null, string, string]> {
  const { status, stdout, stderr } = await daemon.run(args)
  return [status, stdout, stderr]
}

const silent = [0, '', '']
const get = (path: string, method = 'GET') => ask({ url: daemon.url }, path, { method })

function profile(name: string, text: string): void {
  writeFileSync(join(daemon.dataDir, 'profiles', `${name}.prof`), text)
}

before(async () => {
  daemon = await serve()
  profile('install', 'default 0\nlabel 0\n  kernel k\n  append initrd=i quiet\n')
  profile('memtest', 'default 0\nlabel 0\n  kernel memtest\n')
  await daemon.must('syncbootnames')
})
after(() => daemon.close())

describe('3.1 and 3.2: usage', () => {
  const usages: Readonly<Record<string, string>> = {
    addsystem: 'Usage: pxemngr addsystem <system name> <MAC> [<MAC2>...]',
    delsystem: 'Usage: pxemngr delsystem <system name>',
    dpysystem: 'Usage: pxemngr dpysystem <system name|MAC|IPV4>|-l',
    nextboot: 'Usage: pxemngr nextboot <system name> <boot name>',
  }
  for (const [command, usage] of Object.entries(usages)) {
    test(`${command} with too few arguments prints its usage line on stderr, exit 2`, async () => {
      assert.deepEqual(await run(command), [2, '', `${usage}\n`])
    })
  }

  test('too many arguments are wrong usage too', async () => {
    for (const words of [
      ['delsystem', 'a', 'b'],
      ['nextboot', 'a', 'b', 'c'],
      ['dpysystem', 'a', 'b'],
    ]) {
      const [status, stdout, stderr] = await run(...words)
      assert.deepEqual([status, stdout, stderr], [2, '', `${usages[words[0] ?? '']}\n`])
    }
  })

  test('an unknown command and an unknown option are exit 2 with one line that names them', async () => {
    for (const words of [['nosuch'], ['dpysystem', '--nosuch'], ['--nosuch', 'dpysystem', '-l']]) {
      const [status, stdout, stderr] = await run(...words)
      assert.equal(status, 2)
      // 0.8 listed its commands on stdout after an unknown one.
      if (words[0] !== 'dpysystem') assert.match(stdout, /^Available sub-commands:\n {4}addsystem\n/)
      else assert.equal(stdout, '')
      assert.match(stderr, /nosuch/)
    }
  })

  test('--help is on stdout with exit 0, for pxemngr and for each command', async () => {
    for (const words of [['--help'], ['addsystem', '--help'], ['help'], ['help', 'nextboot']]) {
      const [status, stdout, stderr] = await run(...words)
      assert.deepEqual([status, stderr], [0, ''])
      assert.match(stdout, /pxemngr/)
    }
  })

  test('no daemon reachable is exit 3 with a line that says how to start one', async () => {
    const { status, stdout, stderr } = await runExecutable(['dpysystem', '-l', '--socket', '/nonexistent/p.sock'])
    assert.deepEqual([status, stdout], [3, ''])
    assert.match(stderr, /^[^\n]*pxemngr serve[^\n]*\n$/)
  })
})

describe('3.3 addsystem', () => {
  test('is silent, idempotent, adds what is lacking and removes nothing', async () => {
    assert.deepEqual(await run('addsystem', 's1', '00:1B:38:71:0A:B6'), silent)
    assert.deepEqual(await run('addsystem', 's1', '00-1b-38-71-0a-b6', '10.66.6.10', '10.66'), silent)
    const [, stdout] = await run('dpysystem', 's1')
    assert.equal(
      stdout,
      'Name: s1\nMac: 00:1b:38:71:0a:b6 (None)\nMac: 10.66.6.10 (0A42060A)\nMac: 10.66 (0A42)\nHistory:\n',
    )
  })

  test('the reserved name is refused in the words of 0.8, only in this spelling', async () => {
    assert.deepEqual(await run('addsystem', 'default', '00:1b:38:71:0a:01'), [
      1,
      '',
      'default is a reserved name and cannot be used for a system name\n',
    ])
    assert.deepEqual(await run('addsystem', 'Default', '00:1b:38:71:0a:02'), silent)
    assert.deepEqual(await run('delsystem', 'Default'), silent)
  })

  for (const spelling of [
    '001b38710ac1',
    '00-1B-38-71-0A-C1',
    '001b.3871.0ac1',
    '01-00-1b-38-71-0a-c1',
    '0:0:1:b:3:8:7:1:0:a:c:1',
    '00:1B:38:71:0a:c1',
  ]) {
    test(`a MAC may be written ${spelling}`, async () => {
      assert.deepEqual(await run('addsystem', 'spelt', spelling), silent)
      const { addresses } = (await daemon.json('dpysystem', 'spelt')) as { addresses: unknown[] }
      assert.equal(addresses.length, 1)
    })
  }

  for (const bad of [
    'zz:zz:zz:zz:zz:zz',
    '00:11:22:33:44',
    '',
    '10',
    '0A42',
    'fe80::1',
    '10.',
    '10.66.',
    '10.0.0.0/8',
    '00.1b.38',
    '::ffff:10.0.0.1',
    '300.1',
    '-1.5',
    '1.2.3.4.5.6',
    '010.1',
    '10.1 ',
    '1٣.1',
    `${'a'.repeat(1000)}`,
  ]) {
    test(`C4 M9: ${JSON.stringify(bad.slice(0, 20))} is no address: one line, and nothing is changed`, async () => {
      const words = ['--socket', daemon.ready.socket, 'addsystem', '--', 'half', '00:1b:38:71:0a:d1', bad]
      const { status, stdout, stderr } = await runExecutable(words)
      assert.deepEqual([status, stdout], [1, ''])
      assert.match(stderr, /^[^\n]+\n$/)
      assert.deepEqual(await run('dpysystem', 'half'), [1, '', 'System half not defined\n'])
    })
  }

  for (const bad of ['', '.', '..', '../evil', 'a/b', 'a\\b', 'new\nline', 'tab\t', 'nul\u0001', 'é'.repeat(128)]) {
    test(`S2 S3: ${JSON.stringify(bad.slice(0, 20))} is no name: one line, and nothing is changed`, async () => {
      const [, before] = await run('dpysystem', '-l')
      const [status, stdout, stderr] = await run('addsystem', bad, '00:1b:38:71:0a:d2')
      assert.deepEqual([status, stdout], [1, ''])
      assert.match(stderr, /^[^\n]+\n$/)
      assert.deepEqual(await run('dpysystem', '-l'), [0, before, ''])
    })
  }

  test('C5: names outside ASCII are printed whole into a pipe, in any locale', async () => {
    await daemon.must('addsystem', 'café-ß-東京-😀', '00:1b:38:71:0a:d3')
    const { status, stdout } = await daemon.run(['dpysystem', '-l'], { env: { LC_ALL: 'C' } })
    assert.equal(status, 0)
    assert.match(stdout, /^café-ß-東京-😀$/m)
    await daemon.must('delsystem', 'café-ß-東京-😀')
  })

  test('--from takes a file or standard input, all or nothing', async () => {
    const text = '# lab\nf1 00:1b:38:71:0b:01 10.9.9.1\n\nf2\t00:1b:38:71:0b:02\r\n'
    assert.deepEqual(Object.values(await daemon.run(['addsystem', '--from', '-'], { input: text })).slice(0, 1), [0])
    const file = join(daemon.dataDir, 'list')
    writeFileSync(file, 'f3 00:1b:38:71:0b:03\nf4 nonsense\n')
    const [status, stdout, stderr] = await run('addsystem', '--from', file)
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, /2.*nonsense|nonsense.*2/)
    assert.equal((await run('dpysystem', 'f3'))[0], 1)
    assert.equal((await run('dpysystem', 'f2'))[0], 0)
  })
})

describe('3.4 delsystem', () => {
  test('an unknown name is said in the words of 0.8', async () => {
    assert.deepEqual(await run('delsystem', 'nosuch'), [1, '', 'System nosuch not defined\n'])
  })

  test('C2: deleting one of two aliases leaves the other booting by the latest decision that remains', async () => {
    const mac = '00:1b:38:71:0c:01'
    await daemon.must('addsystem', 'a', mac)
    await daemon.must('addsystem', 'b', mac)
    await daemon.must('nextboot', 'b', 'install')
    await daemon.must('nextboot', 'a', 'memtest')
    assert.equal((await get(`/profile/${mac}/`)).text, 'memtest')
    assert.deepEqual(await run('delsystem', 'a'), silent)
    assert.equal((await get(`/profile/${mac}/`)).text, 'install')
    assert.deepEqual(await run('nextboot', 'b', 'memtest'), silent)
    assert.deepEqual(await readSmall(daemon.tftpPort, 'pxelinux.cfg/01-00-1b-38-71-0c-01'), {
      text: 'default 0\nlabel 0\n  kernel memtest\n',
    })
  })
})

describe('3.5 dpysystem', () => {
  test('-l lists names in creation order, one a line', async () => {
    const [status, stdout] = await run('dpysystem', '-l')
    assert.equal(status, 0)
    const names = stdout.trimEnd().split('\n')
    assert.ok(names.indexOf('s1') < names.indexOf('f1') && names.indexOf('f1') < names.indexOf('b'))
  })

  test('finds by name, by MAC in any spelling, by IP; a prefix does not find the hosts inside it', async () => {
    const [, byName] = await run('dpysystem', 'f1')
    for (const spelling of ['00:1b:38:71:0b:01', '001B38710B01', '00-1b-38-71-0b-01', '10.9.9.1']) {
      assert.deepEqual(await run('dpysystem', spelling), [0, byName, ''], spelling)
    }
    assert.deepEqual(await run('dpysystem', '10.66.1.2'), [1, '', 'System 10.66.1.2 not defined\n'])
    assert.deepEqual(await run('dpysystem', 'nosuch'), [1, '', 'System nosuch not defined\n'])
  })

  test('shows next boot and up to 9 older decisions, newest first, in UTC', async () => {
    await daemon.must('addsystem', 'busy', '00:1b:38:71:0d:01')
    for (let n = 0; n < 12; n++) await daemon.must('nextboot', 'busy', n % 2 ? 'install' : 'memtest')
    const [, stdout] = await run('dpysystem', 'busy')
    const lines = stdout.trimEnd().split('\n')
    assert.deepEqual(lines.slice(0, 4), [
      'Name: busy',
      'Mac: 00:1b:38:71:0d:01 (None)',
      'Next boot: install',
      'History:',
    ])
    assert.equal(lines.length, 4 + 9)
    const history = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?\+00:00 (install|memtest)$/
    for (const line of lines.slice(4)) assert.match(line, history)
    assert.deepEqual(
      lines.slice(4, 6).map((line) => history.exec(line)?.[2]),
      ['memtest', 'install'],
    )
  })

  test('C3: an address of two systems shows both', async () => {
    await daemon.must('addsystem', 'alias', '00:1b:38:71:0d:01')
    const [status, stdout] = await run('dpysystem', '00:1b:38:71:0d:01')
    assert.equal(status, 0)
    assert.match(stdout, /^Name: busy$[\s\S]*^Name: alias$/m)
    await daemon.must('delsystem', 'alias')
  })
})

describe('3.6 nextboot', () => {
  test('checks the system, then the profile; names only', async () => {
    assert.deepEqual(await run('nextboot', 'nosuch', 'nosuch'), [1, '', 'System nosuch not defined\n'])
    assert.deepEqual(await run('nextboot', 's1', 'nosuch'), [1, '', 'Boot name nosuch not defined\n'])
    assert.deepEqual(await run('nextboot', '00:1b:38:71:0a:b6', 'install'), [
      1,
      '',
      'System 00:1b:38:71:0a:b6 not defined\n',
    ])
    for (const name of ['local.prof', 'Local', '']) {
      assert.deepEqual(await run('nextboot', 's1', name), [1, '', `Boot name ${name} not defined\n`])
    }
  })

  test('default is made on demand, after the profile was checked', async () => {
    assert.equal((await run('nextboot', 'default', 'nosuch'))[0], 1)
    assert.doesNotMatch((await run('dpysystem', '-l'))[1], /^default$/m)
    assert.deepEqual(await run('nextboot', 'default', 'memtest'), silent)
    assert.match((await run('dpysystem', '-l'))[1], /^default$/m)
    assert.deepEqual(await readSmall(daemon.tftpPort, 'pxelinux.cfg/default'), {
      text: 'default 0\nlabel 0\n  kernel memtest\n',
    })
    assert.deepEqual(await run('delsystem', 'default'), silent)
    assert.equal('error' in (await readSmall(daemon.tftpPort, 'pxelinux.cfg/default')), true)
  })

  test('C1: a profile without a file is refused, and when it comes back the system goes on', async () => {
    profile('gone', 'default 0\nlabel 0\n  kernel gone\n')
    await daemon.must('syncbootnames')
    await daemon.must('nextboot', 's1', 'gone')
    rmSync(join(daemon.dataDir, 'profiles', 'gone.prof'))
    const mac = 'pxelinux.cfg/01-00-1b-38-71-0a-b6'
    assert.match(JSON.stringify(await readSmall(daemon.tftpPort, mac)), /localboot/i, 'local, never somebody else’s')
    const [status, stdout, stderr] = await run('nextboot', 's1', 'gone')
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, /gone/)
    assert.equal((await run('status'))[0], 1, 'status is degraded')
    assert.deepEqual(await run('nextboot', 's1', 'install'), silent)
    assert.match(JSON.stringify(await readSmall(daemon.tftpPort, mac)), /kernel k/)
  })
})

describe('3.7 and 3.8: sync', () => {
  test('syncbootnames prints a line for each profile', async () => {
    const [status, stdout, stderr] = await run('syncbootnames')
    assert.deepEqual([status, stderr], [0, ''])
    assert.deepEqual(stdout.trimEnd().split('\n').sort(), [
      'registering install',
      'registering local',
      'registering memtest',
    ])
  })

  test('without local it prints the text of 0.8 first, exit 0', async () => {
    const file = join(daemon.dataDir, 'profiles', 'local.prof')
    rmSync(file)
    const [status, stdout] = await run('syncbootnames')
    assert.equal(status, 0)
    assert.ok(
      stdout.startsWith(
        'error local profile not present. Add it with a content like this:\n\nprompt 0\ntimeout 0\ndefault 0\n\nlabel 0\n  LOCALBOOT 0\n\n',
      ),
      stdout,
    )
    profile('local', 'prompt 0\ntimeout 0\ndefault 0\n\nlabel 0\n  LOCALBOOT 0\n')
    await daemon.must('syncbootnames')
  })

  test('odd entries of the folder are no profiles and harm nothing', async () => {
    const dir = join(daemon.dataDir, 'profiles')
    mkdirSync(join(dir, 'folder.prof'))
    writeFileSync(join(dir, '.prof'), '')
    writeFileSync(join(dir, 'notes.txt'), '')
    const [status, stdout] = await run('syncbootnames')
    assert.equal(status, 0)
    assert.doesNotMatch(stdout, /notes|registering $/m)
    rmSync(join(dir, 'folder.prof'), { recursive: true })
    rmSync(join(dir, '.prof'))
  })

  test('M3: syncsystems has nothing to do, says so, and changes nothing', async () => {
    const before = await run('dpysystem', 'busy')
    const [status, stdout, stderr] = await run('syncsystems')
    assert.equal(status, 0)
    assert.notEqual(stdout + stderr, '')
    assert.deepEqual(await run('dpysystem', 'busy'), before)
  })
})

describe('4.1 and 4.2: machine URLs', () => {
  const mac = '00:1b:38:71:0e:01'
  before(async () => {
    await daemon.must('addsystem', 'web', mac)
    await daemon.must('nextboot', 'web', 'install')
  })

  test('plain text, no newline, with and without the last slash, any spelling', async () => {
    for (const path of [
      `/profile/${mac}/`,
      `/profile/${mac}`,
      '/profile/001B38710E01/',
      '/profile/00-1b-38-71-0e-01/',
    ]) {
      const { status, text, headers } = await get(path)
      assert.deepEqual([status, text, headers['content-type']], [200, 'install', 'text/plain; charset=utf-8'], path)
    }
  })

  test('S5: HEAD and other methods change nothing', async () => {
    const head = await get(`/localboot/${mac}/`, 'HEAD')
    assert.deepEqual([head.status, head.text], [200, ''])
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'])
      assert.equal((await get(`/localboot/${mac}/`, method)).status, 405, method)
    assert.equal((await get(`/profile/${mac}/`)).text, 'install')
  })

  test('/localboot/ sets local and says so; /nextboot/ to an unknown profile is 404', async () => {
    const { status, text, headers } = await get(`/localboot/${mac}/`)
    assert.deepEqual(
      [status, text, headers['content-type']],
      [200, 'Next boot set to local', 'text/plain; charset=utf-8'],
    )
    assert.equal((await get(`/profile/${mac}/`)).text, 'local')
    assert.equal((await get('/nextboot/nosuch/')).status, 404)
  })

  test('a report is a step of its machine’s boot', async () => {
    await daemon.must('nextboot', 'web', 'install')
    await get(`/localboot/${mac}/`)
    const steps = async () => {
      const { boots } = (await get('/api/v1/boots')).json as { boots: { mac: string; steps: { name: string }[] }[] }
      return boots.filter((boot) => boot.mac === mac).flatMap((boot) => boot.steps.map(({ name }) => name))
    }
    const found = async () => ((await steps()).includes('/localboot/') ? true : undefined)
    await until(found, 10_000, () => 'no boot of this machine has the report')
  })

  test('/localboot/ of an unknown MAC is remembered for it until a system with it gets a decision', async () => {
    const unknown = '00:1b:38:71:0e:99'
    const name = 'pxelinux.cfg/01-00-1b-38-71-0e-99'
    assert.equal('error' in (await readSmall(daemon.tftpPort, name)), true)
    assert.equal((await get(`/localboot/${unknown}/`)).status, 200)
    assert.match(JSON.stringify(await readSmall(daemon.tftpPort, name)), /localboot/i)
    await daemon.must('addsystem', 'known', unknown)
    assert.match(JSON.stringify(await readSmall(daemon.tftpPort, name)), /localboot/i)
    await daemon.must('nextboot', 'known', 'install')
    assert.match(JSON.stringify(await readSmall(daemon.tftpPort, name)), /kernel k/)
  })

  test('C7: a system before its first nextboot is 404, or default’s', async () => {
    await daemon.must('addsystem', 'fresh', '00:1b:38:71:0e:02')
    assert.equal((await get('/profile/00:1b:38:71:0e:02/')).status, 404)
    await daemon.must('nextboot', 'default', 'memtest')
    assert.equal((await get('/profile/00:1b:38:71:0e:02/')).text, 'memtest')
    await daemon.must('delsystem', 'default')
  })

  test('a malformed MAC is a 4xx in one line, and no page of internals (S4)', async () => {
    for (const path of ['/profile/00:11/', '/profile/zz/', '/localboot/..%2f..%2fetc/', '/ipxe/%00/', '/nosuch/']) {
      const { status, text } = await get(path)
      assert.ok(status >= 400 && status < 500, `${path}: ${status}`)
      assert.doesNotMatch(text, /node:|\.ts:|\.cjs|at .*\(/)
    }
  })
})

test('M4: /profile/ says what TFTP serves, also with aliases', async () => {
  const mac = '00:1b:38:71:0f:01'
  await daemon.must('addsystem', 'first', mac)
  await daemon.must('addsystem', 'second', mac)
  await daemon.must('nextboot', 'first', 'install')
  await daemon.must('nextboot', 'second', 'memtest')
  assert.equal((await get(`/profile/${mac}/`)).text, 'memtest')
  assert.match(JSON.stringify(await readSmall(daemon.tftpPort, 'pxelinux.cfg/01-00-1b-38-71-0f-01')), /kernel memtest/)
})

test('M5: a decision for one system does not reach another over a shared third', async () => {
  await daemon.must('addsystem', 'A', '00:1b:38:71:10:01')
  await daemon.must('addsystem', 'B', '00:1b:38:71:10:01', '00:1b:38:71:10:02')
  await daemon.must('addsystem', 'C', '00:1b:38:71:10:02', '00:1b:38:71:10:03')
  await daemon.must('nextboot', 'B', 'install')
  await daemon.must('nextboot', 'A', 'memtest')
  assert.equal((await get('/profile/00:1b:38:71:10:02/')).text, 'install')
  assert.equal((await get('/profile/00:1b:38:71:10:03/')).status, 404)
})

test('M2: a prefix whose hex has letters is found', async () => {
  await daemon.must('addsystem', 'net', '10.77')
  await daemon.must('nextboot', 'net', 'install')
  assert.match(JSON.stringify(await readSmall(daemon.tftpPort, 'pxelinux.cfg/0A4D')), /kernel k/)
  assert.equal('error' in (await readSmall(daemon.tftpPort, 'pxelinux.cfg/0A4')), true)
})

test('R1: at every moment of 300 switches the machine gets one profile or the other', async () => {
  await daemon.must('addsystem', 'switch', '00:1b:38:71:11:01')
  await daemon.must('nextboot', 'switch', 'install')
  let switching = true
  const reader = async (): Promise<number> => {
    let reads = 0
    while (switching) {
      const answer = await readSmall(daemon.tftpPort, 'pxelinux.cfg/01-00-1b-38-71-11-01')
      assert.match('text' in answer ? answer.text : answer.message, /kernel k|localboot/i)
      reads++
    }
    return reads
  }
  const readers = [reader(), reader(), reader()]
  for (let n = 0; n < 150; n++) {
    assert.equal((await get('/localboot/00:1b:38:71:11:01/')).status, 200)
    const set = await ask({ socketPath: daemon.ready.socket }, '/api/v1/nextboot', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'switch', profile: 'install' }),
    })
    assert.equal(set.status, 200)
  }
  switching = false
  for (const reads of await Promise.all(readers)) assert.ok(reads > 0)
})

test('R3 R4: parallel reports of one system and parallel addsystem of one name all succeed, once', async () => {
  const reports = await Promise.all(Array.from({ length: 50 }, () => get('/localboot/00:1b:38:71:11:01/')))
  assert.deepEqual([...new Set(reports.map(({ status }) => status))], [200])
  await Promise.all(Array.from({ length: 6 }, () => daemon.must('addsystem', 'same', '00:1b:38:71:12:01')))
  const names = (await run('dpysystem', '-l'))[1].split('\n').filter((name) => name === 'same')
  assert.equal(names.length, 1)
})

test('S6: the id of a deleted system is never used again', async () => {
  await daemon.must('addsystem', 'old', '00:1b:38:71:13:01')
  const { id } = (await daemon.json('dpysystem', 'old')) as { id: number }
  await daemon.must('delsystem', 'old')
  await daemon.must('addsystem', 'young', '00:1b:38:71:13:01')
  assert.ok(((await daemon.json('dpysystem', 'young')) as { id: number }).id > id)
})

test('a caller that no system has cannot set a next boot: 404, and nothing is kept', async (t) => {
  const fresh = await serve() // this host has not booted from it, so loopback is nobody
  t.after(() => fresh.close())
  const before = ((await fresh.json('status')) as { journal: { seq: number } }).journal.seq
  const { status, text } = await ask({ url: fresh.url }, '/nextboot/local/')
  assert.equal(status, 404, text)
  assert.equal(((await fresh.json('status')) as { journal: { seq: number } }).journal.seq, before)
})

test('C9: a report works where local is not registered and has no file', async () => {
  const mac = '00:1b:38:71:1c:09'
  await daemon.must('addsystem', 'nolocal', mac)
  await daemon.must('nextboot', 'nolocal', 'install')
  const file = join(daemon.dataDir, 'profiles', 'local.prof')
  rmSync(file)
  try {
    assert.equal((await get(`/localboot/${mac}/`)).text, 'Next boot set to local')
    assert.match(JSON.stringify(await readSmall(daemon.tftpPort, 'pxelinux.cfg/01-00-1b-38-71-1c-09')), /localboot/i)
  } finally {
    profile('local', 'prompt 0\ntimeout 0\ndefault 0\n\nlabel 0\n  LOCALBOOT 0\n')
    await daemon.must('syncbootnames')
  }
})

test('M1: dpysystem shows the IP address from which a MAC booted', async () => {
  await daemon.must('addsystem', 'seen', '00:1b:38:71:1c:01')
  await daemon.must('nextboot', 'seen', 'install')
  assert.match(await daemon.must('dpysystem', 'seen'), /^Mac: 00:1b:38:71:1c:01 \(None\)$/m)
  // The tests before this one were other machines at this address, whose changes are recorded once a second.
  let last = ''
  const shown = async () => {
    await readSmall(daemon.tftpPort, 'pxelinux.cfg/01-00-1b-38-71-1c-01')
    last = await daemon.must('dpysystem', 'seen')
    return /^Mac: 00:1b:38:71:1c:01 \(127\.0\.0\.1\)$/m.test(last) || undefined
  }
  await until(shown, 10_000, () => `it never shows the address: ${last}`)
})

test('M7: /ipxe/ has the kernel and initrd of the label that DEFAULT names, wherever initrd= stands', async () => {
  const mac = '00:1b:38:71:1c:07'
  profile(
    'two',
    'default second\nlabel first\n\tkernel wrong\n\nlabel second\n  LINUX k2\n  append root=/dev/sda initrd=i2 quiet\n',
  )
  await daemon.must('syncbootnames')
  await daemon.must('addsystem', 'ipxe', mac)
  await daemon.must('nextboot', 'ipxe', 'two')
  const { status, text } = await get(`/ipxe/${mac}/`)
  assert.equal(status, 200)
  assert.match(text, /^#!ipxe\n/)
  assert.match(text, /^kernel http:\/\/\S+\/boot\/k2 .*root=\/dev\/sda.* quiet$/m)
  assert.match(text, /^initrd .*http:\/\/\S+\/boot\/i2$/m)
  assert.doesNotMatch(text, /wrong/)
  rmSync(join(daemon.dataDir, 'profiles', 'two.prof'))
  await daemon.must('delsystem', 'ipxe')
  await daemon.must('syncbootnames')
})

test('S1: over TCP nobody changes anything without a token, loopback included', async () => {
  const before = await daemon.must('dpysystem', '-l')
  for (const [command, body] of Object.entries({
    addsystem: { name: 'forged', addresses: ['00:1b:38:71:1c:ff'] },
    delsystem: { name: 's1' },
    nextboot: { name: 's1', profile: 'memtest' },
    'token/add': { name: 'forged', role: 'admin' },
  })) {
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    assert.equal((await ask({ url: daemon.url }, `/api/v1/${command}`, options)).status, 401, command)
  }
  assert.equal(await daemon.must('dpysystem', '-l'), before)
})

test('X1, X2: the executable alone, in a folder of its own, starts, and its pages have their style', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-alone-'))
  try {
    const alone = join(dir, 'pxemngr')
    copyFileSync(executable, alone)
    const { status, stdout } = await runToEnd([alone, '--version'], { cwd: dir, env: {}, timeoutMs: 20_000 })
    assert.equal(status, 0)
    assert.match(stdout, /^pxemngr \d+\.\d+\.\d+ \((?:[0-9a-f]{12}\+?|unknown)\)\n$/)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
  const { text } = await get('/')
  const style = /<link rel="stylesheet" href="([^"]+)"/.exec(text)?.[1]
  assert.ok(style, 'a page names its style sheet')
  const { status, headers } = await get(style)
  assert.deepEqual([status, headers['content-type']], [200, 'text/css; charset=utf-8'])
})

test('X2: /nextboot/<profile>/ of the README sets the next boot of the machine that asks', async () => {
  const own = await serve()
  try {
    writeFileSync(join(own.dataDir, 'profiles', 'install.prof'), 'default 0\nlabel 0\n  kernel k\n')
    await own.must('syncbootnames')
    await own.must('addsystem', 'self', '127.0.0.1')
    const { status, text } = await ask({ url: own.url }, '/nextboot/install/')
    assert.deepEqual([status, text], [200, 'Next boot set to install'])
    assert.match(await own.must('dpysystem', 'self'), /^Next boot: install$/m)
  } finally {
    await own.close()
  }
})
