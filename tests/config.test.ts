/** The configuration of the daemon, key by key and fault by fault. Source: CONTRACT "Daemon". */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { checkFolders, refuseTwice } from '../src/config/check.ts'
import { fields, keys, variableName } from '../src/config/keys.ts'
import { compareConfig, formatReference, type LoadInput, loadConfig } from '../src/config.ts'
import { Refusal } from '../src/domain/errors.ts'
import { findNearest } from '../src/domain/nearest.ts'

const file = '/etc/pxemngr/pxemngr.toml'

interface Given {
  argv?: string[]
  env?: Record<string, string | undefined>
  uid?: number
  files?: Record<string, string | Uint8Array | { code: string }>
}

function load({ argv = [], env = {}, uid = 0, files = {} }: Given = {}) {
  const readFile: LoadInput['readFile'] = (path) => {
    const found = files[path] ?? { code: 'ENOENT' }
    if (typeof found === 'string') return new TextEncoder().encode(found)
    if (found instanceof Uint8Array) return found
    throw Object.assign(new Error(found.code), { code: found.code })
  }
  return loadConfig({ argv, env, uid, cwd: '/work dir', readFile })
}

const toml = (text: string): Given => ({ files: { [file]: text } })

async function refusal(given: Given): Promise<string> {
  let said = ''
  await assert.rejects(load(given), (error) => {
    assert.ok(error instanceof Refusal, String(error))
    assert.equal(error.exit, 2)
    assert.doesNotMatch(error.message, /\n/, 'one line')
    said = error.message
    return true
  })
  return said
}

describe('defaults', () => {
  it('as root: /var/lib/pxemngr, /run/pxemngr/pxemngr.sock, and the table of the contract', async () => {
    const { config, warnings, origin, check, file: read } = await load()
    assert.deepEqual(warnings, [])
    assert.equal(read, null)
    assert.equal(check, false)
    assert.equal(config.dataDir, '/var/lib/pxemngr')
    assert.equal(config.profilesDir, '/var/lib/pxemngr/profiles')
    assert.equal(config.testsDir, '/var/lib/pxemngr/tests')
    assert.equal(config.resultsDir, '/var/lib/pxemngr/results')
    assert.equal(config.tftpRoot, '/var/lib/pxemngr/tftpboot')
    assert.deepEqual(config.linkTargets, [])
    assert.deepEqual(config.tftp, [{ host: '0.0.0.0', port: 69 }])
    assert.equal(config.tftpSinglePort, false)
    assert.equal(config.tftpPorts, null)
    assert.deepEqual(config.http, [{ host: '0.0.0.0', port: 8000 }])
    assert.equal(config.socket, '/run/pxemngr/pxemngr.sock')
    assert.equal(config.publicUrl, null)
    assert.ok(config.trustedNetworks.some(({ address, prefixLength }) => address === '10.0.0.0' && prefixLength === 8))
    assert.equal(config.trustedNetworks.length, 6)
    assert.equal(config.anonymous, 'viewer')
    assert.equal(config.maxUploadBytes, 4 * 1024 ** 3)
    assert.equal(config.runTimeoutMs, 24 * 3_600_000)
    assert.equal(config.bootTimeoutMs, 2 * 3_600_000)
    assert.equal(config.keepLogsMs, null)
    assert.equal(config.keepResultsMs, null)
    assert.deepEqual(config.keepFree, { percent: 5 })
    assert.equal(config.webhookAllow, null)
    assert.equal(config.logLevel, 'info')
    assert.equal(config.user, null)
    for (const field of fields) assert.equal(origin(keys[field].name), 'default')
  })

  it('as an ordinary user: below $XDG_STATE_HOME, else ~/.local/state; everything follows data-dir', async () => {
    const uid = 1000
    assert.equal((await load({ uid, env: { HOME: '/home/a' } })).config.dataDir, '/home/a/.local/state/pxemngr')
    const { config } = await load({ uid, env: { HOME: '/home/a', XDG_STATE_HOME: '/state' } })
    assert.equal(config.socket, '/state/pxemngr/pxemngr.sock')
    const relative = await load({ uid, env: { HOME: '/home/a', XDG_STATE_HOME: 'state' } })
    assert.equal(relative.config.dataDir, '/home/a/.local/state/pxemngr', 'a relative XDG folder is not used')
    const moved = await load({ uid, env: { HOME: '/home/a' }, argv: ['--data-dir', '/d'] })
    assert.equal(moved.config.profilesDir, '/d/profiles')
    assert.equal(moved.config.socket, '/d/pxemngr.sock')
    assert.match(await refusal({ uid }), /^data-dir is not set and there is no HOME/)
    assert.equal((await load({ uid, argv: ['--data-dir=/d'] })).config.dataDir, '/d')
  })
})

