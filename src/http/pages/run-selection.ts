/**
 * Which runs a list shows, and in which order: what the URL says (`q`, `verdict`, `group`, `sort`, `page`) → runs.
 *
 * The same for the page, its CSV and its JSON. The newest `listedMax` runs that fit are chosen from and ordered, so that no
 * list takes longer the older the lab is. Names are in the order people expect (`node2` before `node10`), versions in that
 * in which they were heard of, verdicts worst first. Source: WEB.md "Behaviour" (state is in the URL, lists).
 */
import { isVerdict, type RunState, runStates, type Verdict, verdictNames } from '../../domain/verdict.ts'
import type { BriefRun, RunFilter, RunRow } from '../../store/run-rows.ts'
import type { Queries } from '../../store/store.ts'
import { sortParam } from './columns.ts'
import { prefixOf } from './name-prefix.ts'

/** Runs that are ordered: tens of milliseconds. */
export const listedMax = 20_000
/** Words of a filter; more are left out. */
const wordsMax = 8

const sortNames = ['id', 'verdict', 'system', 'test', 'version', 'when', 'took', 'errors'] as const
export type RunSort = (typeof sortNames)[number]
export const groupNames = ['system', 'prefix', 'test', 'version', 'verdict', 'state'] as const
export type RunGroup = (typeof groupNames)[number]

/** A verdict, the state of a run that has none, or `missing`: expected, and not there. */
export type Standing = Verdict | RunState | 'missing'

export interface ListQuery {
  readonly words: string
  readonly standing: Standing | undefined
  /** undefined: as the list itself has it. */
  readonly group: RunGroup | 'none' | undefined
  readonly sort: RunSort | undefined
  readonly descending: boolean
  /** From 1; `all` only for CSV and JSON. */
  readonly page: number | 'all'
}

/** How a list is ordered where the URL says nothing. */
export interface ListDefaults {
  readonly group?: RunGroup
  readonly sort: RunSort
  readonly descending: boolean
}

export function parseListQuery(params: URLSearchParams): ListQuery {
  const standing = params.get('verdict') ?? ''
  const sort = params.get('sort') ?? ''
  const group = params.get('group') ?? ''
  const page = params.get('page') ?? ''
  return {
    words: (params.get('q') ?? '').slice(0, 200),
    standing: isStanding(standing) ? standing : undefined,
    group: group === 'none' ? 'none' : groupNames.find((each) => each === group),
    sort: sortNames.find((each) => each === sort.replace(/^-/, '')),
    descending: sort.startsWith('-'),
    page: page === 'all' ? 'all' : /^[1-9]\d{0,6}$/.test(page) ? Number(page) : 1,
  }
}

function isStanding(text: string): text is Standing {
  return text === 'missing' || isVerdict(text) || (Object.hasOwn(runStates, text) && text !== 'done')
}

/** The URL of a list, with what is changed. */
export function urlOfList(
  path: string,
  query: ListQuery,
  changes: Partial<ListQuery> & { readonly format?: 'csv' | 'json' } = {},
): string {
  const { words, standing, group, sort, descending, page, format } = { format: undefined, ...query, ...changes }
  const params = new URLSearchParams()
  if (words !== '') params.set('q', words)
  if (standing) params.set('verdict', standing)
  if (group) params.set('group', group)
  if (sort) params.set('sort', sortParam({ sort, descending }))
  if (page !== 1) params.set('page', String(page))
  if (format) params.set('format', format)
  const text = params.toString()
  return text === '' ? path : `${path}?${text}`
}

export interface SelectedRun extends BriefRun {
  /** '' where nothing is grouped. */
  readonly group: string
}

export interface Selection {
  /** All that fit, in order. */
  readonly runs: readonly SelectedRun[]
  /** How many of each group there are. */
  readonly groups: ReadonlyMap<string, number>
  readonly group: RunGroup | undefined
  readonly sort: RunSort
  readonly descending: boolean
  /** There are older runs, which were not looked at. */
  readonly cut: boolean
}

/**
 * `among`: these runs are chosen from, in place of those that `only` leaves. `known`: those that `only` leaves, newest
 * first and one more than `listedMax` where there are, of whoever has read them already.
 */
export function selectRuns(
  queries: Queries,
  only: Omit<RunFilter, 'limit' | 'before'>,
  query: ListQuery,
  defaults: ListDefaults,
  { among, known }: { readonly among?: readonly RunRow[]; readonly known?: readonly BriefRun[] } = {},
): Selection {
  const sort = query.sort ?? defaults.sort
  const descending = query.sort ? query.descending : defaults.descending
  const group = query.group === 'none' ? undefined : (query.group ?? defaults.group)
  const filter = { ...only, ...filterOf(query.standing, only), limit: listedMax + 1 }
  const read = () => (query.standing === undefined && known) || queries.briefRuns(filter)
  const all = among?.map(briefOf) ?? (query.standing === 'missing' ? [] : read())
  const cut = all.length > listedMax
  const found = cut ? all.slice(0, listedMax) : all
  const names = createNames(queries)
  const wanted = found.filter((run) => query.words === '' || hasWords(names.textOf(run), query.words))
  // Newest first is how they come.
  if (sort !== 'id' || !descending) {
    const by = comparators[sort](names)
    wanted.sort((a, b) => (descending ? by(b, a) : by(a, b)) || b.id - a.id)
  }
  const keys = new Map<BriefRun, string>()
  const groups = new Map<string, number>()
  if (group) {
    for (const run of wanted) {
      const key = groupKeys[group](run, names)
      keys.set(run, key)
      groups.set(key, (groups.get(key) ?? 0) + 1)
    }
    // Stable: within a group the order stays.
    wanted.sort(groupComparators[group](names))
  }
  return {
    runs: wanted.map((run) => ({ ...run, group: keys.get(run) ?? '' })),
    groups,
    group,
    sort,
    descending,
    cut,
  }
}

