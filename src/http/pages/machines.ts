/**
 * `/`: do any machines need a person, and what boots what.
 *
 * The first line answers in words; then what is wrong with its remedy, the table of all systems, what unknown machines
 * get, and which unknown ones were seen. Filter, order and page are in the URL. Source: WEB.md, COMPATIBILITY 4.6 (`/`).
 */
import { loopOf } from '../../commands/boot-rows.ts'
import type { Daemon } from '../../commands/daemon.ts'
import { defaultSystem } from '../../domain/name.ts'
import { type BootMachine, createBootMachines, type MachineOf, unknownMachines } from './boot-machine.ts'
import { type BootView, dueInMs, glyphs, readBoots, seenBoot } from './boots.ts'
import { sortColumn, sortParam } from './columns.ts'
import { groupMachines, groupOf, headOf, type MachineGroup, machineGroups } from './machine-groups.ts'
import { type MachineIndex, type MachineRow, type SortKey, sortKeys } from './machine-index.ts'
import type { Frame } from './render.ts'
import type { VersionIndex } from './version-index.ts'
import { stackOf, summarizeVersions } from './versions.ts'
import { commandLine, formatCount, moment, noneOf, plural, queueWords, sentence, share, visible } from './words.ts'

/** Rows on a page: some screens, 60 KB at most. */
export const rowsPerPage = 100
/** Boots looked at for unknown machines and failures: the last minutes of a busy server, days of a quiet one. */
const bootsRecent = 500
/** Systems whose last boots are asked for in one question: what the trace answers at most. */
const bootsAtOnce = 1000
/** Unknown machines listed; the newest. */
const unknownMax = 10
/** Failing machines named one by one; beyond that only counted. */
const failingMax = 10
/** Addresses shown in a row. */
const addressesShown = 3
/** Newest versions shown. */
const versionsShown = 5
/** Runs under way named one by one; beyond that only counted. */
const runningShown = 8
/** Profiles counted in the first line. */
const profilesNamed = 3

/** What the URL asks for. */
export interface MachinesQuery {
  readonly words: string
  readonly group: MachineGroup | undefined
  readonly sort: SortKey
  readonly descending: boolean
  /** From 1; `all` only for CSV and JSON. */
  readonly page: number | 'all'
  readonly wall: boolean
}

export function parseMachinesQuery(params: URLSearchParams): MachinesQuery {
  const sort = params.get('sort') ?? 'name'
  const key = sortKeys.find((each) => each === sort.replace(/^-/, '')) ?? 'name'
  const page = params.get('page') ?? '1'
  return {
    words: (params.get('q') ?? '').slice(0, 200),
    group: machineGroups.find((each) => each === params.get('group')),
    sort: key,
    descending: sort.startsWith('-'),
    page: page === 'all' ? 'all' : /^[1-9]\d{0,6}$/.test(page) ? Number(page) : 1,
    wall: params.has('wall'),
  }
}

/** The URL of the page with that query; what is default is left out. */
function urlOf(query: MachinesQuery, changes: Partial<MachinesQuery> & { readonly format?: string } = {}): string {
  const { words, group, sort, descending, page, wall, format } = { format: undefined, ...query, ...changes }
  const params = new URLSearchParams()
  if (words !== '') params.set('q', words)
  if (group !== undefined) params.set('group', group)
  if (sort !== 'name' || descending) params.set('sort', sortParam({ sort, descending }))
  if (page !== 1) params.set('page', String(page))
  if (wall) params.set('wall', '')
  if (format !== undefined) params.set('format', format)
  const text = params.toString()
  return text === '' ? '/' : `/?${text}`
}

