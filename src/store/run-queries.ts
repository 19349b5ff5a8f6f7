/**
 * The read functions of tests, runs and results: what each answers, and the indexed statement behind it.
 *
 * Part of `Queries` (`store.ts`), inside a decision and outside. Overviews that add up many runs (matrix, comparison,
 * trends) have statements of their own beside these. Times are ms since the epoch. Source: `schema-runs.ts`.
 */
import type { CaseCounts, KeptLine, WebhookKind } from '../domain/run.ts'
import type { RunState, Verdict } from '../domain/verdict.ts'
import { runFlags } from './schema-runs.ts'
import type { Database, Row, SqlValue } from './sqlite.ts'

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

export interface RunQueries {
  findTest(name: string): TestRow | undefined
  getTest(id: number): TestRow | undefined
  /** Creation order, those without a file included. */
  listTests(): TestRow[]
  findVersion(name: string): VersionRow | undefined
  getVersion(id: number): VersionRow | undefined
  /** Newest (first heard of last) first. */
  listVersions(limit?: number): VersionRow[]
  /** The last version a result of the system named. */
  versionOf(system: number): VersionRow | undefined
  getRun(id: number): RunRow | undefined
  getDetail(run: number): RunDetail
  /** Newest first. */
  runs(filter: RunFilter): RunRow[]
  countRuns(filter: Omit<RunFilter, 'limit' | 'before'>): number
  /** Waiting runs of these systems in the order in which they are handed out: retries, then the oldest. */
  requestedOf(systems: readonly number[], limit: number): RunRow[]
  /** Open runs of one state, oldest first. */
  openRuns(state: 'requested' | 'sent' | 'running', limit?: number): RunRow[]
  countOpen(): { readonly requested: number; readonly sent: number; readonly running: number }
  /** Every attempt, oldest first. */
  attemptsOf(group: number): RunRow[]
  /** The newest done runs of a system, for what makes it sick. */
  lastDoneOf(system: number, limit: number): RunRow[]
  /** The run before `run` of the same system and test, another group, done, with such a verdict. */
  previousRun(run: RunRow, verdicts: readonly Verdict[]): RunRow | undefined
  nextRun(run: RunRow): RunRow | undefined
  /** Expected by suites: (system, test) pairs of a version. */
  expectedOf(version: number): { readonly system: Named; readonly test: Named; readonly suite: string }[]
  /** Why the system is sick. */
  sickOf(system: number): string | undefined
  listSick(): { readonly system: Named; readonly reason: string }[]
  runSecret(): string | undefined
  listWebhooks(): WebhookRow[]
  getWebhook(id: number): WebhookRow | undefined
  /** Not delivered yet, oldest first. */
  listDeliveries(limit: number): DeliveryRow[]
}

const runColumns = `r.id, r.system, s.name, r.test, t.name, r.version, v.name, r.state, r.verdict, r.attempt, r.grp,
  r.flags, r.requested, r.sent, r.done, r.deadline, r.grace, r.retries, r.boot, c.hash, r.infos, r.warnings, r.errors`
const runTables = `run r JOIN system s ON s.id = r.system JOIN test t ON t.id = r.test
  LEFT JOIN version v ON v.id = r.version LEFT JOIN script c ON c.id = r.script`
const versionColumns = 'id, name, at, kept'
const webhookColumns = 'w.id, w.url, w.events, w.secret, w.at'
/** More rows than any page or command shows at once. */
const rowsMax = 1_000_000

