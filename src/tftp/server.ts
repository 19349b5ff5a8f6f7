/**
 * The TFTP server: listening sockets, the main loop's engine and the file workers, opened together and closed together.
 *
 * It knows nothing of systems or profiles: `resolve` says what a name means. Sources: CONTRACT "TFTP" and "Daemon",
 * DESIGN "Speed", PROTOCOLS §1.
 */
import type { Log } from '../log.ts'
import { isIp6 } from './client.ts'
import { Engine } from './engine.ts'
import { FileDesk } from './file-desk.ts'
import type { TransferActivity } from './file-messages.ts'
import { FileWorkers, workersMax } from './file-workers.ts'
import { type ListenAddress, Listeners } from './listeners.ts'
import { type Office, RequestPort } from './requests.ts'
import type { Requester, Resolve, TransferRecord } from './resolution.ts'
import type { PortRange } from './sockets.ts'
import { PortPool } from './transfer-port.ts'

/** Ports of the main loop for each local address: each serves any number of small transfers. */
const POOL_PORTS = 8
/** A range with fewer ports for each worker than this is used by the main loop alone. */
const WORKER_PORTS_MIN = 2
/** How often a closing server looks whether its transfers are done. */
const CLOSE_POLL_MS = 20

export interface TftpServerOptions {
  /** Numeric addresses; port 0: any free one. */
  readonly listen: readonly ListenAddress[]
  /** Answer from the request port (NAT, containers). */
  readonly singlePort: boolean
  /** Ports that transfers leave from; any where absent. Both ends included. */
  readonly ports?: PortRange | undefined
  /** The TFTP root. */
  readonly root: string
  /** Folders outside the root that links in it may lead to. */
  readonly linkTargets: readonly string[]
  readonly resolve: Resolve
  /** Each transfer when it is over, refused requests included; `from` as `resolve` got it, if the main loop sent it. */
  readonly onTransfer: (record: TransferRecord, from?: Requester) => void
  /** Steps of transfers as they happen, for the trace of a boot. */
  readonly onActivity?: ((activity: TransferActivity) => void) | undefined
  readonly log: Log
}

export interface TftpServer {
  /** As asked for, with the ports that were given: `127.0.0.1:6969`, `[::1]:69`. */
  addresses(): string[]
  /** Transfers under way. */
  active(): number
  /** New requests are met with silence from now on, so that machines ask again; what runs may finish for `graceMs`. */
  close(graceMs: number): Promise<void>
  /** For transfers that begin from now on. */
  reconfigure(places: { root: string; linkTargets: readonly string[] }): void
}

/**
 * Opens everything that needs a right to its port, so that the account may be dropped afterwards. Rejects with the errno
 * error of bind (`code` EADDRINUSE, EACCES, EADDRNOTAVAIL …), whose message names the address.
 */
export async function openTftpServer(options: TftpServerOptions): Promise<TftpServer> {
  const { singlePort, root, linkTargets, onActivity, log } = options
  const onTransfer = (record: TransferRecord, from?: Requester): void => {
    logTransfer(record, log)
    options.onTransfer(record, from)
  }
  const ports = splitRange(options.ports)
  const pools = new MainPools(ports.main, options.listen)
  const engine = new Engine((record, { client }) => onTransfer(record, client))
  const places = { root, linkTargets }
  const desk = new FileDesk(engine, places, onActivity)
  const onMainLoop = singlePort || (options.ports !== undefined && ports.workers === undefined)
  const workers = onMainLoop
    ? undefined
    : new FileWorkers({ places, ports: ports.workers, onTransfer, onActivity, log })
  const office: Office = {
    engine,
    resolve: options.resolve,
    workers,
    desk,
    poolOf: singlePort ? undefined : (local) => pools.of(local),
    onTransfer,
    onActivity,
    log,
    closing: false,
  }
  const listeners = new Listeners((local, listener) => {
    const port = new RequestPort(office, local, listener)
    return (packet, from) => port.receive(packet, from)
  }, log)
  listeners.open(options.listen)
  try {
    // A range that cannot be had is told at the start, not to the first machine.
    if (ports.main && !singlePort) pools.open()
  } catch (error) {
    listeners.close()
    pools.close()
    throw error
  }

  return {
    addresses: () => listeners.addresses(),
    active: () => engine.active + (workers?.active ?? 0),
    reconfigure(next) {
      desk.setPlaces(next)
      workers?.setPlaces(next)
    },
    async close(graceMs) {
      office.closing = true
      if (!singlePort) listeners.close()
      const end = performance.now() + graceMs
      while (engine.active + (workers?.active ?? 0) > 0 && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, CLOSE_POLL_MS))
      }
      engine.stop('the server is stopping')
      await workers?.close()
      if (singlePort) listeners.close()
      pools.close()
    },
  }
}

