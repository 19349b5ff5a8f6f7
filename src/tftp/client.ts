/**
 * Who is at the other end: a client's address and port, and the key under which its transfer is found for every packet.
 *
 * Source: PROTOCOLS §1 "Many transfers in one process".
 */

/** IPv4: address × 65536 + port, which fits a double and costs no string; IPv6: text. */
export type ClientKey = number | string

/** A request's other end and the address of ours that was asked (`0.0.0.0` or `::` where that is not known). */
export interface Client {
  readonly address: string
  readonly port: number
  readonly local: string
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

/** Whether an address is of IPv6. */
export function isIp6(address: string): boolean {
  return address.includes(':')
}

/** `192.0.2.1:69`, `[::1]:69`. */
export function formatEndpoint(address: string, port: number): string {
  return isIp6(address) ? `[${address}]:${port}` : `${address}:${port}`
}
