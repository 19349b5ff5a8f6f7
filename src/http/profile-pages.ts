/**
 * The pages of profiles: routes, and the list as CSV and JSON. What each page says is in `pages/`.
 * Source: WEB.md "Voice and layout" (every object has one page).
 */
import type { Daemon } from '../commands/daemon.ts'
import type { HttpApp } from './env.ts'
import { dataResponse } from './headers.ts'
import { formatOf } from './pages/export.ts'
import type { MachineIndex } from './pages/machine-index.ts'
import { findProfiles, parseProfilesQuery, profilesCsv, profilesJson, viewProfiles } from './pages/profile-list.ts'
import { getProfile, viewProfile } from './pages/profile-page.ts'
import type { Show } from './result-pages.ts'

/** GET `/profiles`, `/profiles/<name>`. `show` puts a page into the layout. */
export function mountProfilePages(
  app: HttpApp,
  daemon: Daemon,
  index: MachineIndex,
  show: Show,
  nowMs: () => number,
): void {
  app.get('/profiles', (c) => {
    const query = parseProfilesQuery(new URL(c.req.url).searchParams)
    const format = formatOf(c.req.query('format'))
    const found = findProfiles(daemon, query)
    if (format === 'csv') return dataResponse(profilesCsv(daemon, found), 'text/csv; charset=utf-8', 'profiles.csv')
    if (format === 'json') return dataResponse(profilesJson(daemon, found), 'application/json', 'profiles.json')
    const { data, frame } = viewProfiles(daemon, query, found)
    return show(c, 'profiles', data, frame)
  })

  app.get('/profiles/:name', async (c) => {
    const profile = getProfile(daemon, c.req.param('name'))
    const { data, frame } = await viewProfile(daemon, index, profile, nowMs())
    return show(c, 'profile', data, frame)
  })
}