/** The rows a query shows, and how many match in all; a page behind the last one is the last one. */
export async function findMachines(
  index: MachineIndex,
  query: MachinesQuery,
): Promise<{
  rows: readonly MachineRow[]
  matching: number
  page: number
  pages: number
  /** How many machines each group has, on all pages; in the order of the groups. */
  groups: ReadonlyMap<string, number>
}> {
  const { rows: found, groups } = groupMachines(await index.find(query), query.group)
  const pages = Math.max(1, Math.ceil(found.length / rowsPerPage))
  if (query.page === 'all') return { rows: found, matching: found.length, page: 1, pages: 1, groups }
  const page = Math.min(query.page, pages)
  const rows = found.slice((page - 1) * rowsPerPage, page * rowsPerPage)
  return { rows, matching: found.length, page, pages, groups }
}

/** The last boot of each of the systems, as far as the trace knows. */
export async function lastBoots(
  daemon: Daemon,
  rows: readonly MachineRow[],
  nowMs: number,
): Promise<ReadonlyMap<number, BootView>> {
  const found = new Map<number, BootView>()
  for (let from = 0; from < rows.length; from += bootsAtOnce) {
    const latestOf = rows.slice(from, from + bootsAtOnce).map(({ id }) => id)
    for (const boot of (await readBoots(daemon, { latestOf, limit: bootsAtOnce }, nowMs)) ?? []) {
      if (boot.system !== undefined) found.set(boot.system, boot)
    }
  }
  return found
}

/** Data of the template and what the layout needs. */
export async function viewMachines(
  daemon: Daemon,
  index: MachineIndex,
  query: MachinesQuery,
  nowMs: number,
  versions: VersionIndex,
): Promise<{ data: object; frame: Omit<Frame, 'access'> }> {
  const seq = daemon.store.seq
  const newest = await summarizeVersions(daemon, versions, versionsShown)
  const sick = daemon.store.queries.listSick()
  const open = daemon.store.queries.countOpen()
  const [{ rows, matching, page, pages, groups }, everything, recent] = await Promise.all([
    findMachines(index, query),
    index.find({ words: '', sort: 'name', descending: false }),
    readBoots(daemon, { limit: bootsRecent }, nowMs),
  ])
  const last = await lastBoots(daemon, rows, nowMs)
  const total = everything.length
  const degraded = daemon.degraded().map(visible)
  const machineOf = createBootMachines(daemon)
  const failing = failingSystems(daemon, recent ?? [], machineOf, nowMs)
  const needs = degraded.length + failing.length + sick.length
  const data = {
    total,
    needs,
    glyph: needs > 0 ? glyphs.fail : glyphs.pass,
    answer: answerLine(total, degraded.length, failing.length, sick.length),
    boots: countsOf(everything),
    undecided: everything.filter(({ next }) => next === null).length,
    degraded,
    failing: failing.slice(0, failingMax),
    sick: sick.slice(0, failingMax).map(({ system, reason }) => ({
      name: visible(system.name),
      href: `/system/${system.id}/`,
      reason: visible(reason),
    })),
    versions: newest.map((version) => ({
      name: visible(version.name),
      href: `/tests/${version.id}/`,
      ...stackOf(version.counts),
      regressions: version.regressions,
      compare: `/compare/${encodeURIComponent(version.before ?? '')}...${encodeURIComponent(version.name)}`,
    })),
    tests: daemon.store.queries
      .listTests()
      .filter(({ available }) => available)
      .sort((a, b) => a.name.localeCompare(b.name))
      .map(({ id, name }) => ({ name: visible(name), href: `/testname/${id}/` })),
    running: runningNow(daemon, nowMs),
    open: queueWords(open.sent + open.running, open.requested),
    failingMore: Math.max(0, failing.length - failingMax),
    rows: rows.map((row, at) => {
      const group = groupOf(row, query.group)
      const before = rows[at - 1]
      const isFirst = query.group !== undefined && (before === undefined || groupOf(before, query.group) !== group)
      const head = isFirst
        ? { name: headOf(group, query.group), count: formatCount(groups.get(group) ?? 0) }
        : undefined
      return { ...viewRow(row, last.get(row.id), nowMs), head }
    }),
    grouping: [undefined, ...machineGroups].map((group) => ({
      text: group === undefined ? 'nothing' : group === 'prefix' ? 'name' : 'next boot',
      href: urlOf(query, { group, page: 1 }),
      current: group === query.group,
    })),
    traced: recent !== undefined,
    unknown: unknownMachines(machineOf, recent ?? [], unknownMax),
    byDefault: viewDefault(daemon, nowMs),
    empty: total === 0,
    examples: examples(daemon),
    query: { words: query.words, matching, filtered: query.words !== '' },
    matchingText: plural(matching, 'machine'),
    columns: columnsOf(query),
    pager: pagerOf(query, page, pages, matching),
    clear: urlOf(query, { words: '', page: 1 }),
    csv: urlOf(query, { page, format: 'csv' }),
    json: urlOf(query, { page, format: 'json' }),
    allCsv: urlOf(query, { page: 'all', format: 'csv' }),
    allJson: urlOf(query, { page: 'all', format: 'json' }),
    wall: query.wall,
  }
  const title = needs > 0 ? `${glyphs.fail} ${needs} · Machines` : 'Machines'
  return {
    data,
    frame: {
      title,
      state: needs > 0 ? 'fail' : 'ok',
      place: 'machines',
      query: query.words,
      seq,
      boots: { dueMs: dueInMs(recent ?? [], nowMs) },
      wall: query.wall,
    },
  }
}

