/**
 * A UDP relay between TFTP clients and the server that loses, doubles and reorders, by a seeded generator. It follows the
 * server's change of port: each client gets a relay port of its own, and each port of the server it talks to another.
 */
import { createSocket, type Socket } from 'node:dgram'
import type { TestContext } from 'node:test'

export interface Faults {
  /** Shares of packets, 0..1. */
  readonly lose: number
  readonly double: number
  /** Held back until the next packet has gone, or 20 ms. */
  readonly reorder: number
  readonly seed: number
}

const HELD_MS = 20

/** Starts one on loopback, closed after the test; returns its request port. */
export function startRelay(t: TestContext, serverPort: number, faults: Faults): number {
  const random = generator(faults.seed)
  const sockets: Socket[] = []
  const timers = new Set<NodeJS.Timeout>()
  let open = true
  const socketOf = (onMessage: (packet: Buffer, port: number) => void): Socket => {
    const socket = createSocket('udp4')
    socket.bindSync({ address: '127.0.0.1' })
    socket.on('message', (packet, from) => onMessage(Buffer.from(packet), from.port))
    sockets.push(socket)
    return socket
  }
  let held: (() => void) | undefined
  const pass = (socket: Socket, packet: Buffer, port: number): void => {
    const send = (): void => {
      if (open) socket.send(packet, port, '127.0.0.1')
    }
    if (random() < faults.lose) return
    if (random() < faults.double) send()
    if (random() < faults.reorder) {
      held?.()
      let gone = false
      const release = (): void => {
        if (!gone) send()
        gone = true
      }
      held = release
      const timer = setTimeout(() => {
        timers.delete(timer)
        release()
      }, HELD_MS)
      timers.add(timer)
      return
    }
    send()
    held?.()
    held = undefined
  }

  /** One client: what it sends leaves from `outward`, what comes back reaches it from a port for each of the server's. */
  const clients = new Map<number, (packet: Buffer, to: number) => void>()
  const clientOf = (clientPort: number): ((packet: Buffer, to: number) => void) => {
    const known = clients.get(clientPort)
    if (known) return known
    const faces = new Map<number, Socket>()
    const outward = socketOf((packet, from) => {
      let face = faces.get(from)
      if (!face) {
        face = socketOf((answer) => pass(outward, answer, from))
        faces.set(from, face)
      }
      pass(face, packet, clientPort)
    })
    const send = (packet: Buffer, to: number): void => pass(outward, packet, to)
    clients.set(clientPort, send)
    return send
  }
  const front = socketOf((packet, from) => clientOf(from)(packet, serverPort))
  t.after(() => {
    open = false
    for (const timer of timers) clearTimeout(timer)
    for (const socket of sockets) socket.close()
  })
  return front.address().port
}

/** mulberry32: the same faults for the same seed. */
export function generator(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let z = Math.imul(state ^ (state >>> 15), 1 | state)
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296
  }
}
