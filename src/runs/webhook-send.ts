/**
 * One try to deliver a webhook message: signed as Standard Webhooks says, sent to the addresses that were checked.
 *
 * Redirects are not followed; of the answer only the status counts. Sources: Standard Webhooks 1.0 (headers, signature),
 * RUNS "Commands" (webhooks).
 */
import { createHmac } from 'node:crypto'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { CheckedTarget } from './webhook-targets.ts'

export interface Message {
  /** The same over all tries. */
  readonly id: string
  readonly body: string
  /** `whsec_<base64>` */
  readonly secret: string
}

/** From the connection to the last byte of the answer's head. */
const tryTimeoutMs = 10_000
export const secretPrefix = 'whsec_'

/** `v1,<base64>` over `<id>.<timestamp>.<body>`. `timestamp` in seconds. */
export function signMessage({ id, body, secret }: Message, timestamp: number): string {
  const key = Buffer.from(secret.slice(secretPrefix.length), 'base64')
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
}

/** Resolves with '' if it was taken (2xx), else with why not, in a few words. Never rejects. */
export function sendMessage(
  target: CheckedTarget,
  message: Message,
  nowMs: number,
  signal: AbortSignal,
): Promise<string> {
  const timestamp = Math.floor(nowMs / 1000)
  const body = Buffer.from(message.body)
  const send = target.url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise((resolve) => {
    const request = send(target.url, {
      method: 'POST',
      lookup: pinned(target),
      agent: false,
      signal,
      timeout: tryTimeoutMs,
      headers: {
        'content-type': 'application/json',
        'content-length': body.length,
        'user-agent': 'pxemngr',
        'webhook-id': message.id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signMessage(message, timestamp),
      },
    })
    const deadline = setTimeout(
      () => request.destroy(new Error(`no answer within ${tryTimeoutMs / 1000} s`)),
      tryTimeoutMs,
    )
    const end = (why: string): void => {
      clearTimeout(deadline)
      resolve(why)
    }
    request.on('response', (response) => {
      const status = response.statusCode ?? 0
      response.destroy()
      end(status >= 200 && status < 300 ? '' : `status ${status}`)
    })
    request.on('error', (error) => end('code' in error && error.code ? String(error.code) : error.message))
    request.end(body)
  })
}

function pinned({ addresses }: CheckedTarget): LookupFunction {
  return (_host, options, callback) => {
    const [first] = addresses
    if (options.all) callback(null, [...addresses])
    else callback(null, first?.address ?? '', first?.family)
  }
}
