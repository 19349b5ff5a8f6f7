/**
 * A list of runs as a page shows it: rows in groups, column headings that sort, filter, pages, and the same as CSV and
 * JSON. Which runs in which order is `run-selection.ts`. Sources: WEB.md "Behaviour", COMPATIBILITY 4.6.
 */
import type { Daemon } from '../../commands/daemon.ts'
import { runStates, verdictNames, verdicts } from '../../domain/verdict.ts'
import type { BriefRun, RunFilter, RunRow } from '../../store/run-rows.ts'
import type { Queries } from '../../store/store.ts'
import { sortColumn, sortParam } from './columns.ts'
import { showRun } from './run-rows.ts'
import {
  groupNames,
  type ListDefaults,
  type ListQuery,
  listedMax,
  type RunGroup,
  type RunSort,
  type SelectedRun,
  type Selection,
  selectRuns,
  urlOfList,
} from './run-selection.ts'
import { formatCount, plural, visible } from './words.ts'

/** Rows of one page. */
const rowsShown = 100

export interface TableOptions {
  /** Of the page; `#` and the id of its section are put behind it in links. */
  readonly path: string
  readonly section: string
  readonly only: Omit<RunFilter, 'limit' | 'before'>
  /** These are chosen from. */
  readonly among?: readonly RunRow[]
  /** What `only` leaves, if it has been read already: see `selectRuns`. */
  readonly known?: readonly BriefRun[]
  readonly query: ListQuery
  /** What `q` is in links, where the page looks for it elsewhere than in names. */
  readonly linkWords?: string
  readonly defaults: ListDefaults
  /** Columns left out: what the page is about. */
  readonly without?: RunSort
  readonly rows?: number
  readonly empty: string
  readonly command?: string
  /** Label of the field that filters by words; absent: no filter. */
  readonly searchLabel?: string
  readonly withMissing?: boolean
  /** What is said in a row in place of its own first error. */
  readonly said?: (run: RunRow) => string | undefined
}

export interface PickedRuns {
  readonly selection: Selection
  /** Those of the page, or all of them where the URL says so. */
  readonly shown: readonly SelectedRun[]
  readonly page: number
  readonly pages: number
  /** Place of the first one shown, from 0. */
  readonly from: number
}

const columns: readonly { readonly sort: RunSort; readonly text: string; readonly descendsFirst: boolean }[] = [
  { sort: 'id', text: 'Run', descendsFirst: true },
  { sort: 'verdict', text: 'Verdict', descendsFirst: false },
  { sort: 'system', text: 'Machine', descendsFirst: false },
  { sort: 'test', text: 'Test', descendsFirst: false },
  { sort: 'version', text: 'Version', descendsFirst: true },
  { sort: 'when', text: 'When', descendsFirst: true },
  { sort: 'took', text: 'Took', descendsFirst: true },
  { sort: 'errors', text: 'Errors', descendsFirst: true },
]

const groupTexts: Readonly<Record<RunGroup, string>> = {
  system: 'machine',
  prefix: 'name of machine',
  test: 'test',
  version: 'version',
  verdict: 'verdict',
  state: 'state',
}

/** What is shown: of the page, and as CSV and JSON. */
export function pickRuns(queries: Queries, options: TableOptions): PickedRuns {
  const { query, rows = rowsShown } = options
  const selection = selectRuns(queries, options.only, query, options.defaults, options)
  const { runs } = selection
  if (query.page === 'all') return { selection, shown: runs, page: 1, pages: 1, from: 0 }
  const pages = Math.max(1, Math.ceil(runs.length / rows))
  const page = Math.min(query.page, pages)
  const from = (page - 1) * rows
  return { selection, shown: runs.slice(from, from + rows), page, pages, from }
}

/** For `runtable.eta`. */
export function viewRunTable(daemon: Daemon, options: TableOptions, picked: PickedRuns, nowMs: number): object {
  const { queries } = daemon.store
  const { path, query, section, without } = options
  const { selection, page, pages, from } = picked
  const count = selection.runs.length
  const shown = picked.shown.slice(0, options.rows ?? rowsShown)
  const asked = options.linkWords === undefined ? query : { ...query, words: options.linkWords }
  const url = (changes: Partial<ListQuery>) => `${urlOfList(path, asked, { page: 1, ...changes })}#${section}`
  const group = selection.group
  const groups: { name: string; count: string; rows: object[] }[] = []
  let last: string | undefined
  for (const each of shown) {
    const run = queries.getRun(each.id)
    if (!run) continue
    if (groups.length === 0 || each.group !== last) {
      groups.push({
        name: group ? nameOfGroup(group, each.group) : '',
        count: formatCount(selection.groups.get(each.group) ?? 0),
        rows: [],
      })
    }
    last = each.group
    const row = showRun(queries, run, nowMs)
    groups.at(-1)?.rows.push({ ...row, said: visible(options.said?.(run) ?? '') || row.said })
  }
  const filtered = query.words !== '' || query.standing !== undefined
  return {
    id: section,
    count,
    columns: columns.filter(({ sort }) => sort !== without).map((column) => sortColumn(selection, column, url)),
    without,
    grouped: group !== undefined,
    groups,
    filter:
      options.searchLabel === undefined || (count === 0 && !filtered)
        ? undefined
        : {
            action: `${path}#${section}`,
            label: options.searchLabel,
            words: query.words,
            standing: query.standing,
            verdicts: [...verdictNames, ...(options.withMissing ? ['missing'] : [])],
            states: Object.entries(runStates).flatMap(([state, { word }]) =>
              state === 'done' ? [] : [{ value: state, text: word }],
            ),
            group: query.group ?? options.defaults.group ?? 'none',
            groups: groupNames
              .filter((each) => each !== without && !(without === 'system' && each === 'prefix'))
              .map((value) => ({ value, text: groupTexts[value] })),
            sort: query.sort ? sortParam({ sort: query.sort, descending: query.descending }) : undefined,
            clear: filtered || query.group ? `${path}#${section}` : undefined,
          },
    empty: filtered ? 'No run fits.' : options.empty,
    command: filtered ? undefined : options.command,
    pager: {
      several: pages > 1,
      text:
        count === 0
          ? ''
          : pages > 1
            ? `${formatCount(from + 1)}–${formatCount(from + shown.length)} of ${plural(count, 'run')}`
            : plural(count, 'run'),
      cut: selection.cut ? `Of the newest ${formatCount(listedMax)}; older ones are found by a filter.` : '',
      previous: page > 1 ? url({ page: page - 1 }) : undefined,
      next: page < pages ? url({ page: page + 1 }) : undefined,
    },
    exports:
      count === 0
        ? undefined
        : {
            csv: urlOfList(path, asked, { page, format: 'csv' }),
            json: urlOfList(path, asked, { page, format: 'json' }),
            allCsv: urlOfList(path, asked, { page: 'all', format: 'csv' }),
            allJson: urlOfList(path, asked, { page: 'all', format: 'json' }),
          },
  }
}

function nameOfGroup(group: RunGroup, key: string): string {
  switch (group) {
    case 'verdict':
    case 'state': {
      if (key in verdicts) return key
      const state = runStates[key as keyof typeof runStates]
      return state.word
    }
    case 'version':
      return key === '' ? 'no version' : visible(key)
    case 'system':
    case 'prefix':
    case 'test':
      return visible(key)
    default:
      return group satisfies never
  }
}
