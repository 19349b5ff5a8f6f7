/**
 * The web pages: their routes, who sees what of them, and the assets they need.
 *
 * `mountPages` registers GET `/`, `/system/<id>/`, `/assets/…`, POST of the forms, and what `boot-pages.ts`,
 * `profile-pages.ts` and `result-pages.ts` have; `loginPage` and `problemPage` give `app.ts` its pages in the same layout. What each page says is
 * in `pages/`, how it looks in `templates/pages/`; access is settled before any handler here runs (`access.ts`).
 * Source: CONTRACT "What people see over HTTP", WEB.md.
 */
import type { Daemon } from '../commands/daemon.ts'
import { Refusal } from '../domain/errors.ts'
import type { SystemRow } from '../store/store.ts'
import { isAtLeast } from './access.ts'
import { actorOf, isSameOrigin } from './auth.ts'
import { mountBootPages } from './boot-pages.ts'
import type { Access, HttpApp, HttpContext } from './env.ts'
import { assetResponse, dataResponse, htmlResponse } from './headers.ts'
import { formNames, parseSpan, submitForm } from './pages/changes.ts'
import { formatOf, machinesCsv, machinesJson } from './pages/export.ts'
import { createMachineIndex, type MachineIndex } from './pages/machine-index.ts'
import { findMachines, lastBoots, type MachinesQuery, parseMachinesQuery, viewMachines } from './pages/machines.ts'
import { type Frame, iconUrl, loginUrl, type PageName, renderFragment, renderPage } from './pages/render.ts'
import { parseListQuery } from './pages/run-selection.ts'
import { findStatic } from './pages/static.ts'
import { type SystemOptions, viewSystem } from './pages/system.ts'
import { createSystemHistory } from './pages/system-history.ts'
import { tableOfSystem } from './pages/system-tests.ts'
import { createVersionIndex } from './pages/version-index.ts'
import type { HttpProblem } from './problems.ts'
import { mountProfilePages } from './profile-pages.ts'
import { exportList, mountResultPages } from './result-pages.ts'

export interface Pages {
  /** Stops following the journal. */
  close(): void
}

export interface PagesOptions {
  readonly nowMs?: () => number
}

export function mountPages(app: HttpApp, daemon: Daemon, options: PagesOptions = {}): Pages {
  const nowMs = options.nowMs ?? Date.now
  const index = createMachineIndex(daemon.store)
  const versions = createVersionIndex(daemon.store)
  const history = createSystemHistory(daemon.store)

  app.get('/', async (c) => {
    const query = parseMachinesQuery(new URL(c.req.url).searchParams)
    const format = formatOf(c.req.query('format'))
    if (format !== undefined) return exportMachines(daemon, index, query, format, nowMs())
    const { data, frame } = await viewMachines(daemon, index, query, nowMs(), versions)
    return show(c, 'machines', data, frame)
  })

  const showSystem = async (c: HttpContext, system: SystemRow, more: Partial<SystemOptions>, status = 200) => {
    const mayChange = c.get('access').via !== 'anonymous' && isAtLeast(c.get('access').role, 'operator')
    const list = parseListQuery(new URL(c.req.url).searchParams)
    const file = await exportList(c, daemon.store.queries, () => tableOfSystem(daemon, system, list), 'runs')
    if (file) return file
    const { data, frame } = await viewSystem(daemon, system, { mayChange, nowMs: nowMs(), history, list, ...more })
    return show(c, 'system', data, frame, status)
  }

  app.get('/system/:id', (c) => {
    const system = getSystemById(daemon, c.req.param('id'))
    const done = formNames.find((each) => each === c.req.query('done'))
    const asked = parseSpan(c.req.query('runs') ?? '')
    return showSystem(c, system, { ...(done ? { done } : {}), ...(asked ? { asked } : {}) })
  })

  for (const form of formNames) {
    app.post(`/system/:id/${form}`, async (c) => {
      // Also for a browser that sends other credentials than our cookie by itself.
      if (!isSameOrigin(c)) throw new Refusal('forbidden', 'the request comes from a page of another site')
      const system = getSystemById(daemon, c.req.param('id') ?? '')
      const outcome = await submitForm(c, daemon, actorOf(c), system, form)
      if ('location' in outcome) return c.redirect(outcome.location, 303)
      return showSystem(c, system, { fault: outcome.fault }, outcome.status)
    })
  }

  mountResultPages(app, daemon, versions, show, nowMs)
  mountBootPages(app, daemon, show, nowMs)
  mountProfilePages(app, daemon, index, show, nowMs)

  app.get('/assets/:file', (c) => {
    const asset = findStatic(c.req.path)
    if (!asset) throw new Refusal('not-found', 'there is no such file; a page of this version names another')
    return assetResponse(c, asset)
  })

  return {
    close() {
      index.close()
      versions.close()
      history.close()
    },
  }
}