describe('a value that only the system refuses', () => {
  it('is told like any other: where it stands, the key, what is allowed, and why', async () => {
    const allowed = 'is not allowed: user is the name of an account such as pxemngr, or none; no such account'
    const places: [Given, string][] = [
      [toml('\nuser = "nosuch"\n'), `${file}:2: user =`],
      [{ argv: ['--user', 'nosuch'] }, '--user:'],
      [{ env: { PXEMNGR_USER: 'nosuch' } }, 'PXEMNGR_USER:'],
    ]
    for (const [given, subject] of places) {
      const told = (await load(given)).refusal('user', 'no such account')
      assert.deepEqual([told.exit, told.message], [2, `${subject} "nosuch" ${allowed}`])
    }
  })
})

describe('precedence', () => {
  it('flag beats environment beats file beats default', async () => {
    const files = { [file]: 'log-level = "error"\nanonymous = "none"\nmax-upload = "1GiB"\n' }
    const env = { PXEMNGR_LOG_LEVEL: 'warn', PXEMNGR_ANONYMOUS: 'viewer' }
    const { config, origin, file: read } = await load({ argv: ['--log-level', 'debug'], env, files })
    assert.equal(read, file)
    assert.deepEqual([config.logLevel, origin('log-level')], ['debug', 'flag'])
    assert.deepEqual([config.anonymous, origin('anonymous')], ['viewer', 'environment'])
    assert.deepEqual([config.maxUploadBytes, origin('maxUploadBytes')], [2 ** 30, 'file'])
    assert.equal(origin('user'), 'default')
  })

  it('a list of a stronger source replaces the weaker one, and `off` turns it off', async () => {
    const files = { [file]: 'http = ["127.0.0.1:1", "127.0.0.1:2"]' }
    assert.equal((await load({ files })).config.http.length, 2)
    const flag = await load({ files, argv: ['--http', '[::1]:0'] })
    assert.deepEqual(flag.config.http, [{ host: '::1', port: 0 }])
    assert.deepEqual((await load({ files, env: { PXEMNGR_HTTP: 'off' } })).config.http, [])
  })

  it('an empty variable counts as not set, an unknown PXEMNGR_* is a warning, those of the client are neither', async () => {
    const env = { PXEMNGR_HTTP: '', PXEMNGR_HTPP: 'x', PXEMNGR_URL: 'u', PXEMNGR_TOKEN: 't', OTHER: 'x' }
    const { config, warnings } = await load({ env })
    assert.equal(config.http.length, 1)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /PXEMNGR_HTPP.*PXEMNGR_HTTP/)
  })

  it('--config and PXEMNGR_CONFIG name another file; that one has to be there', async () => {
    const files = { '/work dir/my.toml': 'log-level = "debug"', [file]: 'log-level = "error"' }
    assert.equal((await load({ argv: ['--config', 'my.toml'], files })).config.logLevel, 'debug')
    assert.equal((await load({ env: { PXEMNGR_CONFIG: 'my.toml' }, files })).config.logLevel, 'debug')
    assert.match(await refusal({ argv: ['--config=/no'] }), /"\/no": there is no such file/)
    assert.match(await refusal({ argv: ['--config'] }), /^--config needs a value/)
  })
})

