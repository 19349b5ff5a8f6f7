/**
 * `/setup`: what a person needs to get the first machine up, with this server's own addresses and folders in it, and how
 * the server is: what `status` says, in words. No secrets.
 *
 * The tables of profiles, tests and suites are filtered and sorted by the URL and are CSV and JSON too (`table=`). Source:
 * WEB.md, CONTRACT "Daemon", "Command line" (`status`), README "First machine".
 */
import type { Daemon } from '../../commands/daemon.ts'
import { localProfile } from '../../domain/boot.ts'
import { defaultSystem } from '../../domain/name.ts'
import { type Order, type SortColumn, sortColumn, sortParam } from './columns.ts'
import { csvLines } from './export.ts'
import type { Frame } from './render.ts'
import { bootPlaces } from './setup-checks.ts'
import { commandLine, formatCount, formatDuration, moment, plural, queueWords, visible } from './words.ts'

const tableNames = ['profiles', 'tests'] as const
export type SetupTable = (typeof tableNames)[number]
/** Rows of a table; the filter finds the others, and they are in CSV and JSON. */
const rowsShown = 200
const sortNames = ['name', 'state', 'machines'] as const
export type SetupSort = (typeof sortNames)[number]

export interface SetupQuery {
  readonly words: string
  readonly sort: SetupSort
  readonly descending: boolean
  /** Of CSV and JSON. */
  readonly table: SetupTable
}

/** What it does not know is as if it were not there. */
export function parseSetupQuery(params: URLSearchParams): SetupQuery {
  const sort = params.get('sort') ?? 'name'
  return {
    words: (params.get('q') ?? '').slice(0, 200),
    sort: sortNames.find((each) => each === sort.replace(/^-/, '')) ?? 'name',
    descending: sort.startsWith('-'),
    table: tableNames.find((each) => each === params.get('table')) ?? 'profiles',
  }
}

function urlOf(query: SetupQuery, changes: Partial<SetupQuery> & { readonly format?: string } = {}): string {
  const { words, sort, descending, table, format } = { format: undefined, ...query, ...changes }
  const params = new URLSearchParams()
  if (words !== '') params.set('q', words)
  if (sort !== 'name' || descending) params.set('sort', sortParam({ sort, descending }))
  if (format !== undefined) {
    params.set('table', table)
    params.set('format', format)
  }
  const text = params.toString()
  return `${text === '' ? '/setup' : `/setup?${text}`}${format === undefined ? `#${table}` : ''}`
}

export interface SetupRow {
  readonly name: string
  /** `profile`, `test` or `suite`. */
  readonly kind: string
  /** Why it cannot be used, with file and line; null if it can. */
  readonly fault: string | null
  /** Systems that boot it next; null for tests. */
  readonly machines: number | null
  /** What its head or its lines say, in words. */
  readonly about: string
  readonly href: string | null
}

const columnTexts: Readonly<Record<SetupSort, string>> = {
  name: 'Name',
  state: 'State',
  machines: 'Machines that boot it next',
}

/** A heading of these tables. */
export function setupColumn(
  query: Order<SetupSort>,
  sort: SetupSort,
  hrefOf: (order: Order<SetupSort>) => string,
): SortColumn<SetupSort> {
  return sortColumn(query, { sort, text: columnTexts[sort], descendsFirst: sort === 'machines' }, hrefOf)
}

/** The page of a profile. */
export function profileUrl(name: string): string {
  return `/profiles/${encodeURIComponent(name)}`
}

const collator = new Intl.Collator('en', { numeric: true })

