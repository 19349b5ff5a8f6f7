/**
 * The pages of tests and results, and the forms on them: routes, what is not found, and the formats of what is shown.
 *
 * What each page says is in `pages/`; the forms are commands (`cancel`, `rerun`, `waive`). Sources: CONTRACT "What people
 * see over HTTP", COMPATIBILITY 4.6 (the URLs of 0.8), WEB.md.
 */
import { Readable } from 'node:stream'
import { cancel } from '../commands/cancel.ts'
import type { Daemon, RunLog } from '../commands/daemon.ts'
import { keep } from '../commands/keep.ts'
import { rerun } from '../commands/rerun.ts'
import { getListedVersion } from '../commands/results.ts'
import { waive } from '../commands/waive.ts'
import { Refusal } from '../domain/errors.ts'
import { worstOf } from '../domain/verdict.ts'
import type { LatestRun, RunRow, VersionRow } from '../store/run-rows.ts'
import type { Queries } from '../store/store.ts'
import { isAtLeast } from './access.ts'
import { actorOf, isSameOrigin } from './auth.ts'
import type { HttpApp, HttpContext } from './env.ts'
import { readForm } from './form.ts'
import { dataResponse, securityHeaders } from './headers.ts'
import { renderBadge } from './pages/badge.ts'
import { changesCsv, parseCompareQuery, searchOfCompare, splitPair, viewCompare } from './pages/compare.ts'
import { csvLines, formatOf } from './pages/export.ts'
import { createTail, parsePosition } from './pages/log-tail.ts'
import { type Matrix, type MatrixRow, parseMatrixQuery, readMatrix, viewMatrix } from './pages/matrix.ts'
import { createKeptRows } from './pages/matrix-rows.ts'
import type { Frame, PageName } from './pages/render.ts'
import { parseRunQuery, viewRunPage } from './pages/run.ts'
import {
  type ListPage,
  tableOfQueue,
  tableOfTest,
  tableOfVersion,
  viewQueue,
  viewTestName,
  viewVersion,
} from './pages/run-lists.ts'
import { exportRuns } from './pages/run-rows.ts'
import { type ListQuery, parseListQuery } from './pages/run-selection.ts'
import { pickRuns, type TableOptions } from './pages/run-table.ts'
import { tableOfSearch, viewSearch } from './pages/search.ts'
import type { VersionIndex } from './pages/version-index.ts'
import { parseVersionsQuery } from './pages/version-selection.ts'
import { findVersions, summarizeVersions, versionsCsv, versionsJson, viewVersions } from './pages/versions.ts'
import { streamAnswer } from './stream.ts'

export type Show = (c: HttpContext, name: PageName, data: object, frame: Frame, status?: number) => Response

