/** Completion, as the definitions say and as real shells do it. Source: CONTRACT "Command line" (`completion`). */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { completionScript } from '../../src/cli/completion.ts'
import { forms } from '../../src/cli/program.ts'
import { findProgram } from '../harness/debian.mjs'
import { openManagement } from '../harness/management.ts'
import { runToEnd } from '../harness/process.ts'
import { answering, run, withDaemon } from './io.ts'

async function offered(words: readonly string[]): Promise<string[]> {
  const { status, stdout, stderr } = await run(['completion', '--complete', ...words])
  assert.deepEqual([status, stderr], [0, ''])
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')[0] ?? '']))
}

const systems = JSON.stringify({
  systems: [{ name: 'web01' }, { name: 'web 02' }, { name: "o'neil$(x)" }, { name: 'db01' }],
})

describe('what is offered', () => {
  it('commands, with both words of those that have two', async () => {
    assert.deepEqual(await offered(['']), [...new Set(forms.map(({ name }) => name.split(' ')[0]))])
    assert.deepEqual(await offered(['next']), ['nextboot', 'nexttest'])
    assert.deepEqual(await offered(['token', '']), ['add', 'list', 'revoke'])
    assert.deepEqual(await offered(['--json', '--socket', 'help', 'token', 'l']), ['list'])
    assert.deepEqual(await offered(['help', 'dpys']), ['dpysystem'])
    assert.deepEqual(await offered([]), await offered(['']))
  })
  it('options of the command and of all commands, and what their values can be', async () => {
    assert.ok((await offered(['dpysystem', '--'])).includes('--list'))
    assert.ok((await offered(['dpysystem', '--'])).includes('--json'))
    assert.deepEqual(await offered(['addsystem', '--fr']), ['--from'])
    assert.deepEqual(await offered(['addsystem', '--from', '']), [':files'])
    assert.deepEqual(await offered(['serve', '--log-level', '']), ['error', 'warn', 'info', 'debug'])
    assert.deepEqual(await offered(['serve', '--data-dir', '']), [':files'])
    assert.deepEqual(await offered(['token', 'add', 'ci', '--role', '']), ['viewer', 'operator', 'admin'])
    assert.deepEqual(await offered(['results', '--verdict', 'fa']), ['fail'])
    assert.ok((await offered(['results', '--verdict', ''])).includes('missing'))
    assert.deepEqual(await offered(['results', '--state', 're']), ['requested'])
    assert.deepEqual(await offered(['results', '--since', '']), [])
    assert.deepEqual(await offered(['webhook', 'add', 'URL', '--on', 'machine']), ['machine.sick'])
    assert.ok((await offered(['serve', '--'])).includes('--tftp-single-port'))
    assert.deepEqual(await offered(['completion', '']), ['bash', 'zsh', 'fish'])
    assert.deepEqual(await offered(['backup', 'x']), [':files'])
    assert.deepEqual(await offered(['backup', 'x', '']), [])
    assert.deepEqual(await offered(['dpysystem', '--', '--']), [])
  })
  it('names from the daemon that the words name; nothing and no word of complaint without one', async () => {
    await withDaemon(answering(200, 'application/json', systems), async ({ socket }) => {
      assert.deepEqual(await offered(['dpysystem', '--socket', socket, 'web']), ['web01', 'web 02'])
    })
    for (const answer of [
      answering(401, 'text/html', ''),
      answering(200, 'application/json', '[7]'),
      answering(200, 'application/json', '{"systems":[7,null]}'),
    ]) {
      await withDaemon(answer, async ({ socket }) =>
        assert.deepEqual(await offered(['dpysystem', '--socket', socket, '']), []),
      )
    }
    assert.deepEqual(await offered(['--url', 'nonsense', 'dpysystem', '']), [])
    assert.deepEqual(await offered(['dpysystem', '--socket', '/nonexistent', '']), [])
  })
  it('every argument that names something of the server is offered what there is of it', async () => {
    const answers: Readonly<Record<string, object>> = {
      dpytest: {
        tests: [
          { name: 'smoke', available: true },
          { name: 'gone', available: false },
        ],
        suites: [{ name: 'burnin' }],
        tags: [{ name: 'disk' }],
      },
      profiles: { profiles: [{ name: 'install' }] },
      versions: { versions: [{ name: '4.2' }, { name: '4.1' }] },
      'token/list': {
        tokens: [
          { name: 'ci', state: 'valid' },
          { name: 'old', state: 'expired' },
          { name: 'gone', state: 'revoked' },
        ],
      },
      'webhook/list': { webhooks: [{ id: 3, url: 'https://hooks.example.org/' }] },
      results: { runs: [{ id: 4711, system: 'web01', test: 'smoke', verdict: null }] },
      dpysystem: { systems: [{ name: 'web01' }], addresses: [{ address: '10.0.3.7' }] },
    }
    const asked: string[] = []
    const answer: Parameters<typeof withDaemon>[0] = async (socket, head, body) => {
      const [, name = ''] = /^POST \/api\/v1\/(\S+) /.exec(head) ?? []
      socket.write('HTTP/1.1 100 Continue\r\n\r\n')
      asked.push(`${name} ${await body()}`)
      const text = JSON.stringify(answers[name])
      socket.end(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
    }
    await withDaemon(answer, async ({ socket }) => {
      const of = (...words: string[]) => offered(['--socket', socket, ...words, ''])
      const requests = ['smoke', '@burnin', 'tag:disk']
      assert.deepEqual(await of('nexttest', 'web01'), requests)
      assert.deepEqual(await of('nexttest', 'web01', 'smoke'), requests)
      assert.deepEqual(await offered(['--socket', socket, 'nexttest', 'web01', '@b']), ['@burnin'])
      assert.deepEqual(await of('nexttest', 'web01', 'smoke', '--version'), ['4.2', '4.1'])
      assert.deepEqual(await of('nextboot', 'web01'), ['install'])
      for (const words of [['keep'], ['compare'], ['compare', '4.1'], ['results', '--version']])
        assert.deepEqual(await of(...words), ['4.2', '4.1'], words.join(' '))
      assert.deepEqual(await of('compare', '4.1', '4.2'), [])
      assert.deepEqual(await of('results', '--test'), ['smoke', 'gone'])
      assert.deepEqual(await of('results', '--tag'), ['disk'])
      assert.deepEqual(await of('token', 'revoke'), ['ci', 'old'])
      assert.deepEqual(await of('token', 'add'), [])
      for (const name of ['remove', 'test']) assert.deepEqual(await of('webhook', name), ['3'])
      for (const name of ['show', 'log', 'rerun', 'waive']) assert.deepEqual(await of(name), ['4711'], name)
      assert.deepEqual(await of('cancel'), ['4711', 'web01'])
      assert.equal(asked.filter((each) => each.includes('"state":["requested","sent","running"]')).length, 1)
      for (const name of ['addsystem', 'release', 'results', 'history'])
        assert.deepEqual(await of(name), ['web01'], name)
      assert.deepEqual(await of('removeaddress', 'web01'), ['10.0.3.7'])
      assert.equal(asked.at(-1), 'dpysystem {"name":"web01"}')
      const { stdout } = await run(['completion', '--complete', '--socket', socket, 'webhook', 'test', ''])
      assert.equal(stdout, '3\thttps://hooks.example.org/\n')
    })
  })
  it('what is asked for is what the commands take and answer', async (t) => {
    const m = await openManagement()
    t.after(() => m.shut())
    for (const [name, args, list] of [
      ['dpytest', {}, 'suites'],
      ['dpytest', {}, 'tags'],
      ['versions', {}, 'versions'],
      ['token list', {}, 'tokens'],
      ['webhook list', {}, 'webhooks'],
      ['results', { limit: 20, state: ['requested', 'sent', 'running'] }, 'runs'],
      ['profiles', {}, 'profiles'],
    ] as const) {
      const { status, body } = await m.call(name, args)
      assert.equal(status, 200, name)
      assert.ok(Array.isArray(body[list]), `${name} has ${list}`)
    }
    writeFileSync(join(m.testsDir, 'b.test'), '# pxemngr: tags=disk,fan\necho\n')
    writeFileSync(join(m.testsDir, 'a.test'), '# pxemngr: tags=disk\necho\n')
    writeFileSync(join(m.testsDir, 'all.suite'), 'a\n')
    await m.type('synctestnames', {})
    const { body } = await m.call('dpytest', {})
    assert.deepEqual([body['suites'], body['tags']], [[{ name: 'all' }], [{ name: 'disk' }, { name: 'fan' }]])
  })
  it('strange words are no fault', async () => {
    for (const words of [
      ['__proto__', ''],
      ['-'],
      ['--', ''],
      ['token', 'token', ''],
      ['a'.repeat(100_000)],
      ['\n', '\u0000'],
    ])
      await offered(words)
  })
  it('scripts for three shells, and for no other', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      assert.equal((await run(['completion', shell])).stdout, completionScript(shell))
    }
    const other = await run(['completion', 'constructor'])
    assert.equal(other.status, 2)
    assert.match(other.stderr, /^Usage: pxemngr completion <bash\|zsh\|fish>\n/)
  })
})

