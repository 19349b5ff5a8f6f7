/**
 * One UDP port of ours that transfers leave from (our TID), and the pool of them for one local address.
 *
 * A port's socket is not connected and serves any number of transfers, told apart by the client's address and port;
 * whoever has none there is a stranger and gets ERROR 5 (RFC 1350 §4), which touches no transfer. On a port opened with
 * `shared`, one transfer at a time has a second socket of its own, connected to its client: the cheapest way to send, and
 * the kernel gives it that client's packets. `SO_REUSEADDR` hides a port in use, so such a port is bound alone first.
 */
import type { RemoteInfo, Socket } from 'node:dgram'
import { type Client, type ClientKey, clientKey, hashOf } from './client.ts'
import { ClientMap } from './client-map.ts'
import type { Line, Running } from './engine.ts'
import { Outbox } from './outbox.ts'
import { errorCodes, formatError, opcodes } from './packet.ts'
import { QuickSender } from './quick-sender.ts'
import { bindFreePort, openSocket, type PortRange, widenBuffers } from './sockets.ts'

const strangerError = formatError(errorCodes.unknownTid, 'unknown transfer ID')

export class TransferPort {
  readonly socket: Socket
  readonly address: string
  readonly port: number
  readonly running: ClientMap<Running> = new ClientMap()
  /** Whether its port may be shared with a connected socket. */
  readonly shared: boolean
  /** Whether the connected socket is in use. */
  connected = false
  readonly outbox: Outbox

  constructor(socket: Socket, shared: boolean, outbox: Outbox) {
    this.socket = socket
    this.shared = shared
    this.outbox = outbox
    const { address, port } = socket.address()
    this.address = address
    this.port = port
    widenBuffers(socket)
    socket.on('message', (packet, from) => this.receive(packet, from))
  }

  receive(packet: Buffer, from: RemoteInfo): void {
    const running = this.running.get(clientKey(from.address, from.port))
    if (running) {
      running.receive(packet)
      return
    }
    // Never an ERROR for an ERROR, nothing for what is no packet, and port 0 cannot be answered.
    if (packet.length < 4 || packet[1] === opcodes.ERROR || from.port === 0) return
    this.socket.send(strangerError, from.port, from.address)
  }

  /** A line over the port's own socket. */
  line(client: Client, key: ClientKey): Line {
    return new PortLine(this, client, key)
  }

  /** A line over a socket connected to the client; only on a `shared` port without one. Throws where no socket can be had. */
  connectedLine(client: Client): Line {
    const socket = openSocket(this.address, this.port, true)
    try {
      socket.connectSync(client.port, client.address)
    } catch (error) {
      socket.close()
      throw error
    }
    return new ConnectedLine(this, socket, client)
  }

  close(): void {
    this.socket.close()
  }
}

class PortLine implements Line {
  readonly #port: TransferPort
  readonly #client: Client
  readonly #key: ClientKey
  #running: Running | undefined

  constructor(port: TransferPort, client: Client, key: ClientKey) {
    this.#port = port
    this.#client = client
    this.#key = key
  }

  attach(running: Running): void {
    this.#running = running
    this.#port.running.set(this.#key, running)
  }

  send(packet: Buffer): void {
    this.#port.outbox.send(this.#port.socket, packet, this.#client)
  }

  queued(): boolean {
    return this.#port.outbox.waiting || this.#port.socket.getSendQueueCount() > 0
  }

  close(): void {
    if (this.#port.running.get(this.#key) === this.#running) this.#port.running.delete(this.#key)
  }
}

class ConnectedLine implements Line {
  readonly #port: TransferPort
  readonly #socket: Socket
  readonly #client: Client
  readonly #sender: QuickSender | undefined
  #open = true

  constructor(port: TransferPort, socket: Socket, client: Client) {
    this.#port = port
    this.#socket = socket
    port.connected = true
    widenBuffers(socket)
    this.#client = client
    this.#sender = QuickSender.of(socket)
  }

  attach(running: Running): void {
    const { address, port } = this.#client
    // What came in between bind and connect may be anybody's; once the client itself was heard, the kernel lets in no other.
    let heard = false
    this.#socket.on('message', (packet, from) => {
      if (!heard) {
        if (from.port !== port || from.address !== address) {
          this.#port.receive(packet, from)
          return
        }
        heard = true
      }
      if (this.#open) running.receive(packet)
    })
  }

