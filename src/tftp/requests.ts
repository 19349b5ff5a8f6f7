/**
 * What happens to a datagram at a request port: who is asking, what the name means, and who answers.
 *
 * Computed answers are sent from here, the main loop, by a small pool of sockets; files are handed to a worker, or sent
 * from here too where all packets have to leave from one port. Sources: RFC 1350 §4, PROTOCOLS §1 "Many transfers in one
 * process".
 */
import type { RemoteInfo } from 'node:dgram'
import type { Log } from '../log.ts'
import { BytesSource } from './bytes-source.ts'
import { type Client, type ClientKey, clientKey } from './client.ts'
import { ClientMap } from './client-map.ts'
import { afterSockets, type Engine, type Line, type Owners, Running, refusedRecord } from './engine.ts'
import type { FileDesk } from './file-desk.ts'
import type { TransferActivity } from './file-messages.ts'
import { type FileWorkers, WorkerOwned } from './file-workers.ts'
import type { Listener } from './listener.ts'
import { toNetascii } from './netascii.ts'
import { negotiate } from './options.ts'
import { errorCodes, formatError, opcodes, parse, type Request } from './packet.ts'
import { refuseRequest } from './request.ts'
import type { Resolve, TransferRecord } from './resolution.ts'
import type { PortPool } from './transfer-port.ts'

/** More are refused with an ERROR: each holds some memory, and a flood of requests must not take all of it. */
const TRANSFERS_MAX = 5000

/** What all request ports share. */
export interface Office {
  readonly engine: Engine
  readonly resolve: Resolve
  /** undefined where files are sent by the main loop. */
  readonly workers: FileWorkers | undefined
  readonly desk: FileDesk
  /** Where computed answers leave for a local address; undefined in single-port mode. */
  readonly poolOf: ((local: string) => PortPool) | undefined
  readonly onTransfer: (record: TransferRecord) => void
  readonly onActivity: ((activity: TransferActivity) => void) | undefined
  readonly log: Log
  /** No new transfers any more. */
  closing: boolean
}

/** One listening socket and the transfers that were asked for there. */
export class RequestPort {
  readonly #office: Office
  readonly #local: string
  readonly #listener: () => Listener
  readonly #owners: Owners<WorkerOwned> = new ClientMap()
  /** Requests that wait until the sockets are read: later ones must not overtake them. */
  #waiting = 0

  constructor(office: Office, local: string, listener: () => Listener) {
    this.#office = office
    this.#local = local
    this.#listener = listener
  }

  receive(packet: Buffer, from: RemoteInfo): void {
    const key = clientKey(from.address, from.port)
    const opcode = packet.length >= 4 && packet[0] === 0 ? packet[1] : 0
    if (opcode === opcodes.RRQ || opcode === opcodes.WRQ) {
      const request = parse(packet)
      // What cannot be parsed is met with silence, as is everything else at the request port.
      if (request?.kind === 'rrq' || request?.kind === 'wrq') this.#hand(request, packet, from, key)
    } else if (!this.#office.poolOf) {
      const owner = this.#owners.get(key)
      if (owner instanceof Running) owner.receive(packet)
    }
  }

  #hand(request: Request, datagram: Buffer, from: RemoteInfo, key: ClientKey): void {
    if (this.#waiting === 0 && !(this.#owners.get(key) instanceof Running)) {
      this.#answer(request, datagram, from, key)
      return
    }
    this.#waiting++
    afterSockets(() => {
      this.#waiting--
      this.#answer(request, datagram, from, key)
    })
  }

  /** One request must not end the others: a descriptor or a port that could not be had is this client's loss. */
  #answer(request: Request, datagram: Buffer, from: RemoteInfo, key: ClientKey): void {
    try {
      this.#request(request, datagram, from, key)
    } catch (error) {
      this.#office.log.error(`TFTP request from ${from.address} could not be answered`, { name: request.name, error })
    }
  }

  #request(request: Request, datagram: Buffer, from: RemoteInfo, key: ClientKey): void {
    const { engine, workers } = this.#office
    const owner = this.#owners.get(key)
    if (owner instanceof Running && engine.repeats(owner, datagram)) return
    if (this.#office.closing) return
    const client: Client = { address: from.address, port: from.port, local: this.#local, served: undefined }
    const refusal = refuseRequest(request)
    if (refusal) {
      this.#refuse(client, key, request, refusal.code, refusal.text)
      return
    }
    // One that replaces an earlier transfer of its port is no transfer more.
    if (owner === undefined && engine.active + (workers?.active ?? 0) >= TRANSFERS_MAX) {
      this.#refuse(client, key, request, errorCodes.other, `the server is busy with ${TRANSFERS_MAX} transfers`)
      return
    }
    const resolution = this.#office.resolve(request.name, client)
    if (resolution.kind === 'file' && workers) {
      workers.serve(this.#owners, key, client, request, datagram, resolution.path)
      return
    }
    if (owner instanceof WorkerOwned) {
      this.#owners.delete(key)
      workers?.drop(owner, client)
    }
    if (resolution.kind === 'error') this.#refuse(client, key, request, resolution.code, resolution.text)
    else if (resolution.kind === 'bytes') this.#sendBytes(client, key, request, datagram, resolution.bytes)
    else this.#sendFile(client, request, datagram, resolution.path)
  }

  #sendBytes(client: Client, key: ClientKey, request: Request, datagram: Buffer, bytes: Uint8Array): void {
    const { engine, onActivity } = this.#office
    const converted = request.mode === 'netascii' ? toNetascii(bytes) : bytes
    const granted = negotiate(request.options, converted.length)
    const source = new BytesSource(converted, granted.blksize)
    onActivity?.({
      step: 'started',
      client: client.address,
      port: client.port,
      local: client.local,
      name: request.name,
      sizeBytes: converted.length,
    })
    const line = this.line(client, key)
    engine.start({ client, key, owners: this.#owners, request, datagram, granted, source, line })
  }

  #sendFile(client: Client, request: Request, datagram: Buffer, path: string): void {
    const refused = this.#office.desk.serve(this, this.#owners, client, request, datagram, path)
    if (refused) this.#office.onTransfer(refused)
  }

  #refuse(client: Client, key: ClientKey, request: Request, code: number, text: string): void {
    this.sendOnce(formatError(code, text), client, key)
    this.#office.onTransfer(refusedRecord(client, request, text))
  }

  line(client: Client, key: ClientKey): Line {
    const pool = this.#office.poolOf?.(client.local)
    return pool ? pool.line(client, key) : new ListenerLine(this.#listener(), client)
  }

  sendOnce(packet: Buffer, client: Client, key: ClientKey): void {
    const pool = this.#office.poolOf?.(client.local)
    if (pool) pool.sendOnce(packet, client, key)
    else this.#listener().send(packet, client.port, client.address)
  }
}

/** Single-port mode: packets leave from the request port, and come in there (`RequestPort.receive` finds the transfer). */
class ListenerLine implements Line {
  readonly shared = true
  readonly #listener: Listener
  readonly #client: Client

  constructor(listener: Listener, client: Client) {
    this.#listener = listener
    this.#client = client
  }

  attach(): void {}

  send(packet: Buffer): void {
    this.#listener.send(packet, this.#client.port, this.#client.address)
  }

  queued(): boolean {
    return this.#listener.getSendQueueCount() > 0
  }

  close(): void {}
}