/** A folder with a `pxemngr` that runs the sources, and the shell's script. */
async function withProgram(shell: string, use: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-complete-'))
  try {
    const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts')
    writeFileSync(join(dir, 'pxemngr'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`)
    chmodSync(join(dir, 'pxemngr'), 0o755)
    writeFileSync(join(dir, 'script'), completionScript(shell))
    await use(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function shellRun(words: readonly string[], dir: string, socket: string): Promise<string> {
  const env = { ...process.env, PATH: `${dir}:${process.env['PATH']}`, PXEMNGR_SOCKET: socket, HOME: dir }
  const { status, stdout, stderr } = await runToEnd([...words], { env, cwd: dir, timeoutMs: 60_000 })
  assert.equal(status, 0, stderr)
  assert.equal(stderr, '')
  return stdout
}

describe('in real shells', () => {
  it('bash', { skip: findProgram('bash') ? false : 'bash is not installed' }, async () => {
    await withProgram('bash', async (dir) => {
      const completedWith =
        (socket: string) =>
        (words: readonly string[]): Promise<string> => {
          // As bash parts them: at blanks, and at these signs, which are words of their own.
          const parted = words.flatMap((word) =>
            word === '' ? [''] : word.split(/([@:=])/).filter((part) => part !== ''),
          )
          const array = parted.map((word) => `'${word}'`).join(' ')
          const line = ['pxemngr', ...words].join(' ')
          const text = `source ./script; complete -p pxemngr >/dev/null; compopt() { echo "compopt $*"; }
COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'; COMP_LINE='${line}'; COMP_POINT=${line.length}
COMP_WORDS=(pxemngr ${array}); COMP_CWORD=${parted.length}; _pxemngr; (( \${#COMPREPLY[@]} )) && printf '%s\\n' "\${COMPREPLY[@]}"; true`
          return shellRun(['bash', '--norc', '-c', text], dir, socket)
        }
      await withDaemon(answering(200, 'application/json', systems), async ({ socket }) => {
        const completed = completedWith(socket)
        assert.equal(await completed(['nextb']), 'nextboot\n')
        assert.equal(await completed(['dpysystem', 'w']), 'web01\nweb\\ 02\n')
        assert.equal(await completed(['dpysystem', 'o']), "o\\'neil\\$\\(x\\)\n", 'a name runs nothing')
        assert.equal(await completed(['backup', '']), 'compopt -o default\n')
        assert.equal(await completed(['nosuch', 'x']), '')
      })
      const tests = JSON.stringify({
        tests: [{ name: 'smoke' }],
        suites: [{ name: 'burn in' }],
        tags: [{ name: 'disk' }],
      })
      await withDaemon(answering(200, 'application/json', tests), async ({ socket }) => {
        // Bash replaces only what stands behind the last sign at which it parts words.
        const completed = completedWith(socket)
        assert.equal(await completed(['nexttest', 'a', '']), 'smoke\n@burn\\ in\ntag:disk\n')
        assert.equal(await completed(['nexttest', 'a', '@bu']), 'burn\\ in\n')
        assert.equal(await completed(['nexttest', 'a', '@']), 'burn\\ in\n')
        assert.equal(await completed(['nexttest', 'a', 'tag:d']), 'disk\n')
        assert.equal(await completed(['nexttest', 'a@b', 'tag:']), 'disk\n')
        assert.equal(await completed(['nexttest', 'a', 'ta']), 'tag:disk\n')
      })
    })
  })
  it('zsh', { skip: findProgram('zsh') ? false : 'zsh is not installed' }, async () => {
    await withProgram('zsh', async (dir) => {
      execFileSync('zsh', ['-n', 'script'], { cwd: dir })
      await withDaemon(answering(200, 'application/json', systems), async ({ socket }) => {
        const text = `compdef() { :; }; source ./script; _describe() { print -rl -- "\${(@P)2}" }; words=(pxemngr dpysystem w); CURRENT=3; _pxemngr`
        assert.match(await shellRun(['zsh', '-f', '-c', text], dir, socket), /^web01/)
      })
    })
  })
  it('fish', { skip: findProgram('fish') ? false : 'fish is not installed' }, async () => {
    await withProgram('fish', async (dir) => {
      await withDaemon(answering(200, 'application/json', systems), async ({ socket }) => {
        const text = `source ./script; complete -C 'pxemngr dpysystem w'`
        const shown = await shellRun(['fish', '--no-config', '-c', text], dir, socket)
        assert.deepEqual(shown.trimEnd().split('\n').sort(), ['web 02', 'web01'])
      })
    })
  })
})
