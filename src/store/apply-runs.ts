/**
 * What the events of tests, runs and results do to the database; part of `apply.ts`, with the same rules.
 *
 * Everything follows from the record: which version a run counts for (its `V: ` line, else what was asked for, else the
 * system's last known one) is worked out here, so that replay gives the same. Source: CONTRACT's RUNS.
 */
import type { IdKind, RecordHead } from '../domain/event.ts'
import type { KeptLine, KeptProgress, KeptResult, RunEvent } from '../domain/run.ts'
import { machineId, measureId, scriptId, versionId } from './intern.ts'
import { lineRunsKept, runFlags } from './schema-runs.ts'
import type { Database, SqlValue } from './sqlite.ts'

/** `note` writes down that an id is used up; `fault` throws for a record that does not fit. */
export interface RunApplier {
  readonly note: (kind: IdKind, id: number) => void
  readonly fault: (what: string) => never
}

export function applyRunEvent(database: Database, head: RecordHead, event: RunEvent, applier: RunApplier): void {
  const { note, fault } = applier
  const atMs = Date.parse(head.at)
  const must = (rows: number, what: string) => {
    if (rows !== 1) fault(what)
  }
  const updateRun = (run: number, set: string, values: readonly SqlValue[]) =>
    must(database.run(updateOf(set), [...values, run]), `is about run ${run}, which does not exist`)
  switch (event.type) {
    case 'test.registered':
      note('test', event.test)
      database.run('INSERT INTO test (id, name, available) VALUES (?, ?, 1)', [event.test, event.name])
      return
    case 'test.missing':
    case 'test.returned':
      must(
        database.run('UPDATE test SET available = ? WHERE id = ?', [
          event.type === 'test.returned' ? 1 : 0,
          event.test,
        ]),
        `is about test ${event.test}, which does not exist`,
      )
      return
    case 'secret.made':
      database.run('INSERT INTO secret (id, value) VALUES (1, ?)', [event.secret])
      return
    case 'run.requested': {
      note('run', event.run)
      const asked = event.version === null ? null : versionId(database, event.version, atMs)
      database.run(
        `INSERT INTO run (id, system, test, version, asked, state, attempt, grp, requested)
         VALUES (?1, ?2, ?3, ?4, ?4, 'requested', ?5, ?6, ?7)`,
        [event.run, event.system, event.test, asked, event.attempt, event.group, atMs],
      )
      return
    }
    case 'run.sent': {
      const deadline = atMs + event.timeoutMs + event.graceMs
      const boot = event.boot === null ? null : Date.parse(event.boot)
      updateRun(
        event.run,
        `state = 'sent', sent = ?, deadline = ?, grace = ?, retries = ?, script = ?, boot = ?, machine = ?`,
        [
          atMs,
          deadline,
          event.graceMs,
          event.retries,
          scriptId(database, event.hash),
          boot,
          machineId(database, event.mac, event.ip),
        ],
      )
      return
    }
    case 'run.running':
      updateRun(event.run, `state = 'running'`, [])
      return
    case 'run.extended':
      updateRun(event.run, 'deadline = ?', [Date.parse(event.deadline)])
      return
    case 'run.closed':
      updateRun(event.run, `state = 'done', verdict = ?, done = ?, ${noDeadline}, version = ${ownVersion}`, [
        event.verdict,
        atMs,
      ])
      detail(database, event.run, 'reason', event.reason)
      if (event.progress) keepProgress(database, event.run, atMs, event.progress, updateRun)
      return
    case 'run.uploaded':
      upload(database, head, event, updateRun)
      return
    case 'run.cancelled':
    case 'run.expired':
      updateRun(event.run, `state = ?, done = ?, ${noDeadline}`, [
        event.type === 'run.cancelled' ? 'cancelled' : 'expired',
        atMs,
      ])
      if (event.type === 'run.cancelled' && event.progress)
        keepProgress(database, event.run, atMs, event.progress, updateRun)
      return
    case 'run.waived':
      if (event.why === null) {
        updateRun(event.run, `flags = flags & ~${runFlags.waived}`, [])
        database.run('UPDATE run_detail SET waived = NULL WHERE run = ?', [event.run])
      } else {
        updateRun(event.run, `flags = flags | ${runFlags.waived}`, [])
        detail(database, event.run, 'waived', event.why)
      }
      return
    case 'log.removed':
      updateRun(event.run, `flags = flags & ~${runFlags.logKept}`, [])
      return
    case 'run.removed':
      must(database.run('DELETE FROM run WHERE id = ?', [event.run]), `removes run ${event.run}, which does not exist`)
      database.run('DELETE FROM run_detail WHERE run = ?', [event.run])
      database.run('DELETE FROM run_line WHERE run = ?', [event.run])
      database.run('DELETE FROM measurement WHERE run = ?', [event.run])
      return
    case 'version.kept':
      must(
        database.run('UPDATE version SET kept = 1 WHERE id = ?', [event.version]),
        `keeps version ${event.version}, which does not exist`,
      )
      return
    case 'suite.given': {
      const version = versionId(database, event.version, atMs)
      for (const test of event.tests) {
        database.run('INSERT OR REPLACE INTO expected (version, system, test, suite) VALUES (?, ?, ?, ?)', [
          version,
          event.system,
          test,
          event.suite,
        ])
      }
      return
    }
    case 'system.sick':
      must(
        database.run('UPDATE system SET sick = ? WHERE id = ?', [event.reason, event.system]),
        `is about system ${event.system}, which does not exist`,
      )
      return
    case 'system.released':
      must(
        database.run(
          `UPDATE system SET sick = NULL,
           released = (SELECT max(id) FROM run WHERE system = ?1 AND state = 'done') WHERE id = ?1`,
          [event.system],
        ),
        `is about system ${event.system}, which does not exist`,
      )
      return
    case 'webhook.added':
      note('webhook', event.webhook)
      database.run('INSERT INTO webhook (id, url, events, secret, at) VALUES (?, ?, ?, ?, ?)', [
        event.webhook,
        event.url,
        event.on.join(','),
        event.secret,
        atMs,
      ])
      return
    case 'webhook.removed':
      must(
        database.run('DELETE FROM webhook WHERE id = ?', [event.webhook]),
        `removes webhook ${event.webhook}, which does not exist`,
      )
      return
    case 'webhook.queued':
      note('delivery', event.delivery)
      database.run('INSERT INTO delivery (id, webhook, body, at) VALUES (?, ?, ?, ?)', [
        event.delivery,
        event.webhook,
        event.body,
        atMs,
      ])
      return
    case 'webhook.settled':
      // Gone already where its webhook was removed meanwhile.
      database.run('DELETE FROM delivery WHERE id = ?', [event.delivery])
      return
    default:
      event satisfies never
  }
}

