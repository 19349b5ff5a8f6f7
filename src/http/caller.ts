/**
 * Who calls: the machine behind a peer address, whom it may speak for, and by which URL it reaches this server.
 *
 * A machine has no secret. It is the MAC that the neighbour table has for its address, then the MAC that this address
 * last booted with, then the address itself; what each of them yields is the decision's to say (`domain/boot.ts`).
 * `X-Forwarded-For` and the like are never read. Source: CONTRACT "What machines ask over HTTP", "Daemon"
 * (`trusted-networks`, `public-url`).
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { type Ip4, type Mac, parseIp4 } from '../domain/address.ts'
import type { MachineAddresses } from '../domain/report.ts'
import type { BootAddresses } from '../net/boot-addresses.ts'
import type { Neighbours } from '../net/neighbours.ts'
import type { Queries } from '../store/store.ts'

/** A network as the configuration has it. */
export interface Network {
  readonly address: string
  readonly prefixLength: number
  readonly family: 'ipv4' | 'ipv6'
}

export interface Caller extends MachineAddresses {
  /** Peer address as text; empty on the management socket. */
  readonly peer: string
}

export interface CallerSources {
  readonly neighbours: Neighbours
  readonly bootAddresses: BootAddresses
  readonly queries: Pick<Queries, 'lastIpOf'>
}

/** The caller behind a peer address; only IPv6 has to wait. */
export function identifyCaller(peer: string, sources: CallerSources): Caller | Promise<Caller> {
  const ip = parseIp4(peer)
  if (ip !== undefined) return asCaller(peer, ip, sources.neighbours.macOf(ip), sources)
  if (!isIPv6(peer)) return { peer, ip: undefined, macs: [] }
  return sources.neighbours.findMac6(peer).then((mac) => asCaller(peer, undefined, mac, sources))
}

function asCaller(peer: string, ip: Ip4 | undefined, neighbour: Mac | undefined, sources: CallerSources): Caller {
  const booted = sources.bootAddresses.macOf(peer)
  const macs = neighbour === undefined ? [] : [neighbour]
  if (booted !== undefined && booted !== neighbour) macs.push(booted)
  return { peer, ip, macs }
}

/**
 * The machine that a MAC in the URL names, or undefined if this caller may not name it: it may be itself, or loopback,
 * or in a trusted network. Another machine is looked for at the address its MAC was last seen at, never the caller's.
 */
export function nameMachine(
  mac: Mac,
  caller: Caller,
  trusted: TrustedNetworks,
  sources: CallerSources,
): MachineAddresses | undefined {
  if (caller.macs.includes(mac)) return { macs: [mac], ip: caller.ip }
  if (!isLoopback(caller.peer) && !isListed(caller.peer, trusted)) return undefined
  return { macs: [mac], ip: sources.neighbours.ipOf(mac) ?? parseIp4(sources.queries.lastIpOf(mac) ?? '') }
}

/** The management socket is reached from this host only. */
export function isLoopback(peer: string): boolean {
  return peer === '' || peer === '::1' || (peer.startsWith('127.') && isIPv4(peer))
}

export function isListed(peer: string, trusted: TrustedNetworks): boolean {
  const [plain = ''] = peer.split('%')
  const [, mapped] = mappedIp4.exec(plain) ?? []
  if (mapped !== undefined && isIPv4(mapped)) return trusted.ipv4.check(mapped, 'ipv4')
  return isIPv4(plain) ? trusted.ipv4.check(plain, 'ipv4') : isIPv6(plain) && trusted.ipv6.check(plain, 'ipv6')
}

/** An IPv4 peer as a socket for both families has it. */
const mappedIp4 = /^::ffff:([\d.]+)$/i

/**
 * `trusted-networks`, a list for each family; both empty for `off`. Apart, since one list would take an IPv4 client for
 * one of `::/0`: whoever trusts IPv6 networks has said nothing of IPv4.
 */
export interface TrustedNetworks {
  readonly ipv4: BlockList
  readonly ipv6: BlockList
}

export function createTrustedNetworks(networks: readonly Network[]): TrustedNetworks {
  const trusted = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const { address, prefixLength, family } of networks) trusted[family].addSubnet(address, prefixLength, family)
  return trusted
}

/** A host name or address, and a port: nothing that could end a line of a script or hide a user name. */
const plainHost = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(:([0-9]{1,5}))?$/
const portMax = 65_535

/**
 * Base URL for what is rendered: `public-url`, else the request's Host where it is a plain host and port, else the
 * address the request came in on. No slash at its end.
 */
export function baseUrl(publicUrl: string | null, host: string | undefined, local: string, localPort: number): string {
  if (publicUrl !== null) return publicUrl
  const plain = host === undefined ? null : plainHost.exec(host)
  if (plain && Number(plain[4] ?? 0) <= portMax) return `http://${host}`
  if (local === '') return 'http://localhost'
  return httpUrl(local, localPort)
}

/** `http://10.0.0.1:8000`, `http://[fd00::1]`; port 80 is left out. */
export function httpUrl(address: string, port: number): string {
  // A link-local address has meaning on its own link only; its device name here means nothing there.
  const [plain = ''] = address.split('%')
  return `http://${isIPv6(plain) ? `[${plain}]` : plain}${port === 80 ? '' : `:${port}`}`
}
