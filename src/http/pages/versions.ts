/**
 * `/versions`: the newest versions, each with its results as a stacked bar and what changed since the one before.
 * Which they are, their order and groups are in the URL (`version-selection.ts`); CSV and JSON are the rows.
 * Source: WEB.md; what counts as a regression is `domain/compare.ts`.
 */
import type { Daemon } from '../../commands/daemon.ts'
import { type Verdict, verdictNames, verdicts } from '../../domain/verdict.ts'
import type { VersionRow } from '../../store/run-rows.ts'
import { csvLines } from './export.ts'
import { prefixOf } from './name-prefix.ts'
import type { Frame } from './render.ts'
import type { VersionIndex } from './version-index.ts'
import { chooseVersions, orderSummaries, urlOf, type VersionsQuery, versionColumns } from './version-selection.ts'
import { formatCount, moment, plural, visible } from './words.ts'

/** Versions of one page. */
const shown = 20
const barWidth = 200

export interface VersionSummary {
  readonly id: number
  readonly name: string
  readonly atMs: number
  readonly kept: boolean
  readonly counts: Readonly<Partial<Record<Verdict | 'missing', number>>>
  readonly regressions: number
  readonly fixed: number
  /** The version before it. */
  readonly before: string | undefined
}

/** The newest versions; each compared with the one before it. */
export async function summarizeVersions(
  daemon: Daemon,
  index: VersionIndex,
  limit: number,
): Promise<readonly VersionSummary[]> {
  const all = daemon.store.queries.listVersions(limit + 1)
  return summarize(
    index,
    all.slice(0, limit).map((version, at) => ({ version, before: all[at + 1] })),
  )
}

/** The versions that the query shows, in its order; each compared with the one before it, shown or not. */
export async function findVersions(
  daemon: Daemon,
  index: VersionIndex,
  query: VersionsQuery,
): Promise<{ versions: readonly VersionSummary[]; more: boolean }> {
  const chosen = chooseVersions(daemon.store.queries, query, shown + 1)
  const versions = await summarize(index, chosen.slice(0, shown))
  return { versions: orderSummaries(versions, query), more: chosen.length > shown }
}

async function summarize(
  index: VersionIndex,
  chosen: readonly { readonly version: VersionRow; readonly before: VersionRow | undefined }[],
): Promise<VersionSummary[]> {
  const versions: VersionSummary[] = []
  for (const { version, before } of chosen) {
    const counts: Partial<Record<Verdict | 'missing', number>> = { ...(await index.counts(version.id)) }
    const lacking = (await index.missing(version.id)).length
    if (lacking > 0) counts.missing = lacking
    const changes = before ? await index.changes(before.id, version.id) : { regressions: 0, fixed: 0 }
    versions.push({
      id: version.id,
      name: version.name,
      atMs: version.atMs,
      kept: version.kept,
      counts,
      regressions: changes.regressions,
      fixed: changes.fixed,
      before: before?.name,
    })
  }
  return versions
}

/** The counts as bars beside each other, widths by share; every one that is there can be seen. */
export function stackOf(counts: VersionSummary['counts']): { bars: object[]; words: string } {
  const order = ['pass', 'warn', 'fail', 'lost', 'infra', 'skip', 'missing'] as const
  const total = order.reduce((sum, key) => sum + (counts[key] ?? 0), 0)
  let x = 0
  const bars = order.flatMap((key) => {
    const count = counts[key] ?? 0
    if (count === 0) return []
    const width = Math.max(2, Math.round((barWidth * count) / total))
    const bar = {
      tone: key,
      x,
      width: Math.min(width, Math.max(2, barWidth - x)),
      words: `${formatCount(count)} ${key}`,
    }
    x += width
    return [bar]
  })
  const words = [...verdictNames, 'missing' as const]
    .filter((key) => (counts[key] ?? 0) > 0)
    // A line may end between two counts, never within one.
    .map((key) => `${formatCount(counts[key] ?? 0)}\u00a0${key}`)
    .join(', ')
  return { bars, words }
}

export function viewVersions(
  daemon: Daemon,
  { versions, more }: { readonly versions: readonly VersionSummary[]; readonly more: boolean },
  newest: VersionSummary | undefined,
  query: VersionsQuery,
  nowMs: number,
): { data: object; frame: Omit<Frame, 'access'> } {
  const regressions = newest?.regressions ?? 0
  const compareUrl = (version: VersionSummary) =>
    version.before === undefined
      ? undefined
      : `/compare/${encodeURIComponent(version.before)}...${encodeURIComponent(version.name)}`
  const worst = verdictNames.find((verdict) => (newest?.counts[verdict] ?? 0) > 0)
  const isBad = regressions > 0 || worst === 'fail'
  const answer = !newest
    ? 'No result has named a version yet.'
    : `${visible(newest.name)}: ${stackOf(newest.counts).words || 'no result'}${newest.before === undefined ? '' : `; ${plural(regressions, 'regression')} since ${visible(newest.before)}`}.`
  const groups = new Map<string, object[]>()
  for (const version of versions) {
    const key = query.grouped ? prefixOf(version.name) : ''
    const row = viewRow(version, compareUrl(version), nowMs)
    const known = groups.get(key)
    if (known) known.push(row)
    else groups.set(key, [row])
  }
  return {
    data: {
      answer,
      tone: isBad ? 'fail' : worst === undefined ? '' : verdicts[worst].tone,
      glyph: isBad ? verdicts.fail.glyph : worst === undefined ? '' : verdicts[worst].glyph,
      compare: newest && compareUrl(newest),
      empty: newest === undefined,
      query,
      columns: versionColumns(query),
      grouped: query.grouped,
      groups: [...groups].map(([name, rows]) => ({ name: visible(name), count: formatCount(rows.length), rows })),
      next: more ? urlOf(query, { from: query.from + versions.length }) : undefined,
      links: {
        all: query.words === '' ? undefined : urlOf(query, { words: '', from: 0 }),
        csv: urlOf(query, { format: 'csv' }),
        json: urlOf(query, { format: 'json' }),
      },
    },
    frame: {
      title: regressions > 0 ? `${verdicts.fail.glyph} ${regressions} · Results` : 'Results',
      state: regressions > 0 ? 'fail' : 'ok',
      place: 'results',
      crumbs: [{ text: 'Results' }],
      seq: daemon.store.seq,
    },
  }
}

function viewRow(version: VersionSummary, compare: string | undefined, nowMs: number): object {
  return {
    name: visible(version.name),
    href: `/tests/${version.id}/`,
    kept: version.kept,
    ...stackOf(version.counts),
    regressions: version.regressions,
    fixed: version.fixed,
    compare,
    when: moment(version.atMs, nowMs),
  }
}

const columns = [
  'id',
  'version',
  'first',
  'pass',
  'warn',
  'fail',
  'lost',
  'infra',
  'skip',
  'missing',
  'regressions',
  'fixed',
  'kept',
] as const

export function versionsCsv(versions: readonly VersionSummary[]): string {
  return csvLines(
    columns,
    versions.map(({ id, name, atMs, counts, regressions, fixed, kept }) => [
      id,
      name,
      new Date(atMs).toISOString(),
      ...(['pass', 'warn', 'fail', 'lost', 'infra', 'skip', 'missing'] as const).map((key) => counts[key] ?? 0),
      regressions,
      fixed,
      kept ? 'kept' : '',
    ]),
  )
}

export function versionsJson(versions: readonly VersionSummary[]): string {
  const rows = versions.map(({ atMs, ...rest }) => ({ ...rest, first: new Date(atMs).toISOString() }))
  return `${JSON.stringify({ versions: rows })}\n`
}
