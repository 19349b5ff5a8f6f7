/**
 * Which boots the list of `/boots` shows, and in which order: what the URL says (`q`, `outcome`, `group`, `sort`,
 * `page`) → boots. The same for the page, its CSV and its JSON.
 *
 * Chosen from the newest boots that the trace answers with. Source: WEB.md "Behaviour" (state is in the URL, lists).
 */
import type { Daemon } from '../../commands/daemon.ts'
import { parseMac } from '../../domain/address.ts'
import type { BootVerdict } from '../../domain/boot-outcome.ts'
import { createBootMachines, type MachineOf } from './boot-machine.ts'
import { type BootView, readBoots } from './boots.ts'
import { sortParam } from './columns.ts'
import { csvLines } from './export.ts'
import { prefixOf } from './name-prefix.ts'
import { visible } from './words.ts'

/** Boots that are chosen from: what the trace answers with at most. */
export const listedMax = 1000
/** Rows of one page. */
export const rowsShown = 50

export const sortNames = ['when', 'machine', 'profile', 'outcome', 'took'] as const
export type BootSort = (typeof sortNames)[number]
export const groupNames = ['outcome', 'machine', 'prefix', 'profile'] as const
export type BootGroup = (typeof groupNames)[number]
/** What the URL calls the verdicts, and how the filter words them. */
export const standings = { stuck: 'fail', booting: 'running', arrived: 'pass', unanswered: 'skip' } as const
type Standing = keyof typeof standings

export interface BootsQuery {
  readonly words: string
  /** `unknown`: of machines that no system has. */
  readonly standing: Standing | 'unknown' | undefined
  readonly group: BootGroup | undefined
  readonly sort: BootSort
  readonly descending: boolean
  /** From 1; `all` only for CSV and JSON. */
  readonly page: number | 'all'
}

/** What it does not know is as if it were not there. */
export function parseBootsQuery(params: URLSearchParams): BootsQuery {
  const given = params.get('sort') ?? '-when'
  const sort = sortNames.find((each) => each === given.replace(/^-/, ''))
  const page = params.get('page') ?? ''
  const standing = params.get('outcome') ?? ''
  return {
    words: (params.get('q') ?? '').slice(0, 200),
    standing: standing === 'unknown' || Object.hasOwn(standings, standing) ? (standing as Standing) : undefined,
    group: groupNames.find((each) => each === params.get('group')),
    sort: sort ?? 'when',
    descending: sort === undefined || given.startsWith('-'),
    page: page === 'all' ? 'all' : /^[1-9]\d{0,6}$/.test(page) ? Number(page) : 1,
  }
}

/** What is default is left out. */
export function urlOf(query: BootsQuery, changes: Partial<BootsQuery> & { readonly format?: string } = {}): string {
  const { words, standing, group, sort, descending, page, format } = { format: undefined, ...query, ...changes }
  const params = new URLSearchParams()
  if (words !== '') params.set('q', words)
  if (standing) params.set('outcome', standing)
  if (group) params.set('group', group)
  if (sort !== 'when' || !descending) params.set('sort', sortParam({ sort, descending }))
  if (page !== 1) params.set('page', String(page))
  if (format !== undefined) params.set('format', format)
  const text = params.toString()
  return text === '' ? '/boots' : `/boots?${text}`
}

export interface ListedBoot {
  readonly boot: BootView
  readonly name: string
  readonly rawName: string
  /** undefined: no system has it. */
  readonly system: number | undefined
  readonly group: string
}

export interface PickedBoots {
  /** All that were looked at, in the order of time; undefined: the trace does not answer. */
  readonly all: readonly BootView[] | undefined
  /** They are those of this machine alone, which the words name. */
  readonly mac: string | undefined
  /** Whose each of them is. */
  readonly machineOf: MachineOf
  readonly matching: readonly ListedBoot[]
  readonly shown: readonly ListedBoot[]
  readonly page: number
  readonly pages: number
  /** Place of the first one shown, from 0. */
  readonly from: number
}