function briefOf(run: RunRow): BriefRun {
  return {
    ...run,
    system: run.system.id,
    test: run.test.id,
    version: run.version?.id ?? null,
    whenMs: run.doneMs ?? run.sentMs ?? run.requestedMs,
    tookMs: run.doneMs === null || run.sentMs === null ? null : run.doneMs - run.sentMs,
    errors: run.counts.error,
  }
}

function filterOf(standing: Standing | undefined, only: Omit<RunFilter, 'limit'>): Partial<RunFilter> {
  if (standing === undefined || standing === 'missing') return {}
  if (isVerdict(standing)) return { verdicts: [standing] }
  return { states: only.states?.includes(standing) === false ? [] : [standing] }
}

function hasWords(text: string, words: string): boolean {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean).slice(0, wordsMax)
  return wanted.every((word) => text.includes(word))
}

/** Names of what runs are about, asked for once and only where they are needed. */
interface Names {
  /** Lower case. */
  textOf(run: BriefRun): string
  name(kind: 'system' | 'test' | 'version', id: number | null): string
  /** Where a name stands among all of its kind. */
  place(kind: 'system' | 'test' | 'prefix', id: number): number
}

const collator = new Intl.Collator('en', { numeric: true })

function createNames(queries: Queries): Names {
  const listed = {
    system: () => queries.listSystems(),
    test: () => queries.listTests(),
    version: () => queries.knownVersions(),
  }
  const known = new Map<string, ReadonlyMap<number, string>>()
  const namesOf = (kind: keyof typeof listed) => {
    const names = known.get(kind) ?? new Map(listed[kind]().map(({ id, name }) => [id, name]))
    known.set(kind, names)
    return names
  }
  const places = new Map<string, ReadonlyMap<number, number>>()
  const placesOf = (kind: 'system' | 'test' | 'prefix') => {
    const before = places.get(kind)
    if (before) return before
    const names = [...namesOf(kind === 'prefix' ? 'system' : kind)]
    const texts = new Map(names.map(([id, text]) => [id, kind === 'prefix' ? prefixOf(text) : text]))
    const inOrder = [...new Set(texts.values())].sort((a, b) => collator.compare(a, b) || (a < b ? -1 : 1))
    const ranks = new Map(inOrder.map((text, rank) => [text, rank]))
    const made = new Map([...texts].map(([id, text]) => [id, ranks.get(text) ?? 0]))
    places.set(kind, made)
    return made
  }
  const name: Names['name'] = (kind, id) => (id === null ? '' : (namesOf(kind).get(id) ?? ''))
  return {
    name,
    textOf: (run) =>
      `${name('system', run.system)}\n${name('test', run.test)}\n${name('version', run.version)}`.toLowerCase(),
    place: (kind, id) => placesOf(kind).get(id) ?? 0,
  }
}

type Comparator = (a: BriefRun, b: BriefRun) => number

/** Under way first, then what waits, then what is over without a result. */
const statesInOrder: readonly RunState[] = ['running', 'sent', 'requested', 'done', 'cancelled', 'expired']
const stateRank = ({ state }: BriefRun) => statesInOrder.indexOf(state)
const verdictRank = (run: BriefRun) =>
  run.verdict === null ? verdictNames.length + stateRank(run) : verdictNames.indexOf(run.verdict)
const by =
  (value: (run: BriefRun) => number): Comparator =>
  (a, b) =>
    value(a) - value(b)

const comparators: Readonly<Record<RunSort, (names: Names) => Comparator>> = {
  id: () => by(({ id }) => id),
  verdict: () => by(verdictRank),
  system: (names) => by(({ system }) => names.place('system', system)),
  test: (names) => by(({ test }) => names.place('test', test)),
  version: () => by(({ version }) => version ?? 0),
  when: () => by(({ whenMs }) => whenMs),
  took: () => by(({ tookMs }) => tookMs ?? -1),
  errors: () => by(({ errors }) => errors),
}

const groupComparators: Readonly<Record<RunGroup, (names: Names) => Comparator>> = {
  system: comparators.system,
  prefix: (names) => by(({ system }) => names.place('prefix', system)),
  test: comparators.test,
  // The newest first, as everywhere.
  version: () => by(({ version }) => -(version ?? 0)),
  verdict: comparators.verdict,
  state: () => by(stateRank),
}

const groupKeys: Readonly<Record<RunGroup, (run: BriefRun, names: Names) => string>> = {
  system: ({ system }, names) => names.name('system', system),
  prefix: ({ system }, names) => prefixOf(names.name('system', system)),
  test: ({ test }, names) => names.name('test', test),
  version: ({ version }, names) => names.name('version', version),
  verdict: ({ verdict, state }) => verdict ?? state,
  state: ({ state }) => state,
}
