/**
 * `/boots`: the boots of all machines, newest first: who asked, what it got and why, how far it came, and where it did not
 * go on. Filter, group, order and page are in the URL; CSV and JSON are the rows that are shown.
 * Which boots those are is `boot-selection.ts`; one of them is `boot-page.ts`. Source: WEB.md.
 */
import type { Daemon } from '../../commands/daemon.ts'
import { type MachineOf, reasonOfBoot, unknownMachines } from './boot-machine.ts'
import {
  type BootGroup,
  type BootSort,
  type BootsQuery,
  groupNames,
  type ListedBoot,
  listedMax,
  type PickedBoots,
  rowsShown,
  sortNames,
  standings,
  urlOf,
} from './boot-selection.ts'
import { type BootView, dueInMs, glyphs } from './boots.ts'
import { sortColumn, sortParam } from './columns.ts'
import type { Frame } from './render.ts'
import { bootChecks } from './setup-checks.ts'
import { formatBytes, formatCount, formatDuration, noneOf, plural, sentence, share, visible } from './words.ts'

/** Unknown machines named one by one. */
const unknownShown = 20
/** The first line is about machines that began to boot within this. */
const recentMs = 24 * 3_600_000

const columnTexts: Readonly<Record<BootSort, string>> = {
  when: 'Began',
  machine: 'Machine',
  profile: 'Given, and why',
  outcome: 'How it ended',
  took: 'Took',
}

/** Data of the template and what the layout needs. `local`: as in `bootPlaces`. */
export function viewBoots(
  daemon: Daemon,
  query: BootsQuery,
  picked: PickedBoots,
  local: string,
  nowMs: number,
): { data: object; frame: Omit<Frame, 'access'> } {
  const { all, mac, machineOf, matching, shown, page, pages, from } = picked
  const latest = latestOfEach(machineOf, all ?? [])
  const recent = mac === undefined ? latest.filter(({ startedMs }) => nowMs - startedMs < recentMs) : latest
  const stuck = recent.filter(({ verdict }) => verdict === 'fail').length
  const booting = recent.filter(({ verdict }) => verdict === 'running').length
  const unknown = unknownMachines(machineOf, all ?? [], unknownShown)
  const filtered = query.words !== '' || query.standing !== undefined
  const url = (changes: Partial<BootsQuery>) => urlOf(query, { page: 1, ...changes })
  const groups: { name: string; count: string; rows: object[] }[] = []
  const counts = new Map<string, number>()
  for (const { group } of matching) counts.set(group, (counts.get(group) ?? 0) + 1)
  let last: string | undefined
  for (const listed of shown.slice(0, rowsShown)) {
    if (listed.group !== last || groups.length === 0) {
      groups.push({ name: listed.group, count: formatCount(counts.get(listed.group) ?? 0), rows: [] })
    }
    last = listed.group
    groups.at(-1)?.rows.push(viewRow(daemon, listed, nowMs))
  }
  const data = {
    tone: stuck > 0 ? 'fail' : booting > 0 ? 'running' : 'pass',
    glyph: stuck > 0 ? glyphs.fail : booting > 0 ? glyphs.running : glyphs.pass,
    answer:
      mac !== undefined && all ? answerOfOne(mac, all) : answerLine(all, recent.length, stuck, booting, unknown.length),
    traced: all !== undefined,
    counts: countsOf(all ?? [], query),
    none: all !== undefined && all.length === 0 && !filtered,
    checks: bootChecks(daemon, local),
    unknown,
    byDefault: visible(daemon.store.queries.defaultNextBoot()?.profile ?? ''),
    filter: {
      words: query.words,
      standing: query.standing,
      standings: [...Object.keys(standings), 'unknown'].map((value) => ({
        value,
        text: standingTexts[value] ?? value,
      })),
      group: query.group,
      groups: groupNames.map((value) => ({ value, text: groupTexts[value] })),
      sort: query.sort === 'when' && query.descending ? undefined : sortParam(query),
      clear: filtered || query.group !== undefined,
    },
    columns: sortNames.map((sort) =>
      sortColumn(query, { sort, text: columnTexts[sort], descendsFirst: sort === 'when' || sort === 'took' }, url),
    ),
    grouped: query.group !== undefined,
    groups,
    count: matching.length,
    pager: {
      text:
        pages > 1
          ? `${formatCount(from + 1)}–${formatCount(from + shown.length)} of ${plural(matching.length, 'boot')}`
          : plural(matching.length, 'boot'),
      several: pages > 1,
      cut:
        (all?.length ?? 0) >= listedMax
          ? `of the newest ${formatCount(listedMax)}; older ones are on each machine’s page`
          : '',
      previous: page > 1 ? url({ page: page - 1 }) : undefined,
      next: page < pages ? url({ page: page + 1 }) : undefined,
    },
    exports: {
      csv: urlOf(query, { page, format: 'csv' }),
      json: urlOf(query, { page, format: 'json' }),
      allCsv: urlOf(query, { page: 'all', format: 'csv' }),
      allJson: urlOf(query, { page: 'all', format: 'json' }),
    },
  }
  return {
    data,
    frame: {
      title: stuck > 0 ? `${glyphs.fail} ${stuck} · Boots` : 'Boots',
      state: stuck > 0 ? 'fail' : 'ok',
      place: 'boots',
      crumbs: [{ text: 'Boots' }],
      seq: daemon.store.seq,
      boots: { dueMs: dueInMs(all ?? [], nowMs) },
    },
  }
}

