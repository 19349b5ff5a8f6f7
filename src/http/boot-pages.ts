/**
 * The pages of boots and of setting up: routes, and the formats of what is shown. What each says is in `pages/`.
 * Source: CONTRACT "What people see over HTTP", WEB.md.
 */
import type { Daemon } from '../commands/daemon.ts'
import type { HttpApp, HttpContext } from './env.ts'
import { dataResponse } from './headers.ts'
import { viewBoots } from './pages/boot-list.ts'
import { getBoot, traceSilent, viewBoot } from './pages/boot-page.ts'
import { bootsCsv, bootsJson, parseBootsQuery, pickBoots } from './pages/boot-selection.ts'
import { formatOf } from './pages/export.ts'
import { parseSetupQuery, setupCsv, setupJson, setupRows, viewSetup } from './pages/setup.ts'
import type { Show } from './result-pages.ts'

export function mountBootPages(app: HttpApp, daemon: Daemon, show: Show, nowMs: () => number): void {
  const paramsOf = (c: HttpContext) => new URL(c.req.url).searchParams

  app.get('/boots', async (c) => {
    const query = parseBootsQuery(paramsOf(c))
    const format = formatOf(c.req.query('format'))
    const picked = await pickBoots(daemon, query, nowMs())
    // An empty file would say that nothing has booted.
    if (format !== undefined && !picked.all) throw traceSilent()
    if (format === 'csv') return dataResponse(bootsCsv(picked.shown), 'text/csv; charset=utf-8', 'boots.csv')
    if (format === 'json') return dataResponse(bootsJson(picked.shown), 'application/json', 'boots.json')
    const { data, frame } = viewBoots(daemon, query, picked, c.get('local'), nowMs())
    return show(c, 'boots', data, frame)
  })

  app.get('/boots/:id', async (c) => {
    const boot = await getBoot(daemon, c.req.param('id'), nowMs())
    const { data, frame } = await viewBoot(daemon, boot, nowMs())
    return show(c, 'boot', data, frame)
  })

  app.get('/setup', (c) => {
    const query = parseSetupQuery(paramsOf(c))
    const format = formatOf(c.req.query('format'))
    if (format !== undefined) {
      const rows = setupRows(daemon, query.table, query)
      if (format === 'csv') return dataResponse(setupCsv(rows), 'text/csv; charset=utf-8', `${query.table}.csv`)
      return dataResponse(setupJson(query.table, rows), 'application/json', `${query.table}.json`)
    }
    const { data, frame } = viewSetup(daemon, query, c.get('local'), nowMs())
    return show(c, 'setup', data, frame)
  })
}
