/**
 * Rows of tests, runs and results as the read functions give them, and how they come out of the database.
 *
 * Times are ms since the epoch. What can be asked is `run-queries.ts`. Source: `schema-runs.ts`.
 */
import type { CaseCounts, KeptLine, WebhookKind } from '../domain/run.ts'
import { type RunState, type Verdict, verdictNames } from '../domain/verdict.ts'
import { runFlags } from './schema-runs.ts'
import type { Row, SqlValue } from './sqlite.ts'

export interface Named {
  readonly id: number
  readonly name: string
}

export interface TestRow extends Named {
  /** Whether its file was there when the folder was last looked at. */
  readonly available: boolean
}

export interface VersionRow extends Named {
  readonly atMs: number
  readonly kept: boolean
}

export interface RunRow {
  readonly id: number
  readonly system: Named
  readonly test: Named
  /** What it counts for; before it is done what was asked for. */
  readonly version: Named | null
  readonly state: RunState
  /** Of a done run. */
  readonly verdict: Verdict | null
  /** From 1. */
  readonly attempt: number
  /** Id of the first attempt. */
  readonly group: number
  readonly late: boolean
  readonly flaky: boolean
  readonly waived: boolean
  /** Whether a result came in. */
  readonly uploaded: boolean
  /** Whether its raw log is still a file. */
  readonly logKept: boolean
  readonly requestedMs: number
  readonly sentMs: number | null
  readonly doneMs: number | null
  /** When it is closed as lost; `graceMs`: at least so long after a restart. */
  readonly deadlineMs: number | null
  readonly graceMs: number | null
  readonly retries: number | null
  /** When the boot began that asked for it. */
  readonly bootMs: number | null
  /** Hex SHA-256 of the test file as it was sent. */
  readonly hash: string | null
  readonly counts: { readonly info: number; readonly warning: number; readonly error: number }
}

/** What of a run a list is ordered by. */
export interface BriefRun {
  readonly id: number
  readonly system: number
  readonly test: number
  readonly version: number | null
  readonly state: RunState
  readonly verdict: Verdict | null
  /** When it was done, else sent, else requested. */
  readonly whenMs: number
  readonly tookMs: number | null
  readonly errors: number
}

/** Texts of a run; everything empty where there are none. */
export interface RunDetail {
  readonly reason: string | null
  readonly exit: number | null
  readonly cases: CaseCounts
  readonly lines: readonly KeptLine[]
  readonly notes: readonly string[]
  readonly attachments: readonly { readonly name: string; readonly sizeBytes: number }[]
  /** Why it was waived. */
  readonly waived: string | null
  readonly mac: string | null
  readonly ip: string | null
  readonly sizeBytes: number | null
  readonly measurements: readonly { readonly name: string; readonly value: number; readonly unit: string }[]
}

export interface MeasurementRow {
  readonly run: number
  readonly name: string
  readonly unit: string
  readonly value: number
}

/** What of a done run an overview needs. */
export interface LatestRun {
  readonly run: number
  readonly system: Named
  readonly test: Named
  readonly verdict: Verdict
  readonly waived: boolean
  readonly flaky: boolean
}

/** All of what is given has to fit. */
export interface RunFilter {
  readonly system?: number
  readonly test?: number
  readonly version?: number
  readonly states?: readonly RunState[]
  readonly verdicts?: readonly Verdict[]
  /** Requested at or after. */
  readonly sinceMs?: number
  /** Ids below, for paging. */
  readonly before?: number
  /** Newest first, at most so many. */
  readonly limit: number
}

export interface WebhookRow {
  readonly id: number
  readonly url: string
  readonly on: readonly WebhookKind[]
  readonly secret: string
  readonly atMs: number
}

export interface DeliveryRow {
  readonly id: number
  readonly webhook: WebhookRow
  readonly body: string
  readonly atMs: number
}

export function textOf(value: SqlValue | undefined): string | null {
  return typeof value === 'string' ? value : null
}

export function numberOf(value: SqlValue | undefined): number | null {
  return typeof value === 'number' ? value : null
}

export function toTest([id, name, available]: Row): TestRow {
  return { id: Number(id), name: String(name), available: available === 1 }
}

export function toVersion([id, name, at, kept]: Row): VersionRow {
  return { id: Number(id), name: String(name), atMs: Number(at), kept: kept === 1 }
}

export function toWebhook([id, url, events, secret, at]: Row): WebhookRow {
  return {
    id: Number(id),
    url: String(url),
    on: String(events).split(',') as WebhookKind[],
    secret: String(secret),
    atMs: Number(at),
  }
}

/** The verdict is the word of the table, so that rows that are kept share it. */
export function toLatest([, , run, verdict, flags]: Row, system: Named, test: Named): LatestRun {
  return {
    run: Number(run),
    system,
    test,
    verdict: verdictNames.find((name) => name === verdict) ?? 'pass',
    waived: (Number(flags) & runFlags.waived) !== 0,
    flaky: (Number(flags) & runFlags.flaky) !== 0,
  }
}

export function toBrief([id, system, test, version, state, verdict, when, took, errors]: Row): BriefRun {
  return {
    id: Number(id),
    system: Number(system),
    test: Number(test),
    version: numberOf(version),
    state: state as RunState,
    verdict: verdict as Verdict | null,
    whenMs: Number(when),
    tookMs: numberOf(took),
    errors: Number(errors),
  }
}

export function toRun(row: Row): RunRow {
  const [id, system, systemName, test, testName, version, versionName, state, verdict, attempt, group, bits] = row
  const [requested, sent, done, deadline, grace, retries, boot, hash, infos, warnings, errors] = row.slice(12)
  const flags = Number(bits)
  return {
    id: Number(id),
    system: { id: Number(system), name: String(systemName) },
    test: { id: Number(test), name: String(testName) },
    version: version === null ? null : { id: Number(version), name: String(versionName) },
    state: state as RunState,
    verdict: verdict as Verdict | null,
    attempt: Number(attempt),
    group: Number(group),
    late: (flags & runFlags.late) !== 0,
    flaky: (flags & runFlags.flaky) !== 0,
    waived: (flags & runFlags.waived) !== 0,
    uploaded: (flags & runFlags.uploaded) !== 0,
    logKept: (flags & runFlags.logKept) !== 0,
    requestedMs: Number(requested),
    sentMs: numberOf(sent),
    doneMs: numberOf(done),
    deadlineMs: numberOf(deadline),
    graceMs: numberOf(grace),
    retries: numberOf(retries),
    bootMs: numberOf(boot),
    hash: textOf(hash),
    counts: { info: Number(infos), warning: Number(warnings), error: Number(errors) },
  }
}