export function mountResultPages(
  app: HttpApp,
  daemon: Daemon,
  index: VersionIndex,
  show: Show,
  nowMs: () => number,
): void {
  const { queries } = daemon.store
  const matrixRows = createKeptRows<MatrixRow>()
  const paramsOf = (c: HttpContext) => new URL(c.req.url).searchParams

  /** Whether the forms are shown: whoever sees them may send them. */
  const mayChange = (c: HttpContext): boolean =>
    c.get('access').via !== 'anonymous' && isAtLeast(c.get('access').role, 'operator')

  /** The page, or its rows in the format asked for. */
  const list = async (
    c: HttpContext,
    name: string,
    tableOf: (query: ListQuery) => TableOptions | Promise<TableOptions>,
    view: (query: ListQuery) => ListPage | Promise<ListPage>,
  ): Promise<Response> => {
    const query = parseListQuery(paramsOf(c))
    const file = await exportList(c, queries, () => tableOf(query), name)
    if (file) return file
    const { data, frame } = await view(query)
    return show(c, 'runs', data, frame)
  }

  app.get('/tests/:id', async (c) => {
    const id = idOf(c.req.param('id'))
    const version = id === undefined ? undefined : queries.getVersion(id)
    if (!version) throw new Refusal('not-found', `no version has the id ${c.req.param('id').slice(0, 40)}`)
    return list(
      c,
      'runs',
      (query) => tableOfVersion(version, query),
      (query) => viewVersion(daemon, index, version, query, nowMs(), mayChange(c)),
    )
  })

  app.post('/tests/:id/keep', async (c) => {
    if (!isSameOrigin(c)) throw new Refusal('forbidden', 'the request comes from a page of another site')
    const id = idOf(c.req.param('id'))
    const version = id === undefined ? undefined : queries.getVersion(id)
    if (!version) throw new Refusal('not-found', `no version has the id ${c.req.param('id').slice(0, 40)}`)
    const run = idOf((await readForm(c)).get('run') ?? '')
    await keep.run({ actor: actorOf(c), daemon }, { version: version.name })
    return c.redirect(run === undefined ? `/tests/${version.id}/` : `/test/${run}/`, 303)
  })

  app.get('/testname/:id', (c) => {
    const id = idOf(c.req.param('id'))
    const test = id === undefined ? undefined : queries.getTest(id)
    if (!test) throw new Refusal('not-found', `no test has the id ${c.req.param('id').slice(0, 40)}`)
    return list(
      c,
      'runs',
      (query) => tableOfTest(test, query),
      (query) => viewTestName(daemon, test, query, nowMs()),
    )
  })

  app.get('/queue', (c) =>
    list(
      c,
      'queue',
      (query) => tableOfQueue(daemon, query),
      (query) => viewQueue(daemon, query, c.get('local'), nowMs()),
    ),
  )
  app.get('/search', (c) =>
    list(
      c,
      'search',
      (query) => tableOfSearch(daemon, query),
      (query) => viewSearch(daemon, query, nowMs()),
    ),
  )

  app.get('/versions', async (c) => {
    const query = parseVersionsQuery(paramsOf(c))
    const found = await findVersions(daemon, index, query)
    const format = formatOf(c.req.query('format'))
    if (format === 'csv') return dataResponse(versionsCsv(found.versions), 'text/csv; charset=utf-8', 'versions.csv')
    if (format === 'json') return dataResponse(versionsJson(found.versions), 'application/json', 'versions.json')
    const [newest] = await summarizeVersions(daemon, index, 1)
    const { data, frame } = viewVersions(daemon, found, newest, query, nowMs())
    return show(c, 'versions', data, frame)
  })

  app.get('/matrix', async (c) => {
    const query = parseMatrixQuery(paramsOf(c))
    if (query.version !== undefined) getVersion(query.version)
    const matrix = await readMatrix(daemon.store, index, matrixRows, query)
    const format = formatOf(c.req.query('format'))
    if (format === 'csv') return dataResponse(matrixCsv(matrix), 'text/csv; charset=utf-8', 'matrix.csv')
    if (format === 'json') return dataResponse(`${JSON.stringify(matrix)}\n`, 'application/json', 'matrix.json')
    const { data, frame } = viewMatrix(matrix, matrixRows, query, daemon.store.seq)
    return show(c, 'matrix', data, frame)
  })

  app.get('/compare', (c) => {
    const [newest, older] = queries.listVersions(2)
    const a = c.req.query('a') ?? older?.name
    const b = c.req.query('b') ?? newest?.name
    if (a === undefined || b === undefined) throw new Refusal('not-found', 'there are no two versions to compare yet')
    const query = searchOfCompare(parseCompareQuery(paramsOf(c)))
    return c.redirect(`/compare/${encodeURIComponent(a)}...${encodeURIComponent(b)}${query}`, 303)
  })

  app.get('/compare/:pair', async (c) => {
    const names = splitPair(c.req.param('pair'), (name) => queries.findVersion(name) !== undefined)
    const [a, b] = [getListedVersion(queries, names[0]), getListedVersion(queries, names[1])]
    const page = await viewCompare(daemon, index, a, b, parseCompareQuery(paramsOf(c)))
    const format = formatOf(c.req.query('format'))
    if (format === 'csv') return dataResponse(changesCsv(page.changes), 'text/csv; charset=utf-8', 'compare.csv')
    if (format === 'json') {
      return dataResponse(
        `${JSON.stringify({ a: a.name, b: b.name, changes: page.changes })}\n`,
        'application/json',
        'compare.json',
      )
    }
    return show(c, 'compare', page.data, page.frame)
  })

  const showRun = async (
    c: HttpContext,
    run: RunRow,
    refused?: { readonly fault: string; readonly typed: string },
    status = 200,
  ): Promise<Response> => {
    const options = {
      ...parseRunQuery(paramsOf(c)),
      mayChange: mayChange(c),
      nowMs: nowMs(),
      ...refused,
    }
    const { data, frame } = await viewRunPage(daemon, run, options)
    return show(c, 'run', data, frame, status)
  }

  app.get('/test/:id', (c) => showRun(c, getRunById(c.req.param('id'))))

  for (const form of ['cancel', 'rerun', 'waive'] as const) {
    app.post(`/test/:id/${form}`, async (c) => {
      if (!isSameOrigin(c)) throw new Refusal('forbidden', 'the request comes from a page of another site')
      const run = getRunById(c.req.param('id') ?? '')
      const typed = await readForm(c)
      const context = { actor: actorOf(c), daemon }
      try {
        if (form === 'cancel') await cancel.run(context, { runs: [run.id] })
        else if (form === 'waive') await waive.run(context, { run: run.id, why: typed.get('why') ?? '' })
        else {
          const made = await rerun.run(context, { runs: [run.id] })
          return c.redirect(`/test/${made.runs[0]?.id ?? run.id}/`, 303)
        }
        return c.redirect(`/test/${run.id}/`, 303)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        return showRun(c, run, { fault: error.message, typed: typed.get('why') ?? '' }, error.status)
      }
    })
  }

  const tail = createTail(nowMs)
  app.get('/test/:id/tail', async (c) => {
    const args = {
      run: getRunById(c.req.param('id')).id,
      after: parsePosition(c.req.header('last-event-id') ?? c.req.query('after')),
    }
    if (c.req.method === 'HEAD') return new Response(null, { headers: { 'content-type': tail.contentType } })
    const response = await streamAnswer(tail, { actor: actorOf(c), daemon }, args, () => {
      c.env.outgoing?.destroy()
      return c.env.outgoing !== undefined
    })
    for (const [name, value] of Object.entries({ 'x-accel-buffering': 'no', ...securityHeaders })) {
      response.headers.set(name, value)
    }
    return response
  })

  app.get('/testcontent/:id', async (c) => {
    const run = getRunById(c.req.param('id'))
    const file = await daemon.results.openLog(run.id)
    if (!file) throw new Refusal('not-found', `run ${run.id} has no log`)
    return fileResponse(c, file, 'text/plain; charset=utf-8', `${run.id}.log`)
  })

  app.get('/test/:id/file/:place', async (c) => {
    const run = getRunById(c.req.param('id'))
    const place = /^\d{1,4}$/.test(c.req.param('place')) ? Number(c.req.param('place')) : -1
    const known = queries.getDetail(run.id).attachments[place]
    const file = known && (await daemon.results.openAttachment(run.id, place))
    if (!file) throw new Refusal('not-found', `run ${run.id} has no file ${c.req.param('place').slice(0, 20)}`)
    return fileResponse(c, file, 'application/octet-stream', `${run.id}-${place}`)
  })

  app.get('/badge/:kind/:file', (c) => {
    const file = c.req.param('file')
    if (!file.endsWith('.svg')) throw new Refusal('not-found', 'a badge is /badge/<system|test|version>/<name>.svg')
    const name = file.slice(0, -'.svg'.length)
    const latest = latestOf(c.req.param('kind'), name)
    const worst = worstOf(latest.map(({ verdict }) => verdict))
    const count = latest.filter(({ verdict }) => verdict === worst).length
    const detail = worst !== undefined && latest.length > 1 ? `${count}/${latest.length}` : ''
    return new Response(renderBadge({ label: name, verdict: worst, detail }), {
      headers: { 'content-type': 'image/svg+xml', 'cache-control': 'no-cache', ...securityHeaders },
    })
  })

  /** Latest results that a badge is about. */
  function latestOf(kind: string, name: string): readonly LatestRun[] {
    switch (kind) {
      case 'system': {
        const system = queries.findSystem(name)
        if (!system) throw new Refusal('not-found', `System ${name} not defined`)
        const version = queries.versionOf(system.id)
        return version ? queries.latestOf(version.id, system.id) : []
      }
      case 'test': {
        const test = queries.findTest(name)
        if (!test) throw new Refusal('not-found', `Test name ${name} not defined`)
        const [last] = queries.runs({ test: test.id, states: ['done'], limit: 1 })
        return last?.version ? queries.latestOf(last.version.id).filter((each) => each.test.id === test.id) : []
      }
      case 'version':
        return queries.latestOf(getVersion(name).id)
      default:
        throw new Refusal('not-found', 'a badge is /badge/<system|test|version>/<name>.svg')
    }
  }

  function getVersion(name: string): VersionRow {
    const version = queries.findVersion(name)
    if (!version) throw new Refusal('not-found', `Version ${name.slice(0, 200)} not defined`)
    return version
  }

  function getRunById(text: string): RunRow {
    const id = idOf(text)
    const run = id === undefined ? undefined : queries.getRun(id)
    if (!run)
      throw new Refusal('not-found', `no run has the id ${text.slice(0, 40)}: it was removed, or there never was one`)
    return run
  }
}

