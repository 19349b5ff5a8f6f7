/**
 * The read functions of tests, runs and results: what each answers, and the indexed statement behind it.
 *
 * Part of `Queries` (`store.ts`), inside a decision and outside. Overviews that add up many runs (matrix, comparison,
 * trends) have statements of their own beside these. Times are ms since the epoch. Source: `schema-runs.ts`.
 */
import type { KeptLine } from '../domain/run.ts'
import type { Verdict } from '../domain/verdict.ts'
import {
  type BriefRun,
  type DeliveryRow,
  type LatestRun,
  type MeasurementRow,
  type Named,
  numberOf,
  type RunDetail,
  type RunFilter,
  type RunRow,
  type TestRow,
  textOf,
  toBrief,
  toLatest,
  toRun,
  toTest,
  toVersion,
  toWebhook,
  type VersionRow,
  type WebhookRow,
} from './run-rows.ts'
import type { Database, SqlValue } from './sqlite.ts'

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
  /** Of its detail what a list says. */
  reasonOf(run: number): string | null
  /** What these runs measured. */
  measurementsOf(runs: readonly number[]): MeasurementRow[]
  /** Newest first. */
  runs(filter: RunFilter): RunRow[]
  /** What lists are ordered and chosen by, newest first; some 2 µs a row. */
  briefRuns(filter: RunFilter): BriefRun[]
  countRuns(filter: Omit<RunFilter, 'limit' | 'before'>): number
  /** Waiting runs of these systems in the order in which they are handed out: retries, then the oldest. */
  requestedOf(systems: readonly number[], limit: number): RunRow[]
  /** Open runs of one state, oldest first. */
  openRuns(state: 'requested' | 'sent' | 'running', limit?: number): RunRow[]
  countOpen(): { readonly requested: number; readonly sent: number; readonly running: number }
  /** Sent or running runs past their deadline; none is, less than its grace after `readyMs`. */
  overdueRuns(nowMs: number, readyMs: number, limit: number): RunRow[]
  /** By id, from the one after `after`. */
  runsAfter(after: number, limit: number): RunRow[]
  /** Every attempt, oldest first. */
  attemptsOf(group: number): RunRow[]
  /** The newest done runs of a system, for what makes it sick. */
  lastDoneOf(system: number, limit: number): RunRow[]
  /** The run before `run` of the same system and test, another group, done, with such a verdict. */
  previousRun(run: RunRow, verdicts: readonly Verdict[]): RunRow | undefined
  nextRun(run: RunRow): RunRow | undefined
  /** The latest done run of each system and test for the version; of one system, or all. By their ids. */
  latestOf(version: number, system?: number): LatestRun[]
  /** Expected by suites: (system, test) pairs of a version. */
  expectedOf(version: number): { readonly system: Named; readonly test: Named; readonly suite: string }[]
  /** Those of them without a result: no run of the version that is done (RUNS "Results"). */
  missingOf(version: number): { readonly system: Named; readonly test: Named; readonly suite: string }[]
  /** Why the system is sick. */
  sickOf(system: number): string | undefined
  listSick(): { readonly system: Named; readonly reason: string }[]
  /** Kept lines of the newest runs (a bounded number) that hold the words; newest first. */
  searchLines(words: string, limit: number): { readonly run: RunRow; readonly text: string }[]
  runSecret(): string | undefined
  listWebhooks(): WebhookRow[]
  getWebhook(id: number): WebhookRow | undefined
  /** Not delivered yet, oldest first; of one webhook, or all. */
  listDeliveries(limit: number, webhook?: number): DeliveryRow[]
}

const runColumns = `r.id, r.system, s.name, r.test, t.name, r.version, v.name, r.state, r.verdict, r.attempt, r.grp,
  r.flags, r.requested, r.sent, r.done, r.deadline, r.grace, r.retries, r.boot, c.hash, r.infos, r.warnings, r.errors`
const runTables = `run r JOIN system s ON s.id = r.system JOIN test t ON t.id = r.test
  LEFT JOIN version v ON v.id = r.version LEFT JOIN script c ON c.id = r.script`
const briefColumns = `r.id, r.system, r.test, r.version, r.state, r.verdict, coalesce(r.done, r.sent, r.requested),
  r.done - r.sent, r.errors`
const versionColumns = 'id, name, at, kept'
const webhookColumns = 'w.id, w.url, w.events, w.secret, w.at'
/** More rows than any page or command shows at once. */
const rowsMax = 1_000_000
/** Runs whose lines a search looks through: some 10 ms. */
const searchedMax = 50_000

