/**
 * `/compare/<A>...<B>`: what changed from one version to another, regressions and fixed first. The comparison is
 * `domain/compare.ts`, the same as the command's. Source: RUNS "Results" (compare), WEB.md.
 */
import type { Daemon } from '../../commands/daemon.ts'
import { type Change, type ChangeKind, changeKinds, compareGrouped } from '../../domain/compare.ts'
import { Refusal } from '../../domain/errors.ts'
import { verdicts } from '../../domain/verdict.ts'
import type { VersionRow } from '../../store/run-rows.ts'
import { csvLines } from './export.ts'
import type { Frame } from './render.ts'
import type { VersionIndex } from './version-index.ts'
import { formatCount, plural, visible } from './words.ts'

/** Rows of each kind that are shown; all of them are in CSV and JSON. */
const rowsShown = 200
/** Versions to choose from. */
const versionsOffered = 200

export interface ComparePage {
  readonly data: object
  readonly frame: Omit<Frame, 'access'>
  readonly changes: readonly Change[]
}

/** Longer is no pair of names, and is not looked through: a version has 255 characters at most. */
const pairMax = 2 * 255 + 3

/**
 * `A...B` → A and B. Names may hold dots themselves: it is cut where both sides are versions, else in the middle. Refuses
 * (not-found) what is no pair.
 */
export function splitPair(pair: string, isVersion: (name: string) => boolean): [string, string] {
  const cuts: number[] = []
  for (let at = pair.indexOf('...'); at >= 0; at = pair.indexOf('...', at + 1)) cuts.push(at)
  const sides = (at: number): [string, string] => [pair.slice(0, at), pair.slice(at + 3)]
  const middle = cuts[Math.floor((cuts.length - 1) / 2)]
  if (middle === undefined || pair.length > pairMax) {
    throw new Refusal('not-found', 'a comparison is /compare/<version>...<version>')
  }
  return sides(cuts.find((at) => sides(at).every(isVersion)) ?? middle)
}

export interface CompareQuery {
  /** Words that all have to occur in machine or test. */
  readonly words: string
  /** Order within each kind; the kinds themselves have theirs. */
  readonly sort: 'system' | 'test'
  readonly descending: boolean
}

/** What it does not know is as if it were not there. */
export function parseCompareQuery(params: URLSearchParams): CompareQuery {
  const sort = params.get('sort') ?? ''
  const key = sort.replace(/^-/, '')
  const isKnown = key === 'system' || key === 'test'
  return {
    words: (params.get('q') ?? '').slice(0, 200),
    sort: isKnown ? key : 'system',
    descending: isKnown && sort.startsWith('-'),
  }
}

/** The part of the URL behind the path; what is default is left out. */
export function searchOfCompare(query: CompareQuery, format?: 'csv' | 'json'): string {
  const params = new URLSearchParams()
  if (query.words !== '') params.set('q', query.words)
  if (query.sort !== 'system' || query.descending) params.set('sort', `${query.descending ? '-' : ''}${query.sort}`)
  if (format !== undefined) params.set('format', format)
  return params.size === 0 ? '' : `?${params}`
}

const collator = new Intl.Collator('en', { numeric: true })

/** Kind by kind, in each by machine or test. */
function orderChanges(changes: readonly Change[], { sort, descending }: CompareQuery): readonly Change[] {
  if (sort === 'system' && !descending) return changes
  const kinds = Object.keys(changeKinds)
  const other = sort === 'system' ? 'test' : 'system'
  return [...changes].sort((one, two) => {
    const byName = collator.compare(one[sort], two[sort]) || collator.compare(one[other], two[other])
    return kinds.indexOf(one.kind) - kinds.indexOf(two.kind) || (descending ? -byName : byName)
  })
}

