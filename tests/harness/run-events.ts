/**
 * Events of runs for tests that need many of them, put straight into the journal of a real store: systems, tests, results.
 */
import type { Event } from '../../src/domain/event.ts'
import type { KeptResult } from '../../src/domain/run.ts'
import type { Verdict } from '../../src/domain/verdict.ts'
import type { Store } from '../../src/store/store.ts'

const person = { who: 'ann', from: 'socket', surface: 'cli' } as const

/** Writes one record. */
export function emit(store: Store, ...events: readonly Event[]): Promise<void> {
  return store.commit(person, (tx) => {
    for (const event of events) tx.emit(event)
  })
}

/** Systems `s1` … and tests `t1` …, with these numbers as ids. */
export function addParts(store: Store, systems: number, tests: number): Promise<void> {
  return store.commit(person, (tx) => {
    for (let at = 0; at < systems; at++) {
      const system = tx.nextId('system')
      tx.emit({ type: 'system.added', system, name: `s${system}` })
    }
    for (let at = 0; at < tests; at++) {
      const test = tx.nextId('test')
      tx.emit({ type: 'test.registered', test, name: `t${test}` })
    }
  })
}

export function requested(
  run: number,
  system: number,
  test: number,
  more: { attempt?: number; group?: number } = {},
): Event {
  return { type: 'run.requested', run, system, test, attempt: 1, group: run, version: null, ...more }
}

export function sent(run: number, mac: string | null = '52:54:00:00:00:01', ip: string | null = '192.0.2.7'): Event {
  const times = { timeoutMs: 60_000, graceMs: 1000, retries: 0 }
  return { type: 'run.sent', run, hash: 'ab'.repeat(32), mac: mac as never, ip, boot: null, ...times }
}

export function uploaded(run: number, verdict: Verdict, version: string | null, more: Partial<KeptResult> = {}): Event {
  const result: KeptResult = {
    verdict,
    reason: verdict === 'pass' ? '' : `it is ${verdict}`,
    counts: { info: 0, warning: 0, error: verdict === 'fail' ? 1 : 0 },
    lines: [],
    version,
    exit: null,
    cases: { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 },
    measurements: [],
    notes: [],
    attachments: [],
    sizeBytes: 100,
    ...more,
  }
  return { type: 'run.uploaded', run, late: false, result }
}
