/**
 * `/search?q=`: machines, tests, versions, profiles by a part of their name, and the newest runs by a part of an error.
 * Source: WEB.md "Voice and layout" (the search field).
 */
import type { Daemon } from '../../commands/daemon.ts'
import type { Named } from '../../store/run-rows.ts'
import { type ListPage, type ListQuery, listData, type Section } from './run-lists.ts'
import { showRun } from './run-rows.ts'
import { formatCount, plural, visible } from './words.ts'

/** Hits of each kind. */
const hitsMax = 50

export function viewSearch(daemon: Daemon, query: ListQuery, nowMs: number): ListPage {
  const { queries } = daemon.store
  const words = query.words.trim().toLowerCase()
  const fits = (name: string) => words !== '' && words.split(/\s+/).every((word) => name.toLowerCase().includes(word))
  const links = (rows: readonly { readonly name: string }[], href: (row: never) => string) =>
    rows
      .filter(({ name }) => fits(name))
      .slice(0, hitsMax)
      .map((row) => ({ text: visible(row.name), href: href(row as never), note: '' }))
  const mac = /^[0-9a-f:.-]{12,17}$/i.test(words) ? words : undefined
  const found = {
    Machines: links(queries.listSystems(), ({ id }: Named) => `/system/${id}/`),
    Tests: links(queries.listTests(), ({ id }: Named) => `/testname/${id}/`),
    Versions: links(queries.listVersions(), ({ id }: Named) => `/tests/${id}/`),
    Profiles: links(
      daemon.profiles.names().map((name) => ({ name })),
      ({ name }: { name: string }) => `/?${new URLSearchParams({ q: name })}`,
    ),
  }
  const errors = words === '' ? [] : queries.searchLines(words, hitsMax)
  const total = Object.values(found).reduce((sum, each) => sum + each.length, 0) + errors.length
  const sections: Section[] = [
    ...Object.entries(found)
      .filter(([, hits]) => hits.length > 0)
      .map(([title, hits]) => ({
        id: title.toLowerCase(),
        title,
        rows: [],
        links: hits,
        count: formatCount(hits.length),
        empty: '',
      })),
    ...(errors.length > 0
      ? [
          {
            id: 'errors',
            title: 'Error lines',
            rows: errors.map(({ run, text }) => ({ ...showRun(queries, run, nowMs), said: visible(text) })),
            count: formatCount(errors.length),
            empty: '',
          },
        ]
      : []),
  ]
  const answer =
    words === ''
      ? 'Type a part of a name, or of an error.'
      : total === 0
        ? `Nothing has ${visible(query.words)} in it.${mac ? ' Machines are found by MAC on the first page.' : ''}`
        : `${plural(total, 'hit')} for ${visible(query.words)}.`
  return {
    runs: errors.map(({ run }) => run),
    data: listData(daemon, '/search', query, {
      heading: 'Search',
      tone: 'pass',
      glyph: '',
      answer,
      sections,
      exported: false,
    }),
    frame: { title: 'Search', query: query.words, crumbs: [{ text: 'Search' }] },
  }
}
