/**
 * The program of a file worker: a thread that serves files over TFTP with sockets of its own, so that neither reading a
 * disk nor a bulk transfer delays the small answers of the main loop. Started by `file-workers.ts` (`startWorker`).
 *
 * The main loop hands requests over; whether one is a repeat is judged here, after the sockets have been emptied: an ACK
 * that reached us before the RRQ has to be seen before it (PROTOCOLS §1 "Retransmission and end").
 */
import { parentPort, workerData } from 'node:worker_threads'
import { type Client, clientKey } from './client.ts'
import { ClientMap } from './client-map.ts'
import { afterSockets, Engine, type Owners, type Running } from './engine.ts'
import { FileDesk } from './file-desk.ts'
import type { FromWorker, Serve, ToWorker, WorkerSettings } from './file-messages.ts'
import { parse } from './packet.ts'
import type { TransferRecord } from './resolution.ts'
import { PortPool } from './transfer-port.ts'

/** One port for each transfer of the thread; the limit of all transfers is kept by the main loop. */
const PORTS_MAX = 5000

/** The transfers and ports of one local address. */
interface Local {
  readonly pool: PortPool
  readonly owners: Owners<never>
}

function runWorker(settings: WorkerSettings, send: (message: FromWorker) => void): (message: ToWorker) => void {
  const locals = new Map<string, Local>()
  /** Which `serve` a transfer belongs to, by its datagram (a client may have two for a moment): told when it ends. */
  const ids = new Map<Buffer, number>()
  let waiting = 0

  const settled = (id: number, record: TransferRecord | null): void => send({ kind: 'settled', id, record })
  const engine = new Engine((record, { datagram }) => {
    const id = ids.get(datagram)
    ids.delete(datagram)
    if (id !== undefined) settled(id, record)
  })
  const onStarted = settings.activity
    ? (activity: Extract<FromWorker, { kind: 'started' }>['activity']): void => send({ kind: 'started', activity })
    : undefined
  const desk = new FileDesk(engine, settings, onStarted)

  const localOf = (address: string): Local => {
    let local = locals.get(address)
    if (!local) {
      local = { pool: new PortPool(address, settings.ports, PORTS_MAX, true), owners: new ClientMap() }
      locals.set(address, local)
    }
    return local
  }
  const findRunning = (client: Client): Running | undefined =>
    locals.get(client.local)?.owners.get(clientKey(client.address, client.port))

  const serve = ({ id, address, port, local, datagram, path }: Serve): void => {
    const client: Client = { address, port, local }
    const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.byteLength)
    const running = findRunning(client)
    if (running && engine.repeats(running, bytes)) {
      settled(id, null)
      return
    }
    const request = parse(bytes)
    if (request?.kind !== 'rrq') throw new Error('the main loop handed over something that is no RRQ')
    const { pool, owners } = localOf(local)
    ids.set(bytes, id)
    try {
      const refused = desk.serve(pool, owners, client, request, bytes, path)
      if (!refused) return
      ids.delete(bytes)
      settled(id, refused)
    } catch (error) {
      ids.delete(bytes)
      settled(id, null)
      send({ kind: 'warn', message: `TFTP ${request.name} to ${address}: ${(error as Error).message}` })
    }
  }

  const drop = (client: Client): void => {
    const running = findRunning(client)
    if (running) engine.repeats(running, nothing)
  }

  /** In the order of the main loop, also where one has to wait for the sockets. */
  const handOver = (client: Client, act: () => void): void => {
    if (waiting === 0 && !findRunning(client)) {
      act()
      return
    }
    waiting++
    afterSockets(() => {
      waiting--
      act()
    })
  }

  return (message) => {
    switch (message.kind) {
      case 'serve':
        handOver(message, () => serve(message))
        break
      case 'drop':
        handOver(message, () => drop(message))
        break
      case 'places':
        desk.setPlaces(message.places)
        break
      case 'stop':
        engine.stop('the server is stopping')
        for (const { pool } of locals.values()) pool.close()
        parentPort?.close()
        break
    }
  }
}

/** No RRQ is empty: never a repeat. */
const nothing = Buffer.alloc(0)

if (parentPort) {
  const port = parentPort
  port.on(
    'message',
    runWorker(workerData as WorkerSettings, (message) => port.postMessage(message)),
  )
}
