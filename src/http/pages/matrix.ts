/**
 * `/matrix`: what broke, where, since when: systems × versions, or for one version tests × systems.
 *
 * A cell is the worst verdict in it, with how many are so; a failure that the version before did not have is bordered.
 * What a suite expects and nobody ran is `missing`, which is not the same as a machine that broke (`infra`). Rows may be
 * grouped by the part of the name before its number. Filter, grouping and columns are in the URL. Source: WEB.md.
 */
import { flakyScore } from '../../domain/compare.ts'
import { missing, type Verdict, verdictNames, verdicts } from '../../domain/verdict.ts'
import type { LatestRun, VersionRow } from '../../store/run-rows.ts'
import type { Store } from '../../store/store.ts'
import type { KeptRows } from './matrix-rows.ts'
import { prefixOf } from './name-prefix.ts'
import { type Frame, renderPart } from './render.ts'
import { sparkOf } from './spark.ts'
import { addUp, type SystemResults, type VersionIndex } from './version-index.ts'
import { formatCount, plural, sentence, share, visible } from './words.ts'

/** Versions side by side unless told otherwise, and at most. */
const columnsDefault = 12
const columnsMax = 40
/** Rows of one page: more systems than a screen has lines, fewer than a browser minds. */
const rowsMax = 500
/** Characters of a name in the head of a column; the whole name is its title. */
const headLength = 14

export interface MatrixQuery {
  readonly words: string
  readonly grouped: boolean
  /** Versions side by side. */
  readonly columns: number
  /** Name of the one version whose tests × systems are shown. */
  readonly version: string | undefined
  readonly wall: boolean
}

export function parseMatrixQuery(params: URLSearchParams): MatrixQuery {
  const columns = params.get('columns') ?? ''
  return {
    words: (params.get('q') ?? '').slice(0, 200),
    grouped: params.get('group') === 'prefix',
    columns: /^[1-9]\d{0,2}$/.test(columns) ? Math.min(Number(columns), columnsMax) : columnsDefault,
    version: params.get('version') ?? undefined,
    wall: params.has('wall'),
  }
}

function urlOf(query: MatrixQuery, changes: Partial<MatrixQuery> & { readonly format?: string } = {}): string {
  const { words, grouped, columns, version, wall, format } = { format: undefined, ...query, ...changes }
  const params = new URLSearchParams()
  if (version !== undefined) params.set('version', version)
  if (words !== '') params.set('q', words)
  if (grouped) params.set('group', 'prefix')
  if (columns !== columnsDefault) params.set('columns', String(columns))
  if (wall) params.set('wall', '')
  if (format !== undefined) params.set('format', format)
  const text = params.toString()
  return text === '' ? '/matrix' : `/matrix?${text}`
}

/** Results of one cell, by verdict; `missing`: expected, and not there. */
export interface Cell {
  readonly counts: Readonly<Partial<Record<Verdict | 'missing', number>>>
  readonly worst: Verdict | 'missing' | undefined
  /** Failures that the cell before it does not have. */
  readonly fresh: number
  readonly href: string
}

export interface MatrixRow {
  readonly name: string
  readonly href: string
  readonly group: string
  readonly cells: readonly Cell[]
}

export interface Matrix {
  readonly kind: 'versions' | 'version'
  readonly columns: readonly { readonly name: string; readonly href: string }[]
  readonly rows: readonly MatrixRow[]
  /** Rows that match but are not shown. */
  readonly more: number
}

/** `version` undefined in `query` or unknown to the store: systems × versions. */
export async function readMatrix(
  store: Store,
  index: VersionIndex,
  kept: KeptRows<MatrixRow>,
  query: MatrixQuery,
): Promise<Matrix> {
  const { queries } = store
  const one = query.version === undefined ? undefined : queries.findVersion(query.version)
  if (one) return oneVersion(store, index, kept, one, query)
  const versions = queries.listVersions(query.columns).reverse()
  const rows = new Map<number, { name: string; cells: (Results | undefined)[]; missing: number[] }>()
  const rowOf = (system: { readonly id: number; readonly name: string }) => {
    const known = rows.get(system.id)
    if (known) return known
    const row = { name: system.name, cells: versions.map(() => undefined), missing: versions.map(() => 0) }
    rows.set(system.id, row)
    return row
  }
  for (const [at, version] of versions.entries()) {
    for (const results of (await index.systems(version.id)).values()) rowOf(results.system).cells[at] = results
    for (const { system } of await index.missing(version.id)) {
      const row = rowOf(system)
      row.missing[at] = (row.missing[at] ?? 0) + 1
    }
  }
  const matching = [...rows].filter(([, { name }]) => hasWords(name, query.words)).sort(byName)
  const grid = kept.grid(`versions ${versions.map(({ id }) => id).join(' ')}`)
  return {
    kind: 'versions',
    columns: versions.map(({ name }) => ({ name, href: urlOf(query, { version: name }) })),
    rows: matching.slice(0, rowsMax).map(([id, { name, cells, missing: lacking }]) =>
      grid.row(id, [name, ...cells, ...lacking], () => ({
        name,
        href: `/system/${id}/`,
        group: prefixOf(name),
        cells: cellsOf(cells, lacking, versions, `?${new URLSearchParams({ q: name })}`),
      })),
    ),
    more: Math.max(0, matching.length - rowsMax),
  }
}