function answerLine(total: number, faults: number, failing: number, sick: number): string {
  if (faults + failing + sick === 0) {
    if (total === 0) return 'No machine has a name yet.'
    return total === 1 ? 'The one machine does not need you.' : sentence(`${noneOf(total, 'machine')} needs you.`)
  }
  const parts = [
    ...(failing > 0 ? [`${share(failing, total, 'machine')} failed to boot`] : []),
    ...(sick > 0 ? [`${share(sick, total, 'machine')} ${sick === 1 ? 'gives' : 'give'} no results`] : []),
    ...(faults > 0 ? [`the server has ${plural(faults, 'fault')}`] : []),
  ]
  return sentence(`${parts.join(', and ')}.`)
}

/** How many boot what next, most first. */
function countsOf(rows: readonly MachineRow[]): object[] {
  const counts = new Map<string, number>()
  let undecided = 0
  for (const { next } of rows) {
    if (next === null) undecided += 1
    else counts.set(next, (counts.get(next) ?? 0) + 1)
  }
  const sorted = [...counts].sort((a, b) => b[1] - a[1])
  const named = sorted.slice(0, profilesNamed).map(([profile, count]) => ({
    count: formatCount(count),
    text: visible(profile),
    href: `/?${new URLSearchParams({ q: profile })}`,
  }))
  const others = sorted.slice(profilesNamed).reduce((sum, [, count]) => sum + count, 0)
  return [
    ...named,
    ...(others > 0 ? [{ count: formatCount(others), text: 'something else', href: '/?sort=next' }] : []),
    ...(undecided > 0 ? [{ count: formatCount(undecided), text: 'nothing yet', href: '/?sort=next' }] : []),
  ]
}

/** What runs now, longest first. */
function runningNow({ store: { queries } }: Daemon, nowMs: number): object {
  const { sent, running } = queries.countOpen()
  const runs = (['running', 'sent'] as const).flatMap((state) => queries.openRuns(state, runningShown))
  const longest = runs.sort((a, b) => (a.sentMs ?? 0) - (b.sentMs ?? 0)).slice(0, runningShown)
  return {
    rows: longest.map((run) => ({
      href: `/test/${run.id}/`,
      test: visible(run.test.name),
      name: visible(run.system.name),
      nameHref: `/system/${run.system.id}/`,
      since: run.sentMs === null ? undefined : moment(run.sentMs, nowMs),
    })),
    more: formatCount(Math.max(0, sent + running - longest.length)),
  }
}

