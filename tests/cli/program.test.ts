/** The command line against a daemon that does what a test says. Source: CONTRACT "Command line". */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Refusal } from '../../src/domain/errors.ts'
import { makeFolder } from '../harness/folder.ts'
import { answering, run, sending, withDaemon } from './io.ts'

const json = 'application/json'
const problem = (code: string, detail: string, status = 404): string =>
  JSON.stringify({ type: 'about:blank', title: 'x', status, detail, code })

describe('a call', () => {
  it('is POST /api/v1/<command> with the arguments by name, the version and who types', async () => {
    await withDaemon(answering(200, json, '{}'), async (daemon) => {
      const ran = await run(['nextboot', 'web01', '007', '--socket', daemon.socket])
      assert.deepEqual(ran, { status: 0, stdout: '', stderr: '', local: [] })
      const [request = ''] = daemon.requests
      assert.match(
        request,
        /^POST \/api\/v1\/nextboot HTTP\/1\.1\r\nHost: localhost\r\nUser-Agent: pxemngr\/1\.2\.3\r\n/,
      )
      assert.match(request, /\r\npxemngr-user: j%C3%BCrgen\r\n/)
      assert.deepEqual(JSON.parse(request.split('\r\n\r\n')[1] ?? ''), { name: 'web01', profile: '007' })
    })
  })

  it('of two words is a path; names in any script and 1 MB arrive as typed', async () => {
    await withDaemon(
      answering(200, json, '{"token":"t","name":"x","role":"viewer","expires":null}'),
      async (daemon) => {
        const name = `naïve 機 ${'x'.repeat(1_000_000)}`
        const ran = await run(['token', 'add', name, '--socket', daemon.socket])
        assert.deepEqual([ran.status, ran.stdout], [0, 't\n'])
        const [request = ''] = daemon.requests
        assert.match(request, /^POST \/api\/v1\/token\/add /)
        assert.equal(JSON.parse(request.slice(request.indexOf('\r\n\r\n'))).name, name)
      },
    )
  })

  it('sends its body only to a daemon that is there: what is refused at the head gets none', async () => {
    await withDaemon(
      (socket) => {
        const body = problem('unauthorized', 'a token is needed', 401)
        socket.end(
          `HTTP/1.1 401 x\r\nContent-Type: application/problem+json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        )
      },
      async (daemon) => {
        const ran = await run(['delsystem', 'x', '--socket', daemon.socket])
        assert.deepEqual([ran.status, ran.stderr], [1, 'a token is needed\n'])
        assert.equal(daemon.requests[0]?.split('\r\n\r\n')[1], '')
      },
    )
  })

  it('--url goes over TCP with the token as typed, whatever stands before the API', async () => {
    await withDaemon(answering(200, json, '{}'), async (daemon) => {
      const relay = createServer((inward) => {
        daemon.requests.push('')
        inward.on('data', (bytes) => {
          daemon.requests.push(bytes.toString())
          if (bytes.toString().startsWith('POST')) inward.write('HTTP/1.1 100 Continue\r\n\r\n')
          else inward.end('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}')
        })
      })
      await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
      const address = relay.address()
      assert.ok(typeof address === 'object' && address !== null)
      try {
        const url = `http://127.0.0.1:${address.port}/prefix/`
        const ran = await run(['syncsystems', '--url', url, '--token', '007'])
        assert.equal(ran.stderr, '')
        const head = daemon.requests.find((text) => text.startsWith('POST')) ?? ''
        assert.match(head, /^POST \/prefix\/api\/v1\/syncsystems /)
        assert.match(head, /\r\nAuthorization: Bearer 007\r\n/)
        assert.match(head, new RegExp(`\r\nHost: 127\\.0\\.0\\.1:${address.port}\r\n`))
        const fromEnv = await run(['syncsystems'], { env: { PXEMNGR_URL: url, PXEMNGR_TOKEN: '1e5' } })
        assert.equal(fromEnv.status, 0)
        assert.ok(daemon.requests.some((text) => text.includes('Bearer 1e5\r\n')))
      } finally {
        await new Promise((resolve) => relay.close(resolve))
      }
    })
  })
})

