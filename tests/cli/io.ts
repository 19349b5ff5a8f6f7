/** A client without a process: what it wrote is kept, and a daemon on a real Unix socket answers as a test says. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Io } from '../../src/cli/io.ts'
import { runCli } from '../../src/cli/program.ts'

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
  /** What `serve`, `repair` and `restore` were called with. */
  readonly local: readonly unknown[]
}

export type Surroundings = Partial<Omit<Io, 'stdout' | 'stderr' | 'runLocal'>> & {
  readonly terminal?: boolean
  /** Bytes that stdout takes before its reader is gone. */
  readonly stdoutTakes?: number
  readonly runLocal?: Io['runLocal']
}

/** Runs the client with no environment and no home, so that no daemon of the machine is found. */
export async function run(argv: readonly string[], surroundings: Surroundings = {}): Promise<Ran> {
  const { terminal = false, stdoutTakes = Number.POSITIVE_INFINITY, ...given } = surroundings
  const written = { stdout: '', stderr: '' }
  const local: unknown[] = []
  const io: Io = {
    env: {},
    uid: 1000,
    user: 'jürgen',
    cwd: '/',
    version: '1.2.3',
    commit: 'abc',
    stdout: {
      terminal,
      write(text) {
        if (written.stdout.length + text.length > stdoutTakes) return false
        written.stdout += typeof text === 'string' ? text : Buffer.from(text).toString('latin1')
        return true
      },
    },
    stderr: {
      terminal,
      write(text) {
        written.stderr += text
        return true
      },
    },
    readFile() {
      throw Object.assign(new Error('no file'), { code: 'ENOENT' })
    },
    readStandardInput: async () => new Uint8Array(),
    readAsset: (name) => `asset ${name}\n`,
    interrupted: new AbortController().signal,
    async runLocal(name, typed) {
      local.push([name, typed])
      return 0
    },
    ...given,
  }
  const status = await runCli(argv, io)
  return { status, ...written, local }
}

export interface FakeDaemon {
  readonly socket: string
  readonly dir: string
  /** Requests as they came, head and body. */
  readonly requests: string[]
  readonly connections: Socket[]
  close(): Promise<void>
}

/** `answer` gets each connection once the request's head is there; `body` says when its body is. */
export async function fakeDaemon(
  answer: (socket: Socket, head: string, body: () => Promise<string>) => void | Promise<void>,
): Promise<FakeDaemon> {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-cli-'))
  const socket = join(dir, 's.sock')
  const requests: string[] = []
  const connections: Socket[] = []
  const server = createServer((connection) => {
    connections.push(connection)
    const at = requests.push('') - 1
    let wake = (): void => {}
    let told = false
    const bodyOf = async (): Promise<string> => {
      for (;;) {
        const [head = '', ...rest] = (requests[at] ?? '').split('\r\n\r\n')
        const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
        const body = rest.join('\r\n\r\n')
        if (Buffer.byteLength(body) >= length) return body
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
    connection.on('error', () => {}) // clients of these tests go away as they like
    connection.on('data', (bytes) => {
      requests[at] += bytes.toString('utf8')
      wake()
      if (told || !requests[at]?.includes('\r\n\r\n')) return
      told = true
      void answer(connection, requests[at].split('\r\n\r\n', 1)[0] ?? '', bodyOf)
    })
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  return {
    socket,
    dir,
    requests,
    connections,
    async close() {
      for (const connection of connections) connection.destroy()
      await new Promise((resolve) => server.close(resolve))
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** A whole exchange: 100, the body, and this answer. */
export function answering(status: number, type: string, body: string | Uint8Array) {
  return async (socket: Socket, _head: string, bodyOf: () => Promise<string>): Promise<void> => {
    socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    await bodyOf()
    const bytes = Buffer.from(body)
    socket.write(`HTTP/1.1 ${status} Some Reason\r\nContent-Type: ${type}\r\nContent-Length: ${bytes.length}\r\n\r\n`)
    socket.end(bytes)
  }
}

/** A whole exchange: 100, the body, then these bytes as they are, then the end. */
export function sending(...pieces: readonly (string | Uint8Array)[]) {
  return async (socket: Socket, _head: string, bodyOf: () => Promise<string>): Promise<void> => {
    socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    await bodyOf()
    for (const piece of pieces) socket.write(piece)
    socket.end()
  }
}

/** Runs `use` with a fake daemon, which is gone afterwards. */
export async function withDaemon(
  answer: Parameters<typeof fakeDaemon>[0],
  use: (daemon: FakeDaemon) => Promise<void>,
): Promise<void> {
  const daemon = await fakeDaemon(answer)
  try {
    await use(daemon)
  } finally {
    await daemon.close()
  }
}
