/**
 * `/system/<id>/`: what this machine boots next and why, its addresses, its decisions, its boots and what was done to it.
 *
 * The answer and its steps come from `decideBoot`, the same that TFTP and HTTP ask. Source: WEB.md, DESIGN "Boot",
 * COMPATIBILITY 4.6 (`/system/<id>/`).
 */
import { ipOfMac, knowledgeOf, questionOf } from '../../commands/boot-question.ts'
import { loopOf } from '../../commands/boot-rows.ts'
import type { Daemon } from '../../commands/daemon.ts'
import type { Address } from '../../domain/address.ts'
import { decideBoot } from '../../domain/boot.ts'
import { defaultSystem } from '../../domain/name.ts'
import type { DecisionRow, SystemRow } from '../../store/store.ts'
import { bootAddresses, dueInMs, readBoots, seenBoot } from './boots.ts'
import type { FormFault, RunSpan } from './changes.ts'
import type { Frame } from './render.ts'
import { type ListQuery, listedMax } from './run-selection.ts'
import { pickRuns, viewRunTable } from './run-table.ts'
import type { SystemHistory } from './system-history.ts'
import { tableOfSystem, viewAsked, viewSystemTests, viewTestForms } from './system-tests.ts'
import { commandLine, type Moment, moment, plural, visible } from './words.ts'

/** As many as 0.8 showed, and one before the first of them to take back to. */
const decisionsShown = 10
const bootsShown = 10
/** Changes of one record; `system-history.ts` keeps one more. */
const changesShown = 3

export interface SystemOptions {
  /** Whether the forms are there: the caller may change. */
  readonly mayChange: boolean
  readonly nowMs: number
  readonly history: SystemHistory
  /** Of the list of runs. */
  readonly list: ListQuery
  readonly fault?: FormFault
  /** The form that has just been done, and the runs that it asked for. */
  readonly done?: string
  readonly asked?: RunSpan
}

/** Data of the template and what the layout needs. */
export async function viewSystem(
  daemon: Daemon,
  system: SystemRow,
  given: SystemOptions,
): Promise<{ data: object; frame: Omit<Frame, 'access'> }> {
  const { nowMs } = given
  const { queries, seq } = daemon.store
  const [boots, records] = await Promise.all([
    readBoots(daemon, { system: system.id, limit: bootsShown }, nowMs),
    given.history.of(system.id),
  ])
  const name = visible(system.name)
  const isDefault = system.name === defaultSystem
  const addresses = queries.addressesOf(system.id)
  const answers = isDefault ? [answerFor(daemon)] : addresses.map((address) => answerFor(daemon, address))
  const decisions = queries.decisionsOf(system.id, decisionsShown)
  const profiles = new Set(answers.map((answer) => answer.profile))
  const [only] = answers
  const own = decisions[0]?.profile
  const sick = queries.sickOf(system.id)
  const runs = queries.briefRuns({ system: system.id, limit: listedMax + 1 })
  const tested = viewSystemTests(daemon, runs)
  const options = { ...tableOfSystem(daemon, system, given.list), known: runs }
  const table = viewRunTable(daemon, options, pickRuns(queries, options), nowMs)
  const state = headline(answers, profiles, isDefault, decisions[0], nowMs)
  const data = {
    id: system.id,
    name,
    isDefault,
    state,
    loop: loopOf(daemon, system, (boots ?? []).map(seenBoot), nowMs),
    same: profiles.size <= 1,
    answers,
    addresses: addresses.map((address) => viewAddress(daemon, system, address)),
    decisionsShown,
    decisions: decisions.map((each) => {
      const actor = records?.find((record) => record.seq === each.seq)?.actor
      return {
        when: moment(each.at, nowMs),
        profile: visible(each.profile),
        by: visible(each.by),
        from: actor ? `${visible(actor.from)}, ${surfaces[actor.surface]}` : '',
      }
    }),
    sick: sick === undefined ? undefined : visible(sick),
    tested,
    table,
    traced: boots !== undefined,
    boots: boots ?? [],
    records:
      records &&
      [...records].reverse().map(({ seq: record, at, actor, changes, count }) => ({
        seq: record,
        when: moment(at, nowMs),
        who: visible(actor.who),
        from: visible(actor.from),
        ...fewOf(changes, count, (change) => visible(withoutName(change, system.name))),
      })),
    forms: given.mayChange ? viewForms(daemon, system, own, decisions[1]?.profile, given) : undefined,
    testForms: given.mayChange && !isDefault ? viewTestForms(daemon, system, given.fault) : undefined,
    commands: {
      address: commandLine('pxemngr', 'addsystem', system.name, '52:54:00:12:34:56'),
      next: commandLine('pxemngr', 'nextboot', system.name, 'local'),
      history: commandLine('pxemngr', 'history', system.name),
    },
  }
  const booted = profiles.size === 1 && only ? (only.profile ?? 'no answer') : 'depends on the address'
  return {
    data,
    frame: {
      title: `${name} · ${answers.length === 0 ? 'no address' : booted}`,
      state: answers.some((answer) => answer.faulty) ? 'fail' : 'ok',
      place: 'machines',
      crumbs: [{ text: 'Machines', href: '/' }, { text: name }],
      seq,
      boots: {
        dueMs: dueInMs(boots ?? [], nowMs),
        of: [system.id, ...addresses.map(({ text }) => text), ...(boots ?? []).flatMap(bootAddresses)],
      },
    },
  }
}

