/**
 * A data directory with every type of event there is, as a site's first weeks would write it: machines, decisions, tokens,
 * tests, runs of each ending, retries, suites, webhooks, retention, a snapshot, a repaired record, clean stops.
 *
 * Events are named here one by one, not by the commands: what is kept from it as a fixture shows what the events mean. Its
 * clock is its own, a second a look. Source: `src/domain/event.ts`, `src/domain/run.ts`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Address, Ip4, Mac } from '../../src/domain/address.ts'
import type { Actor, Event } from '../../src/domain/event.ts'
import type { KeptResult } from '../../src/domain/run.ts'
import { silentLog } from '../../src/log.ts'
import { type OpenedStore, openStore } from '../../src/store/open.ts'
import { repairDataDir } from '../../src/store/repair.ts'

const operator: Actor = { who: 'root', from: 'socket', surface: 'cli' }
const daemon: Actor = { who: 'pxemngr', from: 'daemon', surface: 'daemon' }
const token: Actor = { who: 'ci', from: '10.0.0.7', surface: 'api' }
const mac = '52:54:00:00:00:01' as Mac
const machine: Actor = { who: mac, from: '10.34.7.9', surface: 'machine' }
const macAddress: Address = { kind: 'mac', text: mac }
const prefix = { kind: 'prefix4', text: '10.34' } as Address

/** A result of which every field says something. */
function result(verdict: KeptResult['verdict'], version: string | null): KeptResult {
  const failed = verdict === 'fail'
  return {
    verdict,
    reason: failed ? 'line 2: disk é "1" is gone' : '',
    counts: { info: 1200, warning: verdict === 'warn' ? 1 : 0, error: failed ? 2 : 0 },
    lines: failed ? [{ kind: 'E', line: 2, text: 'disk é "1" is gone' }] : [],
    version,
    exit: failed ? 3 : 0,
    cases: { total: 3, pass: failed ? 1 : 3, fail: failed ? 1 : 0, skip: failed ? 1 : 0, todo: 0 },
    measurements: [{ name: 'boot', value: 12.5, unit: 's' }],
    notes: failed ? ['plan says 4, 3 cases came'] : [],
    attachments: failed ? [{ name: 'report.xml', sizeBytes: 99 }] : [],
    sizeBytes: 4711,
  }
}

const request = (
  run: number,
  system: number,
  test: number,
  more: { attempt?: number; group?: number } = {},
): Event => ({
  ...{ type: 'run.requested', run, system, test },
  ...{ attempt: more.attempt ?? 1, group: more.group ?? run, version: run % 2 === 0 ? '4.1' : null },
})

const sent = (run: number, boot: string | null = null): Event => ({
  ...{ type: 'run.sent', run, hash: 'a'.repeat(64), mac, ip: '10.34.7.9', boot },
  ...{ timeoutMs: 1_800_000, graceMs: 300_000, retries: 1 },
})

const queued = (delivery: number, type: string): Event => ({
  ...{ type: 'webhook.queued', delivery, webhook: 1 },
  body: JSON.stringify({ type, timestamp: '2026-11-24T00:01:00.000Z', data: { system: 'node1' } }),
})

