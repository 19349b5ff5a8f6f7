/**
 * A data directory with very many results, as years of a test lab leave one: every system runs every test for each version
 * in turn, most pass, some tests are broken for some versions, some machines fall silent.
 *
 * Made by the project's own code from journal records (the same events that a daemon writes), without the disk in
 * between: the state becomes the snapshot, and only the newest records, in segments as a daemon leaves them, are files.
 * Results are the same each time.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Event, JournalRecord } from '../../src/domain/event.ts'
import type { KeptLine, KeptResult } from '../../src/domain/run.ts'
import type { Verdict } from '../../src/domain/verdict.ts'
import { applyRecord } from '../../src/store/apply.ts'
import { dataFolder } from '../../src/store/folder.ts'
import { formatHeader, formatRecord } from '../../src/store/line.ts'
import { emptyState, sha256 } from '../../src/store/replay.ts'
import { schemaVersion } from '../../src/store/schema.ts'
import { macOf } from './files.ts'

export interface Lab {
  readonly systems: number
  readonly tests: number
  readonly versions: number
}

/** Newest records that are written as segments too: some 15 MiB, more than a page may look through. */
const recordsWritten = 40_000
/** As a daemon closes them. */
const segmentBytes = 1024 * 1024
/** Records between two commits of the state that is built. */
const transactionRecords = 5000
const startMs = Date.parse('2025-01-01T00:00:00.000Z')
/** Between two records. */
const stepMs = 400
/** A result has so many bytes, as the 106-line log of the cycle. */
const logBytes = 4_200
const minuteMs = 60_000

export const systemName = (index: number): string =>
  `rack${(index / 20) | 0}-node${String(index % 20).padStart(2, '0')}`
export const testName = (index: number): string => `${testWords[index % testWords.length] ?? 'test'}-${index}`
const testWords = ['disk', 'memory', 'network', 'boot', 'kernel'] as const

/** The records of the lab from nothing, in order. */
function* recordsOf({ systems, tests, versions }: Lab): Generator<JournalRecord> {
  let seq = 0
  const record = (who: string, events: readonly Event[]): JournalRecord => {
    seq += 1
    const actor = { who, from: '192.0.2.1', surface: who === 'pxemngr' ? ('daemon' as const) : ('machine' as const) }
    return { seq, at: new Date(startMs + seq * stepMs).toISOString(), actor, events: [...events] }
  }
  const secret = createHash('sha256').update('lab').digest('base64')
  yield record('pxemngr', [{ type: 'secret.made', secret }])
  for (let system = 1; system <= systems; system++) {
    const mac = macOf(system, ':') as never
    yield record('pxemngr', [
      { type: 'system.added', system, name: systemName(system - 1) },
      { type: 'address.added', system, address: { kind: 'mac', text: mac } },
    ])
  }
  for (let test = 1; test <= tests; test++) {
    yield record('pxemngr', [{ type: 'test.registered', test, name: testName(test - 1) }])
  }
  let run = 0
  for (let version = 1; version <= versions; version++) {
    for (let system = 1; system <= systems; system++) {
      for (let test = 1; test <= tests; test++) {
        run += 1
        const mac = macOf(system, ':') as never
        const at = { run, version: `v1.${version}.0-rc${version % 3}`, system, test }
        yield record('pxemngr', [{ type: 'run.requested', run, system, test, attempt: 1, group: run, version: null }])
        yield record(mac, [
          {
            type: 'run.sent',
            run,
            hash: createHash('sha256')
              .update(`test ${test} ${version >> 3}`)
              .digest('hex'),
            mac,
            ip: `198.51.${system >> 8}.${system & 255}`,
            boot: new Date(startMs + seq * stepMs - minuteMs).toISOString(),
            timeoutMs: 30 * minuteMs,
            graceMs: 5 * minuteMs,
            retries: 0,
          },
        ])
        yield record(mac, [ending(at, version)])
      }
    }
  }
}