describe('which daemon', () => {
  it('--socket beats PXEMNGR_URL beats PXEMNGR_SOCKET beats the usual places', async () => {
    await withDaemon(answering(200, json, '{}'), async ({ socket, dir }) => {
      const nowhere = { PXEMNGR_URL: 'http://127.0.0.1:1' }
      assert.equal((await run(['syncsystems', '--socket', socket], { env: nowhere })).status, 0)
      assert.equal((await run(['syncsystems'], { env: { PXEMNGR_SOCKET: socket } })).status, 0)
      assert.equal((await run(['syncsystems'], { env: { PXEMNGR_SOCKET: socket, ...nowhere } })).status, 3)
      assert.equal(
        (await run(['syncsystems', '--socket', 's.sock'], { cwd: dir })).status,
        0,
        'relative to where it is typed',
      )
    })
  })

  it('the configuration names the socket, by file or by data directory; what is wrong with it is not the client’s', async () => {
    await withDaemon(answering(200, json, '{}'), async ({ socket }) => {
      const readFile = () => Buffer.from(`socket = "${socket}"\n`)
      const env = { HOME: '/nonexistent', PXEMNGR_CONFIG: '/c.toml' }
      assert.equal((await run(['syncsystems'], { env, readFile })).status, 0)
      const broken = await run(['syncsystems'], { env, readFile: () => Buffer.from('nonsense') })
      assert.equal(broken.status, 3)
      assert.match(broken.stderr, /\/nonexistent\/\.local\/state\/pxemngr\/pxemngr\.sock/)
    })
  })

  it('nobody there is exit status 3 with one line that says how to start one', async (t) => {
    const ran = await run(['syncsystems', '--json'], { env: { XDG_STATE_HOME: '/nonexistent' } })
    assert.equal(ran.status, 3)
    assert.match(
      ran.stderr,
      /^no daemon reachable \(.*\/nonexistent\/pxemngr\/pxemngr\.sock: no such socket\): start one with `pxemngr serve`.*\n$/,
    )
    assert.equal(JSON.parse(ran.stdout).code, 'no-daemon')
    assert.equal((await run(['syncsystems', '--url', 'http://127.0.0.1:1'])).status, 3)
    const file = join(makeFolder(t), 'file')
    writeFileSync(file, '')
    const none = await run(['syncsystems', '--socket', file])
    assert.ok(
      none.stderr.includes(`${file}: nobody listens`) || none.stderr.includes(`${file}: no socket`),
      none.stderr,
    )
  })

  it('a daemon that stands still is known within 2 s, and has been sent nothing to do', async () => {
    await withDaemon(
      () => {},
      async (daemon) => {
        const from = Date.now()
        const ran = await run(['delsystem', 'x', '--socket', daemon.socket])
        assert.deepEqual([ran.status, /it does not answer/.test(ran.stderr)], [3, true])
        assert.ok(Date.now() - from >= 1900)
        assert.equal(daemon.requests[0]?.split('\r\n\r\n')[1], '')
      },
    )
  })

  it('addresses that are none and tokens with line breaks are wrong usage', async () => {
    for (const url of [
      'ftp://a',
      'a:1',
      'http://',
      'http://a:99999',
      'http://u:p@a',
      'http://a/?q',
      'http://a b',
      '',
    ]) {
      const ran = await run(['syncsystems', `--url=${url}`])
      assert.equal(ran.status, 2, url)
      assert.match(ran.stderr, /^Usage: pxemngr syncsystems\n--url .* is not allowed/)
    }
    assert.equal((await run(['syncsystems', '--token', 'a\r\nX: y'])).status, 2)
    assert.equal((await run(['syncsystems', '--socket=/a\0b'])).status, 2)
    assert.equal((await run(['syncsystems', '--socket', '/a', '--url', 'http://a'])).status, 2)
  })
})

