/**
 * A lab's worth of results to look at: machines, tests and versions with regressions, flaky tests, a machine that breaks,
 * a suite that was not run to its end, and what hurts (long names, Latin-1, control characters). Always the same.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Actor } from '../../src/domain/event.ts'
import { createResultReader } from '../../src/domain/result/reader.ts'
import type { Transaction } from '../../src/store/store.ts'
import type { Management } from './management.ts'

export interface LabSize {
  readonly versions: number
  readonly systems: number
  readonly tests: number
}

/** What pages of the lab are worth a look. */
export interface Lab {
  readonly failingRun: number
  /** The one before it on the same machine. */
  readonly goodRun: number
  /** A machine that gives no results. */
  readonly sick: number
  readonly runningRun: number
  readonly system: number
  readonly test: number
  /** A test that fails now and then. */
  readonly flaky: number
  readonly versions: readonly string[]
}

const person: Actor = { who: 'ann', from: 'socket', surface: 'cli' }
const dayMs = 86_400_000
const testNames = [
  'boot-time',
  'memory-march',
  'disk-sequential',
  'disk-random',
  'nvme-smart',
  'network-throughput',
  'network-latency',
  'cpu-stress',
  'thermal',
  'fan-speed',
  'ipmi-sensors',
  'usb-enumerate',
  'gpu-burnin',
  'pcie-link',
  'power-cycle',
  'suspend-resume',
  'kexec',
  'firmware-version',
  'secure-boot',
  'tpm-selftest',
  'raid-rebuild',
  'ecc-inject',
  'serial-loopback',
  'clock-drift',
  'package-install-with-a-name-that-is-much-longer-than-any-column-would-like-it-to-be',
]
const errors = [
  'link came up at x4, expected x8',
  'memtester: FAILURE: 0x00000000deadbeef != 0x00000000deadbeff at offset 0x01c3f240',
  'fio: io_u error on file /dev/nvme0n1: Input/output error: read offset=1073741824',
  'temperature 97 C above limit 95 C after 412 s',
]

/** A small generator, so that the lab looks the same each time. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

export async function fillLab(site: Management, size: LabSize, nowMs = Date.now()): Promise<Lab> {
  const { store } = site
  const next = random(7)
  const systems = Array.from(
    { length: size.systems },
    (_, at) => `rack${1 + Math.floor(at / 10)}-node${String(1 + (at % 10)).padStart(2, '0')}`,
  )
  const names = Array.from({ length: size.tests }, (_, at) => testNames[at % testNames.length] ?? `test-${at}`)
  const versions = Array.from({ length: size.versions }, (_, at) => `4.${1 + Math.floor(at / 4)}-rc${1 + (at % 4)}`)
  mkdirSync(join(site.resultsDir, 'scripts'))
  for (const name of names) {
    writeFileSync(join(site.testsDir, `${name}.test`), scriptOf(name))
    writeFileSync(join(site.resultsDir, 'scripts', hashOf(name)), scriptOf(name))
  }
  writeFileSync(join(site.testsDir, 'wait.test'), 'sleep 5\n')
  store.at = new Date(nowMs - (size.versions + 1) * dayMs).toISOString()
  await site.daemon.tests.sync()
  const ids = await store.commit(person, (tx) =>
    systems.map((name, at) => {
      const system = tx.nextId('system')
      tx.emit({ type: 'system.added', system, name })
      const mac = `52:54:00:aa:${(at >> 8).toString(16).padStart(2, '0')}:${(at & 255).toString(16).padStart(2, '0')}`
      tx.emit({ type: 'address.added', system, address: { kind: 'mac', text: mac } as never })
      tx.emit({ type: 'boot.decided', decision: tx.nextId('decision'), system, profile: 'local' })
      return system
    }),
  )
  let failingRun = 0
  for (const [at, version] of versions.entries()) {
    store.at = new Date(nowMs - (size.versions - at) * dayMs).toISOString()
    for (const [place, system] of ids.entries()) {
      const sentMs = nowMs - (versions.length - at) * dayMs
      store.at = new Date(sentMs).toISOString()
      const isNewest = at === versions.length - 1
      // The newest version is still under test on the last machines.
      const given = names.filter((_, nth) => !isNewest || place < ids.length - 4 || nth <= names.length / 2)
      const asked = await store.commit(person, (tx) => {
        const expected = names.flatMap((name) => tx.findTest(name)?.id ?? [])
        tx.emit({ type: 'suite.given', system, version, suite: 'release', tests: expected })
        return given.map((name, nth) => {
          const outcome = outcomeOf(next(), { at, versions: versions.length, place, nth })
          return { outcome, run: requestRun(tx, { system, name, version, outcome }) }
        })
      })
      // What took longer from version to version.
      store.at = new Date(sentMs + 60_000 + at * 2_000 + Math.floor(next() * 9_000)).toISOString()
      await store.commit(person, (tx) => {
        for (const [nth, { run, outcome }] of asked.entries()) {
          const name = given[nth] ?? ''
          endRun(tx, { run, name, version, outcome, value: 20 + at + next() * 4, site })
          if (outcome === 'fail' && isNewest) failingRun = run
        }
      })
    }
  }
  store.at = new Date(nowMs - 120_000).toISOString()
  const runningRun = await store.commit(person, (tx) => {
    const test = tx.findTest(names[0] ?? '')?.id ?? 1
    const request = (system: number) => {
      const run = tx.nextId('run')
      tx.emit({ type: 'run.requested', run, system, test, attempt: 1, group: run, version: null })
      return run
    }
    const run = request(ids[0] ?? 1)
    for (const system of ids.slice(1, 6)) request(system)
    send(tx, run, names[0] ?? '')
    tx.emit({
      type: 'system.sick',
      system: ids[3] ?? 1,
      reason: '3 runs in a row without a result: kexec infra, disk-random lost, thermal infra',
    })
    return run
  })
  store.at = undefined
  const test = store.queries.findTest(names[0] ?? '')?.id ?? 1
  const failing = store.queries.getRun(failingRun)
  const goodRun = (failing && store.queries.previousRun(failing, ['pass', 'warn'])?.id) ?? 0
  return {
    failingRun,
    goodRun,
    sick: ids[3] ?? 1,
    runningRun,
    system: ids[0] ?? 1,
    test,
    flaky: store.queries.findTest(names[8] ?? '')?.id ?? test,
    versions,
  }
}

type Outcome = 'pass' | 'warn' | 'fail' | 'infra' | 'lost' | 'skip'

/** Test 7 regresses with the last version, 4 was mended in the middle, 8 is flaky, machine 3 breaks, 10 always skips. */
function outcomeOf(
  dice: number,
  { at, versions, place, nth }: { at: number; versions: number; place: number; nth: number },
): Outcome {
  if (place === 3 && at > versions - 4) return dice < 0.5 ? 'infra' : 'lost'
  if (nth === 7 && at === versions - 1 && place % 3 === 0) return 'fail'
  if (nth === 4 && at < versions / 2 && place % 4 === 1) return 'fail'
  if (nth === 8 && place % 6 === 2 && dice < 0.4) return 'fail'
  if (nth === 10 && place % 5 === 2) return 'skip'
  if (nth === 5 && place % 7 === 4) return 'warn'
  if (dice > 0.996) return 'infra'
  return 'pass'
}

