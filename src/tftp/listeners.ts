/**
 * All listening sockets of the server, so that an answer leaves from the address that was asked.
 *
 * Node cannot say which of our addresses a datagram came to. So a wildcard is opened as one socket for each local address
 * beside the wildcard itself, which catches addresses that appear later until they get their own. They share the port by
 * `SO_REUSEADDR`, which would hide a port in use: the wildcard is bound alone first. `::` takes IPv4 too where no IPv4
 * listener of the same port is asked for. Source: PROTOCOLS §1 "Many transfers in one process".
 */
import { networkInterfaces } from 'node:os'
import type { Log } from '../log.ts'
import { formatEndpoint, isIp6 } from './client.ts'
import { type Listener, type OnDatagram, openListener } from './listener.ts'
import { openSocket } from './sockets.ts'

export interface ListenAddress {
  readonly address: string
  readonly port: number
}

/** How often the machine's addresses are looked at: an interface that comes up serves by routing until then. */
const REFRESH_MS = 10_000
/** Port 0 with two families: the port one got may be taken in the other. */
const PORT_TRIES = 20

/** Called for each new local address; `local` is what answers are bound to. */
export type Attach = (local: string, listener: () => Listener) => OnDatagram

interface Group {
  readonly wildcard: string
  readonly port: number
  readonly sockets: Map<string, Listener>
}

export class Listeners {
  readonly #attach: Attach
  readonly #log: Log
  readonly #single: Listener[] = []
  readonly #groups: Group[] = []
  readonly #names: string[] = []
  readonly #told = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  constructor(attach: Attach, log: Log) {
    this.#attach = attach
    this.#log = log
  }

  /** `192.0.2.1:69`, `[::]:69`: what was asked for, with the ports that were given. */
  addresses(): string[] {
    return [...this.#names]
  }

  /** Opens all of them or throws the errno error of the first that cannot be bound, naming it. */
  open(addresses: readonly ListenAddress[]): void {
    try {
      for (const each of addresses) {
        if (!coveredByWildcard(each, addresses)) this.#openOne(each, addresses)
      }
    } catch (error) {
      this.close()
      throw error
    }
    if (this.#groups.length > 0) this.#timer = setInterval(() => this.refresh(), REFRESH_MS).unref()
  }

  /** Gives new local addresses their own sockets and closes those of addresses that are gone. */
  refresh(): void {
    for (const group of this.#groups) {
      const wanted = new Set(localAddresses(isIp6(group.wildcard)))
      for (const local of wanted) if (!group.sockets.has(local)) this.#addLocal(group, local)
      for (const [local, socket] of group.sockets) {
        if (local === group.wildcard || wanted.has(local)) continue
        group.sockets.delete(local)
        socket.close()
      }
    }
  }

  close(): void {
    clearInterval(this.#timer)
    for (const socket of this.#single.splice(0)) socket.close()
    for (const group of this.#groups.splice(0)) for (const socket of group.sockets.values()) socket.close()
  }

  #openOne({ address, port }: ListenAddress, all: readonly ListenAddress[]): void {
    if (address !== '0.0.0.0' && address !== '::') {
      const listener = this.#listen(address, port, false)
      this.#single.push(listener)
      this.#names.push(formatEndpoint(address, listener.address().port))
      return
    }
    const alsoIp4 = address === '::' && !all.some((other) => other.port === port && !isIp6(other.address))
    const families = alsoIp4 ? ['::', '0.0.0.0'] : [address]
    const free = findFreePort(families, port)
    for (const wildcard of families) {
      const group: Group = { wildcard, port: free, sockets: new Map() }
      this.#groups.push(group)
      group.sockets.set(wildcard, this.#listen(wildcard, free, true))
      for (const local of localAddresses(isIp6(wildcard))) this.#addLocal(group, local)
    }
    this.#names.push(formatEndpoint(address, free))
  }

  #listen(local: string, port: number, reuseAddr: boolean): Listener {
    let listener: Listener | undefined
    const onDatagram = this.#attach(local, () => listener as Listener)
    listener = named(local, port, () => openListener(local, port, reuseAddr, onDatagram))
    return listener
  }

  #addLocal(group: Group, local: string): void {
    try {
      group.sockets.set(local, this.#listen(local, group.port, true))
    } catch (error) {
      const endpoint = formatEndpoint(local, group.port)
      if (this.#told.has(endpoint)) return
      this.#told.add(endpoint)
      // An account without the right to the port, or an address still being set up: the wildcard answers by routing.
      this.#log.warn(`${endpoint}: no socket of its own, answers leave from the address that routing chooses`, {
        error,
      })
    }
  }
}

/** The wildcard bound alone shows that nobody has the port. */
function findFreePort(families: readonly string[], port: number): number {
  for (let tries = 1; ; tries++) {
    const probes: { address: string; close(): void }[] = []
    let free = port
    try {
      for (const address of families) {
        const probe = named(address, free, () => openSocket(address, free, false))
        probes.push({ address, close: () => probe.close() })
        free = probe.address().port
      }
      return free
    } catch (error) {
      if (port !== 0 || tries === PORT_TRIES || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    } finally {
      for (const probe of probes) probe.close()
    }
  }
}

/** Adds the address to an error of bind. */
function named<T>(address: string, port: number, bind: () => T): T {
  try {
    return bind()
  } catch (error) {
    const { code, errno, syscall } = error as NodeJS.ErrnoException
    const message = `TFTP ${formatEndpoint(address, port)}: ${reasons[code ?? ''] ?? (error as Error).message}`
    throw Object.assign(new Error(message, { cause: error }), { code, errno, syscall, address, port })
  }
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EACCES: 'not permitted to this account',
  EADDRNOTAVAIL: 'this machine has no such address',
}

function coveredByWildcard({ address, port }: ListenAddress, all: readonly ListenAddress[]): boolean {
  if (port === 0 || address === '0.0.0.0' || address === '::') return false
  const wildcard = isIp6(address) ? '::' : '0.0.0.0'
  return all.some((other) => other.port === port && other.address === wildcard)
}

function localAddresses(ip6: boolean): string[] {
  const found: string[] = []
  for (const [name, entries] of Object.entries(networkInterfaces())) {
    for (const { address, family, scopeid } of entries ?? []) {
      if ((family === 'IPv6') !== ip6) continue
      found.push(scopeid ? `${address}%${name}` : address)
    }
  }
  return found
}