describe('refusals', () => {
  it('an empty --socket is no path', async () => {
    const ran = await run(['status', '--socket', ''])
    assert.deepEqual([ran.status, ran.stderr.endsWith('\n--socket "" is no path\n')], [2, true], ran.stderr)
  })
  it('are one line on stderr and exit status 1; with --json their problem document on stdout too', async () => {
    const text = problem('not-found', 'System x not defined')
    await withDaemon(answering(404, 'application/problem+json; charset=utf-8', text), async ({ socket }) => {
      const plain = await run(['delsystem', 'x', '--socket', socket])
      assert.deepEqual(plain, { status: 1, stdout: '', stderr: 'System x not defined\n', local: [] })
      const both = await run(['--json', 'delsystem', 'x', '--socket', socket])
      assert.deepEqual([both.status, both.stderr], [1, 'System x not defined\n'])
      assert.deepEqual(JSON.parse(both.stdout), { ...JSON.parse(text), title: 'Not found' })
    })
  })

  it('have a hint as a second line at a terminal alone, and a document with it', async () => {
    const text = JSON.stringify({
      ...JSON.parse(problem('not-found', 'System x not defined')),
      hint: 'did you mean y?',
    })
    await withDaemon(answering(404, 'application/problem+json', text), async ({ socket }) => {
      const piped = await run(['delsystem', 'x', '--socket', socket])
      assert.equal(piped.stderr, 'System x not defined\n')
      const seen = await run(['delsystem', 'x', '--socket', socket], { terminal: true })
      assert.deepEqual([seen.status, seen.stderr], [1, 'System x not defined\ndid you mean y?\n'])
      const both = await run(['--json', 'delsystem', 'x', '--socket', socket])
      assert.equal(JSON.parse(both.stdout).hint, 'did you mean y?')
    })
  })

  it('of form are exit status 2 with the usage line', async () => {
    await withDaemon(
      answering(400, 'application/problem+json', problem('usage', 'limit: no number', 400)),
      async ({ socket }) => {
        const ran = await run(['history', '--limit', 'x', '--socket', socket])
        assert.equal(ran.status, 2)
        assert.match(ran.stderr, /^Usage: pxemngr history.*\nlimit: no number\n$/)
      },
    )
  })

  it('with codes of a later version, without document, with control characters', async () => {
    const strange = [
      [404, 'application/problem+json', problem('gone-fishing', 'not here'), 'not here\n'],
      [404, 'application/problem+json', problem('__proto__', 'a\nb\u001b[31m'), 'a b\ufffd[31m\n'],
      [502, 'text/html', '<h1>Bad Gateway</h1>', 'the daemon answered 502 Some Reason\n'],
      [500, 'application/problem+json', '{"detail":7}', 'the daemon answered 500 Some Reason\n'],
      [200, 'text/html', 'hello', 'the daemon answered delsystem with text/html\n'],
    ] as const
    for (const [status, type, body, line] of strange) {
      await withDaemon(answering(status, type, body), async ({ socket }) => {
        const ran = await run(['delsystem', 'x', '--socket', socket])
        assert.deepEqual([ran.status, ran.stderr, ran.stdout], [1, line, ''])
      })
    }
  })
})