/** A suite's runs are one record: its beginning says what it is about. */
function fewOf(
  changes: readonly string[],
  count: number,
  show: (change: string) => string,
): { readonly changes: readonly string[]; readonly more: string } {
  // One more line would say no more than "and 1 more".
  const few = count <= changesShown + 1 ? changes : changes.slice(0, changesShown)
  const more = count - few.length
  return { changes: few.map(show), more: more === 0 ? '' : `and ${plural(more, 'more change')}` }
}

/** The page is about one system: its name in front of every line says nothing. */
function withoutName(change: string, name: string): string {
  return change.startsWith(`${name}: `) ? change.slice(name.length + 2) : change
}

const surfaces: Readonly<Record<string, string>> = {
  cli: 'command line',
  api: 'API',
  web: 'page',
  machine: 'the machine itself',
  daemon: 'the daemon',
}

interface Answer {
  /** The address that asks; absent for `default`. */
  readonly address: string | undefined
  /** undefined: it gets no answer. */
  readonly profile: string | undefined
  readonly steps: readonly string[]
  /** The profile decided cannot be served. */
  readonly faulty: boolean
  /** Record that decided; undefined as `profile`. */
  readonly seq: number | undefined
}

function answerFor(daemon: Daemon, address?: Address): Answer {
  const question = questionOf(daemon, address)
  const answer = decideBoot(question, knowledgeOf(daemon))
  return {
    address: address?.text,
    profile: answer.found ? visible(answer.profile) : undefined,
    steps: answer.why.map((step) => withTimes(visible(step))),
    faulty: answer.found && answer.profile !== answer.decided,
    seq: answer.found ? answer.seq : undefined,
  }
}

/** Times in the spelling of the pages. */
function withTimes(step: string): string {
  return step.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\b/g, (at) => moment(at, Date.parse(at))?.exact ?? at)
}

interface Headline {
  readonly before: string
  readonly profile?: string
  readonly after: string
  /** When and by whom it was decided; absent where it is no system's own decision. */
  readonly since?: Moment | undefined
  readonly by?: string
}

/** The first line of the page, below its name. */
function headline(
  answers: readonly Answer[],
  profiles: ReadonlySet<string | undefined>,
  isDefault: boolean,
  decided: DecisionRow | undefined,
  nowMs: number,
): Headline {
  const [first] = answers
  if (!first) return { before: 'It has no address: no machine boots by it.', after: '' }
  if (profiles.size > 1) return { before: 'What it boots depends on the address that asks.', after: '' }
  const who = isDefault ? 'Machines that no system has' : 'It'
  if (first.profile === undefined) return { before: `${who} ${isDefault ? 'get' : 'gets'} no answer.`, after: '' }
  const before = `${who} ${isDefault ? 'boot' : 'boots'}`
  if (first.faulty) {
    return { before, profile: first.profile, after: ', because the profile that was decided cannot be served.' }
  }
  // An alias or `default` may have decided: then the steps below say who.
  if (!decided || decided.seq !== first.seq) return { before, profile: first.profile, after: '.' }
  return { before, profile: first.profile, after: '', since: moment(decided.at, nowMs), by: visible(decided.by) }
}

function viewAddress(daemon: Daemon, system: SystemRow, address: Address): object {
  const shared = daemon.store.queries.systemsWith(address.text).filter((each) => each.id !== system.id)
  return {
    text: address.text,
    kind: { mac: 'MAC', ip4: 'IP address', prefix4: 'every machine in' }[address.kind],
    ip: address.kind === 'mac' ? ipOfMac(daemon, address.text) : undefined,
    shared: shared.map(({ id, name }) => ({ id, name: visible(name) })),
  }
}

/** The forms, each with what it will do before it does it. */
function viewForms(
  daemon: Daemon,
  system: SystemRow,
  own: string | undefined,
  previous: string | undefined,
  options: SystemOptions,
): object {
  const names = daemon.profiles.names()
  const fault = (form: string) => (options.fault?.form === form ? options.fault : undefined)
  const addresses = daemon.store.queries.addressesOf(system.id).length
  return {
    rename: system.name !== defaultSystem,
    rawName: system.name,
    profiles: names.map((name) => ({
      value: name,
      text: visible(name),
      current: name === (fault('nextboot')?.typed ?? own),
      fault: visible(daemon.profiles.fault(name) ?? ''),
    })),
    own: own === undefined ? undefined : visible(own),
    ownGone: own !== undefined && !names.includes(own),
    undo:
      options.done === 'nextboot' && previous !== undefined && previous !== own && names.includes(previous)
        ? { value: previous, text: visible(previous) }
        : undefined,
    done: options.done,
    asked: options.done === 'nexttest' && options.asked ? viewAsked(daemon, options.asked) : undefined,
    goes: plural(addresses, 'address', 'addresses'),
    otherwise: visible(daemon.store.queries.defaultNextBoot()?.profile ?? ''),
    faults: { nextboot: fault('nextboot'), rename: fault('rename'), delete: fault('delete') },
  }
}
