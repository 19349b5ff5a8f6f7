/** The client as a process: what it loads, and what it does when its output or its input ends. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { answering, withDaemon } from './io.ts'

const source = join(import.meta.dirname, '..', '..', 'src')
const main = join(source, 'main.ts')
const { HOME: _home, ...env } = process.env

describe('a command loads no more than it needs', () => {
  it('no HTTP server, no fetch, no crypto, no worker threads of Node; no TOML, no key table of ours', () => {
    const script = `
      const { run } = await import(${JSON.stringify(join(import.meta.dirname, 'io.ts'))})
      const before = new Set(process.moduleLoadList)
      await run(['syncsystems', '--socket', '/nonexistent'])
      const { createRequire } = await import('node:module')
      console.log(JSON.stringify(process.moduleLoadList.filter((name) => !before.has(name))))`
    const text = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env })
    const loaded = JSON.parse(text.trim().split('\n').at(-1) ?? '') as string[]
    const heavy = loaded.filter((name) =>
      /^NativeModule (_?http|https|_?tls|crypto|undici|worker_threads|child_process|dns)/.test(name),
    )
    assert.deepEqual(heavy, [])
  })

  it('its modules are reached without the database, the web framework, TOML or the table of keys', async () => {
    const { build } = await import('esbuild')
    const { metafile } = await build({
      entryPoints: [join(source, 'cli', 'program.ts')],
      bundle: true,
      write: false,
      metafile: true,
      format: 'esm',
      platform: 'node',
      splitting: true,
      outdir: '/nonexistent',
      absWorkingDir: join(source, '..'),
      logLevel: 'silent',
    })
    // What is imported lazily is in chunks of its own; these are what the program needs to start.
    const outputs = new Map(Object.entries(metafile.outputs))
    const eager = new Set<string>()
    const visit = (name: string): void => {
      const output = outputs.get(name)
      if (!output) return
      for (const input of Object.keys(output.inputs)) eager.add(input)
      for (const { path, kind } of output.imports) if (kind === 'import-statement') visit(path)
    }
    const entry = [...outputs].find(([, { entryPoint }]) => entryPoint === 'src/cli/program.ts')
    assert.ok(entry)
    visit(entry[0])
    const unwanted = [...eager].filter((name) =>
      /smol-toml|hono|sql\.js|eta\/|src\/config\/keys|src\/store|src\/http|src\/tftp|cli\/(help|completion)/.test(name),
    )
    assert.deepEqual(unwanted, [])
    assert.ok(eager.has('node_modules/cac/dist/index.js'))
  })
})

describe('the ends of the streams', () => {
  async function end(argv: readonly string[], stdout: 'pipe' | number, act: (child: ReturnType<typeof spawn>) => void) {
    const child = spawn(process.execPath, [main, ...argv], { env, stdio: ['pipe', stdout, 'pipe'] })
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    act(child)
    const [status, signal] = await once(child, 'close')
    return { status, signal, stderr }
  }

  it('stdout closed by its reader: silent, exit status 0', async () => {
    const ended = await end(['help'], 'pipe', (child) => child.stdout?.destroy())
    assert.deepEqual(ended, { status: 0, signal: null, stderr: '' })
  })
  it('stdout on a full disk: one line, exit status 1', async () => {
    const full = openSync('/dev/full', 'w')
    const ended = await end(['help'], full, () => {})
    closeSync(full)
    assert.deepEqual(ended, {
      status: 1,
      signal: null,
      stderr: 'cannot write standard output: no space left on the disk\n',
    })
  })
  it('SIGINT while the daemon is silent: exit status 130, silent', async () => {
    let asked = (): void => {}
    const asking = new Promise<void>((resolve) => {
      asked = resolve
    })
    await withDaemon(
      async (socket, _head, body) => {
        socket.write('HTTP/1.1 100 Continue\r\n\r\n')
        await body()
        asked()
      },
      async ({ socket }) => {
        const ended = await end(
          ['syncsystems', '--socket', socket],
          'pipe',
          (child) => void asking.then(() => child.kill('SIGINT')),
        )
        assert.deepEqual(ended, { status: 130, signal: null, stderr: '' })
      },
    )
  })
  it('standard input is read to its end', async () => {
    await withDaemon(answering(200, 'application/json', '{}'), async ({ socket, requests }) => {
      const lines = Array.from({ length: 10_000 }, (_, at) => `s${at} 10.${at >> 8}.${at & 255}.1\n`).join('')
      const ended = await end(['addsystem', '--from', '-', '--socket', socket], 'pipe', (child) =>
        child.stdin?.end(lines),
      )
      assert.deepEqual(ended, { status: 0, signal: null, stderr: '' })
      const body = requests[0]?.split('\r\n\r\n')[1] ?? ''
      assert.equal(JSON.parse(body).systems.length, 10_000)
    })
  })
})
