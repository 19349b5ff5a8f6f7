/**
 * One call of the daemon: `POST /api/v1/<command>` over its Unix socket or over TCP, on `node:net` alone (`node:http` and
 * `fetch` cost more than all else a command does; TLS is loaded when asked for).
 *
 * The head is sent with `Expect: 100-continue`, and the body only when the daemon has answered to it: a daemon that is
 * gone or stands still is known within 2 s, and then certainly nothing was done. Source: CONTRACT "Command line" (exit
 * status 3), RFC 9110 §10.1.1.
 */
import { connect, type Socket } from 'node:net'
import { commandPath, userHeader } from '../commands/wire.ts'
import { Refusal } from '../domain/errors.ts'
import { describeTarget, type Located, type Target } from './locate.ts'
import { AnswerFault, ByteReader, type Head, type NextBytes, readBody, readHead } from './response.ts'

/** From the first try to the daemon's first byte (CONTRACT: "within 2 s"). */
const reachTimeoutMs = 2000
/** A call that is silent for longer before its answer begins has lost its daemon. */
const answerIdleMs = 300_000
/** An answer that is silent so long (`history -f`): its daemon is asked over another connection whether it lives. */
const silenceMs = 15_000
/** For each try, of which so many have to fail. */
const aliveMs = 5000
const triesMax = 3

export interface Call {
  /** Name of the command. */
  readonly name: string
  /** The arguments as JSON. */
  readonly body: string
  readonly user: string | undefined
  readonly version: string
  readonly signal: AbortSignal
  /** Its result is waited for while other things happen: an answer that breaks off is `no-daemon`, whose exit status says so. */
  readonly isFollowed?: boolean
  /** Default: the contract's 2 s. */
  readonly reachTimeoutMs?: number
}

export interface Answer {
  readonly status: number
  readonly reason: string
  /** Lower case, without parameters. */
  readonly contentType: string
  /** Throws a `Refusal` if it breaks off. Has to be read to its end, or `close` called. */
  readonly body: AsyncIterable<Uint8Array>
  close(): void
}

/** Refuses with `no-daemon`, with `unavailable` for what is no answer, with `not-kept` where one breaks off (`no-daemon` if followed). */
export async function callDaemon(located: Located, call: Call): Promise<Answer> {
  const deadline = Date.now() + (call.reachTimeoutMs ?? reachTimeoutMs)
  const tried: string[] = []
  for (const target of located.targets) {
    const where = describeTarget(target)
    let socket: Socket
    try {
      socket = await open(target, deadline, call.signal)
    } catch (error) {
      call.signal.throwIfAborted()
      tried.push(`${where}: ${connectFault(error)}`)
      continue
    }
    return await exchange(socket, target, located.token, call, deadline)
  }
  throw noDaemon(tried.join(', '))
}

function noDaemon(tried: string): Refusal {
  return new Refusal(
    'no-daemon',
    `no daemon reachable (${tried || 'no place to look'}): start one with \`pxemngr serve\`, or name it with --socket PATH or --url URL`,
  )
}

const faultWords: Readonly<Record<string, string>> = {
  ENOENT: 'no such socket',
  ECONNREFUSED: 'nobody listens',
  EACCES: 'this user may not use it',
  EPERM: 'this user may not use it',
  ENOTSOCK: 'no socket',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name cannot be resolved now',
  EHOSTUNREACH: 'no way to this host',
  ENETUNREACH: 'no way to this network',
  ETIMEDOUT: 'no answer',
  ESILENT: 'it does not answer any more',
}

function connectFault(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return faultWords[code] ?? (code || (error instanceof Error ? error.message : String(error)))
}

async function open(target: Target, deadline: number, signal: AbortSignal): Promise<Socket> {
  const socket = target.kind === 'socket' ? connect(target.path) : await openTcp(target)
  const connected = target.kind === 'tcp' && target.tls ? 'secureConnect' : 'connect'
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(connected, resolve)
      socket.once('error', reject)
      const late = (): void => reject(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }))
      socket.setTimeout(Math.max(1, deadline - Date.now()), late)
      signal.addEventListener('abort', late, { once: true })
    })
  } catch (error) {
    socket.destroy()
    throw error
  }
  socket.setTimeout(0)
  return socket
}

async function openTcp({ host, port, tls }: Target & { kind: 'tcp' }): Promise<Socket> {
  if (!tls) return connect({ host, port })
  const { connect: connectTls } = await import('node:tls')
  const { isIP } = await import('node:net')
  return connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }) })
}

