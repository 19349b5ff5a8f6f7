/**
 * Addresses by which a machine is recognised: MAC, IPv4 address, leading part of an IPv4 address (prefix).
 *
 * Each has exactly one canonical spelling, which is what state, journal and JSON hold; every other spelling people use
 * is accepted by `parseAddress` alone. Nothing here knows systems. Source: CONTRACT "Command line" (addresses),
 * COMPATIBILITY 2 and 3.3 (link names, 0.8's spellings), PXELINUX wiki (configuration file names).
 */
import { Refusal } from './errors.ts'

/** Canonical MAC: six lower-case hex octets joined by colons, `52:54:00:12:34:56`. */
export type Mac = string & { readonly __brand: 'Mac' }
/** Canonical dotted IPv4 address, four octets, `10.0.3.7`. */
export type Ip4 = string & { readonly __brand: 'Ip4' }
/** Leading two or three octets of an IPv4 address, `10.34` or `10.34.7`: every machine in it. */
export type Ip4Prefix = string & { readonly __brand: 'Ip4Prefix' }

export type Address =
  | { readonly kind: 'mac'; readonly text: Mac }
  | { readonly kind: 'ip4'; readonly text: Ip4 }
  | { readonly kind: 'prefix4'; readonly text: Ip4Prefix }

const macCanonical = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/
const macColon = /^([0-9a-f]{2})([:-])([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})$/i
const macDots = /^([0-9a-f]{4})\.([0-9a-f]{4})\.([0-9a-f]{4})$/i
const macBare = /^[0-9a-f]{12}$/i
const hardwareType =
  /^01[-:](?=[0-9a-f]{2}[-:][0-9a-f]{2}[-:][0-9a-f]{2}[-:][0-9a-f]{2}[-:][0-9a-f]{2}[-:][0-9a-f]{2}$)/i
const octet = /^(0|[1-9][0-9]{0,2})$/
const ip4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/

/**
 * MAC in any spelling (`:`, `-`, Cisco dots, bare, `01-` hardware type in front, any case) → canonical; undefined if it
 * is none. Twelve hex digits joined by `:` or `-` wherever they stand are accepted too, as 0.8 did.
 */
export function parseMac(text: string): Mac | undefined {
  if (text.length > 35) return undefined
  if (macCanonical.test(text)) return text as Mac
  const dots = macDots.exec(text)
  if (dots) return formatMacDigits(`${dots[1]}${dots[2]}${dots[3]}`)
  const plain = text.replace(hardwareType, '')
  if (macColon.test(plain)) return formatMacDigits(plain.replace(/[:-]/g, ''))
  const digits = plain.replace(/[:-]/g, '')
  return macBare.test(digits) ? formatMacDigits(digits) : undefined
}

const macPath = /^pxelinux\.cfg\/01(?:-[0-9a-f]{2}){6}$/
const macPathHead = 'pxelinux.cfg/01-'.length

/** MAC of the path that PXELINUX asks for first, `pxelinux.cfg/01-52-54-00-12-34-56`, spelled exactly so; else undefined. */
export function macOfPath(path: string): Mac | undefined {
  if (!macPath.test(path)) return undefined
  let mac = path.slice(macPathHead, macPathHead + 2)
  // Half the time of `replaceAll`, and this is in the way of every boot.
  for (let at = macPathHead + 3; at < path.length; at += 3) mac += `:${path.slice(at, at + 2)}`
  return mac as Mac
}

function formatMacDigits(digits: string): Mac {
  const d = digits.toLowerCase()
  return `${d.slice(0, 2)}:${d.slice(2, 4)}:${d.slice(4, 6)}:${d.slice(6, 8)}:${d.slice(8, 10)}:${d.slice(10, 12)}` as Mac
}

/** Dotted decimal IPv4 address with four octets 0–255 without leading zeros; undefined if it is none. */
export function parseIp4(text: string): Ip4 | undefined {
  return ip4.test(text) ? (text as Ip4) : undefined
}

function parseOctets(text: string): number[] | undefined {
  if (text.length > 15) return undefined
  const octets: number[] = []
  for (const part of text.split('.')) {
    if (!octet.test(part) || Number(part) > 255) return undefined
    octets.push(Number(part))
  }
  return octets
}

/** Any spelling of an address → canonical form; undefined if it is none. */
export function findAddress(text: string): Address | undefined {
  const mac = parseMac(text)
  if (mac) return { kind: 'mac', text: mac }
  if (!text.includes('.')) return undefined
  const octets = parseOctets(text)
  if (!octets || octets.length < 2 || octets.length > 4) return undefined
  return octets.length === 4 ? { kind: 'ip4', text: text as Ip4 } : { kind: 'prefix4', text: text as Ip4Prefix }
}

/** As `findAddress`, but refuses (`invalid`) with a line that says what is allowed. */
export function parseAddress(text: string): Address {
  const address = findAddress(text)
  if (!address) {
    throw new Refusal(
      'invalid',
      `${quote(text)} is no address: a MAC such as 52:54:00:12:34:56, an IPv4 address such as 10.0.3.7, or 2 or 3 leading octets such as 10.34`,
    )
  }
  return address
}

/** Value as it can stand in a one-line message: JSON quoting, at most 80 characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}

/** Upper-case hex of an IPv4 address or prefix, two digits an octet, as PXELINUX asks for it: `10.77.0.13` → `0A4D000D`. */
export function formatIp4Hex(text: Ip4 | Ip4Prefix): string {
  let hex = ''
  for (const part of text.split('.')) hex += Number(part).toString(16).padStart(2, '0')
  return hex.toUpperCase()
}

/** `0A4D000D` → `10.77.0.13`, `0A4D` → `10.77` (even number of digits, 4 to 8); undefined otherwise. Any case. */
export function parseIp4Hex(hex: string): Ip4 | Ip4Prefix | undefined {
  if (!/^([0-9a-f]{2}){2,4}$/i.test(hex)) return undefined
  const parts: number[] = []
  for (let at = 0; at < hex.length; at += 2) parts.push(Number.parseInt(hex.slice(at, at + 2), 16))
  return parts.join('.') as Ip4 | Ip4Prefix
}

/** The prefixes an address lies in, longest first: `10.34.7.9` → `10.34.7`, `10.34`. */
export function prefixesOf(ip: Ip4): readonly [Ip4Prefix, Ip4Prefix] {
  const last = ip.lastIndexOf('.')
  const three = ip.slice(0, last)
  return [three as Ip4Prefix, three.slice(0, three.lastIndexOf('.')) as Ip4Prefix]
}

/** MAC as PXELINUX asks for it: `01-52-54-00-12-34-56`. */
export function formatMacDashes(mac: Mac): string {
  return `01-${mac.replaceAll(':', '-')}`
}