/** Systems whose latest boot failed, or that start the same again and again, newest first. */
function failingSystems(daemon: Daemon, recent: readonly BootView[], machineOf: MachineOf, nowMs: number): object[] {
  const boots = new Map<number, { readonly machine: BootMachine & { readonly id: number }; readonly of: BootView[] }>()
  for (const boot of recent) {
    const machine = machineOf(boot)
    const { id } = machine
    // A machine that no system has is nobody's to mend; it is listed below.
    if (id === undefined) continue
    const known = boots.get(id)
    if (known) known.of.push(boot)
    else boots.set(id, { machine: { ...machine, id }, of: [boot] })
  }
  return [...boots.values()].flatMap(({ machine: { id, name, rawName }, of }) => {
    const [boot] = of
    if (!boot) return []
    const shared = { id, name, boot: boot.id, when: boot.when }
    if (boot.verdict === 'fail') {
      const step = boot.steps.findLast((each) => each.verdict === 'fail')
      return [{ ...shared, outcome: boot.outcome, step, clue: boot.clue }]
    }
    const loop = loopOf(daemon, { id, name: rawName }, of.map(seenBoot), nowMs)
    return loop ? [{ ...shared, outcome: loop.outcome, step: undefined, clue: loop.clue }] : []
  })
}

function viewRow(row: MachineRow, boot: BootView | undefined, nowMs: number): object {
  return {
    id: row.id,
    name: visible(row.name),
    addresses: row.addresses.slice(0, addressesShown).map((address) => address.text),
    more: Math.max(0, row.addresses.length - addressesShown),
    next: row.next === null ? undefined : visible(row.next),
    since: row.since === null ? undefined : moment(row.since, nowMs),
    by: visible(row.by ?? ''),
    boot,
  }
}

/** What machines get that no system has. */
function viewDefault(daemon: Daemon, nowMs: number): object {
  const next = daemon.store.queries.defaultNextBoot()
  const undecided = { command: commandLine('pxemngr', 'nextboot', defaultSystem, 'local') }
  if (!next) return undecided
  return { id: next.system.id, next: visible(next.profile), since: moment(next.at, nowMs), by: visible(next.by) }
}

/** The commands that put a first machine on this page, with a profile that is really there. */
function examples(daemon: Daemon): { readonly text: string; readonly command: string }[] {
  const profile = daemon.profiles.names().find((name) => name !== 'local') ?? 'local'
  return [
    {
      text: 'Give a machine a name by its MAC, in any spelling:',
      command: 'pxemngr addsystem web01 52:54:00:12:34:56',
    },
    { text: 'Say what it boots next:', command: commandLine('pxemngr', 'nextboot', 'web01', profile) },
    { text: 'Or many at once, one name and its addresses a line:', command: 'pxemngr addsystem --from machines.txt' },
  ]
}

function columnsOf(query: MachinesQuery): object[] {
  const column = (text: string, sort: SortKey) =>
    // What was decided last is asked for first.
    sortColumn(query, { sort, text, descendsFirst: sort === 'since' }, (order) => urlOf(query, { ...order, page: 1 }))
  return [
    column('Name', 'name'),
    { text: 'Addresses' },
    column('Next boot', 'next'),
    column('Decided', 'since'),
    { text: 'Last boot' },
  ]
}

function pagerOf(query: MachinesQuery, page: number, pages: number, matching: number): object {
  const first = matching === 0 ? 0 : (page - 1) * rowsPerPage + 1
  const last = Math.min(page * rowsPerPage, matching)
  return {
    text:
      pages > 1
        ? `${formatCount(first)}–${formatCount(last)} of ${plural(matching, 'machine')}`
        : plural(matching, 'machine'),
    several: pages > 1,
    page: formatCount(page),
    pages: formatCount(pages),
    previous: page > 1 ? urlOf(query, { page: page - 1 }) : undefined,
    next: page < pages ? urlOf(query, { page: page + 1 }) : undefined,
  }
}