/** What a list shows in the format asked for; undefined: the page is asked for. */
export async function exportList(
  c: HttpContext,
  queries: Queries,
  tableOf: () => TableOptions | Promise<TableOptions>,
  name: string,
): Promise<Response | undefined> {
  const format = formatOf(c.req.query('format'))
  if (format === undefined) return undefined
  const type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/json'
  const text = await exportRuns(queries, pickRuns(queries, await tableOf()).shown, format)
  return dataResponse(text, type, `${name}.${format}`)
}

function idOf(text: string): number | undefined {
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined
}

/** A file of a machine: never anything a browser would run. */
function fileResponse(c: HttpContext, file: RunLog, type: string, name: string): Response {
  const headers = {
    'content-type': type,
    'content-length': String(file.sizeBytes),
    'content-disposition': `${type.startsWith('text/') ? 'inline' : 'attachment'}; filename="${name}"`,
    'cache-control': 'no-store',
    ...securityHeaders,
  }
  if (c.req.method === 'HEAD') {
    void file.close()
    return new Response(null, { headers })
  }
  const stream = Readable.from(file.chunks())
  stream.once('close', () => void file.close())
  return new Response(Readable.toWeb(stream) as ReadableStream, { headers })
}

function matrixCsv({ columns, rows }: Matrix): string {
  return csvLines(
    ['name', ...columns.map(({ name }) => name)],
    rows.map(({ name, cells }) => [name, ...cells.map(({ worst }) => worst ?? '')]),
  )
}