async function exchange(
  socket: Socket,
  target: Target,
  token: string | undefined,
  call: Call,
  deadline: number,
): Promise<Answer> {
  const where = describeTarget(target)
  const close = (): void => void socket.destroy()
  const interrupt = (): void => void socket.destroy(new Error('interrupted'))
  call.signal.addEventListener('abort', interrupt, { once: true })
  const reader = new ByteReader(nextBytes(socket, call.signal))
  const body = Buffer.from(call.body)
  socket.write(formatHead(target, token, call, body.length))
  let sent = false
  try {
    const timer = setTimeout(
      () => {
        socket.destroy(Object.assign(new Error('it does not answer'), { code: 'ETIMEDOUT' }))
      },
      Math.max(1, deadline - Date.now()),
    )
    let head: Head | null
    try {
      head = await readHead(reader)
    } catch (error) {
      if (error instanceof AnswerFault && error.kind === 'cut') throw noDaemon(`${where}: it does not answer`)
      throw error
    } finally {
      clearTimeout(timer)
    }
    if (head === null) throw noDaemon(`${where}: it closed the connection`)
    if (head.status === 100) {
      socket.setTimeout(answerIdleMs, () => {
        socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }))
      })
      sent = true
      socket.write(body)
    }
    while (head !== null && head.status < 200) head = await readHead(reader)
    if (head === null) throw new AnswerFault('cut', 'the connection was closed')
    watchSilence(socket, target)
    return {
      status: head.status,
      reason: head.reason,
      contentType: (head.headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '',
      body: withRefusals(readBody(reader, head), call, where, sent),
      close,
    }
  } catch (error) {
    close()
    throw answerRefusal(error, call, where, sent)
  }
}

/**
 * Ends a connection whose daemon is gone without a word: stopped, unplugged. A stream may be silent for ever, and not all
 * can carry a sign of life (`log -f`). Keep-alive finds a host that has been started anew.
 */
function watchSilence(socket: Socket, target: Target): void {
  socket.removeAllListeners('timeout')
  socket.setKeepAlive(true, silenceMs)
  socket.setTimeout(silenceMs)
  socket.on('timeout', async () => {
    for (let tries = 0; tries < triesMax; tries++) {
      if (await isAlive(target)) return socket.setTimeout(silenceMs)
    }
    return socket.destroy(Object.assign(new Error(), { code: 'ESILENT' }))
  })
}

/** Whether anything is answered; what does not matter. */
async function isAlive(target: Target): Promise<boolean> {
  const late = AbortSignal.timeout(aliveMs)
  try {
    const socket = await open(target, Date.now() + aliveMs, late)
    late.onabort = () => socket.destroy()
    socket.write('HEAD /healthz HTTP/1.0\r\n\r\n')
    const heard = await nextBytes(socket, late)()
    socket.destroy()
    return heard !== null
  } catch {
    return false
  }
}

/**
 * The socket's bytes one piece at a time, no more than asked for. By events: the stream's own iterator is 3 ms of code.
 * What has come is handed out before an error is told.
 */
function nextBytes(socket: Socket, signal: AbortSignal): NextBytes {
  const pieces: Uint8Array[] = []
  let ended = false
  let fault: Error | undefined
  let wake: () => void = () => {}
  socket.on('data', (piece) => {
    pieces.push(piece)
    socket.pause()
    wake()
  })
  socket.on('error', (error) => {
    fault = error
  })
  for (const event of ['end', 'close'] as const) {
    socket.on(event, () => {
      ended = true
      wake()
    })
  }
  return async () => {
    if (pieces.length === 0 && !ended) {
      socket.resume()
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    const piece = pieces.shift()
    if (piece !== undefined) return piece
    signal.throwIfAborted()
    if (fault !== undefined) throw new AnswerFault('cut', connectFault(fault))
    return null
  }
}

/** Faults of the answer as lines for people. */
function answerRefusal(error: unknown, { name, isFollowed }: Call, where: string, sent: boolean): unknown {
  if (!(error instanceof AnswerFault)) return error
  if (error.kind === 'garbage') {
    return new Refusal('unavailable', `what answers at ${where} is no pxemngr daemon: ${error.message}`, {
      cause: error,
    })
  }
  const known = sent ? `whether ${name} was done is not known` : `${name} was not done`
  const kind = isFollowed || error.message === faultWords['ESILENT'] ? 'no-daemon' : 'not-kept'
  return new Refusal(kind, `the answer of ${where} broke off (${error.message}): ${known}`, { cause: error })
}

async function* withRefusals(
  body: AsyncIterable<Uint8Array>,
  call: Call,
  where: string,
  sent: boolean,
): AsyncGenerator<Uint8Array, void> {
  try {
    yield* body
  } catch (error) {
    throw answerRefusal(error, call, where, sent)
  }
}

function formatHead(target: Target, token: string | undefined, call: Call, lengthBytes: number): string {
  const prefix = target.kind === 'tcp' ? target.path : ''
  const host = target.kind === 'tcp' ? describeTarget({ ...target, path: '' }).replace(/^https?:\/\//, '') : 'localhost'
  const lines = [
    `POST ${prefix}${commandPath(call)} HTTP/1.1`,
    `Host: ${host}`,
    `User-Agent: pxemngr/${call.version}`,
    'Content-Type: application/json',
    `Content-Length: ${lengthBytes}`,
    'Expect: 100-continue',
    'Connection: close',
  ]
  if (call.user !== undefined) lines.push(`${userHeader}: ${encodeURIComponent(call.user.toWellFormed())}`)
  if (token !== undefined) lines.push(`Authorization: Bearer ${token}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}
