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
import { carriedIp4, mappedIp4 } from './carried-address.ts'

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
// Link-local and interface-local groups.
never.addSubnet('224.0.0.0', 24, 'ipv4')
never.addSubnet('ff01::', 16, 'ipv6')
never.addSubnet('ff02::', 16, 'ipv6')

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
  if (url.port === '0') return fault('port 0 is none')
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

/**
 * Whether an address may be sent to. One that carries an IPv4 address through a gateway (NAT64, 6to4 …) is besides
 * refused what that one is refused: the packet may come out at the gateway, or here, as IPv4.
 */
function isAllowed(given: string, allow: WebhookAllow): boolean {
  const address = mappedIp4(given) ?? given
  const isListed = (ip: string) =>
    allow === null ? !isNever(ip) : allowList(allow, familyOf(ip)).check(ip, familyOf(ip))
  return isListed(address) && carriedIp4(address).every((ip) => !isNever(ip) || (allow !== null && isListed(ip)))
}

const familyOf = (ip: string) => (isIPv4(ip) ? 'ipv4' : 'ipv6')
const isNever = (ip: string) => never.check(ip, familyOf(ip))

/** Of one family: a list of both would find IPv4 addresses in `::/0`. */
function allowList(allow: NonNullable<WebhookAllow>, family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList()
  for (const target of allow) {
    if (!('network' in target) || target.network.family !== family) continue
    list.addSubnet(target.network.address, target.network.prefixLength, family)
  }
  return list
}