describe('an answer that is none', () => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
  const answers: [string, string, RegExp][] = [
    ['garbage', 'SSH-2.0-x\r\n\r\n', /is no pxemngr daemon: it is no HTTP answer$/],
    ['nothing', '', /broke off \(the connection was closed\): whether delsystem was done is not known$/],
    ['half a head', 'HTTP/1.1 200 O', /broke off .* not known$/],
    ['half a body', `${head}Content-Length: 10\r\n\r\n{`, /broke off \(9 bytes are missing\)/],
    ['half of 1 GB in one chunk', `${head}Transfer-Encoding: chunked\r\n\r\n40000000\r\n{`, /broke off/],
    ['no JSON', `${head}Content-Length: 3\r\n\r\n{{{`, /is no JSON object: "{{{"$/],
    ['another JSON', `${head}Content-Length: 4\r\n\r\nnull`, /is no JSON object/],
  ]
  for (const [name, bytes, line] of answers) {
    it(`${name} is one line and exit status 1`, async () => {
      await withDaemon(sending(bytes), async ({ socket }) => {
        const ran = await run(['delsystem', 'x', '--socket', socket])
        assert.equal(ran.status, 1)
        assert.match(ran.stderr.trimEnd(), line)
        assert.equal(ran.stderr.split('\n').length, 2)
      })
    })
  }

  it('a connection closed before any answer has done nothing: exit status 3', async () => {
    await withDaemon(
      (socket) => void socket.destroy(),
      async ({ socket }) => assert.equal((await run(['delsystem', 'x', '--socket', socket])).status, 3),
    )
  })

  it('a result of another shape is said, and shown with --json', async () => {
    await withDaemon(answering(200, json, '{"profiles":7}'), async ({ socket }) => {
      const ran = await run(['profiles', '--socket', socket])
      assert.deepEqual([ran.status, ran.stdout], [1, ''])
      assert.match(ran.stderr, /^the daemon's answer to profiles has not the form of this version .*: see --json\n$/)
      assert.equal((await run(['profiles', '--json', '--socket', socket])).stdout, '{"profiles":7}\n')
    })
  })
})

