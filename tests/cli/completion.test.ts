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
      await withDaemon(answering(200, 'application/json', systems), async ({ socket }) => {
        const completed = (words: readonly string[]): Promise<string> => {
          const array = words.map((word) => `'${word}'`).join(' ')
          const text = `source ./script; complete -p pxemngr >/dev/null; compopt() { echo "compopt $*"; }
COMP_WORDS=(pxemngr ${array}); COMP_CWORD=${words.length}; _pxemngr; (( \${#COMPREPLY[@]} )) && printf '%s\\n' "\${COMPREPLY[@]}"; true`
          return shellRun(['bash', '--norc', '-c', text], dir, socket)
        }
        assert.equal(await completed(['nextb']), 'nextboot\n')
        assert.equal(await completed(['dpysystem', 'w']), 'web01\nweb\\ 02\n')
        assert.equal(await completed(['dpysystem', 'o']), "o\\'neil\\$\\(x\\)\n", 'a name runs nothing')
        assert.equal(await completed(['backup', '']), 'compopt -o default\n')
        assert.equal(await completed(['nosuch', 'x']), '')
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
