/**
 * The read functions of tests, runs and results: what each answers, and the indexed statement behind it.
 *
 * Part of `Queries` (`store.ts`), inside a decision and outside. Overviews that add up many runs (matrix, comparison,
 * trends) have statements of their own beside these. Times are ms since the epoch. Source: `schema-runs.ts`.
 */
import { type RunState, runStates, type Verdict } from '../domain/verdict.ts'
import { readDetail } from './run-detail.ts'
import {
  type BriefRun,
  type DeliveryRow,
  type LatestRun,
  type MeasurementRow,
  type Named,
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
import { createRunSearch, type RunSearch } from './run-search.ts'
import type { Database, SqlValue } from './sqlite.ts'

export interface RunQueries extends RunSearch {
  findTest(name: string): TestRow | undefined
  getTest(id: number): TestRow | undefined
  /** Creation order, those without a file included. */
  listTests(): TestRow[]
  findVersion(name: string): VersionRow | undefined
  getVersion(id: number): VersionRow | undefined
  /** Of those in `listVersions`: one whose results are all gone is none of them, though its name is remembered. */
  findListedVersion(name: string): VersionRow | undefined
  /** Those with a result, a run that may still have one, or that are kept; newest (first heard of last) first. */
  listVersions(limit?: number): VersionRow[]
  /** All that were ever heard of, newest first: what is left of them may be nothing. */
  knownVersions(): VersionRow[]
  /** The last version a result of the system named. */
  versionOf(system: number): VersionRow | undefined
  getRun(id: number): RunRow | undefined
  systemOfRun(run: number): number | undefined
  stateOfRun(run: number): RunState | undefined
  getDetail(run: number): RunDetail
  /** What these runs measured. */
  measurementsOf(runs: readonly number[]): MeasurementRow[]
  /** Why its verdict, without the rest of the detail: lists show it in each row. */
  reasonOf(run: number): string | null
  /** Who got it; undefined where it was not sent, or neither is known. */
  machineOf(run: number): { readonly mac: string | null; readonly ip: string | null } | undefined
  /** Newest first. */
  runs(filter: RunFilter): RunRow[]
  /** What lists are ordered and chosen by, newest first; some 2 µs a row. */
  briefRuns(filter: RunFilter): BriefRun[]
  countRuns(filter: Omit<RunFilter, 'limit' | 'before'>): number
  /** Waiting runs of these systems in the order in which they are handed out: retries, then the oldest. */
  requestedOf(systems: readonly number[], limit: number): RunRow[]
  /** Waiting runs of these systems, the oldest first: the same where none is a retry, without a look at all that wait. */
  oldestRequestedOf(systems: readonly number[], limit: number): RunRow[]
  /** Open runs of one state, oldest first. */
  openRuns(state: 'requested' | 'sent' | 'running', limit?: number): RunRow[]
  /** Systems that have a run in one of these states. */
  openSystems(states: readonly ('requested' | 'sent' | 'running')[]): Set<number>
  countOpen(): { readonly requested: number; readonly sent: number; readonly running: number }
  /** Sent or running runs past their deadline; none is, less than its grace after `readyMs`. */
  overdueRuns(nowMs: number, readyMs: number, limit: number): RunRow[]
  /** By id, from the one after `after`. */
  runsAfter(after: number, limit: number): RunRow[]
  /** Id of the last attempt of a group. */
  lastAttempt(group: number): number
  /** Every attempt, oldest first. */
  attemptsOf(group: number): RunRow[]
  /** The newest done runs of a system since it was released last, for what makes it sick. */
  lastDoneOf(system: number, limit: number): RunRow[]
  /** The run before `run` of the same system and test, another group, done, with such a verdict. */
  previousRun(run: RunRow, verdicts: readonly Verdict[]): RunRow | undefined
  nextRun(run: RunRow): RunRow | undefined
  /** The latest done run of each system and test for the version; of one system, or all. By their ids. */
  latestOf(version: number, system?: number): LatestRun[]
  /** The same in order of system and test, from the pair after `after`, at most `limit`. */
  latestAfter(version: number, after: { readonly system: number; readonly test: number }, limit: number): LatestRun[]
  latestRun(version: number, system: number, test: number): LatestRun | undefined
  /** Expected by suites: (system, test) pairs of a version. */
  expectedOf(version: number): { readonly system: Named; readonly test: Named; readonly suite: string }[]
  /** Those of them without a result: no run of the version that is done (RUNS "Results"). */
  missingOf(version: number): { readonly system: Named; readonly test: Named; readonly suite: string }[]
  /** Why the system is sick. */
  sickOf(system: number): string | undefined
  listSick(): { readonly system: Named; readonly reason: string }[]
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

export function createRunQueries(database: Database): RunQueries {
  const { get, all } = database
  const runsWhere = (where: string, values: readonly SqlValue[]) => all(selectRuns(where), values).map(toRun)
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
  const named = (table: 'system' | 'test') => {
    const known = new Map<number, Named>()
    return (id: number): Named => {
      const found = known.get(id) ?? { id, name: String(get(`SELECT name FROM ${table} WHERE id = ?`, [id])?.[0]) }
      known.set(id, found)
      return found
    }
  }
  /** Of the index alone, with names that the rows share: overviews keep 100,000 of them. */
  const latest = (where: string, values: readonly SqlValue[], limit = rowsMax): LatestRun[] => {
    const [system, test] = [named('system'), named('test')]
    // max(id) makes the bare columns those of its row (sqlite.org/lang_select.html, "Bare columns in an aggregate").
    return all(
      `SELECT system, test, max(id), verdict, flags FROM run WHERE version = ?1 ${where} AND verdict IS NOT NULL
       GROUP BY system, test LIMIT ?${values.length + 1}`,
      [...values, limit],
    ).map((row) => toLatest(row, system(Number(row[0])), test(Number(row[1]))))
  }
  return {
    findTest: (name) => all('SELECT id, name, available FROM test WHERE name = ?', [name]).map(toTest)[0],
    getTest: (id) => all('SELECT id, name, available FROM test WHERE id = ?', [id]).map(toTest)[0],
    listTests: () => all('SELECT id, name, available FROM test ORDER BY id').map(toTest),
    findVersion: (name) => all(`SELECT ${versionColumns} FROM version WHERE name = ?`, [name]).map(toVersion)[0],
    getVersion: (id) => all(`SELECT ${versionColumns} FROM version WHERE id = ?`, [id]).map(toVersion)[0],
    findListedVersion: (name) =>
      all(`SELECT ${versionColumns} FROM version v WHERE name = ? AND (${isListed})`, [name]).map(toVersion)[0],
    listVersions: (limit = rowsMax) =>
      all(`SELECT ${versionColumns} FROM version v WHERE ${isListed} ORDER BY id DESC LIMIT ?`, [limit]).map(toVersion),
    knownVersions: () => all(`SELECT ${versionColumns} FROM version ORDER BY id DESC`).map(toVersion),
    versionOf: (system) =>
      all('SELECT v.id, v.name, v.at, v.kept FROM system s JOIN version v ON v.id = s.version WHERE s.id = ?', [
        system,
      ]).map(toVersion)[0],
    getRun: (id) => runsWhere('WHERE r.id = ?', [id])[0],
    systemOfRun: (run) => {
      const system = get('SELECT system FROM run WHERE id = ?', [run])?.[0]
      return typeof system === 'number' ? system : undefined
    },
    stateOfRun: (run) => get('SELECT state FROM run WHERE id = ?', [run])?.[0] as RunState | undefined,
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
    machineOf: (run) => {
      const row = get('SELECT m.mac, m.ip FROM run r JOIN machine m ON m.id = r.machine WHERE r.id = ?', [run])
      return row && { mac: textOf(row[0]) || null, ip: textOf(row[1]) || null }
    },
    runs(filter) {
      const { from, where, values } = conditions(filter)
      // Ids first: what has to be sorted is then numbers out of an index, not whole rows.
      return runsWhere(
        `WHERE r.id IN (SELECT r.id FROM ${from} ${where} ORDER BY r.id DESC LIMIT ?) ORDER BY r.id DESC`,
        [...values, Math.min(filter.limit, rowsMax)],
      )
    },
    briefRuns(filter) {
      const { from, where, values } = conditions(filter)
      return all(`SELECT ${briefColumns} FROM ${from} ${where} ORDER BY r.id DESC LIMIT ?`, [
        ...values,
        Math.min(filter.limit, rowsMax),
      ]).map(toBrief)
    },
    countRuns(filter) {
      const { from, where, values } = conditions(filter)
      return Number(get(`SELECT count(*) FROM ${from} ${where}`, values)?.[0])
    },
    requestedOf: (systems, limit) => runsWhere(retriesFirst(systems.length), [...systems, limit]),
    oldestRequestedOf: (systems, limit) => runsWhere(oldestFirst(systems.length), [...systems, limit]),
    openRuns: (state, limit = rowsMax) =>
      runsWhere(`WHERE r.state = ? AND ${isOpen} ORDER BY r.id LIMIT ?`, [state, limit]),
    openSystems: (states) => {
      const wanted = states.map(() => '?').join(', ')
      return new Set(
        all(`SELECT DISTINCT r.system FROM run r WHERE r.state IN (${wanted}) AND ${isOpen}`, states).map(([id]) =>
          Number(id),
        ),
      )
    },
    countOpen() {
      const counts = { requested: 0, sent: 0, running: 0 }
      for (const [state, rows] of all(`SELECT r.state, count(*) FROM run r WHERE ${isOpen} GROUP BY r.state`)) {
        counts[state as keyof typeof counts] = Number(rows)
      }
      return counts
    },
    overdueRuns: (nowMs, readyMs, limit) =>
      runsWhere(
        `WHERE r.state IN ('sent', 'running') AND ${isOpen} AND max(r.deadline, ?2 + r.grace) < ?1
         ORDER BY r.id LIMIT ?3`,
        [nowMs, readyMs, limit],
      ),
    runsAfter: (after, limit) => runsWhere('WHERE r.id > ? ORDER BY r.id LIMIT ?', [after, limit]),
    lastAttempt: (group) => Number(get('SELECT max(id) FROM run WHERE grp = ? AND attempt > 1', [group])?.[0] ?? group),
    attemptsOf: (group) =>
      runsWhere(`WHERE r.id = ?1 OR r.id IN (SELECT id FROM run WHERE grp = ?1 AND attempt > 1) ORDER BY r.id`, [
        group,
      ]),
    lastDoneOf: (system, limit) =>
      runsWhere(
        `WHERE r.system = ?1 AND r.state = 'done' AND r.id > coalesce((SELECT released FROM system WHERE id = ?1), 0)
         ORDER BY r.id DESC LIMIT ?2`,
        [system, limit],
      ),
    previousRun: (run, wanted) =>
      oneRun(
        `WHERE +r.test = ? AND r.system = ? AND r.id < ? AND r.grp <> ? AND r.state = 'done'
         AND r.verdict IN (${wanted.map(() => '?').join(', ')}) ORDER BY r.id DESC`,
        [run.test.id, run.system.id, run.id, run.group, ...wanted],
      ),
    nextRun: (run) =>
      oneRun('WHERE +r.test = ? AND r.system = ? AND r.id > ? ORDER BY r.id', [run.test.id, run.system.id, run.id]),
    latestOf: (version, system) =>
      latest(system === undefined ? '' : 'AND system = ?2', system === undefined ? [version] : [version, system]),
    latestAfter: (version, after, limit) =>
      latest('AND (system, test) > (?2, ?3)', [version, after.system, after.test], limit),
    latestRun: (version, system, test) => latest('AND system = ?2 AND test = ?3', [version, system, test])[0],
    expectedOf: (version) => expected(version, ''),
    missingOf: (version) =>
      expected(
        version,
        `AND NOT EXISTS (SELECT 1 FROM run r WHERE r.version = e.version AND r.system = e.system AND r.test = e.test
           AND r.verdict IS NOT NULL)`,
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
    ...createRunSearch(database, (id) => oneRun('WHERE r.id = ?', [id])),
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

/** Of `version v`: the index of versions tells it at the first row, but for one of which nothing is done. */
const isListed = `v.kept = 1 OR EXISTS (SELECT 1 FROM run WHERE version = v.id AND verdict IS NOT NULL)
  OR EXISTS (SELECT 1 FROM run WHERE version = v.id AND state IN ('requested', 'sent', 'running'))`

/** As the partial index has it; SQLite uses it for statements that hold this very term, whatever else follows. */
const isOpen = `r.state IN ('requested', 'sent', 'running')`

/** Texts of statements that are asked again and again: one made of pieces anew is joined and hashed anew. */
function kept<K>(make: (key: K) => string): (key: K) => string {
  const texts = new Map<K, string>()
  return (key) => {
    const text = texts.get(key) ?? make(key)
    texts.set(key, text)
    return text
  }
}

const selectRuns = kept((where: string) => `SELECT ${runColumns} FROM ${runTables} ${where}`)

/** Waiting runs of so many systems. Ids first, out of the index alone: a machine may have thousands waiting. */
const requested = (order: string) =>
  kept(
    (systems: number) =>
      `WHERE r.id IN (
         SELECT r.id FROM run r INDEXED BY run_open
         WHERE r.state = 'requested' AND ${isOpen} AND r.system IN (${Array(systems).fill('?').join(', ')})
         ORDER BY ${order} LIMIT ?) ORDER BY ${order}`,
  )
const retriesFirst = requested('r.attempt = 1, r.id')
const oldestFirst = requested('r.id')

function conditions(filter: Omit<RunFilter, 'limit'>): { from: string; where: string; values: SqlValue[] } {
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
  // Few are open, whatever else is asked: left to itself SQLite would rather walk through all runs of a system.
  const open = filter.states?.every((state) => runStates[state].open) ?? false
  if (open) add(isOpen)
  if (filter.verdicts) add(`r.verdict IN (${filter.verdicts.map(() => '?').join(', ')})`, ...filter.verdicts)
  if (filter.sinceMs !== undefined) add('r.requested >= ?', filter.sinceMs)
  if (filter.before !== undefined) add('r.id < ?', filter.before)
  const from = open ? 'run r INDEXED BY run_open' : 'run r'
  return { from, where: parts.length > 0 ? `WHERE ${parts.join(' AND ')}` : '', values }
}