describe('output', () => {
  const profiles = JSON.stringify({
    profiles: [{ name: 'a', available: true, fault: 'a.prof:3: broken' }],
    refused: [],
  })
  it('data on stdout, words on stderr', async () => {
    await withDaemon(answering(200, json, profiles), async ({ socket }) => {
      const ran = await run(['profiles', '--socket', socket])
      assert.deepEqual(ran, { status: 0, stdout: 'a\n', stderr: 'a: a.prof:3: broken\n', local: [] })
    })
  })
  it('--json prints the result: one line in a pipe, indented for a terminal', async () => {
    await withDaemon(answering(200, json, profiles), async ({ socket }) => {
      assert.equal((await run(['profiles', '--json', '--socket', socket])).stdout, `${profiles}\n`)
      const shown = await run(['profiles', '--json', '--socket', socket], { terminal: true })
      assert.equal(shown.stdout, `${JSON.stringify(JSON.parse(profiles), null, 2)}\n`)
    })
  })
  it('a reader that has gone (`| head`) is no fault', async () => {
    await withDaemon(answering(200, json, profiles), async ({ socket }) => {
      const ran = await run(['profiles', '--json', '--socket', socket], { stdoutTakes: 5 })
      assert.deepEqual(ran, { status: 0, stdout: '', stderr: '', local: [] })
    })
  })
  it('tables are columns under heads for a terminal, tabs in a pipe; an empty one says what fills it', async () => {
    const token = (name: string, role: string) => ({ name, role, expires: null, state: 'valid' })
    const tokens = [token('ci', 'operator'), token('a\u001b[2J', 'viewer')]
    await withDaemon(answering(200, 'application/json', JSON.stringify({ tokens })), async ({ socket }) => {
      const piped = await run(['token', 'list', '--socket', socket])
      assert.equal(piped.stdout, 'ci\toperator\tnever\tvalid\na␛[2J\tviewer\tnever\tvalid\n')
      const seen = await run(['token', 'list', '--socket', socket], { terminal: true, env: { NO_COLOR: '1' } })
      assert.deepEqual(seen.stdout.split('\n'), [
        'TOKEN  ROLE      EXPIRES  STATE',
        'ci     operator  never    valid',
        'a␛[2J  viewer    never    valid',
        '',
      ])
      assert.match((await run(['token', 'list', '--socket', socket], { terminal: true })).stdout, /^\u001b\[1mTOKEN/)
    })
    await withDaemon(answering(200, 'application/json', JSON.stringify({ tokens: [] })), async ({ socket }) => {
      const piped = await run(['token', 'list', '--socket', socket])
      assert.deepEqual([piped.stdout, piped.stderr], ['', ''])
      const seen = await run(['token', 'list', '--socket', socket], { terminal: true })
      assert.deepEqual([seen.stdout, seen.stderr], ['', 'no token: pxemngr token add NAME makes one\n'])
    })
  })

  it('colour for a terminal only, and not with NO_COLOR', async () => {
    assert.match((await run(['help'], { terminal: true })).stdout, /\u001b\[1mCommands:/)
    for (const given of [{}, { terminal: true, env: { NO_COLOR: '1' } }, { terminal: true, env: { TERM: 'dumb' } }]) {
      assert.ok(!(await run(['help'], given)).stdout.includes('\u001b'))
    }
  })
})

describe('what would steer a terminal', () => {
  const name = 'v1\u001b]0;owned\u0007\u009b31m\u007f\r\nnext\tü'
  const shown = 'v1␛]0;owned␇‹U+009B›31m␡␍␊next\tü\n'
  const versions = JSON.stringify({ versions: [{ id: 1, name, results: 0 }] })
  it('is made visible in plain output, to a terminal and to a pipe', async () => {
    await withDaemon(answering(200, json, versions), async ({ socket }) => {
      for (const terminal of [true, false]) {
        const ran = await run(['versions', '--socket', socket], { terminal })
        assert.deepEqual([ran.status, ran.stdout, ran.stderr], [0, shown, ''])
      }
    })
  })
  it('is exact in --json, for a terminal as escapes', async () => {
    await withDaemon(answering(200, json, versions), async ({ socket }) => {
      const piped = await run(['versions', '--json', '--socket', socket])
      assert.equal(piped.stdout, `${versions}\n`)
      const read = await run(['versions', '--json', '--socket', socket], { terminal: true })
      assert.deepEqual(JSON.parse(read.stdout), JSON.parse(versions))
      assert.doesNotMatch(read.stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    })
  })
  it('is in a log byte for byte for a pipe, and visible for a terminal', async () => {
    const log = Buffer.from('I: a\u001b[2Jb\r\nE: \u0007\tü\rx\n')
    await withDaemon(answering(200, 'application/octet-stream', log), async ({ socket }) => {
      const piped = await run(['log', '1', '--socket', socket])
      assert.deepEqual(Buffer.from(piped.stdout, 'latin1'), log)
      const read = await run(['log', '1', '--socket', socket], { terminal: true })
      assert.equal(read.stdout, 'I: a␛[2Jb\r\nE: ␇\tü␍x\n')
    })
  })
})

describe('streams', () => {
  const entry = (seq: number) => ({
    seq,
    at: '2026-01-02T03:04:05.000Z',
    who: 'ann',
    from: 'socket',
    surface: 'cli',
    changes: [`change ${seq}`],
  })
  const line = (seq: number): string => `${JSON.stringify({ history: [entry(seq)] })}\n`
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n'
  const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

  it('are printed line by line as they come, cut anywhere, signs of life left out', async () => {
    const [first, second] = [line(1), line(2)]
    const answer = sending(
      head,
      chunk(first.slice(0, 9)),
      chunk(`${first.slice(9)}\n${second.slice(0, 3)}`),
      chunk(second.slice(3)),
      '0\r\n\r\n',
    )
    await withDaemon(answer, async ({ socket }) => {
      const ran = await run(['history', '-f', '--socket', socket])
      assert.equal(ran.status, 0)
      assert.deepEqual(ran.stdout.match(/change \d/g), ['change 1', 'change 2'])
      assert.equal((await run(['history', '-f', '--json', '--socket', socket])).stdout, `${first}${second}`)
    })
  })

  it('that break off are a refusal after what came', async () => {
    await withDaemon(sending(head, chunk(line(1))), async ({ socket }) => {
      const ran = await run(['history', '-f', '--socket', socket])
      assert.equal(ran.status, 1)
      assert.match(ran.stdout, /change 1/)
      assert.match(ran.stderr, /broke off/)
    })
  })

  it('end with the reader of stdout, and with an interrupt', async () => {
    const endless = async (socket: import('node:net').Socket, _: string, body: () => Promise<string>) => {
      socket.write('HTTP/1.1 100 Continue\r\n\r\n')
      await body()
      socket.write(head + chunk(line(1)))
    }
    await withDaemon(endless, async ({ socket }) => {
      assert.equal((await run(['history', '-f', '--socket', socket], { stdoutTakes: 0 })).status, 0)
      const interrupt = new AbortController()
      const running = run(['history', '-f', '--socket', socket], { interrupted: interrupt.signal })
      setTimeout(() => interrupt.abort(), 50)
      const ran = await running
      assert.deepEqual([ran.status, ran.stderr], [130, ''])
    })
  })

  it('backup writes the file, private, whole or not at all, and keeps its name to itself', async () => {
    const bytes = Buffer.from([0, 255, 13, 10, 49])
    await withDaemon(answering(200, 'application/octet-stream', bytes), async ({ socket, dir, requests }) => {
      const file = join(dir, 'b')
      assert.deepEqual(await run(['backup', file, '--socket', socket]), {
        status: 0,
        stdout: '',
        stderr: '',
        local: [],
      })
      assert.deepEqual(readFileSync(file), bytes)
      assert.equal(statSync(file).mode & 0o777, 0o600)
      assert.equal(requests[0]?.split('\r\n\r\n')[1], '{}')
      const said = await run(['backup', file, '--json', '--socket', socket])
      assert.deepEqual(JSON.parse(said.stdout), { file, bytes: 5 })
      for (const bad of [dir, `${dir}/`, join(dir, 'no', 'b'), '/proc/nope']) {
        const ran = await run(['backup', bad, '--socket', socket])
        assert.deepEqual(
          [ran.status, ran.stderr.startsWith(`cannot write ${JSON.stringify(bad)}: `)],
          [1, true],
          ran.stderr,
        )
      }
    })
    await withDaemon(
      sending('HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 9\r\n\r\nhalf'),
      async ({ socket, dir }) => {
        const file = join(dir, 'b')
        writeFileSync(file, 'older')
        const ran = await run(['backup', file, '--socket', socket])
        assert.deepEqual([ran.status, /broke off/.test(ran.stderr)], [1, true])
        assert.equal(readFileSync(file, 'utf8'), 'older')
        assert.deepEqual(readdirSync(dir).sort(), ['b', 's.sock'])
      },
    )
  })
})

describe('files of the caller', () => {
  it('addsystem --from reads a file or standard input, and says what is wrong with it', async () => {
    await withDaemon(answering(200, json, '{}'), async ({ socket, requests }) => {
      const typed = ['addsystem', '--from', '-', '--socket', socket]
      const given = { readStandardInput: async () => Buffer.from('a 52:54:00:12:34:56\n') }
      assert.equal((await run(typed, given)).status, 0)
      assert.deepEqual(JSON.parse(requests[0]?.split('\r\n\r\n')[1] ?? ''), {
        systems: [{ name: 'a', addresses: ['52:54:00:12:34:56'] }],
      })
      const absent = await run(['addsystem', '--from', '/no', '--socket', socket])
      assert.deepEqual([absent.status, absent.stderr], [1, 'cannot read "/no": no such file or folder\n'])
      assert.equal(requests.length, 1)
    })
  })
})

describe('commands without a daemon', () => {
  it('--version prints version and commit, --help help, both on stdout with status 0', async () => {
    for (const argv of [['--version'], ['-v'], ['nextboot', '--version'], ['--json', '--version']]) {
      assert.deepEqual(await run(argv), { status: 0, stdout: 'pxemngr 1.2.3 (abc)\n', stderr: '', local: [] })
    }
    for (const argv of [['--help'], ['help'], ['-h']]) {
      const ran = await run(argv)
      assert.deepEqual([ran.status, ran.stderr], [0, ''])
      assert.match(ran.stdout, /^Usage: pxemngr <sub-command>[\s\S]*\n {2}nextboot +\w/)
    }
    for (const argv of [
      ['nextboot', '--help'],
      ['help', 'nextboot'],
      ['nextboot', 'a', '-h', 'b', 'c'],
    ]) {
      assert.match((await run(argv)).stdout, /^Usage: pxemngr nextboot <system name> <boot name>\n[\s\S]*Examples:\n/)
    }
    assert.match((await run(['help', 'token'])).stdout, /token add[\s\S]*token list[\s\S]*token revoke/)
    const unknown = await run(['help', 'nope'])
    assert.deepEqual(
      [unknown.status, unknown.stdout, unknown.stderr],
      [2, '', 'Usage: pxemngr help [<command>]...\nthere is no command nope: see pxemngr help\n'],
    )
  })
  it('no command, or an unknown one: the usage line and 0.8’s list of commands, exit status 2', async () => {
    const none = await run([])
    assert.deepEqual([none.status, none.stderr], [2, 'Usage: pxemngr <sub-command> [<args>...]\n'])
    assert.match(none.stdout, /^Available sub-commands:\n {4}addsystem\n {4}delsystem\n/)
    const unknown = await run(['nosuch'])
    assert.equal(unknown.status, 2)
    assert.equal(unknown.stderr, 'Usage: pxemngr <sub-command> [<args>...]\nInvalid pxemngr sub-command nosuch\n')
    assert.equal(unknown.stdout, none.stdout)
    assert.match((await run([], { terminal: true })).stdout, /\n {4}delsystem +Forget/)
  })
  it('help serve names every configuration key', async () => {
    const { stdout } = await run(['help', 'serve'])
    for (const key of ['--data-dir', '--tftp-single-port', '--keep-free', '--webhook-allow', '--config', '--check']) {
      assert.ok(stdout.includes(`  ${key} `), key)
    }
  })
  it('serve, repair and restore run here', async () => {
    assert.deepEqual((await run(['serve', '--http', 'off'])).local, [['serve', { argv: ['--http', 'off'] }]])
    assert.deepEqual((await run(['repair', '--dry-run', '--data-dir', '007'])).local, [
      ['repair', { 'dry-run': true, 'data-dir': '007' }],
    ])
    assert.deepEqual((await run(['restore', '--', '-f'])).local, [['restore', { file: '-f' }]])
  })
  it('what they refuse keeps its line, also where the class is that of another bundle', async () => {
    const line = '--http: "x" is not allowed: …'
    const foreign = Object.assign(new Error(line), { name: 'Refusal', kind: 'usage' })
    for (const error of [new Refusal('usage', line), foreign]) {
      const runLocal = async (): Promise<number> => {
        throw error
      }
      for (const argv of [['serve', '--http', 'x'], ['repair'], ['restore', 'f']]) {
        const ran = await run(argv, { runLocal })
        assert.deepEqual([ran.status, ran.stderr], [2, `${line}\n`])
      }
    }
  })
  it('a fault of ours is thrown on, not taken for a refusal', async () => {
    for (const error of [
      new TypeError('bug'),
      Object.assign(new Error('x'), { name: 'Refusal', kind: 'constructor' }),
    ]) {
      const runLocal = async (): Promise<number> => {
        throw error
      }
      await assert.rejects(run(['serve'], { runLocal }), error)
    }
  })
  it('licenses prints the notices', async () => {
    assert.equal((await run(['licenses'])).stdout, 'asset NOTICES\n')
  })
})
