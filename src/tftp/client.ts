/**
 * Who is at the other end: a client's address and port, and the key under which its transfer is found for every packet.
 *
 * Source: PROTOCOLS §1 "Many transfers in one process".
 */

import { randomInt } from 'node:crypto'
import type { Served } from './resolution.ts'

/** IPv4: address × 65536 + port, which fits a double and costs no string; IPv6: text. */
export type ClientKey = number | string

/** A request's other end and the address of ours that was asked (`0.0.0.0` or `::` where that is not known). */
export interface Client {
  readonly address: string
  readonly port: number
  readonly local: string
  /** As `Requester` has it. */
  served?: Served | undefined
}

/** Addresses come from the kernel, in one spelling. */
export function clientKey(address: string, port: number): ClientKey {
  let ip = 0
  let octet = 0
  for (let i = 0; i < address.length; i++) {
    const c = address.charCodeAt(i)
    if (c === 46) {
      ip = ip * 256 + octet
      octet = 0
    } else if (c >= 48 && c <= 57) octet = octet * 10 + c - 48
    else return `${address} ${port}`
  }
  return (ip * 256 + octet) * 65536 + port
}

/** Another one in each process: nobody can choose ports whose keys share a hash. */
const seed = randomInt(2 ** 32)

/** 32 bits of a key, of which the low ones are good. */
export function hashOf(key: ClientKey): number {
  let hash = seed
  if (typeof key === 'string')
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  // The low 32 bits of an IPv4 key, and its address.
  else hash ^= key ^ Math.imul(key / 65536, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d)
  return (hash ^ (hash >>> 15)) >>> 0
}

/** Whether an address is of IPv6. */
export function isIp6(address: string): boolean {
  return address.includes(':')
}

/** `192.0.2.1:69`, `[::1]:69`. */
export function formatEndpoint(address: string, port: number): string {
  return isIp6(address) ? `[${address}]:${port}` : `${address}:${port}`
}
