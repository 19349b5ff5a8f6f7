/** Real clients against the server, straight and over a relay that loses, doubles and reorders. An absent one is skipped by name. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { pattern } from '../harness/tftp-exchange.ts'
import { startRelay } from '../harness/tftp-relay.ts'
import { startTestServer, type TestServer } from '../harness/tftp-server.ts'

const run = promisify(execFile)

interface Client {
  readonly name: string
  readonly program: string
  /** Arguments that get `remote` from 127.0.0.1:`port` into the file `local`. */
  args(port: number, remote: string, local: string): string[]
  /** Takes an OACK with tsize 0 for illegal (curl, CURLE_TFTP_ILLEGAL). */
  readonly refusesEmpty?: boolean
  /** Whether the program is the one meant. */
  readonly fits?: () => Promise<boolean>
}

/** Reads of one file until one went through without a repeat. */
const readsMax = 5

const clients: readonly Client[] = [
  {
    name: 'tftp-hpa',
    program: 'tftp',
    args: (port, remote, local) => ['-m', 'binary', '127.0.0.1', String(port), '-c', 'get', remote, local],
    fits: async () => /tftp-hpa/.test((await run('tftp', ['-V'])).stdout),
  },
  {
    name: 'atftp',
    program: 'atftp',
    args: (port, remote, local) => ['-g', '-r', remote, '-l', local, '127.0.0.1', String(port)],
  },
  {
    name: 'atftp with blksize 1428 and tsize',
    program: 'atftp',
    args: (port, remote, local) =>
      ['--option', 'blksize 1428', '--option', 'tsize'].concat([
        '-g',
        '-r',
        remote,
        '-l',
        local,
        '127.0.0.1',
        String(port),
      ]),
  },
  {
    name: 'curl',
    program: 'curl',
    refusesEmpty: true,
    args: (port, remote, local) => ['-sS', '--tftp-blksize', '1408', '-o', local, `tftp://127.0.0.1:${port}/${remote}`],
  },
  {
    name: 'busybox',
    program: 'busybox',
    args: (port, remote, local) => ['tftp', '-g', '-b', '1408', '-r', remote, '-l', local, '127.0.0.1', String(port)],
    fits: async () => /\btftp\b/.test((await run('busybox', ['--list'])).stdout),
  },
]

async function missing(client: Client): Promise<boolean> {
  const found = (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, client.program)))
  return !found || (client.fits !== undefined && !(await client.fits()))
}

function workFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'pxemngr-client-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function fill({ root, answers }: TestServer): void {
  writeFileSync(join(root, 'kernel'), pattern(1_000_000))
  writeFileSync(join(root, 'little'), pattern(30_000))
  writeFileSync(join(root, 'empty'), '')
  answers.set('config', pattern(153))
  answers.set('exact', pattern(1408 * 2))
}

for (const client of clients) {
  test(`${client.name} reads files and answers, and is told what is not there`, async (t) => {
    if (await missing(client)) {
      t.skip(`${client.program} is not installed`)
      return
    }
    const server = await startTestServer(t)
    fill(server)
    const folder = workFolder(t)
    for (const [name, size] of Object.entries({ kernel: 1_000_000, empty: 0, config: 153, exact: 2816 })) {
      if (size === 0 && client.refusesEmpty) continue
      const local = join(folder, name)
      // A client that waits 50 ms repeats itself where the machine is busy: once in some reads it has no reason to.
      let retransmissions = Number.NaN
      for (let reads = 0; reads < readsMax && retransmissions !== 0; reads++) {
        const before = server.records.length
        await run(client.program, client.args(server.port, name, local), { timeout: 20_000 })
        assert.ok(readFileSync(local).equals(pattern(size)), name)
        const record = await server.record(
          (one) => server.records.indexOf(one) >= before && one.name.endsWith(name) && one.outcome === 'done',
        )
        retransmissions = record.retransmissions
      }
      assert.equal(retransmissions, 0, name)
    }
    // tftp-hpa and atftp end with 0 or 1 by version: what counts is that the ERROR was understood, at once.
    const started = Date.now()
    const said = await run(client.program, client.args(server.port, 'none', join(folder, 'none')), {
      timeout: 20_000,
    }).then(
      ({ stdout, stderr }) => stdout + stderr,
      (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
    )
    assert.match(said, /not found|no embedded loader|68|code 1|Error/i)
    assert.ok(Date.now() - started < 5000)
  })

  test(`${client.name} gets everything over a link that loses, doubles and reorders`, async (t) => {
    if (await missing(client)) {
      t.skip(`${client.program} is not installed`)
      return
    }
    const server = await startTestServer(t)
    fill(server)
    const folder = workFolder(t)
    const relay = startRelay(t, server.port, { lose: 0.02, double: 0.05, reorder: 0.05, seed: 7 })
    for (const [name, size] of Object.entries({ little: 30_000, config: 153 })) {
      const local = join(folder, name)
      await run(client.program, client.args(relay, name, local), { timeout: 60_000 })
      assert.ok(readFileSync(local).equals(pattern(size)), name)
    }
  })
}

test('tftp-hpa reads netascii: line ends arrive as its own', async (t) => {
  const client = clients[0] as Client
  if (await missing(client)) {
    t.skip('tftp is not installed')
    return
  }
  const server = await startTestServer(t)
  const text = 'a line\nanother\n'.repeat(5000)
  writeFileSync(join(server.root, 'text'), text)
  server.answers.set('answer', Buffer.from(text))
  const folder = workFolder(t)
  for (const name of ['text', 'answer']) {
    const local = join(folder, name)
    await run('tftp', ['-m', 'ascii', '127.0.0.1', String(server.port), '-c', 'get', name, local], { timeout: 20_000 })
    assert.equal(readFileSync(local, 'utf8'), text)
  }
})

test("tftp2's own client, an independent RFC 1350 peer, reads files and answers", async (t) => {
  const server = await startTestServer(t)
  fill(server)
  const tftp: (
    host: string,
    port: number,
  ) => {
    read(name: string, push: (data: Buffer) => void, done: () => void): Promise<void>
    close(): void
  } = createRequire(import.meta.url)('tftp2')
  for (const [name, size] of Object.entries({ little: 30_000, config: 153 })) {
    const client = tftp('127.0.0.1', server.port)
    const parts: Buffer[] = []
    await client.read(
      name,
      (data) => void parts.push(data),
      () => {},
    )
    client.close()
    assert.ok(Buffer.concat(parts).equals(pattern(size)), name)
  }
})
