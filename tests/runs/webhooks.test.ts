/**
 * Webhooks: whom they may be sent to, how a message is signed, and that each is delivered once it can be, also over a
 * restart. The receiver is a real HTTP server on loopback, which the tests allow by `webhook-allow`.
 * Sources: RUNS "Commands" (webhooks), Standard Webhooks 1.0.
 */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { silentLog } from '../../src/log.ts'
import { checkTarget, parseWebhookUrl, type WebhookAllow } from '../../src/runs/webhook-targets.ts'
import { openWebhooks } from '../../src/runs/webhooks.ts'
import { openStateStore, type StateStore } from '../harness/state-store.ts'

const loopback: WebhookAllow = [{ network: { address: '127.0.0.0', prefixLength: 8, family: 'ipv4' } }]
const secret = `whsec_${Buffer.from('0123456789abcdef01234567').toString('base64')}`
const actor = { who: 'ann', from: 'socket', surface: 'cli' } as const
/** Short, so that tests do not wait; nothing is asserted about time. */
const firstRetryMs = 5

interface Received {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

let store: StateStore
let receiver: Server
let received: Received[]
/** Statuses to answer with, in order; the last one stays. */
let statuses: number[]
let wake: () => void

beforeEach(async () => {
  store = await openStateStore()
  received = []
  statuses = [204]
  wake = () => {}
  receiver = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      received.push({ headers: request.headers, body })
      const status = statuses.length > 1 ? statuses.shift() : statuses[0]
      response.writeHead(status ?? 204, status === 302 ? { location: '/elsewhere' } : {})
      response.end()
      wake()
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  receiver.closeAllConnections()
  await new Promise((resolve) => receiver.close(resolve))
  await store.close()
})

const urlOf = () => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) {
    await new Promise<void>((resolve) => {
      wake = resolve
      setTimeout(resolve, 20)
    })
  }
}

const addWebhook = (url: string) =>
  store.commit(actor, (tx) => {
    const webhook = tx.nextId('webhook')
    tx.emit({ type: 'webhook.added', webhook, url, on: ['machine.sick'], secret })
    return webhook
  })

const queue = (webhook: number, body = '{"type":"machine.sick"}') =>
  store.commit(actor, (tx) => {
    const delivery = tx.nextId('delivery')
    tx.emit({ type: 'webhook.queued', delivery, webhook, body })
    return delivery
  })

const open = (allow: WebhookAllow = loopback, nowMs: () => number = Date.now) =>
  openWebhooks({ store, log: silentLog, allow: () => allow, nowMs, firstRetryMs })

test('a message is signed as Standard Webhooks says, and settled when it was taken', async () => {
  const webhooks = open()
  const delivery = await queue(await addWebhook(urlOf()))
  await until(() => store.queries.listDeliveries(10).length === 0)
  const [message] = received
  assert.ok(message)
  const { headers, body } = message
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers['webhook-id'], `msg_${delivery}`)
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  assert.equal(headers['webhook-signature'], `v1,${createHmac('sha256', key).update(signed).digest('base64')}`)
  assert.equal(received.length, 1)
  await webhooks.close()
})

test('a message that is not taken comes again under the same id until it is', async () => {
  statuses = [500, 503, 404, 200]
  const webhooks = open()
  await queue(await addWebhook(urlOf()))
  await until(() => store.queries.listDeliveries(10).length === 0)
  assert.equal(received.length, 4)
  assert.equal(new Set(received.map(({ headers }) => headers['webhook-id'])).size, 1)
  await webhooks.close()
})

test('a redirect is not followed', async () => {
  statuses = [302, 200]
  const webhooks = open()
  await queue(await addWebhook(urlOf()))
  await until(() => store.queries.listDeliveries(10).length === 0)
  assert.equal(received.length, 2, 'the second is the same URL again')
  await webhooks.close()
})

test('what was not delivered before a stop is delivered after the next start, under the same id', async () => {
  const webhook = await addWebhook(urlOf())
  statuses = [500]
  const before = open()
  const delivery = await queue(webhook)
  await until(() => received.length > 0)
  await before.close()
  statuses = [200]
  received.length = 0
  const after = open()
  await until(() => store.queries.listDeliveries(10).length === 0)
  assert.equal(received[0]?.headers['webhook-id'], `msg_${delivery}`)
  await after.close()
})

test('after 24 hours a message is given up, and the journal says why', async () => {
  statuses = [500]
  let now = Date.now()
  const webhooks = open(loopback, () => now)
  await queue(await addWebhook(urlOf()))
  await until(() => received.length > 0)
  now += 25 * 3_600_000
  await until(() => store.queries.listDeliveries(10).length === 0)
  const settled = store.records.flatMap(({ events }) => events).find(({ type }) => type === 'webhook.settled')
  assert.ok(settled?.type === 'webhook.settled')
  assert.deepEqual([settled.ok, settled.detail], [false, 'status 500'])
  await webhooks.close()
})