/** Records by who wrote them, up to what stands in the snapshots. */
const beforeSnapshot: readonly (readonly [Actor, readonly Event[]])[] = [
  [daemon, [{ type: 'profile.registered', profile: 1, name: 'local' }]],
  [daemon, [{ type: 'test.registered', test: 1, name: 'wait' }]],
  [daemon, [{ type: 'secret.made', secret: Buffer.alloc(32, 7).toString('base64') }]],
  [
    operator,
    [
      { type: 'system.added', system: 1, name: 'node1' },
      { type: 'address.added', system: 1, address: macAddress },
      { type: 'address.added', system: 1, address: prefix },
    ],
  ],
  [operator, [{ type: 'system.added', system: 2, name: 'gone' }]],
  [operator, [{ type: 'system.added', system: 3, name: 'default' }]],
  [operator, [{ type: 'system.renamed', system: 1, name: 'node é', was: 'node1' }]],
  [operator, [{ type: 'address.removed', system: 1, address: prefix }]],
  [operator, [{ type: 'system.removed', system: 2, name: 'gone' }]],
  [daemon, [{ type: 'profile.registered', profile: 2, name: 'install' }]],
  [daemon, [{ type: 'profile.missing', profile: 2 }]],
  [daemon, [{ type: 'profile.returned', profile: 2 }]],
  [operator, [{ type: 'boot.decided', decision: 1, system: 1, profile: 'install' }]],
  [operator, [{ type: 'boot.decided', decision: 2, system: 3, profile: 'local' }]],
  [machine, [{ type: 'boot.address', ip: '10.34.7.9', mac }]],
  [machine, [{ type: 'boot.decided', decision: 3, system: 1, profile: 'local' }]],
  [
    { ...machine, who: '52:54:00:00:00:99' },
    [
      {
        type: 'report.remembered',
        mac: '52:54:00:00:00:99' as Mac,
        ip: '10.34.1.1' as Ip4,
        system: null,
        profile: 'local',
      },
    ],
  ],
  [
    operator,
    [
      {
        type: 'token.added',
        token: 1,
        name: 'ci',
        role: 'operator',
        hash: 'b'.repeat(64),
        expires: '2027-01-01T00:00:00.000Z',
      },
    ],
  ],
  [operator, [{ type: 'token.added', token: 2, name: 'old', role: 'admin', hash: 'c'.repeat(64), expires: null }]],
  [operator, [{ type: 'token.revoked', token: 2 }]],
]

/** Lost to damage and put in its place by a repair: nothing later builds upon it. */
const damaged: Event = { type: 'boot.address', ip: '10.34.7.250', mac: '52:54:00:00:00:fa' as Mac }

