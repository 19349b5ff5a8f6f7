/**
 * Delivers the webhook messages that the journal holds: each until it is taken or 24 hours have gone by.
 *
 * A message is queued in the record of what it tells of, so none is lost by a crash; after a restart those that are not
 * settled are tried again under the same id. Tries come 2 s after the first, then at twice the distance, up to an hour.
 * Not here: what is worth a message (`conclude.ts`), whom it may go to (`webhook-targets.ts`). Source: RUNS "Commands".
 */
import type { Webhooks } from '../commands/daemon.ts'
import type { Actor } from '../domain/event.ts'
import type { Log } from '../log.ts'
import type { DeliveryRow } from '../store/run-rows.ts'
import type { Store } from '../store/store.ts'
import { sendMessage } from './webhook-send.ts'
import { checkTarget, type TargetCheck, type WebhookAllow } from './webhook-targets.ts'

export interface WebhooksOptions {
  readonly store: Store
  readonly log: Log
  /** Read at each delivery, so that SIGHUP changes it. */
  readonly allow: () => WebhookAllow
  readonly nowMs?: () => number
  /** First distance between two tries; for tests. */
  readonly firstRetryMs?: number
}

const daemon: Actor = { who: 'pxemngr', from: 'daemon', surface: 'daemon' }
const retryMs = 2000
const retryMaxMs = 3_600_000
const lifeMs = 24 * 3_600_000
/** Deliveries under way at once, and to one webhook: one that hangs must not keep the others waiting. */
const underWayMax = 16
const perWebhookMax = 2
/** Messages of one webhook looked at in one go, so that one that is dead hides no other; the rest follow. */
const lookedAtMax = 100

interface Attempts {
  tries: number
  dueMs: number
}

export function openWebhooks(options: WebhooksOptions): Webhooks & { close(): Promise<void> } {
  const { store, log, allow } = options
  const now = options.nowMs ?? Date.now
  const first = options.firstRetryMs ?? retryMs
  const attempts = new Map<number, Attempts>()
  const underWay = new Map<number, { webhook: number; done: Promise<void> }>()
  const stopping = new AbortController()
  let timer: NodeJS.Timeout | undefined

  const look = (): void => {
    clearTimeout(timer)
    if (stopping.signal.aborted) return
    const waiting = store.queries.listWebhooks().flatMap(({ id }) => store.queries.listDeliveries(lookedAtMax, id))
    let nextMs = Number.POSITIVE_INFINITY
    for (const delivery of waiting) {
      if (underWay.has(delivery.id)) continue
      const dueMs = attempts.get(delivery.id)?.dueMs ?? 0
      if (dueMs > now()) {
        nextMs = Math.min(nextMs, dueMs)
        continue
      }
      const same = [...underWay.values()].filter(({ webhook }) => webhook === delivery.webhook.id).length
      if (underWay.size >= underWayMax || same >= perWebhookMax) continue
      const done = deliver(delivery)
        .catch((error: unknown) => log.error('a webhook message failed', { delivery: delivery.id, error }))
        .finally(() => {
          underWay.delete(delivery.id)
          look()
        })
      underWay.set(delivery.id, { webhook: delivery.webhook.id, done })
    }
    if (nextMs < Number.POSITIVE_INFINITY) timer = setTimeout(look, Math.max(1, nextMs - now())).unref()
  }

  const deliver = async (delivery: DeliveryRow): Promise<void> => {
    const { id, webhook, body, atMs } = delivery
    const why = await tryOnce(webhook.url, `msg_${id}`, body, webhook.secret)
    if (why === '') return settle(id, true, '')
    if (stopping.signal.aborted) return
    const known = attempts.get(id) ?? { tries: 0, dueMs: 0 }
    const waitMs = Math.min(first * 2 ** known.tries, retryMaxMs)
    if (now() + waitMs - atMs > lifeMs) return settle(id, false, why)
    attempts.set(id, { tries: known.tries + 1, dueMs: now() + waitMs })
    log.warn('a webhook message was not taken', { webhook: webhook.url, message: id, reason: why, againMs: waitMs })
  }

  const tryOnce = async (url: string, id: string, body: string, secret: string): Promise<string> => {
    const target: TargetCheck = await checkTarget(url, allow())
    if ('fault' in target) return target.fault
    return sendMessage(target, { id, body, secret }, now(), stopping.signal)
  }

  /** While changes are refused it stays queued, and is delivered again later under the same id. */
  const settle = async (delivery: number, ok: boolean, detail: string): Promise<void> => {
    if (!ok) log.error('a webhook message was given up', { message: delivery, reason: detail })
    try {
      await store.commit(daemon, (tx) => tx.emit({ type: 'webhook.settled', delivery, ok, detail }))
      attempts.delete(delivery)
    } catch (error) {
      attempts.set(delivery, { tries: attempts.get(delivery)?.tries ?? 0, dueMs: now() + first })
      log.warn('a webhook message could not be written off', { message: delivery, error })
    }
  }

  const stop = store.onApplied(({ events }) => {
    if (events.some(({ type }) => type === 'webhook.queued')) setImmediate(look)
  })
  setImmediate(look)

  return {
    async fault(url) {
      const target = await checkTarget(url, allow())
      return 'fault' in target ? target.fault : undefined
    },
    async test(webhook) {
      const row = store.queries.getWebhook(webhook)
      if (!row) return 'there is no such webhook'
      const body = JSON.stringify({ type: 'webhook.test', timestamp: new Date(now()).toISOString(), data: {} })
      return tryOnce(row.url, `msg_test_${webhook}_${now()}`, body, row.secret)
    },
    async close() {
      stop()
      clearTimeout(timer)
      stopping.abort()
      await Promise.all([...underWay.values()].map(({ done }) => done))
    },
  }
}
