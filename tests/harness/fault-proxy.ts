/**
 * A proxy between a machine and the daemon that can refuse, answer nonsense, cut, and lose answers: a server as it is on
 * a bad day. What it does not fault goes through byte for byte, with the client's own Host, so that URLs lead back to it.
 */
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/**
 * A status; `noise`: bytes that are no HTTP; `page`: 200 with a page of some other program; `cut`: the connection is reset;
 * `lost`: the daemon is asked, and its answer is thrown away.
 */
export type Fault = number | 'noise' | 'page' | 'cut' | 'lost'

export interface FaultProxy {
  readonly url: string
  /** `<method> <path without query>` of each request, in order. */
  readonly asked: string[]
  /** Asked for each request; undefined: it goes through. */
  fault: (asked: string) => Fault | undefined
  close(): Promise<void>
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const http = createServer((incoming, outgoing) => {
    const { method = '', url = '' } = incoming
    const asked = `${method} ${url.split('?')[0]}`
    proxy.asked.push(asked)
    const fault = proxy.fault(asked)
    if (fault === undefined || fault === 'lost') forward(incoming, outgoing, fault)
    else incoming.resume().on('end', () => refuse(incoming.socket, outgoing, fault))
  })
  http.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {}) // a client that was ended
  })

  function refuse(socket: Socket, outgoing: ServerResponse, fault: number | 'noise' | 'page' | 'cut'): void {
    if (fault === 'cut') socket.resetAndDestroy()
    else if (fault === 'noise') socket.end('\0\x01 no HTTP at all\r\n\r\n')
    else if (fault === 'page') {
      outgoing.writeHead(200, { 'content-type': 'text/html', connection: 'close' }).end('<html>\nrm -rf /\n')
    } else outgoing.writeHead(fault, { connection: 'close' }).end('not now\n')
  }

  function forward(incoming: IncomingMessage, outgoing: ServerResponse, fault: 'lost' | undefined): void {
    const { method, url: path, headers } = incoming
    const onward = ask({ hostname, port, method, path, headers, agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => {
        const body = Buffer.concat(parts)
        const { socket } = incoming
        if (fault === 'lost') {
          socket.resetAndDestroy()
          return
        }
        outgoing.writeHead(answer.statusCode ?? 500, {
          ...answer.headers,
          'content-length': body.length,
          connection: 'close',
        })
        outgoing.end(body)
      })
    })
    // The daemon is away: so is this.
    onward.on('error', () => incoming.socket.destroy())
    incoming.pipe(onward)
  }

  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    asked: [],
    fault: () => undefined,
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => http.close(() => resolve()))
    },
  }
  return proxy
}