function requestRun(
  tx: Transaction,
  { system, name, version, outcome }: { system: number; name: string; version: string; outcome: Outcome },
): number {
  const test = tx.findTest(name)?.id ?? 1
  const run = tx.nextId('run')
  tx.emit({ type: 'run.requested', run, system, test, attempt: 1, group: run, version })
  if (outcome === 'infra' || outcome === 'lost') return run
  send(tx, run, name)
  return run
}

function endRun(
  tx: Transaction,
  given: { run: number; name: string; version: string; outcome: Outcome; value: number; site: Management },
): void {
  const { run, name, version, outcome, value, site } = given
  if (outcome === 'infra' || outcome === 'lost') {
    const reason = outcome === 'lost' ? 'rebooted' : 'booted and got as far as the profile local'
    tx.emit({ type: 'run.closed', run, verdict: outcome, reason })
    return
  }
  const text = logText(name, version, outcome, value, run)
  const reader = createResultReader()
  reader.push(text)
  const { caseList: _, ...result } = reader.summary()
  tx.emit({ type: 'run.uploaded', run, late: false, result: { ...result, attachments: [] } })
  writeFileSync(join(site.resultsDir, `${run}.log`), text)
}

function logText(name: string, version: string, outcome: Outcome, value: number, run: number): Uint8Array {
  const lines = [`V: ${version}`, `I: ${name} begins`, `M: duration ${value.toFixed(1)} s`]
  for (let each = 0; each < 40; each++) lines.push(`step ${each}: checking \u001b[32mdevice ${each}\u001b[0m: ok`)
  if (outcome === 'warn') lines.push('W: fan 2 is slow: 1200 rpm')
  if (outcome === 'fail') lines.push(`E: ${errors[run % errors.length]}`, 'E: gave up')
  if (outcome === 'skip') lines.push('X: 77')
  lines.push('I: caf\u00e9', '')
  return Buffer.from(lines.join('\n'), 'latin1')
}

/** Its file: what machines get and what the hash of a run is of. */
function scriptOf(name: string): string {
  return `#!/bin/sh\n# pxemngr: timeout=30m tags=burnin\necho ${name}\n`
}

function hashOf(name: string): string {
  return createHash('sha256').update(scriptOf(name)).digest('hex')
}

/** As a machine gets it. */
function send(tx: Transaction, run: number, name: string): void {
  const times = { timeoutMs: 1_800_000, graceMs: 300_000 }
  tx.emit({ type: 'run.sent', run, hash: hashOf(name), mac: null, ip: '10.0.0.1', boot: tx.at, ...times, retries: 0 })
}