const standingTexts: Readonly<Record<string, string>> = {
  stuck: 'stuck',
  booting: 'booting',
  arrived: 'arrived',
  unanswered: 'got nothing',
  unknown: 'of no system',
}

const groupTexts: Readonly<Record<BootGroup, string>> = {
  outcome: 'how it ended',
  machine: 'machine',
  prefix: 'name of machine',
  profile: 'profile',
}

/** The latest boot of each machine: one that failed and then went well needs nobody. */
function latestOfEach(machineOf: MachineOf, all: readonly BootView[]): BootView[] {
  const seen = new Set<string>()
  return all.filter((boot) => {
    const { id, rawName } = machineOf(boot)
    const key = id === undefined ? rawName : `system ${id}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** How the boots that are listed ended, each a filter. */
function countsOf(all: readonly BootView[], query: BootsQuery): object[] {
  return Object.entries(standings).flatMap(([standing, verdict]) => {
    const count = all.filter((boot) => boot.verdict === verdict).length
    if (count === 0) return []
    const href = `${urlOf(query, { standing: standing as keyof typeof standings, page: 1 })}#list`
    return [{ count: formatCount(count), text: standingTexts[standing], href }]
  })
}

function answerLine(
  all: readonly BootView[] | undefined,
  recent: number,
  stuck: number,
  booting: number,
  unknown: number,
): string {
  if (!all) return 'The record of boots does not answer just now.'
  if (all.length === 0) return 'No machine has asked for anything yet.'
  const asked = unknown === 0 ? '' : `; ${plural(unknown, 'machine')} that no system has asked`
  if (recent === 0) return `Nothing has booted for a day${asked}.`
  const lately = 'that booted within a day'
  if (recent === 1 && stuck === 0) {
    return `The one machine ${lately} is ${booting > 0 ? 'under way' : 'not stuck'}${asked}.`
  }
  const under = booting === 0 ? '' : `, ${formatCount(booting)} ${booting === 1 ? 'is' : 'are'} under way`
  const subject =
    stuck === 0
      ? `${noneOf(recent, 'machine')} ${lately} is`
      : `${share(stuck, recent, 'machine')} ${lately} ${stuck === 1 ? 'is' : 'are'}`
  return sentence(`${subject} stuck${under}${asked}.`)
}

function answerOfOne(mac: string, all: readonly BootView[]): string {
  const [latest] = all
  if (!latest) return `No boot of ${mac} is kept.`
  return `${plural(all.length, 'boot')} of ${mac}, the latest: ${latest.outcome}.`
}

/** What the row shows of the boot itself is `boot`, whose steps are put into words only when they are read. */
function viewRow(daemon: Daemon, { boot, name, system }: ListedBoot, nowMs: number): object {
  return {
    boot,
    href: `/boots/${boot.id}`,
    machine: { name, href: system === undefined ? undefined : `/system/${system}/` },
    showsIp: boot.ip !== undefined && boot.ip !== name,
    showsMac: boot.mac !== undefined && boot.mac !== name,
    took: formatDuration(boot.tookMs),
    sent: formatBytes(boot.sentBytes),
    why: reasonOfBoot(daemon, boot, nowMs),
  }
}
