/**
 * `/search?q=`: machines, tests, versions, profiles by a part of their name, and the newest runs by a part of an error.
 * Source: WEB.md "Voice and layout" (the search field).
 */
import type { Daemon } from '../../commands/daemon.ts'
import { findAddress } from '../../domain/address.ts'
import type { Named } from '../../store/run-rows.ts'
import type { Queries } from '../../store/store.ts'
import type { ListData, ListPage, Section } from './run-lists.ts'
import type { ListQuery } from './run-selection.ts'
import { pickRuns, type TableOptions, viewRunTable } from './run-table.ts'
import { profileUrl } from './setup.ts'
import { formatCount, plural, visible } from './words.ts'

/** Hits of each kind. */
const hitsMax = 50

/** Runs whose lines are looked through before others get their turn: some 5 ms. */
const runsPerTurn = 3000

/** The newest runs with the words in one of their error lines. */
export async function tableOfSearch({ store }: Daemon, query: ListQuery): Promise<TableOptions> {
  const words = query.words.trim().toLowerCase()
  const errors = words === '' ? [] : await findLines(store.queries, words)
  const texts = new Map(errors.map(({ run, text }) => [run.id, text]))
  return {
    path: '/search',
    section: 'errors',
    only: {},
    among: errors.map(({ run }) => run),
    // The words are in the line, not in the names.
    query: { ...query, words: '' },
    linkWords: query.words,
    defaults: { sort: 'id', descending: true },
    empty: '',
    said: ({ id }) => texts.get(id),
  }
}

async function findLines(queries: Queries, words: string): Promise<ReturnType<Queries['searchLines']>> {
  const found: ReturnType<Queries['searchLines']> = []
  const { first, last } = queries.searchSpan()
  for (let end = last; end >= first && found.length < hitsMax; end -= runsPerTurn) {
    const span = { first: Math.max(first, end - runsPerTurn + 1), last: end }
    found.push(...queries.searchLines(words, hitsMax - found.length, span))
    await new Promise((resolve) => setImmediate(resolve))
  }
  return found
}

export async function viewSearch(daemon: Daemon, query: ListQuery, nowMs: number): Promise<ListPage> {
  const { queries } = daemon.store
  const words = query.words.trim().toLowerCase()
  const fits = (name: string) => words !== '' && words.split(/\s+/).every((word) => name.toLowerCase().includes(word))
  const links = (rows: readonly { readonly name: string }[], href: (row: never) => string) =>
    rows
      .filter(({ name }) => fits(name))
      .slice(0, hitsMax)
      .map((row) => ({ text: visible(row.name), href: href(row as never), note: '' }))
  const address = findAddress(words)
  const holders = address ? queries.systemsWith(address.text) : []
  const named = queries.listSystems().filter(({ id, name }) => fits(name) || holders.some((each) => each.id === id))
  const found = {
    Machines: named.slice(0, hitsMax).map(({ id, name }) => ({
      text: visible(name),
      href: `/system/${id}/`,
      note: holders.some((each) => each.id === id) ? `has ${address?.text}` : '',
    })),
    Tests: links(queries.listTests(), ({ id }: Named) => `/testname/${id}/`),
    Versions: links(queries.listVersions(), ({ id }: Named) => `/tests/${id}/`),
    Profiles: links(
      daemon.profiles.names().map((name) => ({ name })),
      ({ name }: { name: string }) => profileUrl(name),
    ),
  }
  const options = await tableOfSearch(daemon, query)
  const errors = options.among ?? []
  const table = viewRunTable(daemon, options, pickRuns(queries, options), nowMs)
  const total = Object.values(found).reduce((sum, each) => sum + each.length, 0) + errors.length
  const sections: Section[] = [
    ...(address
      ? [
          {
            id: 'boots',
            title: 'Boots',
            count: '',
            links: [
              {
                text: `Boots of ${address.text}`,
                href: `/boots?${new URLSearchParams({ q: address.text })}`,
                note: '',
              },
            ],
          },
        ]
      : []),
    ...Object.entries(found)
      .filter(([, hits]) => hits.length > 0)
      .map(([title, hits]) => ({
        id: title.toLowerCase(),
        title,
        links: hits,
        count: formatCount(hits.length),
      })),
    ...(errors.length > 0
      ? [
          {
            id: 'errors',
            title: 'Errors and warnings',
            count: formatCount(errors.length),
            table,
          },
        ]
      : []),
  ]
  const answer =
    words === ''
      ? 'Type a part of a name, or of an error.'
      : total === 0
        ? address
          ? `No system has ${address.text}. What asked from there is among the boots.`
          : `Nothing has ${visible(query.words)} in it.`
        : `${plural(total, 'hit')} for ${visible(query.words)}.`
  const data: ListData = { heading: 'Search', tone: 'pass', glyph: '', answer, sections }
  return {
    data,
    frame: { title: 'Search', query: query.words, crumbs: [{ text: 'Search' }] },
  }
}