/** Pages that hang on a wall with `?wall`, beside those that know of it themselves. */
const overviews: ReadonlySet<PageName> = new Set(['boots', 'runs', 'versions'])

/** The page, or with `?fragment` the inside of `<main>` alone, by which an open page refreshes itself. */
function show(c: HttpContext, name: PageName, data: object, frame: Frame, status = 200): Response {
  const wall = overviews.has(name) && c.req.query('wall') !== undefined
  const shown = { ...frame, wall: wall || frame.wall === true, access: c.get('access'), path: pathOf(c) }
  if (c.req.query('fragment') === undefined) return htmlResponse(renderPage(name, data, shown), status)
  const tab = {
    'x-page-title': encodeURIComponent(frame.title),
    'x-page-icon': iconUrl(frame),
    ...(frame.boots?.dueMs === undefined ? {} : { 'x-page-due': String(frame.boots.dueMs) }),
  }
  return htmlResponse(renderFragment(name, data), status, tab)
}

async function exportMachines(
  daemon: Daemon,
  index: MachineIndex,
  query: MachinesQuery,
  format: 'csv' | 'json',
  nowMs: number,
): Promise<Response> {
  const { rows } = await findMachines(index, query)
  const boots = await lastBoots(daemon, rows, nowMs)
  if (format === 'csv') return dataResponse(machinesCsv(rows, boots), 'text/csv; charset=utf-8', 'machines.csv')
  return dataResponse(machinesJson(rows, boots), 'application/json', 'machines.json')
}

/** By the id in a URL; anything but a known id is not found, as in 0.8. */
function getSystemById(daemon: Daemon, text: string): SystemRow {
  const system = /^[1-9]\d{0,14}$/.test(text) ? daemon.store.queries.getSystem(Number(text)) : undefined
  if (!system) {
    throw new Refusal('not-found', `no system has the id ${text.slice(0, 40)}: it was deleted, or there never was one`)
  }
  return system
}

/** The login page of `login.ts`: `next` is where a login leads, `fault` what was wrong with the last try. */
export function loginPage(next: string, fault: string | undefined): string {
  return renderPage('login', { next, fault }, { title: 'Log in', crumbs: [{ text: 'Log in' }] })
}

/** Whether whoever asks reads pages rather than problem documents. */
function wantsPage(c: HttpContext): boolean {
  return !c.req.path.startsWith('/api/') && /\btext\/html\b/.test(c.req.header('accept') ?? '')
}

/** A refusal or failure as a page in the layout; undefined for callers that read no pages. */
export function problemPage(c: HttpContext, problem: HttpProblem): Response | undefined {
  if (!wantsPage(c)) return undefined
  // Before the guard has run nobody is known yet: the page then has no links that need one.
  const access = c.get('access') as Access | undefined
  const frame: Frame = {
    title: `✕ ${problem.title}`,
    state: 'fail',
    crumbs: [{ text: problem.title }],
    ...(access ? { access, path: pathOf(c) } : {}),
  }
  const reads = isAtLeast(access?.role ?? null, 'viewer')
  const elsewhere = [
    ...(problem.status === 401 ? [{ text: 'Log in', href: loginUrl(cameFrom(c)) }] : []),
    ...(reads ? [{ text: 'All machines', href: '/' }, ...(problem.status === 404 ? [search] : [])] : []),
  ]
  return htmlResponse(renderPage('problem', { ...problem, elsewhere }, frame), problem.status)
}

const search = { text: 'Search', href: '/search' }

/** What was asked for, as a link of this server. */
function pathOf(c: HttpContext): string {
  const { pathname, search: query } = new URL(c.req.url)
  return `${pathname}${query}`
}

/** The page that was asked for, or the one whose form was sent: its URL is that of the form without its last part. */
function cameFrom(c: HttpContext): string {
  return c.req.method === 'GET' ? pathOf(c) : new URL('.', c.req.url.replace(/\/$/, '')).pathname
}
