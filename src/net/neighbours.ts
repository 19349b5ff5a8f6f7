/**
 * The kernel's neighbour table: which MAC answers at an address of a directly attached network, and the reverse.
 *
 * IPv4 from `/proc/net/arp`, read at most once a second, and again at once for an address that was not in it. IPv6 has no
 * such file: there `ip -j neigh` is asked, where it is installed, with a bound on time, output and calls at once. A
 * machine behind a router would show the router's MAC, so only addresses of attached subnets count.
 * Source: PROTOCOLS §8, proc_net(5), ip-neighbour(8).
 */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type Ip4, type Mac, parseIp4, parseMac } from '../domain/address.ts'

export interface Neighbours {
  /** IPv4 only; undefined if the table has no usable entry. */
  macOf(address: Ip4): Mac | undefined
  /** IPv6 text, with or without `%device`. Never rejects. */
  findMac6(address: string): Promise<Mac | undefined>
  /** IPv4 address of a MAC; the first if it has several. */
  ipOf(mac: Mac): Ip4 | undefined
}

export interface AttachedSubnet {
  readonly device: string
  readonly address: string
  readonly prefixLength: number
}

/** What is read from the system; for tests. */
export interface NeighbourSource {
  /** Text of `/proc/net/arp`. */
  readArp(): string
  /** IPv4 subnets of the interfaces. */
  attached(): readonly AttachedSubnet[]
  /** Output of `ip -j neigh show to <address>`; rejects where that cannot be run. */
  runIp(address: string): Promise<string>
  nowMs(): number
}

/** The table is 24 µs to read when empty, and longer by the entry. */
const maxAgeMs = 1000
/** One address that stays unknown must not make each of its requests read the table. */
const rereadGapMs = 20
/** Addresses so remembered, of either kind; beyond it they are forgotten, which costs no more than a look each. */
const missesMax = 1000
/** `ip` takes some ms; a machine that waits longer is better known by what it booted with. */
const ipTimeoutMs = 2000
const ipOutputMax = 64 * 1024
const ipRunsMax = 4

export function createNeighbours(source: NeighbourSource = systemSource): Neighbours {
  let table = new Map<Ip4, Mac>()
  let readAtMs = Number.NEGATIVE_INFINITY
  let runs = 0

  /** Of the interfaces, as of the last read: no other address can be in the table. */
  let attached = new BlockList()
  /** Addresses found to be on none of their networks, since the last read. */
  const routed = new Set<Ip4>()
  /** When addresses were last looked for in vain. */
  const misses = new Map<Ip4, number>()

  function read(now: number): void {
    readAtMs = now
    routed.clear()
    try {
      const subnets = source.attached()
      attached = new BlockList()
      for (const { address, prefixLength } of subnets) attached.addSubnet(address, prefixLength, 'ipv4')
      table = parseArp(source.readArp(), subnets)
    } catch {
      // Without the table machines are known by what they booted with.
      table = new Map()
    }
  }

  function refresh(): void {
    const now = source.nowMs()
    // A clock that was set back must not keep an old table.
    if (now < readAtMs || now - readAtMs >= maxAgeMs) read(now)
  }

  return {
    macOf(address) {
      refresh()
      const known = table.get(address)
      if (known !== undefined || routed.has(address)) return known
      if (!attached.check(address, 'ipv4')) {
        if (routed.size < missesMax) routed.add(address)
        return undefined
      }
      // Its entry may be younger than the last read, however short ago that was: another machine may just have asked.
      const now = source.nowMs()
      const missedMs = misses.get(address)
      if (missedMs !== undefined && now >= missedMs && now - missedMs < rereadGapMs) return undefined
      read(now)
      const found = table.get(address)
      if (found !== undefined) {
        misses.delete(address)
        return found
      }
      if (misses.size >= missesMax) misses.clear()
      misses.set(address, now)
      return undefined
    },
    ipOf(mac) {
      refresh()
      for (const [ip, known] of table) if (known === mac) return ip
      return undefined
    },
    async findMac6(address) {
      const [plain = '', device] = address.split('%')
      if (!isIPv6(plain) || plain === '::1' || runs >= ipRunsMax) return undefined
      runs += 1
      try {
        return parseIpNeigh(await source.runIp(plain), plain, device)
      } catch {
        return undefined
      } finally {
        runs -= 1
      }
    },
  }
}

/** Flags of an entry, linux/if_arp.h: ATF_COM, the address is known. */
const flagComplete = 0x2
const hardwareEthernet = 0x1

/**
 * `/proc/net/arp`: a header line, then `IP  HWtype  Flags  HWaddress  Mask  Device`. Columns are told by their place:
 * an interface may be called `bee0`.
 */
export function parseArp(text: string, attached: readonly AttachedSubnet[]): Map<Ip4, Mac> {
  const subnets = new Map<string, BlockList>()
  for (const { device, address, prefixLength } of attached) {
    const list = subnets.get(device) ?? new BlockList()
    list.addSubnet(address, prefixLength, 'ipv4')
    subnets.set(device, list)
  }
  const table = new Map<Ip4, Mac>()
  for (const line of text.split('\n').slice(1)) {
    const [address = '', type, flags, hardware = '', , device = ''] = line.trim().split(/\s+/)
    const ip = parseIp4(address)
    const mac = parseMac(hardware)
    if (ip === undefined || mac === undefined || mac === '00:00:00:00:00:00') continue
    if (Number(type) !== hardwareEthernet || (Number(flags) & flagComplete) === 0) continue
    if (subnets.get(device)?.check(ip, 'ipv4')) table.set(ip, mac)
  }
  return table
}

const usableStates = new Set(['REACHABLE', 'STALE', 'DELAY', 'PROBE', 'PERMANENT'])

/** JSON of `ip -j neigh`: entries with `dst dev lladdr state`; `device`, if given, must be the entry's. */
export function parseIpNeigh(json: string, address: string, device?: string): Mac | undefined {
  const entries: unknown = JSON.parse(json)
  if (!Array.isArray(entries)) return undefined
  for (const entry of entries as unknown[]) {
    if (typeof entry !== 'object' || entry === null) continue
    const { dst, dev, lladdr, state } = entry as Record<string, unknown>
    if (dst !== address || (device !== undefined && dev !== device)) continue
    if (!Array.isArray(state) || !state.some((word) => usableStates.has(String(word)))) continue
    if (typeof lladdr === 'string') return parseMac(lladdr)
  }
  return undefined
}

const systemSource: NeighbourSource = {
  readArp: () => readFileSync('/proc/net/arp', 'latin1'),
  attached: () =>
    Object.entries(networkInterfaces()).flatMap(([device, addresses]) =>
      (addresses ?? [])
        // Nobody is a neighbour on the loopback interface.
        .filter(({ address, cidr, internal }) => !internal && isIPv4(address) && cidr !== null)
        .map(({ address, cidr }) => ({ device, address, prefixLength: Number(cidr?.split('/')[1]) })),
    ),
  runIp: (address) =>
    new Promise((resolve, reject) => {
      execFile(
        'ip',
        ['-j', '-6', 'neigh', 'show', 'to', address],
        { timeout: ipTimeoutMs, maxBuffer: ipOutputMax, encoding: 'utf8', shell: false },
        (error, stdout) => (error ? reject(error) : resolve(stdout)),
      )
    }),
  nowMs: () => performance.now(),
}
