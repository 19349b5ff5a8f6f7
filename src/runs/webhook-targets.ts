/**
 * Whom a webhook may be sent to: http and https, and of addresses what `webhook-allow` has, by default all but loopback
 * and link-local.
 *
 * Asked when a webhook is added and again at each delivery, after the name has been resolved: the connection then goes to
 * the very addresses that were checked, so that a name that changes in between gains nothing. Source: RUNS "Commands"
 * (webhooks).
 */
import { lookup } from 'node:dns/promises'
import { BlockList, isIP, isIPv4 } from 'node:net'
import type { Config } from '../config.ts'
import { quote } from '../domain/address.ts'

export interface CheckedTarget {
  readonly url: URL
  /** Of these the connection may take any. */
  readonly addresses: readonly { readonly address: string; readonly family: 4 | 6 }[]
}

export type TargetCheck = CheckedTarget | { readonly fault: string }

/** null: the default. */
export type WebhookAllow = Config['webhookAllow']

/** A URL is a line, not a document. */
const urlMaxLength = 2000

const never = new BlockList()
never.addSubnet('127.0.0.0', 8, 'ipv4')
never.addSubnet('169.254.0.0', 16, 'ipv4')
never.addSubnet('0.0.0.0', 8, 'ipv4')
never.addAddress('::', 'ipv6')
never.addAddress('::1', 'ipv6')
never.addSubnet('fe80::', 10, 'ipv6')

/** Form only: undefined, or what is wrong with it. */
export function parseWebhookUrl(text: string): URL | { readonly fault: string } {
  const fault = (why: string) => ({ fault: `the URL ${quote(text.slice(0, 200))} is not allowed: ${why}` })
  if (text.length > urlMaxLength) return fault(`it is longer than ${urlMaxLength} characters`)
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return fault('it is no URL such as https://hooks.example.org/pxemngr')
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return fault('only http and https are')
  if (url.username !== '' || url.password !== '') return fault('it holds a user name or password')
  return url
}

/** Resolves the host and checks every address of it. */
export async function checkTarget(text: string, allow: WebhookAllow): Promise<TargetCheck> {
  const url = parseWebhookUrl(text)
  if ('fault' in url) return url
  const host = url.hostname.replace(/^\[|\]$/g, '')
  let addresses: { address: string; family: number }[]
  try {
    addresses = isIP(host) ? [{ address: host, family: isIP(host) }] : await lookup(host, { all: true, verbatim: true })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    return { fault: `the host ${quote(host)} cannot be resolved${code}` }
  }
  const named = allow?.some((target) => 'host' in target && isHost(host, target.host)) ?? false
  for (const { address } of addresses) {
    if (named || isAllowed(address, allow)) continue
    return { fault: `${address} (${host}) may not be sent to: webhook-allow does not have it` }
  }
  return { url, addresses: addresses.map(({ address }) => ({ address, family: isIPv4(address) ? 4 : 6 })) }
}

function isHost(host: string, pattern: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '')
  return pattern.startsWith('*.')
    ? name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1
    : name === pattern
}

function isAllowed(given: string, allow: WebhookAllow): boolean {
  // An IPv4 address in IPv6 clothes is that IPv4 address.
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(given)?.[1]
  const address = mapped ?? hexMapped(given) ?? given
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  if (allow === null) return !never.check(address, family)
  const list = new BlockList()
  for (const target of allow) {
    if (!('network' in target)) continue
    const { network } = target
    list.addSubnet(network.address, network.prefixLength, network.family)
  }
  return list.check(address, family)
}

/** `::ffff:7f00:1`, as URL parsing writes it, → `127.0.0.1`. */
function hexMapped(address: string): string | undefined {
  const parts = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address)
  if (!parts) return undefined
  const [high, low] = [Number.parseInt(parts[1] ?? '', 16), Number.parseInt(parts[2] ?? '', 16)]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