function ending(at: { run: number; version: string; system: number; test: number }, version: number): Event {
  const { run } = at
  const luck = chance(run)
  if (luck < 0.004) return { type: 'run.closed', run, verdict: 'lost', reason: 'silent' }
  if (luck < 0.007) return { type: 'run.closed', run, verdict: 'infra', reason: 'never asked for a kernel' }
  // A test is broken for some versions on a part of the machines; single failures besides.
  const isBroken = chance(at.test * 7919 + (version >> 1)) < 0.05 && at.system % 3 === 0
  const verdict: Verdict = isBroken || luck < 0.02 ? 'fail' : luck < 0.04 ? 'warn' : luck < 0.05 ? 'skip' : 'pass'
  return { type: 'run.uploaded', run, late: false, result: resultOf(verdict, at.version, run) }
}

function resultOf(verdict: Verdict, version: string, run: number): KeptResult {
  const line = (kind: KeptLine['kind'], number: number, text: string): KeptLine => ({ kind, line: number, text })
  const lines = [
    line('I', 2, `kernel 6.1.0-${run % 40} on the machine under test`),
    line('I', 3, 'memory: 64 GiB, 2 sockets, firmware as delivered'),
    ...(verdict === 'fail' ? [line('E', 90, `read of block ${run % 100_000} gave an I/O error`)] : []),
    ...(verdict === 'warn' ? [line('W', 91, `temperature ${60 + (run % 30)} C is above the limit`)] : []),
  ]
  const reason = verdict === 'pass' ? '' : verdict === 'skip' ? 'exit status 77' : (lines.at(-1)?.text ?? '')
  return {
    verdict,
    reason,
    counts: { info: 2, warning: verdict === 'warn' ? 1 : 0, error: verdict === 'fail' ? 1 : 0 },
    lines,
    version,
    exit: verdict === 'skip' ? 77 : 0,
    cases: { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 },
    measurements: [],
    notes: [],
    attachments: [],
    sizeBytes: logBytes,
  }
}

/** A number below 1 that follows from `seed` alone. */
function chance(seed: number): number {
  let bits = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return ((bits ^ (bits >>> 16)) >>> 0) / 0x1_0000_0000
}

/** Makes the data directory `dir` (nothing may be there). `progress` hears how many results are in. */
export async function makeLab(dir: string, lab: Lab, progress: (results: number) => void): Promise<void> {
  const fresh = `${dir}.new`
  rmSync(fresh, { recursive: true, force: true })
  const folder = dataFolder(fresh)
  for (const path of [folder.journal, folder.archive]) mkdirSync(path, { recursive: true, mode: 0o700 })
  const database = await emptyState()
  let segment: { readonly first: number; readonly lines: Buffer[]; sizeBytes: number } | undefined
  const endSegment = (): void => {
    if (segment) writeFileSync(join(folder.journal, `${segment.first}.jsonl`), Buffer.concat(segment.lines))
    segment = undefined
  }
  const write = (record: JournalRecord): void => {
    segment ??= {
      first: record.seq,
      lines: [formatHeader({ first: record.seq, follows: record.seq - 1 }, record.at)],
      sizeBytes: 0,
    }
    const line = formatRecord(record, record.seq - 1)
    segment.lines.push(line)
    segment.sizeBytes += line.length
    if (segment.sizeBytes >= segmentBytes) endSegment()
  }
  const written = lab.systems + lab.tests + 3 * lab.systems * lab.tests * lab.versions - recordsWritten
  let seq = 0
  database.run('BEGIN')
  for (const record of recordsOf(lab)) {
    applyRecord(database, record)
    seq = record.seq
    if (seq > written) write(record)
    if (seq % transactionRecords === 0) {
      database.run('COMMIT')
      database.run('BEGIN')
      progress(Math.floor(seq / 3))
    }
  }
  database.run('COMMIT')
  endSegment()
  const bytes = database.export()
  database.close()
  writeFileSync(folder.snapshot, bytes)
  write({
    seq: seq + 1,
    at: new Date(startMs + seq * stepMs).toISOString(),
    actor: { who: 'pxemngr', from: 'daemon', surface: 'daemon' },
    events: [
      {
        ...{ type: 'snapshot.made', file: 'snapshot.sqlite', seq, schema: schemaVersion },
        ...{ sha256: sha256(bytes), sizeBytes: bytes.length },
      },
    ],
  })
  endSegment()
  if (existsSync(dir)) throw new Error(`${dir} is there already`)
  renameSync(fresh, dir)
}
