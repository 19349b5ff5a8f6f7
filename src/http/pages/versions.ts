/**
 * `/versions`: the newest versions, each with its results as a stacked bar and what changed since the one before.
 * Source: WEB.md; what counts as a regression is `domain/compare.ts`.
 */
import type { Daemon } from '../../commands/daemon.ts'
import { type Verdict, verdictNames, verdicts } from '../../domain/verdict.ts'
import { csvLines } from './export.ts'
import type { Frame } from './render.ts'
import type { VersionIndex } from './version-index.ts'
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

/** The newest versions from the `from`-th on; each compared with the one before it. */
export async function summarizeVersions(
  daemon: Daemon,
  index: VersionIndex,
  from = 0,
  limit = shown,
): Promise<{ versions: VersionSummary[]; more: boolean }> {
  const all = daemon.store.queries.listVersions(from + limit + 1).slice(from)
  const versions: VersionSummary[] = []
  for (const [at, version] of all.slice(0, limit).entries()) {
    const before = all[at + 1]
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
  return { versions, more: all.length > limit }
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
  from: number,
  nowMs: number,
): { data: object; frame: Omit<Frame, 'access'> } {
  const [newest] = versions
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
  const page = (at: number) => (at === 0 ? '/versions' : `/versions?from=${at}`)
  return {
    data: {
      answer,
      tone: isBad ? 'fail' : worst === undefined ? '' : verdicts[worst].tone,
      glyph: isBad ? verdicts.fail.glyph : worst === undefined ? '' : verdicts[worst].glyph,
      compare: newest && compareUrl(newest),
      rows: versions.map((version) => ({
        name: visible(version.name),
        href: `/tests/${version.id}/`,
        kept: version.kept,
        ...stackOf(version.counts),
        regressions: version.regressions,
        fixed: version.fixed,
        compare: compareUrl(version),
        when: moment(version.atMs, nowMs),
      })),
      next: more ? page(from + versions.length) : undefined,
      links: {
        csv: `/versions?${new URLSearchParams({ from: String(from), format: 'csv' })}`,
        json: `/versions?${new URLSearchParams({ from: String(from), format: 'json' })}`,
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
] as const

export function versionsCsv(versions: readonly VersionSummary[]): string {
  return csvLines(
    columns,
    versions.map(({ id, name, atMs, counts, regressions, fixed }) => [
      id,
      name,
      new Date(atMs).toISOString(),
      ...(['pass', 'warn', 'fail', 'lost', 'infra', 'skip', 'missing'] as const).map((key) => counts[key] ?? 0),
      regressions,
      fixed,
    ]),
  )
}

export function versionsJson(versions: readonly VersionSummary[]): string {
  const rows = versions.map(({ atMs, ...rest }) => ({ ...rest, first: new Date(atMs).toISOString() }))
  return `${JSON.stringify({ versions: rows })}\n`
}
