/**
 * Templates → HTML: every page of the site is one template inside the one layout, rendered with everything escaped.
 *
 * `renderPage` is the door for all who answer with a page (login and errors too); `renderFragment` gives the inside of
 * `<main>` alone, for pages that refresh themselves. Data is plain: strings, numbers, lists; a template decides nothing
 * but how it looks. Templates are compiled at their first use and kept. Source: WEB.md "Voice and layout".
 */
import { Eta } from 'eta'
import { getAssetText } from '../../assets.ts'
import { version } from '../../version.ts'
import { isAtLeast } from '../access.ts'
import type { Access } from '../env.ts'
import { assetUrl } from './static.ts'

/** The templates in `templates/pages/`, without the layout and the parts. */
const pageNames = [
  'machines',
  'system',
  'boots',
  'boot',
  'setup',
  'profiles',
  'profile',
  'login',
  'problem',
  'matrix',
  'compare',
  'runs',
  'run',
  'versions',
] as const
export type PageName = (typeof pageNames)[number]

/** Places of the left rail. */
export type Place = 'machines' | 'boots' | 'tests' | 'results' | 'setup' | 'profiles'

interface PlaceLink {
  readonly place: Place
  readonly text: string
  readonly href: string
  /** Listed below it, where there is room. */
  readonly below?: Omit<PlaceLink, 'below'>
}

const places: readonly PlaceLink[] = [
  { place: 'machines', text: 'Machines', href: '/' },
  { place: 'boots', text: 'Boots', href: '/boots' },
  { place: 'tests', text: 'Tests', href: '/queue' },
  { place: 'results', text: 'Results', href: '/versions' },
  {
    place: 'setup',
    text: 'Setup',
    href: '/setup',
    below: { place: 'profiles', text: 'Profiles', href: '/profiles' },
  },
]

export interface Crumb {
  readonly text: string
  /** Absent on the page itself. */
  readonly href?: string
}

/** What the layout needs of a page, beside the page's own data. */
export interface Frame {
  /** Without the program's name; carries the state (`✕ 3 · machines`). */
  readonly title: string
  /** Colour of the tab's icon. */
  readonly state?: 'ok' | 'fail'
  readonly place?: Place
  readonly crumbs?: readonly Crumb[]
  /** Who looks; absent: nobody is known, and no place is linked. */
  readonly access?: Access
  /** What was asked for, where a login is to lead back to; absent: to all machines. */
  readonly path?: string
  /** What is in the search field. */
  readonly query?: string
  /** Sequence number that the page shows: it refreshes itself when later records come; absent: it stays as it is. */
  readonly seq?: number
  /**
   * It shows boots, which are no records: it refreshes itself when some have changed, and in `dueMs` in any case. `of`: only
   * when they are of one of these systems (ids), MACs or IP addresses; absent: anybody's.
   */
  readonly boots?: { readonly dueMs: number | undefined; readonly of?: readonly (number | string)[] }
  /** Controls left out, larger, for a screen on the wall (`?wall`). */
  readonly wall?: boolean
}

const parts = [
  'layout',
  'time',
  'address',
  'command',
  'runtable',
  'bootsteps',
  'track',
  'checks',
  'stack',
  'chart',
  'charts',
  'matrixrow',
] as const

let eta: Eta | undefined

function engine(): Eta {
  if (eta) return eta
  eta = new Eta({ autoEscape: true, cache: true, autoTrim: [false, 'nl'] })
  for (const name of [...parts, ...pageNames]) {
    eta.loadTemplate(`@${name}`, getAssetText(`templates/pages/${name}.eta`))
  }
  return eta
}

/** One part alone, for what is kept as HTML. */
export function renderPart(name: (typeof parts)[number], data: object): string {
  return engine().render(`@${name}`, data)
}

/** A whole HTML document. `data` is what the page's template sees as `it`. */
export function renderPage(name: PageName, data: object, frame: Frame): string {
  const access = frame.access
  const reads = isAtLeast(access?.role ?? null, 'viewer')
  return engine().render('@layout', {
    title: `${frame.title} · pxemngr`,
    name,
    style: assetUrl('style.css'),
    script: assetUrl('app.js'),
    icon: iconUrl(frame),
    places: reads ? places.map((each) => placeLink(each, frame.place)) : [],
    crumbs: frame.crumbs ?? [],
    search: reads,
    query: frame.query ?? '',
    ...searchOf(name),
    who: access && access.via !== 'anonymous' ? { name: access.who, role: access.role ?? '' } : null,
    login: access?.via === 'anonymous' ? loginUrl(frame.path ?? '/') : '',
    logout: access?.via === 'session',
    seq: frame.seq,
    boots: frame.boots && (frame.boots.of ?? []).join(' '),
    due: frame.boots?.dueMs,
    now: Date.now(),
    wall: frame.wall ?? false,
    version,
    main: renderFragment(name, data),
  })
}

/** The login page, from where one comes back to `path`. */
export function loginUrl(path: string): string {
  return path === '/' ? '/login/' : `/login/?${new URLSearchParams({ next: path })}`
}

/** `current`: whether it is where the page is, itself or below it. */
function placeLink({ place, below, ...link }: PlaceLink, shown: Place | undefined): object {
  const isBelow = below !== undefined && below.place === shown
  return {
    ...link,
    current: place === shown ? 'page' : isBelow ? 'true' : undefined,
    below: below && { text: below.text, href: below.href, current: isBelow },
  }
}

/** The tab's icon. */
export function iconUrl({ state }: Frame): string {
  return assetUrl(state === 'fail' ? 'favicon-fail.svg' : 'favicon.svg')
}

/** Where machines are listed the field filters them; elsewhere it looks through everything. */
function searchOf(name: PageName): object {
  return name === 'machines' || name === 'system'
    ? {
        searchAction: '/',
        searchLabel: 'Find machines by name, address or next boot',
        searchHint: 'Find a machine',
      }
    : {
        searchAction: '/search',
        searchLabel: 'Find machines, tests, versions and errors',
        searchHint: 'Find anything',
      }
}

/** The inside of `<main>`. */
export function renderFragment(name: PageName, data: object): string {
  return engine().render(`@${name}`, data)
}