/** The main loop's ports, a pool for each local address that is asked. */
class MainPools {
  readonly #range: PortRange | undefined
  readonly #listen: readonly ListenAddress[]
  readonly #pools = new Map<string, PortPool>()

  constructor(range: PortRange | undefined, listen: readonly ListenAddress[]) {
    this.#range = range
    this.#listen = listen
  }

  of(local: string): PortPool {
    const address = this.#alone(local)
    let pool = this.#pools.get(address)
    if (!pool) {
      pool = new PortPool(address, this.#rangeOf(address), POOL_PORTS, false)
      this.#pools.set(address, pool)
    }
    return pool
  }

  /** Opens those of the addresses listened on. */
  open(): void {
    for (const { address } of this.#listen) this.of(address).open(POOL_PORTS)
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close()
    this.#pools.clear()
  }

  /** A range of one port can serve either the wildcard or the addresses: then all answers leave by routing. */
  #alone(local: string): string {
    const wildcard = isIp6(local) ? '::' : '0.0.0.0'
    return this.#range?.from === this.#range?.to && this.#range && this.#listens(wildcard) ? wildcard : local
  }

  /** A port bound to the wildcard cannot be had for an address: the wildcard has the first of the range. */
  #rangeOf(address: string): PortRange | undefined {
    const range = this.#range
    const wildcard = isIp6(address) ? '::' : '0.0.0.0'
    if (!range || range.from === range.to || !this.#listens(wildcard)) return range
    return address === wildcard ? { from: range.from, to: range.from } : { from: range.from + 1, to: range.to }
  }

  #listens(wildcard: string): boolean {
    return this.#listen.some(({ address }) => address === wildcard || address === '::')
  }
}

/** A quarter of the range for the main loop, up to what it can use, the rest for the workers; all for the main loop if small. */
function splitRange(range: PortRange | undefined): { main: PortRange | undefined; workers: PortRange | undefined } {
  if (!range) return { main: undefined, workers: undefined }
  const size = range.to - range.from + 1
  const main = Math.min(POOL_PORTS, Math.max(2, Math.floor(size / 4)))
  if (size - main < workersMax() * WORKER_PORTS_MIN) return { main: range, workers: undefined }
  return { main: { from: range.from, to: range.from + main - 1 }, workers: { from: range.from + main, to: range.to } }
}

function logTransfer(record: TransferRecord, log: Log): void {
  const { outcome, name, client, port, sentBytes, sizeBytes, options, retransmissions, durationMs, detail } = record
  const level = outcome === 'timeout' || outcome === 'failed' ? 'warn' : 'info'
  if (!log.enabled(level)) return
  log[level](`tftp ${outcome}`, {
    name,
    client: `${client}:${port}`,
    bytes: sentBytes,
    size: sizeBytes ?? undefined,
    options: Object.keys(options).length > 0 ? options : undefined,
    retransmissions: retransmissions || undefined,
    ms: durationMs,
    detail: detail || undefined,
  })
}
