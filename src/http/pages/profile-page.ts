/**
 * `/profiles/<name>`: can it be served, what it boots, its file with what is wrong and what boots marked, which machines
 * boot it next, and how its last boots went. Source: WEB.md, STYLE "Names" (profile, label, default).
 */
import type { Daemon } from '../../commands/daemon.ts'
import { localProfile } from '../../domain/boot.ts'
import type { NeededFile } from '../../domain/boot-files.ts'
import { Refusal } from '../../domain/errors.ts'
import { createBootMachines } from './boot-machine.ts'
import { bootAddresses, dueInMs, readBoots } from './boots.ts'
import type { MachineIndex } from './machine-index.ts'
import { type ProfileBoot, readProfileBoot } from './profile-boot.ts'
import type { Frame } from './render.ts'
import { commandLine, formatBytes, formatCount, moment, plural, visible } from './words.ts'

/** Boots that are looked through for those that were given it; what the trace answers with at most. */
const bootsLookedAt = 1000
const bootsShown = 10
const machinesShown = 20
/** Of the file; the rest is on the server. */
const linesShown = 2000
const filesShown = 20
const lineLength = 1000

interface FoundProfile {
  readonly name: string
  /** Why it cannot be served; undefined: it can. */
  readonly fault: string | undefined
  /** What is in it; undefined where it cannot be read, or may not be. */
  readonly file: { readonly text: string; readonly template: boolean; readonly embedded: boolean } | undefined
}

/** Refuses (`not-found`) a name that no file has and that no machine is told to boot. */
export function getProfile({ profiles, store }: Daemon, name: string): FoundProfile {
  const there = profiles.names().includes(name)
  // Only where there is a file: that a name is reserved is no page of its own.
  const refusal = profiles.refused().find((each) => each.name === name)?.why
  const wanted = name === localProfile || store.queries.nextBootProfiles().some(({ profile }) => profile === name)
  if (!there && refusal === undefined && !wanted)
    throw new Refusal('not-found', `Boot name ${visible(name)} not defined`)
  const missing = name === localProfile ? 'it has no file: the one inside the executable is served' : 'it has no file'
  const fault = refusal ?? (there ? profiles.fault(name) : missing)
  return { name, fault, file: refusal === undefined ? profiles.text(name) : undefined }
}

export async function viewProfile(
  daemon: Daemon,
  index: MachineIndex,
  profile: FoundProfile,
  nowMs: number,
): Promise<{ data: object; frame: Omit<Frame, 'access'> }> {
  const { file, fault } = profile
  const name = visible(profile.name)
  const boot = file && readProfileBoot(file.text)
  const [machines, recent, files] = await Promise.all([
    index.find({ words: '', sort: 'name', descending: false }),
    readBoots(daemon, { limit: bootsLookedAt }, nowMs),
    Promise.all((boot?.files ?? []).slice(0, filesShown).map((each) => viewNeeded(daemon, each))),
  ])
  const next = machines.filter((row) => row.next === profile.name)
  const given = (recent ?? []).filter((boot) => boot.profile === name).sort((a, b) => b.startedMs - a.startedMs)
  const boots = given.slice(0, bootsShown)
  const machineOf = createBootMachines(daemon)
  const isDefault = daemon.store.queries.defaultNextBoot()?.profile === profile.name
  const data = {
    name,
    faulty: fault !== undefined,
    glyph: fault === undefined ? '✓' : '✕',
    answer: answerLine(profile, boot, next.length, isDefault),
    fault: fault === undefined ? undefined : visible(fault),
    instead: fault !== undefined && profile.name !== localProfile,
    command: commandLine('pxemngr', 'nextboot', 'NAME', profile.name),
    boot: boot && {
      facts: boot.facts.map(({ name: fact, value }) => ({ name: fact, value: visible(value) })),
      files,
      remarks: boot.remarks.map(visible),
      notes: boot.notes.map(({ line, text }) => ({ line, text: visible(text) })),
    },
    file: file && viewFile(file.text, boot, fault),
    template: file?.template === true,
    embedded: file?.embedded === true,
    size: file ? formatBytes(Buffer.byteLength(file.text)) : '',
    isDefault,
    machines: {
      count: formatCount(next.length),
      rows: next.slice(0, machinesShown).map((row) => ({
        name: visible(row.name),
        href: `/system/${row.id}/`,
        since: row.since === null ? undefined : moment(row.since, nowMs),
        by: visible(row.by ?? ''),
      })),
      more:
        next.length > machinesShown
          ? {
              text: `All ${formatCount(next.length)} among the machines`,
              href: `/?${new URLSearchParams({ q: profile.name })}`,
            }
          : undefined,
    },
    traced: recent !== undefined,
    boots: boots.map((each) => {
      const { name: machine, id } = machineOf(each)
      const { when, verdict, glyph, outcome } = each
      return { href: `/boots/${each.id}`, machine, machineHref: id && `/system/${id}/`, when, verdict, glyph, outcome }
    }),
    allBoots:
      given.length > boots.length
        ? {
            text: `All ${formatCount(given.length)} among the boots`,
            href: `/boots?${new URLSearchParams({ q: profile.name })}`,
          }
        : undefined,
  }
  return {
    data,
    frame: {
      title: fault === undefined ? `${name} · Profile` : `✕ ${name} · Profile`,
      state: fault === undefined ? 'ok' : 'fail',
      place: 'profiles',
      crumbs: [{ text: 'Setup', href: '/setup' }, { text: 'Profiles', href: '/profiles' }, { text: name }],
      seq: daemon.store.seq,
      // A machine of its own may be given it next: whose boots those will be, nobody knows.
      boots: { dueMs: dueInMs(boots, nowMs), ...(next.length === 0 && !isDefault ? ofThese(boots) : {}) },
    },
  }
}