/** Rows of a table as the URL asks for them. */
export function setupRows(daemon: Daemon, table: SetupTable, query: SetupQuery): SetupRow[] {
  const words = query.words.toLowerCase().split(/\s+/).filter(Boolean)
  const rows = (table === 'profiles' ? profileRows(daemon) : testRows(daemon)).filter(({ name, fault, about }) => {
    const text = `${name}\n${fault ?? ''}\n${about}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const byName = (a: SetupRow, b: SetupRow) => collator.compare(a.name, b.name)
  const orders: Readonly<Record<SetupSort, (a: SetupRow, b: SetupRow) => number>> = {
    name: byName,
    // What is broken first.
    state: (a, b) => Number(a.fault === null) - Number(b.fault === null),
    machines: (a, b) => (a.machines ?? 0) - (b.machines ?? 0),
  }
  return rows.sort((a, b) => (query.descending ? -1 : 1) * orders[query.sort](a, b) || byName(a, b))
}

function profileRows(daemon: Daemon): SetupRow[] {
  const { profiles, store } = daemon
  const booting = new Map(store.queries.nextBootProfiles().map(({ profile, systems }) => [profile, systems]))
  const there = new Set(profiles.names())
  const refused = new Map(profiles.refused().map(({ name, why }) => [name, why]))
  // Also those that have no file, or none that may be served, and that a machine is told to boot: it boots local instead.
  const names = new Set([...there, ...refused.keys(), localProfile, ...booting.keys()])
  return [...names].map((name) => ({
    name,
    kind: 'profile',
    fault: there.has(name) ? (profiles.fault(name) ?? null) : (refused.get(name) ?? 'no file'),
    machines: booting.get(name) ?? 0,
    about: name === localProfile ? 'its own disk; what a machine gets whose profile cannot be served' : '',
    href: profileUrl(name),
  }))
}

function testRows({ tests, store }: Daemon): SetupRow[] {
  const ids = new Map(store.queries.listTests().map(({ name, id }) => [name, id]))
  const ofTests = tests.names().map((name): SetupRow => {
    const times = tests.times(name)
    const id = ids.get(name)
    return {
      name,
      kind: 'test',
      fault: tests.fault(name) ?? tests.renderFault(name) ?? null,
      machines: null,
      about: times
        ? [
            `up to ${formatDuration(times.timeoutMs)}`,
            ...(times.retries > 0 ? [plural(times.retries, 'retry', 'retries')] : []),
            ...(times.tags.length > 0 ? [`tags ${times.tags.join(', ')}`] : []),
          ].join(', ')
        : '',
      href: id === undefined ? null : `/testname/${id}/`,
    }
  })
  const ofSuites = tests.suiteNames().map((name): SetupRow => {
    const suite = tests.suite(name)
    const fault = suite && 'fault' in suite ? suite.fault : null
    const about = suite && !('fault' in suite) ? plural(suite.length, 'test') : ''
    return { name, kind: 'suite', fault, machines: null, about, href: null }
  })
  const refused = tests
    .refused()
    .map(({ name, why }): SetupRow => ({ name, kind: 'test', fault: why, machines: null, about: '', href: null }))
  return [...ofTests, ...refused, ...ofSuites]
}

/** Data of the template and what the layout needs. `local`: as in `bootPlaces`. */
export function viewSetup(
  daemon: Daemon,
  query: SetupQuery,
  local: string,
  nowMs: number,
): { data: object; frame: Omit<Frame, 'access'> } {
  const { queries, seq } = daemon.store
  const { folders } = daemon.premises()
  const places = bootPlaces(daemon, local)
  const degraded = daemon.degraded().map(visible)
  const faults = [...places.faults, ...degraded]
  const folderOf = (key: string) => visible(folders.find((each) => each.key === key)?.path ?? key)
  const installable = daemon.profiles.names().find((name) => name !== localProfile)
  const named = queries.countSystems() - (queries.findSystem(defaultSystem) ? 1 : 0)
  const open = queries.countOpen()
  const data = {
    places: {
      ...places,
      servers: places.addresses.join(' or '),
      tree: folderOf('tftp-root'),
    },
    faulty: faults.length > 0,
    glyph: faults.length > 0 ? '✕' : '✓',
    answer: answerLine(places.addresses, places.faults, degraded.length),
    steps: {
      named: named > 0,
      written: installable !== undefined,
      add: commandLine('pxemngr', 'addsystem', 'web01', '52:54:00:12:34:56'),
      // Never the name of a machine that is there: whoever pastes the line would install it anew.
      next: commandLine('pxemngr', 'nextboot', 'web01', installable ?? 'install'),
      explain: commandLine('pxemngr', 'explain', 'web01'),
      report: places.url === undefined ? undefined : `wget -q -O- ${places.url}/localboot/`,
      profiles: folderOf('profiles-dir'),
      tree: folderOf('tftp-root'),
      example: installable === undefined ? 'install.prof' : `${visible(installable)}.prof`,
    },
    tables: [
      viewTable(daemon, 'profiles', query, {
        title: 'Profiles',
        folder: folderOf('profiles-dir'),
        empty: 'None: each *.prof file in this folder is one, within two seconds.',
      }),
      viewTable(daemon, 'tests', query, {
        title: 'Tests and suites',
        folder: folderOf('tests-dir'),
        empty: 'None: each *.test file in this folder is one, each *.suite a list of them, within two seconds.',
      }),
    ],
    query: query.words,
    sort: query.sort === 'name' && !query.descending ? undefined : sortParam(query),
    degraded,
    notices: daemon.notices().map(visible),
    sick: queries.listSick().map(({ system, reason }) => ({
      name: visible(system.name),
      href: `/system/${system.id}/`,
      reason: visible(reason),
    })),
    server: {
      version: daemon.version,
      since: moment(daemon.startedMs, nowMs),
      ready: daemon.ready,
      tftp: daemon.listeners.tftp.join(', ') || 'off',
      http: daemon.listeners.http.join(', ') || 'off',
      socket: visible(daemon.listeners.socket),
      loaders: daemon.loaders,
      folders: folders.map(({ key, path }) => ({ key, path: visible(path) })),
      counts: `${plural(named, 'system')}; ${queueWords(open.running + open.sent, open.requested)}`,
      seq: formatCount(seq),
    },
  }
  return {
    data,
    frame: {
      title: faults.length > 0 ? `✕ ${faults.length} · Setup` : 'Setup',
      state: faults.length > 0 ? 'fail' : 'ok',
      place: 'setup',
      crumbs: [{ text: 'Setup' }],
      seq,
    },
  }
}

function answerLine(addresses: readonly string[], faults: readonly string[], degraded: number): string {
  const [fault] = faults
  const more = degraded === 0 ? '' : ` The server has ${plural(degraded, 'fault')}.`
  if (fault !== undefined) return `${fault}${more}`
  return `Machines boot from here when DHCP names ${addresses.join(' or ')}.${more}`
}

function viewTable(
  daemon: Daemon,
  table: SetupTable,
  query: SetupQuery,
  words: { readonly title: string; readonly folder: string; readonly empty: string },
): object {
  const rows = setupRows(daemon, table, query)
  const column = (sort: SetupSort) => setupColumn(query, sort, (order) => urlOf(query, { ...order, table }))
  const columns = [column('name'), column('state')]
  return {
    ...words,
    id: table,
    counted: formatCount(rows.length),
    columns: table === 'profiles' ? [...columns, column('machines')] : columns,
    more: rows.length > rowsShown ? `and ${formatCount(rows.length - rowsShown)} more, which the filter finds` : '',
    rows: rows.slice(0, rowsShown).map((row) => ({
      ...row,
      name: visible(row.name),
      fault: row.fault === null ? undefined : visible(row.fault),
      about: visible(row.about),
      machines: row.machines === null ? undefined : formatCount(row.machines),
    })),
    empty: query.words === '' ? words.empty : 'None has these words.',
    csv: urlOf(query, { table, format: 'csv' }),
    json: urlOf(query, { table, format: 'json' }),
  }
}

const csvColumns = ['name', 'kind', 'fault', 'machines', 'about'] as const

/** One row a file. */
export function setupCsv(rows: readonly SetupRow[]): string {
  return csvLines(
    csvColumns,
    rows.map((row) => csvColumns.map((key) => row[key])),
  )
}

/** `{"profiles":[…]}` or `{"tests":[…]}` with the fields of the CSV. */
export function setupJson(table: SetupTable, rows: readonly SetupRow[]): string {
  return `${JSON.stringify({ [table]: rows.map(({ href: _, ...row }) => row) })}\n`
}
