/**
 * The kinds of value a configuration key can have: what each accepts, how it is said to people, and what it becomes.
 *
 * A parser takes one text (a flag's value, a variable, an element of a TOML array) and answers undefined for whatever it
 * does not accept; who says so, and where the text stood, is `config.ts`. Nothing here touches a file or the network.
 * Source: CONTRACT "Daemon" (values), RUNS "Results" (`keep-free`, `webhook-allow`).
 */
import { isIP, isIPv4 } from 'node:net'
import { durationAllowed, parseDuration } from '../domain/duration.ts'

/** How values of one kind are read. */
export interface Kind<T> {
  /** What is allowed, as the end of a sentence: `a size such as 4GiB`. */
  readonly allowed: string
  /** undefined: not accepted. */
  parse(text: string): T | undefined
  /** Words that completion can offer. */
  readonly words?: readonly string[]
  /** A relative path in it is resolved against the folder its source stands in. */
  readonly path?: true
}

/** Where a server listens. Port 0: any free port. */
export interface ListenAddress {
  /** IPv4 or IPv6 address, without brackets; an IPv6 one may carry a zone (`fe80::1%eth0`). */
  readonly host: string
  readonly port: number
}

/** An IP network; a single address is one of full length. */
export interface Network {
  readonly address: string
  readonly prefixLength: number
  readonly family: 'ipv4' | 'ipv6'
}

/** Space to keep free: a share of the file system, or bytes. */
export type KeepFree = { readonly percent: number } | { readonly bytes: number }

/** Who a webhook may be sent to: a network, or a host by name (`*.example.org`: all below it). */
export type WebhookTarget = { readonly network: Network } | { readonly host: string }

const portMax = 65_535

export const boolean: Kind<boolean> = {
  allowed: 'yes or no (true or false)',
  words: ['yes', 'no'],
  parse(text) {
    const word = text.toLowerCase()
    if (word === 'yes' || word === 'true') return true
    return word === 'no' || word === 'false' ? false : undefined
  },
}

export function oneOf<const W extends string>(words: readonly W[]): Kind<W> {
  const last = words.at(-1)
  return {
    allowed: `${words.slice(0, -1).join(', ')} or ${last}`,
    words,
    parse: (text) => words.find((word) => word === text),
  }
}

/** A path; control characters and the empty text are no path. */
export const path: Kind<string> = {
  allowed: 'a path such as /srv/pxemngr',
  path: true,
  parse: (text) => (text === '' || /[\u0000-\u001f\u007f]/.test(text) ? undefined : text),
}

/** Longest path of a Unix socket: `sun_path` of unix(7) is 108 bytes with its NUL. */
const socketPathBytesMax = 107

export const socketPath: Kind<string> = {
  allowed: `a path of at most ${socketPathBytesMax} bytes such as /run/pxemngr/pxemngr.sock`,
  path: true,
  parse(text) {
    return Buffer.byteLength(text) <= socketPathBytesMax ? path.parse(text) : undefined
  },
}

/** `example`: the port that the key's examples have. */
export const listenAddress = (example: number): Kind<ListenAddress> => ({
  allowed: `addresses with a port such as 0.0.0.0:${example}, [::]:${example} or 127.0.0.1:0 (any free port), or off`,
  words: ['off'],
  parse(text) {
    const parts = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
    if (!parts) return undefined
    const [, six, four, digits] = parts
    const port = Number(digits)
    const host = six ?? four ?? ''
    if (port > portMax || isIP(host) !== (six === undefined ? 4 : 6)) return undefined
    return { host, port }
  },
})

const sizeUnits: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

/** Bytes. */
export const size: Kind<number> = {
  allowed: 'a size such as 4GiB (units B, KiB, MiB, GiB)',
  parse(text) {
    const parts = /^(\d{1,16})([KMGT]iB|B)$/.exec(text)
    const bytes = parts ? Number(parts[1]) * (sizeUnits[parts[2] ?? ''] ?? Number.NaN) : Number.NaN
    return Number.isSafeInteger(bytes) ? bytes : undefined
  },
}

/** Bytes, more than none. */
export const someSize: Kind<number> = {
  allowed: `${size.allowed} above 0`,
  parse: (text) => size.parse(text) || undefined,
}

/** Milliseconds, more than none. */
export const duration: Kind<number> = {
  allowed: durationAllowed,
  parse: (text) => parseDuration(text) || undefined,
}

export const ports: Kind<{ readonly first: number; readonly last: number }> = {
  allowed: 'a range of ports such as 30000-30999, or any',
  words: ['any'],
  parse(text) {
    const parts = /^(\d{1,5})-(\d{1,5})$/.exec(text)
    const [first, last] = [Number(parts?.[1]), Number(parts?.[2])]
    return first >= 1 && first <= last && last <= portMax ? { first, last } : undefined
  },
}

/** Without slash at its end. */
export const baseUrl: Kind<string> = {
  allowed: 'a URL such as http://boot.example.org:8000',
  parse(text) {
    const url = /^https?:\/\/[^\s<>"'`\\^{}|?#@]+$/i.test(text) ? URL.parse(text) : null
    return url ? text.replace(/\/+$/, '') : undefined
  },
}

export const network: Kind<Network> = {
  allowed: 'networks such as 10.0.0.0/8, 192.168.1.7 or fd00::/8, or off',
  words: ['off'],
  parse(text) {
    const [address = '', digits, more] = text.split('/')
    const family = isIP(address)
    if (family === 0 || more !== undefined || address.includes('%')) return undefined
    const full = family === 4 ? 32 : 128
    if (digits !== undefined && !/^\d{1,3}$/.test(digits)) return undefined
    const prefixLength = digits === undefined ? full : Number(digits)
    if (prefixLength > full) return undefined
    return { address, prefixLength, family: isIPv4(address) ? 'ipv4' : 'ipv6' }
  },
}

const hostName = /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\.?$/i

export const webhookTarget: Kind<WebhookTarget> = {
  allowed: 'networks and hosts such as 10.0.0.0/8, hooks.example.org or *.example.org',
  parse(text) {
    const found = network.parse(text)
    if (found) return { network: found }
    // What looks like an address but is none (300.1.1.1, 10.0.0.0/99) shall not pass as the name of a host.
    return text.length <= 253 && hostName.test(text) && !/^[\d.]+$/.test(text)
      ? { host: text.toLowerCase().replace(/\.$/, '') }
      : undefined
  },
}

export const keepFree: Kind<KeepFree> = {
  allowed: 'a share such as 5% or a size such as 2GiB',
  parse(text) {
    const parts = /^(\d{1,2}(?:\.\d{1,3})?)\s?%$/.exec(text)
    if (parts) return { percent: Number(parts[1]) }
    const bytes = size.parse(text)
    return bytes === undefined ? undefined : { bytes }
  },
}

/** Name of an account as Debian's adduser and systemd accept it, or a number. */
export const account: Kind<string> = {
  allowed: 'the name of an account such as pxemngr, or none',
  parse: (text) => (/^[a-z0-9_][a-z0-9_.-]{0,31}\$?$/i.test(text) ? text : undefined),
}

/** `word` stands for "not set", null. */
export function orWord<T>(word: string, kind: Kind<T>): Kind<T | null> {
  return {
    ...kind,
    allowed: kind.allowed.includes(word) ? kind.allowed : `${kind.allowed}, or ${word}`,
    words: [...new Set([...(kind.words ?? []), word])],
    parse: (text) => (text === word ? null : kind.parse(text)),
  }
}