export function createRunQueries(database: Database): RunQueries {
  const { get, all } = database
  const runsWhere = (where: string, values: readonly SqlValue[]) =>
    all(`SELECT ${runColumns} FROM ${runTables} ${where}`, values).map(toRun)
  const oneRun = (where: string, values: readonly SqlValue[]) => runsWhere(`${where} LIMIT 1`, values)[0]
  return {
    findTest: (name) => all('SELECT id, name, available FROM test WHERE name = ?', [name]).map(toTest)[0],
    getTest: (id) => all('SELECT id, name, available FROM test WHERE id = ?', [id]).map(toTest)[0],
    listTests: () => all('SELECT id, name, available FROM test ORDER BY id').map(toTest),
    findVersion: (name) => all(`SELECT ${versionColumns} FROM version WHERE name = ?`, [name]).map(toVersion)[0],
    getVersion: (id) => all(`SELECT ${versionColumns} FROM version WHERE id = ?`, [id]).map(toVersion)[0],
    listVersions: (limit = rowsMax) =>
      all(`SELECT ${versionColumns} FROM version ORDER BY id DESC LIMIT ?`, [limit]).map(toVersion),
    versionOf: (system) =>
      all('SELECT v.id, v.name, v.at, v.kept FROM system s JOIN version v ON v.id = s.version WHERE s.id = ?', [
        system,
      ]).map(toVersion)[0],
    getRun: (id) => oneRun('WHERE r.id = ?', [id]),
    getDetail: (run) => readDetail(database, run),
    runs(filter) {
      const { where, values } = conditions(filter)
      return runsWhere(`${where} ORDER BY r.id DESC LIMIT ?`, [...values, Math.min(filter.limit, rowsMax)])
    },
    countRuns(filter) {
      const { where, values } = conditions(filter)
      return Number(get(`SELECT count(*) FROM run r ${where}`, values)?.[0])
    },
    requestedOf: (systems, limit) =>
      runsWhere(
        `WHERE r.state = 'requested' AND r.system IN (${systems.map(() => '?').join(', ')})
         ORDER BY r.attempt = 1, r.id LIMIT ?`,
        [...systems, limit],
      ),
    openRuns: (state, limit = rowsMax) =>
      runsWhere(`WHERE r.state = ? AND ${isOpen} ORDER BY r.id LIMIT ?`, [state, limit]),
    countOpen() {
      const counts = { requested: 0, sent: 0, running: 0 }
      for (const [state, rows] of all(`SELECT r.state, count(*) FROM run r WHERE ${isOpen} GROUP BY r.state`)) {
        counts[state as keyof typeof counts] = Number(rows)
      }
      return counts
    },
    attemptsOf: (group) =>
      runsWhere(`WHERE r.id = ?1 OR r.id IN (SELECT id FROM run WHERE grp = ?1 AND attempt > 1) ORDER BY r.id`, [
        group,
      ]),
    lastDoneOf: (system, limit) =>
      runsWhere(`WHERE r.system = ? AND r.state = 'done' ORDER BY r.done DESC, r.id DESC LIMIT ?`, [system, limit]),
    previousRun: (run, wanted) =>
      oneRun(
        `WHERE r.test = ? AND r.system = ? AND r.id < ? AND r.grp <> ? AND r.state = 'done'
         AND r.verdict IN (${wanted.map(() => '?').join(', ')}) ORDER BY r.id DESC`,
        [run.test.id, run.system.id, run.id, run.group, ...wanted],
      ),
    nextRun: (run) =>
      oneRun('WHERE r.test = ? AND r.system = ? AND r.id > ? ORDER BY r.id', [run.test.id, run.system.id, run.id]),
    expectedOf: (version) =>
      all(
        `SELECT e.system, s.name, e.test, t.name, e.suite FROM expected e JOIN system s ON s.id = e.system
         JOIN test t ON t.id = e.test WHERE e.version = ? ORDER BY s.name, t.name`,
        [version],
      ).map(([system, systemName, test, testName, suite]) => ({
        system: { id: Number(system), name: String(systemName) },
        test: { id: Number(test), name: String(testName) },
        suite: String(suite),
      })),
    sickOf: (system) => {
      const reason = get('SELECT sick FROM system WHERE id = ?', [system])?.[0]
      return typeof reason === 'string' ? reason : undefined
    },
    listSick: () =>
      all('SELECT id, name, sick FROM system WHERE sick IS NOT NULL ORDER BY name').map(([id, name, reason]) => ({
        system: { id: Number(id), name: String(name) },
        reason: String(reason),
      })),
    runSecret: () => get('SELECT value FROM secret')?.[0] as string | undefined,
    listWebhooks: () => all(`SELECT ${webhookColumns} FROM webhook w ORDER BY w.id`).map(toWebhook),
    getWebhook: (id) => all(`SELECT ${webhookColumns} FROM webhook w WHERE w.id = ?`, [id]).map(toWebhook)[0],
    listDeliveries: (limit) =>
      all(
        `SELECT ${webhookColumns}, d.id, d.body, d.at FROM delivery d JOIN webhook w ON w.id = d.webhook
         ORDER BY d.id LIMIT ?`,
        [limit],
      ).map((row) => ({
        webhook: toWebhook(row),
        id: Number(row[5]),
        body: String(row[6]),
        atMs: Number(row[7]),
      })),
  }
}