/** Whether a file is there that machines will ask for. */
async function viewNeeded(daemon: Daemon, { name, path }: NeededFile): Promise<object> {
  const shown = { name: visible(name) }
  if (path === undefined)
    return { ...shown, verdict: 'skip', glyph: '–', word: 'not looked at', about: 'not from here' }
  const found = await daemon.findFile(path)
  return found.found
    ? { ...shown, verdict: 'pass', glyph: '✓', word: 'there', about: formatBytes(found.sizeBytes) }
    : { ...shown, verdict: 'fail', glyph: '✕', word: 'missing', about: visible(found.why) }
}

function ofThese(boots: Parameters<typeof dueInMs>[0]): { of?: string[] } {
  const of = boots.flatMap(bootAddresses)
  return of.length === 0 ? {} : { of }
}

function answerLine(
  { name, fault }: FoundProfile,
  boot: ProfileBoot | undefined,
  machines: number,
  isDefault: boolean,
): string {
  const others = isDefault ? ', and so do machines that no system has' : ''
  const who =
    machines === 0 && isDefault
      ? 'Machines that no system has boot'
      : `${plural(machines, 'machine boots', 'machines boot')}`
  const rest = machines === 0 ? '' : others
  if (fault !== undefined && name !== localProfile) {
    return machines === 0 && !isDefault
      ? 'It cannot be served; no machine is to boot it.'
      : `It cannot be served: ${who} ${localProfile} instead${rest}.`
  }
  const what = boot?.what === undefined ? '' : ` It boots ${visible(boot.what)}.`
  if (machines === 0 && !isDefault) return `No machine is to boot it next.${what}`
  return `${who} it next${rest}.${what}`
}

/** Lines with what they are: `error` not understood, or where it broke; `chosen` of the entry that boots by itself. */
function viewFile(text: string, boot: ProfileBoot | undefined, fault: string | undefined): object {
  const all = text.replace(/\n$/, '').split('\n')
  const broken = Number(/:(\d+)(?::|$)/.exec(fault ?? '')?.[1] ?? 0)
  const wrong = new Set([broken, ...(boot?.notes ?? []).map(({ line }) => line)])
  const chosen = (line: number) => boot?.lines !== undefined && line >= boot.lines.first && line <= boot.lines.last
  return {
    lines: all.slice(0, linesShown).map((each, at) => ({
      number: at + 1,
      kind: wrong.has(at + 1) ? 'error' : chosen(at + 1) && each.trim() !== '' ? 'chosen' : '',
      text: visible(each.replace(/\r$/, '')).slice(0, lineLength),
    })),
    more: all.length > linesShown ? `and ${formatCount(all.length - linesShown)} lines more` : '',
    marked: boot?.lines !== undefined,
  }
}