  send(packet: Buffer): void {
    if (!this.#open) return
    if (this.#sender) this.#sender.send(packet)
    else this.#socket.send(packet)
  }

  queued(): boolean {
    return this.#open && this.#socket.getSendQueueCount() > 0
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#port.connected = false
    this.#socket.close()
  }
}

/** The ports of one local address on one thread. */
export class PortPool {
  readonly #address: string
  readonly #range: PortRange | undefined
  readonly #portsMax: number
  readonly #shared: boolean
  readonly #ports: TransferPort[] = []
  readonly #outbox = new Outbox()
  #next = 0
  #exhausted = false
  /** Which port (index + 1) a client had last, by a hash of its key: two clients in one place only cost a step more. */
  readonly #lastPort = new Uint16Array(LAST_PORTS)

  /** `portsMax`: how many ports are opened at most. `shared`: each transfer is to have a connected socket where it can. */
  constructor(address: string, range: PortRange | undefined, portsMax: number, shared: boolean) {
    this.#address = address
    this.#range = range
    this.#portsMax = portsMax
    this.#shared = shared
  }

  /** A line for a client's new transfer, on another port than its previous one. Throws where there is not one port. */
  line(client: Client, key: ClientKey): Line {
    if (this.#shared) {
      const line = this.#connectedLine(client, key)
      if (line) return line
    }
    return this.#port(key).line(client, key)
  }

  /** Sends one packet that belongs to no transfer: an ERROR. */
  sendOnce(packet: Buffer, client: Client, key: ClientKey): void {
    this.#port(key).socket.send(packet, client.port, client.address)
  }

  /** Opens ports ahead of need, while they may still be bound; throws if there is not one. */
  open(count: number): void {
    while (this.#ports.length < Math.min(count, this.#portsMax)) if (!this.#add()) break
    if (this.#ports.length === 0) throw noPortLeft(this.#address, this.#range)
  }

  close(): void {
    this.#outbox.flush()
    for (const port of this.#ports.splice(0)) port.close()
  }

  #connectedLine(client: Client, key: ClientKey): Line | undefined {
    const place = placeOf(key)
    const port = this.#idle(place) ?? this.#add()
    if (!port) return undefined
    this.#lastPort[place] = this.#next + 1
    try {
      return port.connectedLine(client)
    } catch {
      // No descriptor, or no route to connect by: the port's own socket does it, and a lost packet is repeated.
      return undefined
    }
  }

  #idle(place: number): TransferPort | undefined {
    for (let i = 0; i < this.#ports.length; i++) {
      this.#next = (this.#next + 1) % this.#ports.length
      const port = this.#ports[this.#next]
      if (port && !port.connected && this.#lastPort[place] !== this.#next + 1) return port
      // Under load most are taken: growing is cheaper than a long search.
      if (i >= IDLE_SEARCH && this.#ports.length < this.#portsMax && !this.#exhausted) return undefined
    }
    return undefined
  }

  /** The next port in turn, but not the one the client had last: packets of its old transfer would end the new one. */
  #port(key: ClientKey): TransferPort {
    // One by one up to the full number: most servers are asked by few machines at a time.
    if (!this.#shared || this.#ports.length === 0) this.#add()
    const place = placeOf(key)
    this.#next = (this.#next + 1) % this.#ports.length
    if (this.#lastPort[place] === this.#next + 1) this.#next = (this.#next + 1) % this.#ports.length
    this.#lastPort[place] = this.#next + 1
    const port = this.#ports[this.#next]
    if (!port) throw noPortLeft(this.#address, this.#range)
    return port
  }

  #add(): TransferPort | undefined {
    if (this.#ports.length >= this.#portsMax || this.#exhausted) return undefined
    try {
      const port = this.#bind()
      if (port) {
        this.#next = this.#ports.push(port) - 1
        return port
      }
    } catch (error) {
      if (this.#ports.length === 0) throw error
    }
    // Another try for each packet would cost a walk through the range.
    this.#exhausted = true
    setTimeout(() => {
      this.#exhausted = false
    }, RETRY_MS).unref()
    return undefined
  }

  #bind(): TransferPort | undefined {
    const socket = bindFreePort(this.#address, this.#range, this.#ports.length)
    if (!socket || !this.#shared) return socket && new TransferPort(socket, false, this.#outbox)
    const { port } = socket.address()
    socket.close()
    return new TransferPort(openSocket(this.#address, port, true), true, this.#outbox)
  }
}

const LAST_PORTS = 4096

function placeOf(key: ClientKey): number {
  return hashOf(key) % LAST_PORTS
}

/** Ports looked at before a new one is opened. */
const IDLE_SEARCH = 8
/** After the range or the descriptors were used up. */
const RETRY_MS = 1000

function noPortLeft(address: string, range: PortRange | undefined): Error {
  const which = range ? `${range.from}-${range.to}` : 'any'
  return Object.assign(new Error(`no free UDP port (${which}) on ${address} for transfers`), { code: 'EADDRINUSE' })
}