describe('values', () => {
  it('several by repeated flag, commas, TOML array; an element of an array is not split', async () => {
    const both = [
      { host: '127.0.0.1', port: 1 },
      { host: '::', port: 69 },
    ]
    assert.deepEqual((await load({ argv: ['--tftp', '127.0.0.1:1', '--tftp=[::]:69'] })).config.tftp, both)
    assert.deepEqual((await load({ argv: ['--tftp', '127.0.0.1:1, [::]:69'] })).config.tftp, both)
    assert.deepEqual((await load({ env: { PXEMNGR_TFTP: '127.0.0.1:1,[::]:69' } })).config.tftp, both)
    assert.deepEqual((await load(toml('tftp = ["127.0.0.1:1", "[::]:69"]'))).config.tftp, both)
    assert.deepEqual((await load(toml('tftp = "127.0.0.1:1,[::]:69"'))).config.tftp, both)
    assert.deepEqual((await load(toml('link-targets = ["/a,b"]'))).config.linkTargets, ['/a,b'])
    assert.deepEqual((await load(toml('link-targets = []'))).config.linkTargets, [])
    for (const key of ['tftp', 'http', 'trusted-networks', 'webhook-allow']) {
      await assert.rejects(
        load(toml(`${key} = []`)),
        new RegExp(`:1: ${key} = \\[\\] is not allowed: .* write "(off|default)"$`),
      )
    }
  })

  it('yes, no, true, false; a bare flag is yes', async () => {
    for (const [argv, expected] of [
      [['--tftp-single-port'], true],
      [['--tftp-single-port', 'no'], false],
      [['--tftp-single-port=false'], false],
      [['--tftp-single-port', '--check'], true],
      [['--tftp-single-port', 'YES'], true],
    ] as const) {
      assert.equal((await load({ argv: [...argv] })).config.tftpSinglePort, expected, argv.join(' '))
    }
    assert.equal((await load(toml('tftp-single-port = true'))).config.tftpSinglePort, true)
    assert.equal((await load(toml('tftp-single-port = "yes"'))).config.tftpSinglePort, true)
    assert.match(await refusal(toml('tftp-single-port = 1')), /pxemngr\.toml:1: tftp-single-port = "1" .* yes or no/)
  })

  it('the last flag of a key with one value counts', async () => {
    assert.equal((await load({ argv: ['--log-level=info', '--log-level=debug'] })).config.logLevel, 'debug')
  })

  it('each key accepts and refuses what its row says', async () => {
    const rows: Record<string, { good: [string, unknown][]; bad: string[] }> = {
      http: {
        good: [
          ['[fe80::1%eth0]:80', [{ host: 'fe80::1%eth0', port: 80 }]],
          ['1.2.3.4:0', [{ host: '1.2.3.4', port: 0 }]],
        ],
        bad: [
          '8000',
          ':8000',
          '::1:80',
          '[1.2.3.4]:80',
          '1.2.3.4:65536',
          'localhost:80',
          '1.2.3.4:',
          'off,1.2.3.4:1',
          '',
          '1.2.3.4:1,',
          ' ',
        ],
      },
      'max-upload': {
        good: [
          ['1B', 1],
          ['1KiB', 1024],
          ['10MiB', 10 * 2 ** 20],
        ],
        bad: ['0B', '0KiB', '4', '4GB', '4 GiB', '-1B', '1e3B', '4gib', '9999999999999999GiB', ''],
      },
      'run-timeout': {
        good: [
          ['90s', 90_000],
          ['7d', 604_800_000],
        ],
        bad: ['0s', '90', '1.5h', '1w', '', '99999999999999d'],
      },
      'keep-logs': {
        good: [
          ['forever', null],
          ['30d', 30 * 86_400_000],
        ],
        bad: ['never', '0d'],
      },
      'keep-free': {
        good: [
          ['5%', { percent: 5 }],
          ['0%', { percent: 0 }],
          ['2GiB', { bytes: 2 ** 31 }],
        ],
        bad: ['100%', '5', '-1%', '%'],
      },
      'tftp-ports': {
        good: [
          ['any', null],
          ['1-65535', { first: 1, last: 65535 }],
          ['7-7', { first: 7, last: 7 }],
        ],
        bad: ['0-5', '9-7', '1-65536', '7', '1-2-3'],
      },
      'public-url': {
        good: [
          ['http://a:1/', 'http://a:1'],
          ['https://[::1]/x//', 'https://[::1]/x'],
          ['none', null],
        ],
        bad: ['a:1', 'ftp://a', 'http://', 'http://a b', 'http://a/?q', 'http://u:p@a', 'http://a/$(reboot)`', ''],
      },
      'trusted-networks': {
        good: [
          ['off', []],
          ['10.0.0.0/8', [{ address: '10.0.0.0', prefixLength: 8, family: 'ipv4' }]],
          ['::1', [{ address: '::1', prefixLength: 128, family: 'ipv6' }]],
        ],
        bad: ['10.0.0.0/33', '10/8', '::/129', '10.0.0.0/', '10.0.0.0/8/8', 'any', 'fe80::1%eth0'],
      },
      anonymous: { good: [['none', 'none']], bad: ['operator', 'Viewer'] },
      'webhook-allow': {
        good: [
          [
            'h.example.org,10.0.0.0/8',
            [{ host: 'h.example.org' }, { network: { address: '10.0.0.0', prefixLength: 8, family: 'ipv4' } }],
          ],
          ['*.Example.org.', [{ host: '*.example.org' }]],
          ['default', null],
        ],
        bad: ['300.1.1.1', 'a b', 'http://a', '-a', '10.0.0.0/99', 'a..b'],
      },
      'log-level': { good: [['warn', 'warn']], bad: ['trace', 'INFO', ''] },
      user: {
        good: [
          ['none', null],
          ['pxe-mngr', 'pxe-mngr'],
        ],
        bad: ['a b', '-x', ''],
      },
      socket: {
        good: [
          ['s', '/work dir/s'],
          ['/a', '/a'],
        ],
        bad: ['', '/a\u0000', `/${'a'.repeat(107)}`],
      },
      'data-dir': { good: [['d', '/work dir/d']], bad: ['', '/a\nb'] },
    }
    for (const [name, { good, bad }] of Object.entries(rows)) {
      const field = fields.find((each) => keys[each].name === name)
      assert.ok(field)
      for (const [text, expected] of good) {
        assert.deepEqual((await load({ argv: [`--${name}=${text}`] })).config[field], expected, `--${name}=${text}`)
      }
      for (const text of bad) {
        const said = await refusal({ argv: [`--${name}=${text}`] })
        assert.ok(said.startsWith(`--${name}: `) && said.includes(keys[field].kind.allowed), said)
      }
    }
  })

  it('relative paths start at the working folder, in a file at the folder of the file', async () => {
    assert.equal((await load({ env: { PXEMNGR_PROFILES_DIR: 'p' } })).config.profilesDir, '/work dir/p')
    assert.equal((await load(toml('profiles-dir = "p"'))).config.profilesDir, '/etc/pxemngr/p')
  })

  it('a socket that its data directory makes too long is refused too', async () => {
    const said = await refusal({ uid: 7, env: { HOME: '/h' }, argv: ['--data-dir', `/${'d'.repeat(100)}`] })
    assert.match(said, /^socket ".*" is too long: socket is a path of at most 107 bytes/)
  })

  it('`tftp-ports` below what an ordinary account may bind is refused with `user`, which binds them later', async () => {
    const argv = ['--user', 'pxe', '--tftp-ports', '1000-2000']
    const line = await refusal({ argv })
    assert.match(line, /tftp-ports "1000-2000" is not allowed with user "pxe".* below 1024.*CAP_NET_BIND_SERVICE/)
    await load({ argv: ['--user', 'pxe', '--tftp-ports', '1024-2000'] })
    await load({ argv: ['--tftp-ports', '1000-2000'] })
    for (const more of ['--tftp-single-port', '--tftp=off', '--user=none']) await load({ argv: [...argv, more] })
    await load({ argv, uid: 7, env: { HOME: '/h' } })
  })

  it('what an ordinary account may bind is what this kernel says', async () => {
    const start = (text: string): Given => ({
      argv: ['--user', 'pxe', '--tftp-ports', '900-950'],
      files: { '/proc/sys/net/ipv4/ip_unprivileged_port_start': text },
    })
    await load(start('900\n'))
    await load(start('0\n'))
    assert.match(await refusal(start('901\n')), /below 901/)
    assert.match(await refusal(start('nonsense')), /below 1024/)
  })

  it('`user` without root is a warning', async () => {
    const { warnings } = await load({ uid: 7, env: { HOME: '/h' }, argv: ['--user', 'pxe'] })
    assert.match(warnings.join(), /only root/)
  })
})

