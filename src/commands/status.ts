/**
 * `status`: how the daemon is; exit status 1 if anything is degraded, so that a monitor needs nothing else.
 * Source: CONTRACT "Command line" (shape and what counts as degraded).
 */
import * as v from 'valibot'
import { defineCommand, type Output } from './definition.ts'
import { time } from './schema.ts'

const count = v.pipe(v.number(), v.integer(), v.minValue(0))

const transfer = v.strictObject({
  at: time,
  durationMs: v.number(),
  client: v.string(),
  port: count,
  local: v.string(),
  name: v.string(),
  mode: v.string(),
  options: v.record(v.string(), v.number()),
  sizeBytes: v.nullable(v.number()),
  sentBytes: v.number(),
  retransmissions: count,
  outcome: v.string(),
  detail: v.string(),
})
type Transfer = v.InferOutput<typeof transfer>

const result = v.strictObject({
  version: v.string(),
  /** Seconds since the daemon started. */
  uptime: v.number(),
  ready: v.boolean(),
  /** Every reason, one line each; empty if all is well. */
  degraded: v.array(v.string()),
  /** Worth knowing, but nothing is wrong. */
  notices: v.array(v.string()),
  /** Systems that three infra or lost runs in a row made suspect; they still get tests. */
  sick: v.array(v.strictObject({ system: v.string(), reason: v.string() })),
  listeners: v.strictObject({
    tftp: v.array(v.string()),
    http: v.array(v.string()),
    socket: v.string(),
  }),
  counts: v.strictObject({
    systems: count,
    profiles: count,
    tests: count,
    transfers: count,
    /** Open ones. */
    runs: v.strictObject({ requested: count, sent: count, running: count }),
  }),
  /** `seq`: the last record. */
  journal: v.strictObject({ seq: count }),
  loaders: v.array(v.string()),
  /** With `transfers` asked for: the latest, newest first. */
  transfers: v.exactOptional(v.array(transfer)),
})

export const status = defineCommand({
  name: 'status',
  summary: 'Show how the daemon is; exit status 1 if anything is degraded',
  usage: 'pxemngr status [--transfers]',
  positionals: [],
  options: [{ name: 'transfers', summary: 'with the latest TFTP transfers' }],
  args: v.strictObject({ transfers: v.exactOptional(v.boolean()) }),
  result,
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr status', text: 'version, listeners, counts, and what is wrong' },
    { line: 'pxemngr status --transfers', text: 'who fetched what, and how it went' },
  ],
  run({ daemon }, args) {
    const { queries, seq } = daemon.store
    const { active, recent } = daemon.transfers()
    return {
      version: daemon.version,
      uptime: Math.max(0, Math.floor((performance.now() - daemon.startedMs) / 1000)),
      ready: daemon.ready,
      degraded: daemon.degraded(),
      notices: daemon.notices(),
      sick: queries.listSick().map(({ system, reason }) => ({ system: system.name, reason })),
      listeners: {
        tftp: [...daemon.listeners.tftp],
        http: [...daemon.listeners.http],
        socket: daemon.listeners.socket,
      },
      counts: {
        systems: queries.countSystems(),
        profiles: daemon.profiles.names().length,
        tests: daemon.tests.names().length,
        transfers: active,
        runs: { ...queries.countOpen() },
      },
      journal: { seq },
      loaders: [...daemon.loaders],
      ...(args.transfers
        ? {
            transfers: recent.map(({ startedMs, options, ...rest }) => ({
              at: new Date(startedMs).toISOString(),
              ...rest,
              options: { ...options },
            })),
          }
        : {}),
    }
  },
  print(now, out) {
    const list = (items: readonly string[]) => (items.length > 0 ? items.join(', ') : 'off')
    out.line(`Version: ${now.version}`)
    out.line(`Uptime: ${formatUptime(now.uptime)}`)
    out.line(`TFTP: ${list(now.listeners.tftp)}`)
    out.line(`HTTP: ${list(now.listeners.http)}`)
    out.line(`Socket: ${now.listeners.socket}`)
    out.line(`Systems: ${now.counts.systems}`)
    out.line(`Profiles: ${now.counts.profiles}`)
    out.line(`Tests: ${now.counts.tests}`)
    const { requested, sent, running } = now.counts.runs
    out.line(`Runs: ${requested} requested, ${sent} sent, ${running} running`)
    out.line(`Transfers: ${now.counts.transfers}`)
    out.line(`Journal: ${now.journal.seq}`)
    out.line(`Loaders: ${now.loaders.length > 0 ? now.loaders.join(', ') : 'none'}`)
    out.line(`State: ${now.degraded.length > 0 ? 'degraded' : now.ready ? 'ok' : 'starting'}`)
    for (const reason of now.degraded) out.line(`Degraded: ${reason}`)
    for (const notice of now.notices) out.line(`Notice: ${notice}`)
    for (const { system, reason } of now.sick) out.line(`Sick: ${system}: ${reason}`)
    for (const one of now.transfers ?? []) printTransfer(one, out)
  },
  exitStatus: ({ degraded }) => (degraded.length > 0 ? 1 : 0),
})

function printTransfer(one: Transfer, out: Output): void {
  const options = Object.entries(one.options).map(([name, value]) => ` ${name}=${value}`)
  const size = one.sizeBytes === null ? '' : `/${one.sizeBytes}`
  const again = one.retransmissions > 0 ? `, ${one.retransmissions} retransmissions` : ''
  const detail = one.detail === '' ? '' : `: ${one.detail}`
  out.line(
    `${one.at} ${one.client} ${one.name} ${one.mode}${options.join('')} ${one.sentBytes}${size} bytes ` +
      `${Math.round(one.durationMs)} ms${again} ${one.outcome}${detail}`,
  )
}

/** Seconds → `3d 4h`, `4h 5m`, `5m 6s`, `6s`: the two largest units. */
function formatUptime(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([value]) => value > 0)
  if (first === -1) return '0s'
  return parts
    .slice(first, first + 2)
    .map(([value, unit]) => `${value}${unit}`)
    .join(' ')
}