const afterSnapshot: readonly (readonly [Actor, readonly Event[]])[] = [
  [daemon, [{ type: 'test.registered', test: 2, name: 'smoke' }]],
  [daemon, [{ type: 'test.registered', test: 3, name: 'burnin' }]],
  [daemon, [{ type: 'test.missing', test: 3 }]],
  [daemon, [{ type: 'test.returned', test: 3 }]],
  [
    token,
    [
      request(1, 1, 2),
      request(2, 1, 3),
      { type: 'suite.given', system: 1, version: '4.1', suite: 'release', tests: [2, 3] },
    ],
  ],
  [
    operator,
    [
      {
        ...{ type: 'webhook.added', webhook: 1, url: 'https://192.0.2.1/hook', secret: 'whsec_AAAA' },
        on: ['run.regressed', 'run.fixed', 'machine.sick'],
      },
    ],
  ],
  [
    operator,
    [{ type: 'webhook.added', webhook: 2, url: 'http://192.0.2.2/', on: ['machine.sick'], secret: 'whsec_BBBB' }],
  ],
  [operator, [{ type: 'webhook.removed', webhook: 2 }]],
  [machine, [sent(1, '2026-11-24T00:00:30.000Z')]],
  [machine, [{ type: 'run.running', run: 1 }]],
  [machine, [{ type: 'run.extended', run: 1, deadline: '2026-11-24T02:00:00.000Z' }]],
  [machine, [{ type: 'run.uploaded', run: 1, late: false, result: result('pass', '4.0') }]],
  [machine, [sent(2)]],
  // Lost, and tried again.
  [
    daemon,
    [{ type: 'run.closed', run: 2, verdict: 'lost', reason: 'silent' }, request(3, 1, 3, { attempt: 2, group: 2 })],
  ],
  [machine, [{ type: 'run.uploaded', run: 2, late: true, result: result('warn', '4.1') }]],
  [machine, [sent(3)]],
  [machine, [{ type: 'run.uploaded', run: 3, late: false, result: result('fail', '4.1') }, queued(1, 'run.regressed')]],
  [machine, [{ type: 'run.uploaded', run: 3, late: false, result: result('fail', '4.1') }]],
  [operator, [{ type: 'run.waived', run: 3, why: 'the disk is known "bad"' }]],
  [operator, [{ type: 'run.waived', run: 2, why: 'a fan' }]],
  [machine, [{ type: 'run.waived', run: 2, why: null }]],
  [daemon, [{ type: 'webhook.settled', delivery: 1, ok: true, detail: '' }]],
  [token, [request(4, 1, 2), request(5, 1, 2), request(6, 1, 2), request(7, 1, 3), request(8, 1, 3)]],
  [operator, [{ type: 'run.cancelled', run: 4 }]],
  [daemon, [{ type: 'run.expired', run: 5 }]],
  [
    daemon,
    [
      {
        type: 'run.closed',
        run: 6,
        verdict: 'infra',
        reason: 'booted and asked for nothing after the profile install',
      },
      { type: 'system.sick', system: 1, reason: '3 runs in a row without a result' },
      queued(2, 'machine.sick'),
    ],
  ],
  [daemon, [{ type: 'webhook.settled', delivery: 2, ok: false, detail: 'given up after 24 h: connection refused' }]],
  [operator, [{ type: 'system.released', system: 1 }]],
  [machine, [sent(7)]],
  [machine, [{ type: 'run.uploaded', run: 7, late: false, result: result('skip', null) }, queued(3, 'run.fixed')]],
  [token, [request(9, 1, 2)]],
  [machine, [sent(9)]],
  [
    daemon,
    [
      {
        ...{ type: 'run.closed', run: 9, verdict: 'lost', reason: 'rebooted' },
        progress: { counts: { info: 7, warning: 0, error: 2 }, lines: result('fail', null).lines, version: '4.2' },
      },
    ],
  ],
  [operator, [{ type: 'version.kept', version: 1 }]],
  [operator, [{ type: 'log.removed', run: 1 }]],
  [operator, [{ type: 'run.removed', run: 7 }]],
]

/** Writes it into the empty folder `dataDir`; resolves with the last record's number. */
export async function writeEveryEvent(dataDir: string): Promise<number> {
  let second = 0
  const now = (): Date => new Date(Date.UTC(2026, 10, 24) + second++ * 1000)
  const open = (): Promise<OpenedStore> => openStore({ dataDir, log: silentLog, now, segmentMaxBytes: 4096 })
  const write = async (store: OpenedStore, records: readonly (readonly [Actor, readonly Event[]])[]): Promise<void> => {
    for (const [actor, events] of records) {
      await store.commit(actor, (tx) => {
        for (const event of events) tx.emit(event)
      })
    }
  }
  const first = await open()
  await write(first, beforeSnapshot.slice(0, 10))
  await first.snapshot()
  await write(first, beforeSnapshot.slice(10))
  await first.snapshot() // what lies behind both goes to the archive
  await write(first, [[machine, [damaged]], ...afterSnapshot.slice(0, 4)])
  const { seq } = first
  await first.close()
  damage(dataDir, JSON.stringify(damaged))
  await repairDataDir(dataDir, { dryRun: false, now })
  const again = await open()
  await write(again, afterSnapshot.slice(4))
  const last = again.seq
  await again.close()
  if (last <= seq) throw new Error('nothing was written after the repair')
  return last + 1
}

/** Spoils the one line of the journal that holds `text`. */
function damage(dataDir: string, text: string): void {
  for (const name of readdirSync(join(dataDir, 'journal'))) {
    const path = join(dataDir, 'journal', name)
    const content = readFileSync(path, 'utf8')
    if (content.includes(text)) {
      writeFileSync(path, content.replace(text, text.replace('boot', 'b00t')))
      return
    }
  }
  throw new Error(`no line holds ${text}`)
}