describe('faults are one line that names the place, the key and what is allowed', () => {
  it('unknown keys with the nearest known one', async () => {
    assert.match(
      await refusal({ argv: ['--htpp', '1'] }),
      /^--htpp: unknown key "htpp": did you mean http\? allowed are data-dir, .*, check$/,
    )
    const said = await refusal(toml('# c\nlog-level = "info"\n\ntftp_root = "/x"\n'))
    assert.match(
      said,
      /^\/etc\/pxemngr\/pxemngr\.toml:4: unknown key "tftp_root": did you mean tftp-root\? allowed are /,
    )
    assert.match(await refusal(toml('[http]\nport = 1\n')), /pxemngr\.toml:1: http is a table: allowed is addresses/)
    assert.match(await refusal(toml('__proto__ = 1')), /unknown key "__proto__"/)
    assert.match(await refusal(toml('constructor.x = 1')), /:1: unknown key "constructor"/)
  })

  it('wrong types', async () => {
    assert.match(
      await refusal(toml('log-level = ["info"]')),
      /:1: log-level is an array: allowed is error, warn, info or debug/,
    )
    assert.match(await refusal(toml('\nhttp = [["127.0.0.1:1"]]')), /:2: http is an array/)
    assert.match(await refusal(toml('max-upload = 2026-11-23')), /:1: max-upload is a date/)
    assert.match(await refusal(toml('max-upload = 99999999999999999999')), /pxemngr\.toml:1:/)
    assert.match(await refusal(toml('max-upload = 4096')), /max-upload = "4096" is not allowed: max-upload is a size/)
    assert.match(await refusal(toml('run-timeout = inf')), /a duration such as/)
  })

  it('a bad value in the environment', async () => {
    assert.match(
      await refusal({ env: { PXEMNGR_HTTP: '8000' } }),
      /^PXEMNGR_HTTP: "8000" is not allowed: http is addresses with a port such as 0\.0\.0\.0:8000, \[::\]:8000 or/,
    )
    assert.match(
      await refusal({ env: { PXEMNGR_TFTP: '69' } }),
      /^PXEMNGR_TFTP: "69" is not allowed: tftp is addresses with a port such as 0\.0\.0\.0:69, \[::\]:69 or/,
    )
  })

  it('a fault of the file is told even where a flag beats its value', async () => {
    assert.match(
      await refusal({ argv: ['--http', '127.0.0.1:0'], ...toml('http = "x"') }),
      /pxemngr\.toml:1: http = "x"/,
    )
  })

  it('duplicate keys, broken TOML, with line and column', async () => {
    assert.match(await refusal(toml('http = "off"\nhttp = "off"\n')), /^\/etc\/pxemngr\/pxemngr\.toml:2:\d+: /)
    assert.match(await refusal(toml('http = \n')), /pxemngr\.toml:1:\d+: /)
    assert.match(await refusal(toml('http')), /pxemngr\.toml:1:\d+: /)
  })

  it('a BOM is no fault; bytes that are no UTF-8, a folder, an unreadable file are', async () => {
    assert.equal((await load(toml('\uFEFFlog-level = "debug"\r\n'))).config.logLevel, 'debug')
    assert.match(await refusal({ files: { [file]: Uint8Array.of(0x23, 0xff) } }), /is not UTF-8/)
    assert.match(
      await refusal({ files: { [file]: { code: 'EISDIR' } } }),
      /"\/etc\/pxemngr\/pxemngr\.toml": it is a folder/,
    )
    assert.match(await refusal({ files: { [file]: { code: 'EACCES' } } }), /it may not be read/)
    assert.match(await refusal({ files: { [file]: { code: 'EIO' } } }), /EIO/)
  })

  it('words that are no flag, flags without value', async () => {
    for (const argv of [['x'], ['-l'], ['--'], ['']]) assert.match(await refusal({ argv }), /is no flag of serve/)
    assert.match(await refusal({ argv: ['--http'] }), /^--http needs a value: addresses/)
    assert.match(await refusal({ argv: ['--http', '--check'] }), /^--http needs a value/)
    assert.match(await refusal({ argv: ['--check=yes'] }), /--check takes no value/)
    assert.equal((await load({ argv: ['--check'] })).check, true)
  })

  it('any bytes in any source end in a configuration or in one refusal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary' })), fc.string({ unit: 'binary' }), async (argv, text) => {
        try {
          await load({ argv, env: { PXEMNGR_HTTP: text }, ...toml(text) })
        } catch (error) {
          assert.ok(error instanceof Refusal, String(error))
          assert.doesNotMatch(error.message, /[\n\u0000-\u0008\u001b]/)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('the table', () => {
  it('every key is in the generated reference, with its variable, and each default in words is what the default is', async () => {
    const text = formatReference()
    const { config } = await load()
    for (const field of fields) {
      const { name, kind, defaultText } = keys[field]
      assert.ok(text.includes(`\`${name}\``) && text.includes(`\`${variableName(name)}\``), name)
      const parsed: unknown = kind.parse(defaultText)
      if (parsed !== undefined && !keys[field].list && !kind.path) assert.deepEqual(config[field], parsed, name)
    }
  })

  it('SIGHUP: what takes effect now and what waits for a restart', async () => {
    const before = (await load()).config
    const after = (await load({ argv: ['--log-level=debug', '--http=127.0.0.1:1', '--keep-free=1GiB'] })).config
    assert.deepEqual(compareConfig(before, after), { reloaded: ['keep-free', 'log-level'], restart: ['http'] })
    assert.deepEqual(compareConfig(before, before), { reloaded: [], restart: [] })
  })

  it('the nearest name is one that is near', () => {
    assert.equal(findNearest('tftp_single_port', ['tftp-single-port', 'tftp']), 'tftp-single-port')
    assert.equal(findNearest('zzzz', ['tftp', 'http']), undefined)
    assert.equal(findNearest('x'.repeat(1_000_000), ['tftp']), undefined)
  })
})

describe('--check', () => {
  const disk = (found: Record<string, 'folder' | 'file' | { code: string }>, type = 0xef53) => ({
    look: (path: string) => found[path] ?? ({ code: 'ENOENT' } as const),
    readable: (path: string) => path !== '/var/lib/pxemngr/tests',
    fileSystemType: () => type,
  })
  it('an address that is listed twice, but for port 0', async () => {
    const check = async (...argv: string[]) => refuseTwice((await load({ argv })).config)
    await check('--http=127.0.0.1:80,127.0.0.2:80', '--tftp=127.0.0.1:80')
    await check('--http=127.0.0.1:0,127.0.0.1:0')
    const twice = { name: 'Refusal', kind: 'usage', message: 'http names the address ::1 with port 80 twice' }
    await assert.rejects(check('--http=[::1]:80', '--http=127.0.0.1:80', '--http=[::1]:80'), twice)
  })

  it('is silent about folders that the first start makes', async () => {
    assert.deepEqual(checkFolders((await load()).config, disk({})), [])
  })
  it('warns of unreadable folders, files in their place, missing link targets, and profiles off the local disk', async () => {
    const { config } = await load({ argv: ['--link-targets', '/srv/gone'] })
    const found = {
      '/var/lib/pxemngr/tests': 'folder',
      '/var/lib/pxemngr': 'file',
      '/var/lib/pxemngr/results': { code: 'EACCES' },
    } as const
    const said = checkFolders(config, disk(found, 0x6969)).join('\n')
    assert.match(said, /data-dir .* is no folder/)
    assert.match(said, /tests-dir .* cannot be read/)
    assert.match(said, /results-dir .* EACCES/)
    assert.match(said, /link-targets "\/srv\/gone" does not exist/)
    assert.match(said, /profiles-dir .* is on NFS: put it on a local disk/)
  })
  it('asks the real disk', async () => {
    const { config } = await load({ argv: ['--data-dir', '/proc/self/status', '--profiles-dir=/'] })
    const said = checkFolders(config)
    assert.ok(said.includes('data-dir "/proc/self/status" is no folder'), said.join('\n'))
    assert.ok(said.includes('tests-dir "/proc/self/status/tests" cannot be looked at: ENOTDIR'), said.join('\n'))
  })
})
