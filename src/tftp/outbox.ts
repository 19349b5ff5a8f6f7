/**
 * Datagrams that leave together when the turn of the event loop ends.
 *
 * The kernel hands a packet to whoever waits for it in the same system call; sent one by one, between the work for one
 * client and for the next, each of them wakes somebody on this host or its card. Sent at the end of the turn, the first
 * wakes and the others find everything running. It costs a lone packet nothing but the rest of its turn.
 */
import type { Socket } from 'node:dgram'
import type { Client } from './client.ts'

interface Datagram {
  readonly socket: Socket
  readonly packet: Buffer
  readonly client: Client
}

export class Outbox {
  #datagrams: Datagram[] = []

  /** Whether anything waits: bytes that were given to `send` must not be changed while it does. */
  get waiting(): boolean {
    return this.#datagrams.length > 0
  }

  send(socket: Socket, packet: Buffer, client: Client): void {
    if (this.#datagrams.push({ socket, packet, client }) === 1) setImmediate(this.flush)
  }

  /** Sends what waits now, before its sockets are closed. */
  readonly flush = (): void => {
    const due = this.#datagrams
    this.#datagrams = []
    for (const { socket, packet, client } of due) {
      try {
        socket.send(packet, client.port, client.address)
      } catch {
        // Lost, as on any link: nobody above could catch it, and the others of this turn are not to wait.
      }
    }
  }
}