/** A row of systems × versions: each beside the last one before it that has a result. */
function cellsOf(
  results: readonly (Results | undefined)[],
  lacking: readonly number[],
  versions: readonly VersionRow[],
  query: string,
): Cell[] {
  let before: Results | undefined
  return results.map((own, at) => {
    const cell = cellOf(own, lacking[at] ?? 0, before, `/tests/${versions[at]?.id ?? 0}/${query}`)
    before = own ?? before
    return cell
  })
}

/** Tests × systems of one version; fresh is what the version before it does not have. */
async function oneVersion(
  store: Store,
  index: VersionIndex,
  kept: KeptRows<MatrixRow>,
  version: VersionRow,
  query: MatrixQuery,
): Promise<Matrix> {
  const { queries } = store
  const before = queries.listVersions().find(({ id }) => id < version.id)
  const known = before && (await index.latest(before.id))
  const systems = new Map<number, string>()
  const rows = new Map<number, { name: string; cells: Map<number, LatestRun>; missing: Set<number> }>()
  const rowOf = (test: { readonly id: number; readonly name: string }) => {
    const row = rows.get(test.id) ?? { name: test.name, cells: new Map(), missing: new Set<number>() }
    rows.set(test.id, row)
    return row
  }
  for (const runs of (await index.latest(version.id)).values()) {
    for (const run of runs.values()) {
      if (!hasWords(run.system.name, query.words) && !hasWords(run.test.name, query.words)) continue
      systems.set(run.system.id, run.system.name)
      rowOf(run.test).cells.set(run.system.id, run)
    }
  }
  for (const { system, test } of await index.missing(version.id)) {
    if (!hasWords(system.name, query.words) && !hasWords(test.name, query.words)) continue
    systems.set(system.id, system.name)
    rowOf(test).missing.add(system.id)
  }
  const columns = [...systems].sort((a, b) => compareNames(a[1], b[1])).slice(0, rowsMax)
  const matching = [...rows].sort(byName)
  const grid = kept.grid(`version ${version.id} ${columns.map(([id]) => id).join(' ')}`)
  return {
    kind: 'version',
    columns: columns.map(([id, name]) => ({ name, href: `/system/${id}/` })),
    rows: matching.slice(0, rowsMax).map(([id, { name, cells, missing: lacking }]) => {
      const own = columns.map(([system]) => cells.get(system))
      const previous = columns.map(([system]) => known?.get(system)?.get(id))
      const lacks = columns.map(([system]) => lacking.has(system))
      return grid.row(id, [name, ...own, ...previous, ...lacks], () => ({
        name,
        href: `/testname/${id}/`,
        group: prefixOf(name),
        cells: own.map((run, at) => {
          const was = previous[at]
          const href = run ? `/test/${run.run}/` : ''
          return cellOf(run && addUp([run]), lacks[at] === true ? 1 : 0, was && addUp([was]), href)
        }),
      }))
    }),
    more: Math.max(0, matching.length - rowsMax),
  }
}

type Results = Pick<SystemResults, 'counts' | 'failing'>

function cellOf(results: Results | undefined, lacking: number, before: Results | undefined, href: string): Cell {
  const counts: Cell['counts'] = lacking > 0 ? { ...results?.counts, missing: lacking } : (results?.counts ?? {})
  let fresh = 0
  // Without anything before it nothing is new: the first version is not all regressions.
  if (before) for (const test of results?.failing ?? []) if (!before.failing.has(test)) fresh += 1
  const worst = verdictNames.find((verdict) => counts[verdict] !== undefined && !isQuiet(verdict, counts))
  return { counts, worst: worst ?? (lacking > 0 ? 'missing' : verdictNames.find((each) => counts[each])), fresh, href }
}

/** What is expected and missing is worse news than a pass. */
function isQuiet(verdict: Verdict, counts: Cell['counts']): boolean {
  return counts.missing !== undefined && (verdict === 'pass' || verdict === 'skip')
}
function hasWords(name: string, words: string): boolean {
  const lower = name.toLowerCase()
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => lower.includes(word))
}

const collator = new Intl.Collator('en', { numeric: true })
const compareNames = (a: string, b: string): number => collator.compare(a, b)
const byName = (a: readonly [number, { readonly name: string }], b: typeof a): number =>
  compareNames(a[1].name, b[1].name)