/** The boots of a query: of the page, and as CSV and JSON. */
export async function pickBoots(daemon: Daemon, query: BootsQuery, nowMs: number): Promise<PickedBoots> {
  // All of one machine, older ones too: an unknown one has no other place.
  const mac = parseMac(query.words.trim())
  const all = await readBoots(daemon, { limit: listedMax, ...(mac === undefined ? {} : { mac }) }, nowMs)
  const machineOf = createBootMachines(daemon)
  const words = query.words.toLowerCase().split(/\s+/).filter(Boolean)
  const wanted = mac === undefined ? words.map((word) => parseMac(word) ?? word) : []
  const matching = (all ?? []).flatMap((boot): ListedBoot[] => {
    const { name, rawName, id: system } = machineOf(boot)
    const listed = { boot, name, rawName, system, group: '' }
    if (!hasStanding(listed, query.standing)) return []
    const text = [rawName, boot.mac, boot.ip, boot.profile, boot.outcome].join('\n').toLowerCase()
    if (!wanted.every((word) => text.includes(word))) return []
    return [{ ...listed, group: query.group ? groupOf(listed, query.group) : '' }]
  })
  matching.sort((a, b) => (query.descending ? -1 : 1) * comparators[query.sort](a, b) || newestFirst(a, b))
  if (query.group) matching.sort((a, b) => rankOf(a, query.group) - rankOf(b, query.group) || byText(a.group, b.group))
  const pages = query.page === 'all' ? 1 : Math.max(1, Math.ceil(matching.length / rowsShown))
  const page = query.page === 'all' ? 1 : Math.min(query.page, pages)
  const from = (page - 1) * rowsShown
  const shown = query.page === 'all' ? matching : matching.slice(from, from + rowsShown)
  return { all, mac, machineOf, matching, shown, page, pages, from }
}

function hasStanding({ boot, system }: ListedBoot, standing: BootsQuery['standing']): boolean {
  if (standing === undefined) return true
  return standing === 'unknown' ? system === undefined : boot.verdict === standings[standing]
}

const collator = new Intl.Collator('en', { numeric: true })
const byText = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0)
const newestFirst = (a: ListedBoot, b: ListedBoot): number =>
  b.boot.startedMs - a.boot.startedMs || b.boot.id - a.boot.id
/** What needs a person first. */
const verdictsInOrder: readonly BootVerdict[] = ['fail', 'lost', 'warn', 'running', 'skip', 'pass']
const rank = ({ boot }: ListedBoot): number => verdictsInOrder.indexOf(boot.verdict)
const rankOf = (listed: ListedBoot, group: BootGroup | undefined): number => (group === 'outcome' ? rank(listed) : 0)

const comparators: Readonly<Record<BootSort, (a: ListedBoot, b: ListedBoot) => number>> = {
  when: (a, b) => -newestFirst(a, b),
  machine: (a, b) => byText(a.rawName, b.rawName),
  profile: (a, b) => byText(a.boot.profile ?? '', b.boot.profile ?? ''),
  outcome: (a, b) => rank(a) - rank(b) || byText(a.boot.outcome, b.boot.outcome),
  took: (a, b) => a.boot.tookMs - b.boot.tookMs,
}

function groupOf({ boot, name, rawName, system }: ListedBoot, group: BootGroup): string {
  switch (group) {
    case 'outcome':
      return boot.outcome
    case 'machine':
      return name
    case 'prefix':
      return system === undefined ? 'no system' : visible(prefixOf(rawName))
    case 'profile':
      return boot.profile ?? 'no answer'
    default:
      return group satisfies never
  }
}

const csvColumns = [
  'id',
  'began',
  'machine',
  'system',
  'mac',
  'ip',
  'profile',
  'decided_by',
  'record',
  'outcome',
  'verdict',
  'reached',
  'took_ms',
  'sent_bytes',
] as const

function fieldsOf({ boot, rawName, system }: ListedBoot): Record<(typeof csvColumns)[number], string | number | null> {
  return {
    id: boot.id,
    began: boot.when?.at ?? null,
    machine: rawName,
    system: system ?? null,
    mac: boot.mac ?? null,
    ip: boot.ip ?? null,
    profile: boot.profile ?? null,
    decided_by: boot.decision?.by ?? null,
    record: boot.decision?.seq ?? null,
    outcome: boot.outcome,
    verdict: boot.verdict,
    reached: boot.track.findLast(({ reached }) => reached)?.name ?? null,
    took_ms: boot.tookMs,
    sent_bytes: boot.sentBytes,
  }
}

/** One row a boot, times in RFC 3339, `took_ms` in ms. */
export function bootsCsv(shown: readonly ListedBoot[]): string {
  return csvLines(
    csvColumns,
    shown.map((listed) => Object.values(fieldsOf(listed))),
  )
}

/** `{"boots":[…]}` with the fields of the CSV, null where unknown. */
export function bootsJson(shown: readonly ListedBoot[]): string {
  return `${JSON.stringify({ boots: shown.map(fieldsOf) })}\n`
}
