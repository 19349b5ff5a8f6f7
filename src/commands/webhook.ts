/**
 * `webhook add`, `list`, `remove`, `test`: who is told when a run regressed or was mended, or a machine became sick.
 *
 * The secret is shown once, when the webhook is added. Delivery is `src/runs/webhooks.ts`. Source: RUNS "Commands".
 */
import * as v from 'valibot'
import { Refusal } from '../domain/errors.ts'
import type { Queries } from '../store/store.ts'
import { defineCommand } from './definition.ts'
import { parseRunId } from './run-argument.ts'
import { id, nothing, time } from './schema.ts'

/** Every event there is, in the order in which messages name them. */
export const webhookEvents = ['run.regressed', 'run.fixed', 'machine.sick'] as const
/** A handful is plenty; each costs a delivery an event. */
const webhooksMax = 100
/** 192 bits, as Standard Webhooks advises 24 to 64 bytes. */
const secretBytes = 24

const webhookNumber = { key: 'webhook', usage: '<webhook>', required: true, complete: ['webhook'] } as const
const onlyNumber = v.strictObject({ webhook: id })
const typedWebhook = async (typed: Record<string, unknown>) => ({
  ...typed,
  webhook: parseRunId(typed['webhook']) ?? typed['webhook'],
})

export const webhookAdd = defineCommand({
  name: 'webhook add',
  summary: 'Have a URL told of events; prints its secret, once',
  usage: 'pxemngr webhook add <url> --on <event>[,<event>...]',
  positionals: [{ key: 'url', usage: '<url>', required: true }],
  options: [
    {
      name: 'on',
      value: 'EVENT',
      words: webhookEvents,
      repeatable: true,
      summary: `of which events: ${webhookEvents.join(', ')}`,
    },
  ],
  args: v.strictObject({ url: v.string(), on: v.pipe(v.array(v.string()), v.minLength(1)) }),
  result: v.strictObject({ id, secret: v.string() }),
  role: 'admin',
  changes: true,
  examples: [
    {
      line: 'pxemngr webhook add https://chat.example.org/hook --on run.regressed,run.fixed',
      text: 'what broke, what is mended',
    },
    { line: 'pxemngr webhook add http://10.0.0.7:9000/ --on machine.sick', text: 'machines that need a person' },
  ],
  async prepare(typed) {
    const { on } = typed
    if (on === undefined) throw new Refusal('usage', `--on is missing: one or more of ${webhookEvents.join(', ')}`)
    return { ...typed, on: (Array.isArray(on) ? on : [on]).flatMap((each) => String(each).split(',')) }
  },
  async run({ actor, daemon }, { url, on }) {
    const events = [...new Set(on)].map(getEvent)
    const fault = await daemon.webhooks.fault(url)
    if (fault !== undefined) throw new Refusal('invalid', fault)
    const secret = `whsec_${btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(secretBytes))))}`
    const webhook = await daemon.store.commit(actor, (tx) => {
      if (tx.listWebhooks().length >= webhooksMax) {
        throw new Refusal('refused', `there are ${webhooksMax} webhooks already: pxemngr webhook remove <webhook>`)
      }
      const next = tx.nextId('webhook')
      tx.emit({ type: 'webhook.added', webhook: next, url, on: events, secret })
      return next
    })
    return { id: webhook, secret }
  },
  print: ({ secret }, out) => out.line(secret),
})

function getEvent(name: string): (typeof webhookEvents)[number] {
  const found = webhookEvents.find((event) => event === name)
  if (!found) throw new Refusal('invalid', `there is no event ${JSON.stringify(name)}: ${webhookEvents.join(', ')}`)
  return found
}

export const webhookList = defineCommand({
  name: 'webhook list',
  summary: 'List the webhooks, without their secrets',
  usage: 'pxemngr webhook list',
  positionals: [],
  options: [],
  args: nothing,
  result: v.strictObject({
    webhooks: v.array(v.strictObject({ id, url: v.string(), on: v.array(v.picklist(webhookEvents)), added: time })),
  }),
  role: 'admin',
  changes: false,
  examples: [
    { line: 'pxemngr webhook list', text: 'number, events and URL' },
    { line: 'pxemngr webhook list --json', text: 'with when each was added' },
  ],
  run: ({ daemon }) => ({
    webhooks: daemon.store.queries.listWebhooks().map((webhook) => ({
      id: webhook.id,
      url: webhook.url,
      on: [...webhook.on],
      added: new Date(webhook.atMs).toISOString(),
    })),
  }),
  print({ webhooks }, out) {
    out.rows(
      ['WEBHOOK', 'ON', 'URL'],
      webhooks.map(({ id, on, url }) => [String(id), on.join(','), url]),
    )
    if (webhooks.length === 0 && out.terminal) out.note('no webhook: pxemngr webhook add URL --on EVENT makes one')
  },
})

export const webhookRemove = defineCommand({
  name: 'webhook remove',
  summary: 'Remove a webhook, with what it has not been told yet',
  usage: 'pxemngr webhook remove <webhook>',
  positionals: [webhookNumber],
  options: [],
  args: onlyNumber,
  result: nothing,
  role: 'admin',
  changes: true,
  examples: [
    { line: 'pxemngr webhook remove 1', text: 'its number is in the list' },
    { line: 'pxemngr webhook remove 1 --json', text: 'prints {}' },
  ],
  prepare: typedWebhook,
  async run({ actor, daemon }, { webhook }) {
    await daemon.store.commit(actor, (tx) => {
      getWebhook(tx, webhook)
      tx.emit({ type: 'webhook.removed', webhook })
    })
    return {}
  },
})

export const webhookTest = defineCommand({
  name: 'webhook test',
  summary: 'Send a test message to a webhook, now and once',
  usage: 'pxemngr webhook test <webhook>',
  positionals: [webhookNumber],
  options: [],
  args: onlyNumber,
  result: nothing,
  role: 'admin',
  changes: true,
  examples: [
    { line: 'pxemngr webhook test 1', text: 'exit status 0 if it was taken' },
    { line: 'pxemngr webhook test 1 --json', text: 'the reason for programs, if it was not' },
  ],
  prepare: typedWebhook,
  async run({ daemon }, { webhook }) {
    getWebhook(daemon.store.queries, webhook)
    const why = await daemon.webhooks.test(webhook)
    if (why !== '') throw new Refusal('refused', `Webhook ${webhook} did not take the message: ${why}`)
    return {}
  },
})

/** Refuses (`not-found`). */
function getWebhook(queries: Queries, webhook: number): void {
  if (!queries.getWebhook(webhook)) throw new Refusal('not-found', `Webhook ${webhook} not defined`)
}