/** Data of the template and what the layout needs. */
export function viewMatrix(
  matrix: Matrix,
  kept: KeptRows<MatrixRow>,
  query: MatrixQuery,
  seq: number,
): { data: object; frame: Omit<Frame, 'access'> } {
  const cells = matrix.rows.flatMap((row) => (matrix.kind === 'versions' ? row.cells.slice(-1) : row.cells))
  const failing = matrix.rows.filter(({ cells: own }) =>
    (matrix.kind === 'versions' ? own.slice(-1) : own).some(({ worst }) => worst === 'fail'),
  ).length
  const fresh = cells.reduce((sum, cell) => sum + cell.fresh, 0)
  const newest = matrix.columns.at(-1)?.name
  const noun = matrix.kind === 'versions' ? 'machine' : 'test'
  const about = matrix.kind === 'versions' ? newest : query.version
  const answer =
    matrix.rows.length === 0
      ? query.words === ''
        ? 'No test has a result yet.'
        : 'Nothing here has that name.'
      : failing === 0
        ? `Nothing fails with ${visible(about ?? '')}.`
        : `${sentence(share(failing, matrix.rows.length, noun))} ${failing === 1 ? 'fails' : 'fail'} with ${visible(about ?? '')}: ${plural(fresh, 'failure is', 'failures are')} new.`
  const groups = new Map<string, MatrixRow[]>()
  for (const row of matrix.rows) {
    const key = query.grouped ? row.group : ''
    const rows = groups.get(key)
    if (rows) rows.push(row)
    else groups.set(key, [row])
  }
  const data = {
    kind: matrix.kind,
    answer,
    // No result is no verdict.
    glyph: failing > 0 ? verdicts.fail.glyph : matrix.rows.length === 0 ? '' : verdicts.pass.glyph,
    failing: failing > 0,
    empty: matrix.rows.length === 0 && query.words === '',
    version: query.version === undefined ? undefined : visible(query.version),
    columns: matrix.columns.map(({ name, href }) => ({ name: visible(name), head: headOf(name), href })),
    groups: [...groups].map(([name, rows]) => ({
      name: visible(name),
      rows: rows.map((row) => kept.html(row, () => renderPart('matrixrow', viewRow(row, matrix.kind)))),
    })),
    grouped: query.grouped,
    more: matrix.more,
    query: query.words,
    hidden: { version: query.version, columns: query.columns === columnsDefault ? undefined : query.columns },
    links: {
      all: urlOf(query, { version: undefined }),
      group: urlOf(query, { grouped: !query.grouped }),
      csv: urlOf(query, { format: 'csv' }),
      json: urlOf(query, { format: 'json' }),
      clear: urlOf(query, { words: '' }),
    },
    wall: query.wall,
    legend: [...verdictNames.map((name) => ({ ...verdicts[name], name })), { ...missing, name: 'missing' }],
  }
  const title = failing > 0 ? `${verdicts.fail.glyph} ${failing} · Matrix` : 'Matrix'
  return {
    data,
    frame: {
      title,
      state: failing > 0 ? 'fail' : 'ok',
      place: 'results',
      crumbs: [{ text: 'Results', href: '/versions' }, { text: 'Matrix' }],
      seq,
      wall: query.wall,
    },
  }
}

function headOf(name: string): string {
  const text = visible(name)
  return text.length > headLength ? `${text.slice(0, headLength - 1)}…` : text
}

function viewRow(row: MatrixRow, kind: Matrix['kind']): object {
  const known = row.cells.flatMap(({ worst }) => (worst === undefined || worst === 'missing' ? [] : [worst]))
  return {
    name: visible(row.name),
    href: row.href,
    cells: row.cells.map(viewCell),
    spark: kind === 'versions' ? sparkOf(row.cells.map(({ worst }) => worst)) : undefined,
    flips: kind === 'versions' && known.length > 1 ? `${Math.round(100 * flakyScore(known))} %` : '',
  }
}

function viewCell(cell: Cell): object {
  const { worst, counts, fresh, href } = cell
  if (worst === undefined) return { tone: 'none', glyph: '', text: 'no result', href: '', count: '', fresh: false }
  const about = worst === 'missing' ? missing : verdicts[worst]
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const words = [...verdictNames, 'missing' as const].flatMap((verdict) =>
    counts[verdict] === undefined ? [] : [`${formatCount(counts[verdict])} ${verdict}`],
  )
  const count = total > 1 && worst !== 'pass' ? formatCount(counts[worst] ?? 0) : ''
  return {
    tone: about.tone,
    glyph: about.glyph,
    text: `${words.join(', ')}${fresh > 0 ? `, ${formatCount(fresh)} new` : ''}`,
    href,
    count,
    fresh: fresh > 0,
  }
}