export function createRunQueries(database: Database): RunQueries {
  const { get, all } = database
  const runsWhere = (where: string, values: readonly SqlValue[]) =>
    all(`SELECT ${runColumns} FROM ${runTables} ${where}`, values).map(toRun)
  const oneRun = (where: string, values: readonly SqlValue[]) => runsWhere(`${where} LIMIT 1`, values)[0]
  const expected = (version: number, where: string) =>
    all(
      `SELECT e.system, s.name, e.test, t.name, e.suite FROM expected e JOIN system s ON s.id = e.system
       JOIN test t ON t.id = e.test WHERE e.version = ? ${where} ORDER BY s.name, t.name`,
      [version],
    ).map(([system, systemName, test, testName, suite]) => ({
      system: { id: Number(system), name: String(systemName) },
      test: { id: Number(test), name: String(testName) },
      suite: String(suite),
    }))
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
    reasonOf: (run) => textOf(get('SELECT reason FROM run_detail WHERE run = ?', [run])?.[0]),
    measurementsOf: (runs) =>
      all(
        `SELECT m.run, n.name, n.unit, m.value FROM json_each(?) r JOIN measurement m ON m.run = r.value
         JOIN measure n ON n.id = m.measure`,
        [JSON.stringify(runs)],
      ).map(([run, name, unit, value]) => ({
        run: Number(run),
        name: String(name),
        unit: String(unit),
        value: Number(value),
      })),
    runs(filter) {
      const { where, values } = conditions(filter)
      return runsWhere(`${where} ORDER BY r.id DESC LIMIT ?`, [...values, Math.min(filter.limit, rowsMax)])
    },
    briefRuns(filter) {
      const { where, values } = conditions(filter)
      return all(`SELECT ${briefColumns} FROM run r ${where} ORDER BY r.id DESC LIMIT ?`, [
        ...values,
        Math.min(filter.limit, rowsMax),
      ]).map(toBrief)
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
    overdueRuns: (nowMs, readyMs, limit) =>
      runsWhere(`WHERE r.state IN ('sent', 'running') AND max(r.deadline, ?2 + r.grace) < ?1 ORDER BY r.id LIMIT ?3`, [
        nowMs,
        readyMs,
        limit,
      ]),
    runsAfter: (after, limit) => runsWhere('WHERE r.id > ? ORDER BY r.id LIMIT ?', [after, limit]),
    attemptsOf: (group) =>
      runsWhere(`WHERE r.id = ?1 OR r.id IN (SELECT id FROM run WHERE grp = ?1 AND attempt > 1) ORDER BY r.id`, [
        group,
      ]),
    lastDoneOf: (system, limit) =>
      runsWhere(`WHERE r.system = ? AND r.state = 'done' ORDER BY r.id DESC LIMIT ?`, [system, limit]),
    previousRun: (run, wanted) =>
      oneRun(
        `WHERE r.test = ? AND r.system = ? AND r.id < ? AND r.grp <> ? AND r.state = 'done'
         AND r.verdict IN (${wanted.map(() => '?').join(', ')}) ORDER BY r.id DESC`,
        [run.test.id, run.system.id, run.id, run.group, ...wanted],
      ),
    nextRun: (run) =>
      oneRun('WHERE r.test = ? AND r.system = ? AND r.id > ? ORDER BY r.id', [run.test.id, run.system.id, run.id]),
    latestOf: (version, system) =>
      // max(id) makes the bare columns those of its row (sqlite.org/lang_select.html, "Bare columns in an aggregate").
      all(
        `SELECT l.system, s.name, l.test, t.name, l.run, l.verdict, l.flags FROM (
           SELECT system, test, max(id) AS run, verdict, flags FROM run
           WHERE version = ?1 ${system === undefined ? '' : 'AND system = ?2'} AND verdict IS NOT NULL
           GROUP BY system, test) l
         JOIN system s ON s.id = l.system JOIN test t ON t.id = l.test`,
        system === undefined ? [version] : [version, system],
      ).map(toLatest),
    expectedOf: (version) => expected(version, ''),
    missingOf: (version) =>
      expected(
        version,
        `AND NOT EXISTS (SELECT 1 FROM run r WHERE r.version = e.version AND r.system = e.system AND r.test = e.test
           AND r.state = 'done')`,
      ),
    sickOf: (system) => {
      const reason = get('SELECT sick FROM system WHERE id = ?', [system])?.[0]
      return typeof reason === 'string' ? reason : undefined
    },
    listSick: () =>
      all('SELECT id, name, sick FROM system WHERE sick IS NOT NULL ORDER BY name').map(([id, name, reason]) => ({
        system: { id: Number(id), name: String(name) },
        reason: String(reason),
      })),
    searchLines(words, limit) {
      const newest = Number(get('SELECT max(run) FROM run_detail')?.[0] ?? 0)
      const rows = all(
        `SELECT run, lines, reason FROM run_detail WHERE run > ? AND (instr(lower(lines), ?) OR instr(lower(reason), ?))
         ORDER BY run DESC LIMIT ?`,
        [newest - searchedMax, words, words, limit],
      )
      return rows.flatMap(([id, lines, reason]) => {
        const run = oneRun('WHERE r.id = ?', [id ?? null])
        const kept = typeof lines === 'string' ? (JSON.parse(lines) as [string, number, string][]) : []
        const line = kept.find(([, , text]) => text.toLowerCase().includes(words))?.[2]
        return run ? [{ run, text: line ?? String(reason ?? '') }] : []
      })
    },
    runSecret: () => get('SELECT value FROM secret')?.[0] as string | undefined,
    listWebhooks: () => all(`SELECT ${webhookColumns} FROM webhook w ORDER BY w.id`).map(toWebhook),
    getWebhook: (id) => all(`SELECT ${webhookColumns} FROM webhook w WHERE w.id = ?`, [id]).map(toWebhook)[0],
    listDeliveries: (limit, webhook) =>
      all(
        `SELECT ${webhookColumns}, d.id, d.body, d.at FROM delivery d JOIN webhook w ON w.id = d.webhook
         ${webhook === undefined ? '' : 'WHERE d.webhook = ?2'} ORDER BY d.id LIMIT ?1`,
        webhook === undefined ? [limit] : [limit, webhook],
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
