/**
 * Random sequences of commands for property tests: every event there is, valid where it stands, also bulk and refused.
 */
import fc from 'fast-check'
import type { Ip4, Mac } from '../../src/domain/address.ts'
import { Refusal } from '../../src/domain/errors.ts'
import type { KeptResult } from '../../src/domain/run.ts'
import { concludeRun } from '../../src/runs/conclude.ts'
import type { RunRow } from '../../src/store/run-rows.ts'
import type { Store, Transaction } from '../../src/store/store.ts'
import { addSystem, decide, operator } from './store-folder.ts'

export interface RandomCommand {
  readonly kind: (typeof kinds)[number]
  /** Chooses among what is there, and names. */
  readonly pick: number
}

const kinds = [
  'add',
  'add',
  'decide',
  'decide',
  'rename',
  'remove',
  'removeAddress',
  'remember',
  'bootAddress',
  'profile',
  'profileGone',
  'token',
  'revoke',
  'test',
  'request',
  'request',
  'send',
  'progress',
  'upload',
  'upload',
  'close',
  'end',
  'waive',
  'expire',
  'suite',
  'webhook',
  'settle',
  'refused',
  'nothing',
] as const

export const randomCommands = (maxLength: number): fc.Arbitrary<RandomCommand[]> =>
  fc.array(fc.record({ kind: fc.constantFrom(...kinds), pick: fc.nat({ max: 40 }) }), { maxLength })

function macOf(pick: number): Mac {
  return `52:54:00:00:00:${(pick % 7).toString(16).padStart(2, '0')}` as Mac
}

/** Runs one; a refusal of it is an ordinary end. */
export async function runCommand(store: Store, command: RandomCommand): Promise<void> {
  try {
    await store.commit(operator, (tx) => perform(tx, command))
  } catch (error) {
    if (!(error instanceof Refusal) || error.kind !== 'refused') throw error
  }
}

/** One of the runs, of that state if given. */
function pickRun(tx: Transaction, pick: number, state?: RunRow['state']): RunRow | undefined {
  const runs = tx.runs({ limit: 1000, ...(state ? { states: [state] } : {}) })
  return runs[pick % Math.max(1, runs.length)]
}

function randomResult(pick: number): KeptResult {
  const verdicts = ['pass', 'fail', 'warn', 'skip'] as const
  return {
    verdict: verdicts[pick % 4] ?? 'pass',
    reason: pick % 2 === 0 ? '' : `pick ${pick}`,
    counts: { info: pick, warning: 0, error: pick % 4 === 1 ? 1 : 0 },
    lines: pick % 2 === 0 ? [] : [{ kind: 'E', line: 1, text: `é ${pick}` }],
    version: pick % 5 === 0 ? null : `v${pick % 4}`,
    exit: pick % 7 === 0 ? null : pick,
    cases: { total: pick, pass: pick, fail: 0, skip: 0, todo: 0 },
    measurements: pick % 3 === 0 ? [{ name: 'm', value: pick / 7, unit: 's' }] : [],
    notes: [],
    attachments: [],
    sizeBytes: pick,
  }
}

