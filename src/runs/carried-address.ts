/**
 * IPv4 addresses that an IPv6 address stands for or carries: what reaches it may arrive as IPv4.
 *
 * Only the forms that are written down somewhere; a network's own NAT64 prefix cannot be told from any other address.
 * Sources: RFC 4291 §2.5.5 (mapped, compatible), RFC 2765 §2.1 (translated), RFC 6052 §2.2 and RFC 8215 (NAT64),
 * RFC 3056 §2 (6to4), RFC 4380 §4 (Teredo), RFC 5214 §6.1 (ISATAP).
 */
import { isIPv6 } from 'node:net'

/** `::ffff:127.0.0.1`, in any spelling, → `127.0.0.1`: the same address; undefined for every other. */
export function mappedIp4(address: string): string | undefined {
  const words = wordsOf(address)
  return words && startsWith(words, [0, 0, 0, 0, 0, 0xffff]) ? dotted(words, 6) : undefined
}

/** The IPv4 addresses that `address` carries; none if it is IPv4 or carries none. */
export function carriedIp4(address: string): string[] {
  const words = wordsOf(address)
  if (!words) return []
  const found: string[] = []
  // Compatible (which `::` and `::1` look like: the list of addresses names those), translated, NAT64's own prefix.
  const lastWords = [
    [0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0xffff, 0],
    [0x64, 0xff9b, 0, 0, 0, 0],
  ]
  if (lastWords.some((prefix) => startsWith(words, prefix))) found.push(dotted(words, 6))
  if (startsWith(words, [0x64, 0xff9b, 1])) found.push(...behindLocalPrefix(words))
  if (words[0] === 0x2002) found.push(dotted(words, 1))
  // The server, and the client with all bits turned.
  if (startsWith(words, [0x2001, 0]))
    found.push(
      dotted(words, 2),
      dotted(
        words.map((word) => word ^ 0xffff),
        6,
      ),
    )
  if ((word(words, 4) & 0xfdff) === 0 && words[5] === 0x5efe) found.push(dotted(words, 6))
  return found
}

/**
 * NAT64 of the own network: how long its prefix is cannot be seen, so all that may stand behind one of 48, 56, 64 and 96
 * bits, around the octet 8, which is none of it (RFC 6052 §2.2). What begins with 0 is the padding of another length.
 */
function behindLocalPrefix(words: readonly number[]): string[] {
  const octets = words.flatMap((each) => [each >> 8, each & 0xff]).filter((_, index) => index !== 8)
  const candidates = [6, 7, 8, 11].map((from) => octets.slice(from, from + 4).join('.'))
  return candidates.filter((ip) => !ip.startsWith('0.'))
}

/** The eight words of an IPv6 address, a zone left out; undefined if it is none. */
function wordsOf(address: string): number[] | undefined {
  const bare = address.replace(/%.*$/s, '')
  if (!isIPv6(bare)) return undefined
  // The canonical form has no dotted end.
  const text = new URL(`http://[${bare}]/`).hostname.slice(1, -1)
  const [before = '', after] = text.split('::')
  const parse = (part: string) => (part === '' ? [] : part.split(':').map((each) => Number.parseInt(each, 16)))
  const [head, tail] = [parse(before), parse(after ?? '')]
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail]
}

function startsWith(words: readonly number[], prefix: readonly number[]): boolean {
  return prefix.every((each, index) => words[index] === each)
}

function dotted(words: readonly number[], from: number): string {
  const [high, low] = [word(words, from), word(words, from + 1)]
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

function word(words: readonly number[], index: number): number {
  return words[index] ?? 0
}