/** As the partial index has it. */
const isOpen = `r.state IN ('requested', 'sent', 'running')`

function conditions(filter: Omit<RunFilter, 'limit'>): { where: string; values: SqlValue[] } {
  const parts: string[] = []
  const values: SqlValue[] = []
  const add = (part: string, ...more: SqlValue[]) => {
    parts.push(part)
    values.push(...more)
  }
  if (filter.system !== undefined) add('r.system = ?', filter.system)
  if (filter.test !== undefined) add('r.test = ?', filter.test)
  if (filter.version !== undefined) add('r.version = ?', filter.version)
  if (filter.states) add(`r.state IN (${filter.states.map(() => '?').join(', ')})`, ...filter.states)
  if (filter.verdicts) add(`r.verdict IN (${filter.verdicts.map(() => '?').join(', ')})`, ...filter.verdicts)
  if (filter.sinceMs !== undefined) add('r.requested >= ?', filter.sinceMs)
  if (filter.before !== undefined) add('r.id < ?', filter.before)
  return { where: parts.length > 0 ? `WHERE ${parts.join(' AND ')}` : '', values }
}

function readDetail(database: Database, run: number): RunDetail {
  const row = database.get(
    'SELECT reason, exit, cases, lines, notes, attachments, waived, mac, ip, size FROM run_detail WHERE run = ?',
    [run],
  )
  const [reason, exit, cases, lines, notes, attachments, waived, mac, ip, size] = row ?? []
  const list = <T>(text: SqlValue | undefined): T[] => (typeof text === 'string' ? (JSON.parse(text) as T[]) : [])
  const [total = 0, pass = 0, fail = 0, skip = 0, todo = 0] = list<number>(cases)
  const measured = database.all(
    `SELECT n.name, m.value, n.unit FROM measurement m JOIN measure n ON n.id = m.measure WHERE m.run = ? ORDER BY n.id`,
    [run],
  )
  return {
    reason: textOf(reason),
    exit: numberOf(exit),
    cases: { total, pass, fail, skip, todo },
    lines: list<[KeptLine['kind'], number, string]>(lines).map(([kind, line, text]) => ({ kind, line, text })),
    notes: list<string>(notes),
    attachments: list<[string, number]>(attachments).map(([name, sizeBytes]) => ({ name, sizeBytes })),
    waived: textOf(waived),
    mac: textOf(mac),
    ip: textOf(ip),
    sizeBytes: numberOf(size),
    measurements: measured.map(([name, value, unit]) => ({
      name: String(name),
      value: Number(value),
      unit: String(unit),
    })),
  }
}

function textOf(value: SqlValue | undefined): string | null {
  return typeof value === 'string' ? value : null
}

function numberOf(value: SqlValue | undefined): number | null {
  return typeof value === 'number' ? value : null
}

function toTest([id, name, available]: Row): TestRow {
  return { id: Number(id), name: String(name), available: available === 1 }
}

function toVersion([id, name, at, kept]: Row): VersionRow {
  return { id: Number(id), name: String(name), atMs: Number(at), kept: kept === 1 }
}

function toWebhook([id, url, events, secret, at]: Row): WebhookRow {
  return {
    id: Number(id),
    url: String(url),
    on: String(events).split(',') as WebhookKind[],
    secret: String(secret),
    atMs: Number(at),
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