export async function viewCompare(
  daemon: Daemon,
  index: VersionIndex,
  a: VersionRow,
  b: VersionRow,
  query: CompareQuery,
): Promise<ComparePage> {
  const { queries } = daemon.store
  const { words } = query
  const before = await index.latest(a.id)
  const after = await index.latest(b.id)
  const wanted = words.toLowerCase().split(/\s+/)
  const matching = compareGrouped(before, after).filter(({ system, test }) => {
    const text = `${system}\n${test}`.toLowerCase()
    return wanted.every((word) => text.includes(word))
  })
  const changes = orderChanges(matching, query)
  const count = (kind: ChangeKind) => changes.filter((change) => change.kind === kind).length
  const kinds = (Object.keys(changeKinds) as ChangeKind[]).filter((kind) => count(kind) > 0)
  const regressions = count('regression')
  const newFailures = count('newFailure')
  const isWorse = regressions > 0 || newFailures > 0
  const base = `/compare/${encodeURIComponent(a.name)}...${encodeURIComponent(b.name)}`
  const column = (sort: CompareQuery['sort'], text: string) => {
    const current = query.sort === sort
    const descending = current && !query.descending
    const order = current ? (query.descending ? 'descending' : 'ascending') : 'none'
    return { text, order, href: `${base}${searchOfCompare({ ...query, sort, descending })}` }
  }
  const side = (given: Change['before'], version: string) =>
    given === null
      ? { href: '', version: visible(version) }
      : {
          href: `/test/${given.run}/`,
          version: visible(version),
          tone: verdicts[given.verdict].tone,
          glyph: verdicts[given.verdict].glyph,
          word: given.verdict,
          waived: given.waived,
        }
  const systemHref = linksBy(
    (name) => queries.findSystem(name)?.id,
    (id) => `/system/${id}/`,
  )
  const testHref = linksBy(
    (name) => queries.findTest(name)?.id,
    (id) => `/testname/${id}/`,
  )
  const data = {
    a: visible(a.name),
    b: visible(b.name),
    query: words,
    failing: isWorse,
    glyph: isWorse ? verdicts.fail.glyph : verdicts.pass.glyph,
    answer: `From ${visible(a.name)} to ${visible(b.name)}: ${plural(regressions, 'regression')}, ${plural(newFailures, 'new failure')}, ${formatCount(count('fixed'))} fixed, ${formatCount(count('lostCoverage') + count('disappeared'))} lost or gone.`,
    versions: queries
      .listVersions(versionsOffered)
      .map(({ id, name }) => ({ value: name, text: visible(name), a: id === a.id, b: id === b.id })),
    kinds: kinds.map((kind) => ({
      kind,
      ...changeKinds[kind],
      count: formatCount(count(kind)),
      more: Math.max(0, count(kind) - rowsShown),
      rows: changes
        .filter((change) => change.kind === kind)
        .slice(0, rowsShown)
        .map(({ system, test, before: was, after: is }) => ({
          system: visible(system),
          systemHref: systemHref(system),
          test: visible(test),
          testHref: testHref(test),
          before: side(was, a.name),
          after: side(is, b.name),
          diff: was && is ? `/test/${is.run}/?diff=${was.run}#diff` : '',
        })),
    })),
    columns: [column('system', 'Machine'), column('test', 'Test')],
    sort: searchOfCompare({ ...query, words: '' }).slice('?sort='.length),
    links: { csv: `${base}${searchOfCompare(query, 'csv')}`, json: `${base}${searchOfCompare(query, 'json')}` },
  }
  return {
    changes,
    data,
    frame: {
      title:
        regressions > 0 ? `${verdicts.fail.glyph} ${regressions} · ${visible(a.name)}…${visible(b.name)}` : 'Compare',
      state: regressions > 0 ? 'fail' : 'ok',
      place: 'results',
      crumbs: [{ text: 'Results', href: '/versions' }, { text: 'Compare' }],
      seq: daemon.store.seq,
    },
  }
}

/** The page of each name, asked for once; a search where it has none any more. */
function linksBy(idOf: (name: string) => number | undefined, href: (id: number) => string): (name: string) => string {
  const known = new Map<string, string>()
  return (name) => {
    const link = known.get(name)
    if (link !== undefined) return link
    const id = idOf(name)
    const made = id === undefined ? `/search?${new URLSearchParams({ q: name })}` : href(id)
    known.set(name, made)
    return made
  }
}

export function changesCsv(changes: readonly Change[]): string {
  return csvLines(
    ['kind', 'system', 'test', 'before', 'before_run', 'after', 'after_run', 'waived'],
    changes.map(({ kind, system, test, before, after }) => [
      kind,
      system,
      test,
      before?.verdict,
      before?.run,
      after?.verdict,
      after?.run,
      [before?.waived ? 'before' : '', after?.waived ? 'after' : ''].filter((side) => side !== '').join(' '),
    ]),
  )
}
