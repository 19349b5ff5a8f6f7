/**
 * Which versions `/versions` shows, and in which order: what the URL says (`q`, `sort`, `group`, `from`) → versions. The
 * same for the page, its CSV and its JSON. Source: WEB.md "Behaviour" (state is in the URL).
 */
import type { VersionRow } from '../../store/run-rows.ts'
import type { Queries } from '../../store/store.ts'
import { prefixOf } from './name-prefix.ts'

const sortKeys = ['when', 'name', 'regressions', 'fixed'] as const
type SortKey = (typeof sortKeys)[number]

export interface VersionsQuery {
  /** Words that all have to occur in the name. */
  readonly words: string
  /** `regressions` and `fixed`, which cost a comparison each, order the rows of a page; the others all versions. */
  readonly sort: SortKey
  readonly descending: boolean
  /** By what the names begin with. */
  readonly grouped: boolean
  /** Place of the first one shown, from 0. */
  readonly from: number
}

/** What it does not know is as if it were not there. */
export function parseVersionsQuery(params: URLSearchParams): VersionsQuery {
  const given = params.get('sort') ?? '-when'
  const sort = sortKeys.find((each) => each === given.replace(/^-/, ''))
  const from = params.get('from') ?? ''
  return {
    words: (params.get('q') ?? '').slice(0, 200),
    sort: sort ?? 'when',
    descending: sort === undefined || given.startsWith('-'),
    grouped: params.get('group') === 'prefix',
    from: /^\d{1,6}$/.test(from) ? Number(from) : 0,
  }
}

/** What is default is left out. */
export function urlOf(
  query: VersionsQuery,
  changes: Partial<VersionsQuery> & { readonly format?: 'csv' | 'json' } = {},
): string {
  const { words, sort, descending, grouped, from, format } = { format: undefined, ...query, ...changes }
  const params = new URLSearchParams()
  if (words !== '') params.set('q', words)
  if (sort !== 'when' || !descending) params.set('sort', `${descending ? '-' : ''}${sort}`)
  if (grouped) params.set('group', 'prefix')
  if (from !== 0) params.set('from', String(from))
  if (format !== undefined) params.set('format', format)
  const text = params.toString()
  return text === '' ? '/versions' : `/versions?${text}`
}

/** Heads of the columns, each with the order that a click on it gives. */
export function versionColumns(query: VersionsQuery): readonly object[] {
  const column = (sort: SortKey, text: string, number = false) => {
    const current = query.sort === sort
    // Of everything but names the most, or the latest, is asked for first.
    const descending = current ? !query.descending : sort !== 'name'
    const order = current ? (query.descending ? 'descending' : 'ascending') : 'none'
    return { text, number, order, href: urlOf(query, { sort, descending, from: 0 }) }
  }
  return [
    column('name', 'Version'),
    { text: 'Results', number: false },
    column('regressions', 'Regressions', true),
    column('fixed', 'Fixed', true),
    column('when', 'First heard of'),
  ]
}

const collator = new Intl.Collator('en', { numeric: true })

/** At most `limit` versions of those that match, in order, each with the one that was heard of before it. */
export function chooseVersions(
  queries: Pick<Queries, 'listVersions'>,
  query: VersionsQuery,
  limit: number,
): { readonly version: VersionRow; readonly before: VersionRow | undefined }[] {
  // Newest first without words, as nearly always: no more than are needed.
  const isPlain =
    query.words === '' && !query.grouped && query.sort !== 'name' && !(query.sort === 'when' && !query.descending)
  const all = isPlain ? queries.listVersions(query.from + limit + 1) : queries.listVersions()
  const words = query.words.toLowerCase().split(/\s+/)
  const found = all
    .map((version, at) => ({ version, before: all[at + 1] }))
    .filter(({ version: { name } }) => words.every((word) => name.toLowerCase().includes(word)))
  if (query.sort === 'name') found.sort((a, b) => collator.compare(a.version.name, b.version.name))
  if (query.sort === 'name' ? query.descending : query.sort === 'when' && !query.descending) found.reverse()
  // Groups stay together over the pages; in each the order is the same.
  if (query.grouped) {
    found.sort((a, b) => collator.compare(prefixOf(a.version.name), prefixOf(b.version.name)))
  }
  return found.slice(query.from, query.from + limit)
}

/** The rows of a page in the order of what had to be computed for them. */
export function orderSummaries<
  Row extends { readonly name: string; readonly regressions: number; readonly fixed: number },
>(rows: readonly Row[], query: VersionsQuery): readonly Row[] {
  const { sort } = query
  if (sort !== 'regressions' && sort !== 'fixed') return rows
  const ordered = [...rows].sort((a, b) => (query.descending ? b[sort] - a[sort] : a[sort] - b[sort]))
  // One group after the other, as the page has them.
  if (query.grouped) ordered.sort((a, b) => collator.compare(prefixOf(a.name), prefixOf(b.name)))
  return ordered
}