function perform(tx: Transaction, { kind, pick }: RandomCommand): void {
  const systems = tx.listSystems()
  const system = systems[pick % Math.max(1, systems.length)]
  const name = `c${pick} é"\\`
  switch (kind) {
    case 'add':
      if (tx.findSystem(name)) throw new Refusal('refused', 'exists')
      addSystem(tx, name, macOf(pick), `10.0.0.${pick}`, '10.34')
      return
    case 'decide':
      if (system) decide(tx, system.id, pick % 2 === 0 ? 'local' : 'install')
      return
    case 'rename':
      if (!system || tx.findSystem(name)) throw new Refusal('refused', 'exists')
      tx.emit({ type: 'system.renamed', system: system.id, name, was: system.name })
      return
    case 'remove':
      if (system) tx.emit({ type: 'system.removed', system: system.id, name: system.name })
      return
    case 'removeAddress': {
      const [address] = system ? tx.addressesOf(system.id) : []
      if (system && address) tx.emit({ type: 'address.removed', system: system.id, address })
      return
    }
    case 'remember':
      tx.emit({
        type: 'report.remembered',
        mac: pick % 3 === 0 ? null : macOf(pick),
        ip: `10.34.0.${pick}` as Ip4,
        system: system?.id ?? null,
        profile: 'local',
      })
      return
    case 'bootAddress':
      tx.emit({ type: 'boot.address', ip: `10.0.0.${pick % 5}`, mac: macOf(pick) })
      return
    case 'profile':
      if (tx.findProfile(name)) throw new Refusal('refused', 'exists')
      tx.emit({ type: 'profile.registered', profile: tx.nextId('profile'), name })
      return
    case 'profileGone': {
      const profile = tx.listProfiles()[pick % Math.max(1, tx.listProfiles().length)]
      if (profile) tx.emit({ type: profile.available ? 'profile.missing' : 'profile.returned', profile: profile.id })
      return
    }
    case 'token': {
      const token = tx.nextId('token')
      const hash = token.toString(16).padStart(64, '0')
      tx.emit({ type: 'token.added', token, name, role: 'operator', hash, expires: null })
      return
    }
    case 'revoke': {
      const [token] = tx.listTokens()
      if (token) tx.emit({ type: 'token.revoked', token: token.id })
      return
    }
    case 'test':
      if (tx.findTest(name)) throw new Refusal('refused', 'exists')
      tx.emit({ type: 'test.registered', test: tx.nextId('test'), name })
      return
    case 'request': {
      const test = tx.listTests()[pick % Math.max(1, tx.listTests().length)]
      const run = tx.nextId('run')
      const version = pick % 3 === 0 ? `v${pick % 4}` : null
      if (system && test) {
        tx.emit({ type: 'run.requested', run, system: system.id, test: test.id, attempt: 1, group: run, version })
      }
      return
    }
    case 'send': {
      const run = pickRun(tx, pick, 'requested')
      if (!run) return
      const times = { timeoutMs: 1000 * pick, graceMs: 500, retries: pick % 3 }
      const machine = { mac: pick % 2 === 0 ? macOf(pick) : null, ip: '10.0.0.1', boot: pick % 3 === 0 ? tx.at : null }
      tx.emit({ type: 'run.sent', run: run.id, hash: `hash ${pick % 3}`, ...machine, ...times })
      return
    }
    case 'progress': {
      const run = pickRun(tx, pick, 'sent')
      if (!run) return
      tx.emit({ type: 'run.running', run: run.id })
      tx.emit({
        type: 'run.extended',
        run: run.id,
        deadline: new Date(Date.parse(tx.at) + pick * 60_000).toISOString(),
      })
      return
    }
    case 'upload': {
      const run = pickRun(tx, pick)
      if (run) concludeRun(tx, run, { kind: 'uploaded', result: randomResult(pick) }, pick % 3)
      return
    }
    case 'close': {
      const run = pickRun(tx, pick, pick % 2 === 0 ? 'sent' : 'requested')
      const verdict = pick % 2 === 0 ? 'lost' : 'infra'
      const { counts, lines, version } = randomResult(pick)
      const progress = pick % 4 === 0 ? { counts, lines, version } : undefined
      if (run) concludeRun(tx, run, { kind: 'closed', verdict, reason: `pick ${pick}`, progress }, pick % 3)
      return
    }
    case 'end': {
      const run = pickRun(tx, pick, 'requested')
      const kept = { counts: { info: pick % 3, warning: 0, error: pick % 2 }, lines: [], version: null }
      if (run && pick % 2 === 0)
        tx.emit({ type: 'run.cancelled', run: run.id, ...(pick % 4 === 0 ? { progress: kept } : {}) })
      else if (run) tx.emit({ type: 'run.expired', run: run.id })
      return
    }
    case 'waive': {
      const run = pickRun(tx, pick, 'done')
      if (run) tx.emit({ type: 'run.waived', run: run.id, why: name })
      if (run && pick % 3 === 0) tx.emit({ type: 'run.waived', run: run.id, why: null })
      const version = tx.listVersions()[0]
      if (version) tx.emit({ type: 'version.kept', version: version.id })
      return
    }
    case 'expire': {
      const run = pickRun(tx, pick, 'done')
      if (run) tx.emit({ type: pick % 2 === 0 ? 'log.removed' : 'run.removed', run: run.id })
      return
    }
    case 'suite': {
      const tests = tx.listTests().map(({ id }) => id)
      if (system) tx.emit({ type: 'suite.given', system: system.id, version: `v${pick % 4}`, suite: name, tests })
      return
    }
    case 'webhook': {
      const [known] = tx.listWebhooks()
      const webhook = tx.nextId('webhook')
      if (known && pick % 4 === 0) tx.emit({ type: 'webhook.removed', webhook: known.id })
      else
        tx.emit({
          type: 'webhook.added',
          webhook,
          url: 'http://192.0.2.1/',
          on: ['machine.sick', 'run.fixed'],
          secret: 's',
        })
      return
    }
    case 'settle': {
      const [delivery] = tx.listDeliveries(1)
      if (delivery) tx.emit({ type: 'webhook.settled', delivery: delivery.id, ok: pick % 2 === 0, detail: '' })
      return
    }
    case 'refused':
      addSystem(tx, `ghost ${pick}`)
      throw new Refusal('refused', 'after it had named events')
    case 'nothing':
      return
    default:
      kind satisfies never
  }
}