/** With a system go its runs and what is expected of it. */
export function forgetRunsOf(database: Database, system: number): void {
  database.run('DELETE FROM run_detail WHERE run IN (SELECT id FROM run WHERE system = ?)', [system])
  database.run('DELETE FROM run_line WHERE run IN (SELECT id FROM run WHERE system = ?)', [system])
  database.run('DELETE FROM measurement WHERE run IN (SELECT id FROM run WHERE system = ?)', [system])
  database.run('DELETE FROM run WHERE system = ?', [system])
  database.run('DELETE FROM expected WHERE system = ?', [system])
}

/** Only what is open has one. */
const noDeadline = 'deadline = NULL'

/** A statement's text is made once: one made of pieces anew is joined and hashed anew each time. */
const updates = new Map<string, string>()

function updateOf(set: string): string {
  const text = updates.get(set) ?? `UPDATE run SET ${set} WHERE id = ?`
  updates.set(set, text)
  return text
}

/** What a run counts for that names no version. */
const ownVersion = 'coalesce(asked, (SELECT s.version FROM system s WHERE s.id = run.system))'

const setResult = `state = 'done', verdict = ?, done = ?, ${noDeadline}, infos = ?, warnings = ?, errors = ?, exit = ?,
  size = ?, flags = (flags & ${runFlags.waived | runFlags.late}) | ?`
const setUploaded = `${setResult}, version = ${ownVersion}`
const setUploadedFor = `${setResult}, version = ?`