test('a webhook that answers nothing keeps no other waiting', async () => {
  const silent = createServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const webhooks = open()
  const dead = await addWebhook(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/`)
  for (let each = 0; each < 20; each++) await queue(dead)
  await queue(await addWebhook(urlOf()))
  await until(() => received.length === 1)
  assert.equal(store.queries.listDeliveries(100).length >= 20, true)
  await webhooks.close()
  silent.closeAllConnections()
  await new Promise((resolve) => silent.close(resolve))
})

test('removing a webhook takes its waiting messages with it', async () => {
  const webhook = await addWebhook(urlOf())
  await queue(webhook)
  await store.commit(actor, (tx) => tx.emit({ type: 'webhook.removed', webhook }))
  assert.deepEqual(store.queries.listDeliveries(10), [])
})

test('an address that is not allowed any more is not sent to', async () => {
  const webhooks = open(null)
  await queue(await addWebhook(urlOf()))
  assert.match(await webhooks.test(1), /^127\.0\.0\.1 .* may not be sent to/)
  assert.equal(received.length, 0)
  await webhooks.close()
})

test('by default everything but loopback, link-local and "this host" may be sent to, however it is written', async () => {
  for (const host of [
    '127.0.0.1',
    '127.8.9.1',
    '2130706433',
    '0x7f.1',
    '0.0.0.0',
    '169.254.169.254',
    '[::1]',
    '[::]',
    '[fe80::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:a9fe:a9fe]',
    '[0:0:0:0:0:ffff:7f00:1]',
    '[ff02::1]',
    '224.0.0.251',
    'localhost',
  ]) {
    const target = await checkTarget(`http://${host}/`, null)
    assert.ok('fault' in target, host)
  }
  for (const host of ['10.0.0.1', '192.0.2.1', '[2001:db8::1]', '[fc00::1]', '[::ffff:192.0.2.1]']) {
    assert.ok('addresses' in (await checkTarget(`http://${host}/`, null)), host)
  }
})

test('an IPv6 address that carries a forbidden IPv4 address is forbidden too, whichever way it carries it', async () => {
  const carrying = {
    '64:ff9b::7f00:1': '64:ff9b::c000:201',
    '64:ff9b::169.254.169.254': '64:ff9b::10.0.0.1',
    '64:ff9b:1::7f00:1': '64:ff9b:1::c000:201',
    '64:ff9b:1:7f00:0:100::': '64:ff9b:1:c000:2:100::',
    '64:ff9b:1:7f:0:1::': '64:ff9b:1:c0:0:201::',
    '64:ff9b:1:c000:7f:0:100:0': '64:ff9b:1:c000:c0:2:100:0',
    '2002:7f00:1::': '2002:c000:201::1',
    '2002:a9fe:a9fe::1': '2002:a00:1::1',
    '2001:0:7f00:1::3fff:fdfe': '2001:0:c000:201::3fff:fdfe',
    '2001:0:c000:201::80ff:fffe': '2001:0:c000:201:0:ffff:3fff:fdfe',
    '::127.0.0.1': '::192.0.2.1',
    '::ffff:0:127.0.0.1': '::ffff:0:192.0.2.1',
    '2001:db8::5efe:127.0.0.1': '2001:db8::5efe:192.0.2.1',
    '2001:db8::200:5efe:127.0.0.1': '2001:db8::200:5efe:192.0.2.1',
  }
  for (const [forbidden, good] of Object.entries(carrying)) {
    const target = await checkTarget(`http://[${forbidden}]:9/hook`, null)
    assert.ok('fault' in target, forbidden)
    assert.match(target.fault, /may not be sent to/)
    assert.ok('addresses' in (await checkTarget(`http://[${good}]/`, null)), good)
  }
})

test('webhook-allow of IPv6 opens no forbidden IPv4 address by the way, one that names it does', async () => {
  const all6 = { network: { address: '::', prefixLength: 0, family: 'ipv6' } } as const
  const host = 'http://[64:ff9b::7f00:1]/'
  assert.ok('fault' in (await checkTarget(host, [all6])))
  assert.ok('addresses' in (await checkTarget('http://[64:ff9b::c000:201]/', [all6])))
  assert.ok('addresses' in (await checkTarget(host, [all6, ...(loopback ?? [])])))
  assert.ok('fault' in (await checkTarget('http://127.0.0.1/', [all6])), 'IPv6 only')
  assert.ok('fault' in (await checkTarget(host, loopback)), 'the address itself has to be allowed too')
})

test('webhook-allow is all there is where it is set: networks, hosts, and what is below a host', async () => {
  const allow: WebhookAllow = [
    { network: { address: '10.0.0.0', prefixLength: 8, family: 'ipv4' } },
    { host: 'localhost' },
  ]
  assert.ok('addresses' in (await checkTarget('http://10.1.2.3/', allow)))
  assert.ok('addresses' in (await checkTarget('http://localhost:9/', allow)))
  assert.ok('fault' in (await checkTarget('http://192.0.2.1/', allow)))
  assert.ok('fault' in (await checkTarget('http://127.0.0.1/', allow)), 'the name is allowed, not its address')
})

test('a URL with another scheme, a password or no host is refused at once, in one line', () => {
  for (const text of [
    'ftp://10.0.0.1/',
    'file:///etc/passwd',
    'http://u:p@10.0.0.1/',
    'http://10.0.0.1:0/',
    'https://hooks.example.org:00/',
    'hook',
    '',
    `http://a/${'x'.repeat(3000)}`,
  ]) {
    const url = parseWebhookUrl(text)
    assert.ok('fault' in url && !url.fault.includes('\n'), text.slice(0, 40))
  }
})
