/**
 * `/profiles`: every profile, whether it can be served, what it boots, and how many machines boot it next. Filter and
 * order are in the URL; CSV and JSON are the rows. Which they are is as in the table of Setup. Source: WEB.md.
 */
import type { Daemon } from '../../commands/daemon.ts'
import { localProfile } from '../../domain/boot.ts'
import { sortParam } from './columns.ts'
import { csvLines } from './export.ts'
import { readProfileBoot } from './profile-boot.ts'
import type { Frame } from './render.ts'
import {
  parseSetupQuery,
  profileUrl,
  type SetupQuery,
  type SetupRow,
  type SetupSort,
  setupColumn,
  setupRows,
} from './setup.ts'
import { commandLine, formatCount, plural, sentence, share, visible } from './words.ts'

/** Rows of the page; the filter finds the others, and they are in CSV and JSON. */
const rowsShown = 200

type ProfilesQuery = Omit<SetupQuery, 'table'>

interface ProfileRow extends SetupRow {
  /** What it boots by itself, in words; '' where that is not known. */
  readonly boots: string
}

export function parseProfilesQuery(params: URLSearchParams): ProfilesQuery {
  const { words, sort, descending } = parseSetupQuery(params)
  return { words, sort, descending }
}

/** What is default is left out. */
function urlOf(query: ProfilesQuery, changes: Partial<ProfilesQuery> & { readonly format?: string } = {}): string {
  const { words, sort, descending, format } = { format: undefined, ...query, ...changes }
  const params = new URLSearchParams()
  if (words !== '') params.set('q', words)
  if (sort !== 'name' || descending) params.set('sort', sortParam({ sort, descending }))
  if (format !== undefined) params.set('format', format)
  const text = params.toString()
  return text === '' ? '/profiles' : `/profiles?${text}`
}

/** All that the query asks for, in its order. */
export function findProfiles(daemon: Daemon, query: ProfilesQuery): SetupRow[] {
  return setupRows(daemon, 'profiles', { ...query, table: 'profiles' })
}

/** Reads the file: only of rows that are shown. */
function withBoots(daemon: Daemon, row: SetupRow): ProfileRow {
  const file = row.fault === null ? daemon.profiles.text(row.name) : undefined
  return { ...row, boots: (file && readProfileBoot(file.text).what) ?? '' }
}

export function viewProfiles(
  daemon: Daemon,
  query: ProfilesQuery,
  rows: readonly SetupRow[],
): { data: object; frame: Omit<Frame, 'access'> } {
  const all = query.words === '' ? rows : findProfiles(daemon, { ...query, words: '' })
  const faulty = all.filter(({ fault }) => fault !== null)
  const machines = faulty.reduce((sum, row) => sum + (row.machines ?? 0), 0)
  const folder = daemon.premises().folders.find(({ key }) => key === 'profiles-dir')?.path ?? 'profiles'
  const column = (sort: SetupSort) => setupColumn(query, sort, (order) => urlOf(query, order))
  const data = {
    faulty: faulty.length > 0,
    glyph: faulty.length > 0 ? '✕' : '✓',
    answer:
      faulty.length === 0
        ? `${sentence(share(all.length, all.length, 'profile'))} can be served.`
        : `${sentence(share(faulty.length, all.length, 'profile'))} cannot be served${
            machines === 0 ? '' : `: ${plural(machines, 'machine boots', 'machines boot')} ${localProfile} instead`
          }.`,
    folder: visible(folder),
    query: query.words,
    sort: query.sort === 'name' && !query.descending ? undefined : sortParam(query),
    columns: [
      column('name'),
      column('state'),
      { text: 'Boots', sort: '', order: undefined, href: undefined },
      column('machines'),
    ],
    rows: rows.slice(0, rowsShown).map((row) => {
      const { name, fault, about, boots, machines: count } = withBoots(daemon, row)
      return {
        name: visible(name),
        href: profileUrl(name),
        fault: fault === null ? undefined : visible(fault),
        about: visible(about),
        boots: visible(boots),
        machines: formatCount(count ?? 0),
      }
    }),
    more: rows.length > rowsShown ? `and ${formatCount(rows.length - rowsShown)} more, which the filter finds` : '',
    // Only `local`, which is always there, says nothing of how to begin.
    alone: all.length <= 1,
    command: commandLine('pxemngr', 'nextboot', 'NAME', 'PROFILE'),
    csv: urlOf(query, { format: 'csv' }),
    json: urlOf(query, { format: 'json' }),
  }
  return {
    data,
    frame: {
      title: faulty.length > 0 ? `✕ ${faulty.length} · Profiles` : 'Profiles',
      state: faulty.length > 0 ? 'fail' : 'ok',
      place: 'profiles',
      crumbs: [{ text: 'Setup', href: '/setup' }, { text: 'Profiles' }],
      seq: daemon.store.seq,
    },
  }
}

const csvColumns = ['name', 'fault', 'boots', 'machines', 'about'] as const

/** One row a profile. */
export function profilesCsv(daemon: Daemon, rows: readonly SetupRow[]): string {
  const profiles = rows.map((row) => withBoots(daemon, row))
  return csvLines(
    csvColumns,
    profiles.map((row) => csvColumns.map((key) => row[key])),
  )
}

/** `{"profiles":[{name,fault,boots,machines,about}…]}`. */
export function profilesJson(daemon: Daemon, rows: readonly SetupRow[]): string {
  const profiles = rows
    .map((row) => withBoots(daemon, row))
    .map(({ name, fault, boots, machines, about }) => ({ name, fault, boots, machines, about }))
  return `${JSON.stringify({ profiles })}\n`
}