function upload(
  database: Database,
  head: RecordHead,
  event: Extract<RunEvent, { type: 'run.uploaded' }>,
  updateRun: (run: number, set: string, values: readonly SqlValue[]) => void,
): void {
  const { run, late, result } = event
  const atMs = Date.parse(head.at)
  const { verdict, counts } = result
  const [state, attempt, group] = database.get('SELECT state, attempt, grp FROM run WHERE id = ?', [run]) ?? []
  // Only what ended before has a detail, lines or measurements already.
  const isFirst = state === 'sent' || state === 'running' || state === 'requested'
  const again = (verdict === 'pass' || verdict === 'warn') && Number(attempt) > 1
  const flaky = again && failedBefore(database, run, Number(group))
  const flags = runFlags.uploaded | runFlags.logKept | (late ? runFlags.late : 0) | (flaky ? runFlags.flaky : 0)
  const version = result.version === null ? undefined : versionId(database, result.version, atMs)
  const values = [verdict, atMs, counts.info, counts.warning, counts.error, result.exit, result.sizeBytes, flags]
  if (version === undefined) updateRun(run, setUploaded, values)
  else {
    updateRun(run, setUploadedFor, [...values, version])
    countForSystem(database, run, version)
  }
  keepDetail(database, run, result, isFirst)
  if (!isFirst) database.run('DELETE FROM measurement WHERE run = ?', [run])
  for (const { name, value, unit } of result.measurements) {
    database.run('INSERT OR REPLACE INTO measurement (run, measure, value) VALUES (?, ?, ?)', [
      run,
      measureId(database, name, unit),
      value,
    ])
  }
}

/** Counts, first lines and version of what a run had sent when it was closed or cancelled; its verdict, if any, stays. */
function keepProgress(
  database: Database,
  run: number,
  atMs: number,
  { counts, lines, version: name }: KeptProgress,
  updateRun: (run: number, set: string, values: readonly SqlValue[]) => void,
): void {
  updateRun(run, 'infos = ?, warnings = ?, errors = ?', [counts.info, counts.warning, counts.error])
  if (name !== null) {
    const version = versionId(database, name, atMs)
    updateRun(run, 'version = ?', [version])
    countForSystem(database, run, version)
  }
  keepLines(database, run, lines)
}

/** The system's last known version is this one. */
function countForSystem(database: Database, run: number, version: number): void {
  database.run(
    'UPDATE system SET version = ?1 WHERE id = (SELECT system FROM run WHERE id = ?2) AND version IS NOT ?1',
    [version, run],
  )
}

/** Whether an earlier attempt of its group failed or was lost. */
function failedBefore(database: Database, run: number, group: number): boolean {
  const failed = database.get(
    `SELECT 1 FROM run WHERE id < ?2 AND verdict IN ('fail', 'lost')
     AND (id = ?1 OR id IN (SELECT id FROM run WHERE grp = ?1 AND attempt > 1)) LIMIT 1`,
    [group, run],
  )
  return failed !== undefined
}

/** `isFirst`: nothing is kept of the run yet. */
function keepDetail(database: Database, run: number, result: KeptResult, isFirst: boolean): void {
  const { cases, lines, notes, attachments } = result
  const list = (items: readonly unknown[]) => (items.length > 0 ? JSON.stringify(items) : null)
  const values = [
    result.reason === '' ? null : result.reason,
    cases.total > 0 ? JSON.stringify([cases.total, cases.pass, cases.fail, cases.skip, cases.todo]) : null,
    list(notes),
    list(attachments.map(({ name, sizeBytes }) => [name, sizeBytes])),
  ]
  if (values.every((value) => value === null)) {
    if (!isFirst)
      database.run(
        'UPDATE run_detail SET reason = NULL, cases = NULL, notes = NULL, attachments = NULL WHERE run = ?',
        [run],
      )
  } else {
    database.run(
      `INSERT INTO run_detail (run, reason, cases, notes, attachments) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (run) DO UPDATE SET reason = excluded.reason, cases = excluded.cases, notes = excluded.notes,
         attachments = excluded.attachments`,
      [run, ...values],
    )
  }
  keepLines(database, run, lines)
}

function keepLines(database: Database, run: number, lines: readonly KeptLine[]): void {
  if (lines.length === 0) database.run('DELETE FROM run_line WHERE run = ?', [run])
  else {
    const kept = JSON.stringify(lines.map(({ kind, line, text }) => [kind, line, text]))
    database.run('INSERT OR REPLACE INTO run_line (run, lines) VALUES (?, ?)', [run, kept])
  }
  database.run('DELETE FROM run_line WHERE run <= (SELECT max(run) FROM run_line) - ?', [lineRunsKept])
}

function detail(database: Database, run: number, column: 'reason' | 'waived', value: string): void {
  database.run(
    `INSERT INTO run_detail (run, ${column}) VALUES (?1, ?2) ON CONFLICT (run) DO UPDATE SET ${column} = ?2`,
    [run, value],
  )
}
