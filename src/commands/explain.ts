/**
 * `explain`: what a machine would boot now and why, whether the files for it are there, and how its last boot went.
 *
 * Nothing is guessed: decision, configuration and files are what a real request would get (`Daemon.preview`), asked
 * beforehand. Source: DESIGN "Boot" (the decision explained), PEERS 3.1 and 3.10.
 */
import * as v from 'valibot'
import { type Address, findAddress, type Ip4Prefix, parseIp4Hex } from '../domain/address.ts'
import { type BootQuestion, localProfile } from '../domain/boot.ts'
import { filesNeeded } from '../domain/boot-files.ts'
import type { BootLoop } from '../domain/boot-loop.ts'
import { dialects } from '../domain/loaders/index.ts'
import { isIpxeScript } from '../domain/loaders/ipxe.ts'
import { defaultSystem } from '../domain/name.ts'
import { type Label, type Profile, parseProfile } from '../domain/profile.ts'
import { selectLabel } from '../domain/selection.ts'
import { formatBytes } from '../domain/size.ts'
import type { SystemRow } from '../store/store.ts'
import { ipOfMac, questionOf } from './boot-question.ts'
import { loopOf, machineOf, outcomeOf, readBootRows } from './boot-rows.ts'
import type { Daemon, FoundFile, Preview } from './daemon.ts'
import { defineCommand, type Output } from './definition.ts'
import { time } from './schema.ts'
import { findSystems } from './system.ts'

const loaderWords = ['pxelinux', 'ipxe'] as const
/** Boots looked at for one that comes again and again. */
const bootsLookedAt = 20
const scriptNote = 'an iPXE script, which other loaders cannot read; what it fetches is not looked at'
/** Machines asked about before the event loop has its turn. */
const machinesPerTurn = 20

const explained = v.strictObject({
  /** Whose machine it is, of several names the one that decides; null: no system has the address. */
  system: v.nullable(v.string()),
  /** The address that asks; null for `default`, and for a system that has none. */
  address: v.nullable(v.string()),
  /** What it is given; null: it gets no answer. */
  profile: v.nullable(v.string()),
  /** What was decided: another one than `profile` only where that one cannot be served. */
  decided: v.nullable(v.string()),
  /** What decided it. */
  by: v.nullable(v.picklist(['mac', 'ip4', 'prefix4', 'report', 'default'])),
  /** The steps of the decision, in words, in order. */
  why: v.array(v.string()),
  /** The entry of the profile that boots when nobody touches the keyboard; null: there is none. */
  entry: v.nullable(v.string()),
  /** What that entry makes the machine fetch; `bytes` null: not here, or on another server (then `why` is null too). */
  files: v.array(v.strictObject({ name: v.string(), bytes: v.nullable(v.number()), why: v.nullable(v.string()) })),
  /** What a person should know of the profile: lines that no loader understands. */
  notes: v.array(v.string()),
  lastBoot: v.nullable(
    v.strictObject({ at: time, profile: v.nullable(v.string()), outcome: v.string(), clue: v.string() }),
  ),
  /** Why it will not boot as it should, a sentence each; empty if all is well. */
  wrong: v.array(v.string()),
  /** With `loader`: what that loader is sent; null: nothing. */
  text: v.exactOptional(v.nullable(v.string())),
})
type Explained = v.InferOutput<typeof explained>

export const explain = defineCommand({
  name: 'explain',
  summary: 'Say what a machine would boot now and why; exit status 1 if something is wrong with it',
  about: [
    'Looks at the decision, the profile, its files and the last boots, and changes nothing.',
    'A machine that no system has is asked about by its MAC or IPv4 address; a range or pattern means all of its systems.',
  ],
  usage: 'pxemngr explain <system name|MAC|IPV4> [--loader LOADER] [--wrong]',
  positionals: [{ key: 'name', usage: '<system name|MAC|IPV4>', required: true, complete: ['system'] }],
  options: [
    {
      name: 'loader',
      value: 'LOADER',
      words: loaderWords,
      summary: 'with the configuration as it is sent to that one: pxelinux or ipxe',
    },
    { name: 'wrong', summary: 'only machines with which something is wrong' },
  ],
  args: v.strictObject({
    name: v.string(),
    loader: v.exactOptional(v.picklist(loaderWords)),
    wrong: v.exactOptional(v.boolean()),
  }),
  result: v.strictObject({ machines: v.array(explained), asked: v.number() }),
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr explain web01', text: 'what it boots, who decided that, whether kernel and initrd are there' },
    { line: 'pxemngr explain 52:54:00:12:34:56 --loader ipxe', text: 'with the script that iPXE gets' },
    { line: "pxemngr explain '*' --wrong", text: 'before the whole lab is switched on' },
  ],
  async run({ daemon }, { name, loader, wrong }) {
    const files = new Map<string, Promise<FoundFile>>()
    const machines: Explained[] = []
    let asked = 0
    for (const machine of askedMachines(daemon, name)) {
      asked += 1
      if (asked % machinesPerTurn === 0) await new Promise((resolve) => setImmediate(resolve))
      const answer = await explainMachine(daemon, machine, loader, files)
      if (!wrong || answer.wrong.length > 0) machines.push(answer)
    }
    return { machines, asked }
  },
  print({ machines, asked }, out) {
    for (const [at, machine] of machines.entries()) {
      if (at > 0) out.line('')
      printMachine(machine, out)
    }
    if (machines.length === 0) out.line(`nothing is wrong with ${asked === 1 ? 'it' : `any of ${asked}`}`)
  },
  exitStatus: ({ machines }) => (machines.some(({ wrong }) => wrong.length > 0) ? 1 : 0),
})

interface AskedMachine {
  /** Those that have it, in creation order; the one that is asked about, where that was named. */
  readonly systems: readonly SystemRow[]
  /** undefined: a system without an address, or any machine that no system has. */
  readonly address: Address | undefined
  readonly isDefault: boolean
}

/** One by one: the addresses of ten thousand systems, looked up at once, would keep machines waiting. */
function* askedMachines(daemon: Daemon, text: string): Generator<AskedMachine> {
  const { queries } = daemon.store
  // Asked about before it has a next boot, too: that it has none is the answer.
  const byDefault = { systems: [], address: undefined, isDefault: true }
  if (text === defaultSystem) {
    yield byDefault
    return
  }
  const hex = parseIp4Hex(text)
  const address = queries.findSystem(text) ? undefined : (findAddress(text) ?? (hex && findAddress(hex)))
  if (address) {
    const mac = address.kind === 'ip4' ? queries.lastMacOf(address.text) : undefined
    const owners = queries.systemsWith(address.text)
    const booted = owners.length === 0 && mac ? queries.systemsWith(mac) : []
    yield { systems: [...owners, ...booted], address, isDefault: false }
    return
  }
  for (const system of findSystems(queries, text)) {
    if (system.name === defaultSystem) {
      yield byDefault
      continue
    }
    const addresses = queries.addressesOf(system.id)
    const asking = addresses.length === 0 ? [undefined] : addresses
    for (const each of asking) yield { systems: [system], address: each, isDefault: false }
  }
}

async function explainMachine(
  daemon: Daemon,
  { systems, address, isDefault }: AskedMachine,
  loader: (typeof loaderWords)[number] | undefined,
  files: Map<string, Promise<FoundFile>>,
): Promise<Explained> {
  const [first] = systems
  const headOf = (system = first) => ({
    ...{ system: isDefault ? defaultSystem : (system?.name ?? null), address: address?.text ?? null },
  })
  const nothing = { profile: null, decided: null, by: null, entry: null, files: [], notes: [], lastBoot: null }
  if (!address && !isDefault) {
    const wrong = [`it has no address: no machine boots by it: pxemngr addsystem ${first?.name} MAC`]
    return { ...headOf(), ...nothing, why: [], wrong, ...(loader ? { text: null } : {}) }
  }
  const question = questionOf(daemon, address)
  const machine = identityOf(daemon, question)
  const preview = daemon.preview(question, machine)
  // Of the names of a machine the one that decides.
  const system = systems.find(({ id }) => preview.found && id === preview.decision.system?.id) ?? first
  const { lastBoot, loop } = await lastBootOf(daemon, system, machine.mac)
  if (!preview.found) {
    const { why, hint } = preview
    return { ...headOf(system), ...nothing, why: [...why], lastBoot, wrong: [hint], ...(loader ? { text: null } : {}) }
  }
  const { decision, bytes, url } = preview
  const script = new TextDecoder().decode(bytes)
  const isScript = isIpxeScript(script)
  // Which of its commands a script of iPXE comes to is known to that alone.
  const profile = parseProfile(isScript ? '' : script)
  const label = selectLabel(profile)?.label
  const found = await findFiles(daemon, profile, label, url, files)
  return {
    ...headOf(system),
    profile: decision.profile,
    decided: decision.decided,
    by: decision.decidedBy,
    why: [...decision.why],
    entry: label?.name ?? null,
    files: found,
    notes: isScript ? [scriptNote] : profile.faults.map(({ line, text }) => `line ${line}: ${text}`),
    lastBoot,
    wrong: [...wrongProfile(preview), ...(isScript ? [] : wrongEntry(preview, label)), ...wrongFiles(found, loop)],
    ...(loader ? { text: textFor(loader, preview, machine.mac) } : {}),
  }
}

/** What is known of the machine that would ask; of a network its first address stands for all. */
function identityOf(daemon: Daemon, question: BootQuestion): { readonly mac: string; readonly ip: string } {
  switch (question.kind) {
    case 'machine': {
      const [mac] = question.macs
      return { mac: mac ?? '', ip: question.ip ?? (mac && ipOfMac(daemon, mac)) ?? '' }
    }
    case 'network':
      return { mac: '', ip: firstOf(question.prefix) }
    default:
      return { mac: '', ip: '' }
  }
}

/** `10.34` → `10.34.0.1` */
function firstOf(prefix: Ip4Prefix): string {
  const octets = prefix.split('.')
  return [...octets, '0', '0'].slice(0, 3).concat('1').join('.')
}

async function findFiles(
  daemon: Daemon,
  profile: Profile,
  label: Label | undefined,
  url: string,
  known: Map<string, Promise<FoundFile>>,
): Promise<Explained['files']> {
  const needed = filesNeeded(profile, label, url)
  return Promise.all(
    needed.map(async ({ name, path }) => {
      if (path === undefined) return { name, bytes: null, why: null }
      const asked = known.get(path) ?? daemon.findFile(path)
      known.set(path, asked)
      const file = await asked
      return file.found ? { name, bytes: file.sizeBytes, why: null } : { name, bytes: null, why: file.why }
    }),
  )
}

type Found = Extract<Preview, { readonly found: true }>

function wrongProfile({ decision: { profile, decided, why } }: Found): string[] {
  return profile === decided ? [] : [why.at(-1) ?? `${decided} cannot be served: ${localProfile} instead`]
}

function wrongEntry({ decision: { profile } }: Found, label: Label | undefined): string[] {
  if (!label) return [`${profile} has no entry that boots`]
  return label.kernel || label.localboot !== undefined ? [] : [`entry ${label.name} has neither KERNEL nor LOCALBOOT`]
}

function wrongFiles(files: Explained['files'], loop: BootLoop | undefined): string[] {
  const missing = files.flatMap(({ name, why: fault }) => (fault === null ? [] : [`${name}: ${fault}`]))
  return loop ? [...missing, loop.clue] : missing
}

function textFor(loader: (typeof loaderWords)[number], { decision, bytes, url }: Found, mac: string): string {
  const known = findAddress(mac)
  const context = { profile: decision.profile, url, mac: known?.kind === 'mac' ? known.text : undefined }
  return new TextDecoder().decode(dialects[loader].render(bytes, context))
}

async function lastBootOf(
  daemon: Daemon,
  system: SystemRow | undefined,
  mac: string,
): Promise<{ readonly lastBoot: Explained['lastBoot']; readonly loop: BootLoop | undefined }> {
  const none = { lastBoot: null, loop: undefined }
  if (!system && mac === '') return none
  const nowMs = Date.now()
  // By the machine where it is known: one of several names has the boots that it decided alone.
  const which = mac !== '' ? { mac } : { system: system?.id ?? 0 }
  const rows = await readBootRows(daemon, { ...which, limit: bootsLookedAt }, (row) => ({
    startedMs: row.startedMs,
    machine: machineOf(row),
    profile: row.profile ?? undefined,
    seq: row.decision?.seq,
    outcome: outcomeOf(row, nowMs),
  }))
  const [last] = rows ?? []
  if (!rows || !last) return none
  const { startedMs, profile, outcome } = last
  const at = new Date(startedMs).toISOString()
  return {
    lastBoot: { at, profile: profile ?? null, outcome: outcome.outcome, clue: outcome.clue },
    loop: system && loopOf(daemon, system, rows, nowMs),
  }
}

function printMachine(machine: Explained, out: Output): void {
  const { system, address, profile, why, entry, files, notes, lastBoot, wrong, text } = machine
  const title = [system, address].filter((each) => each !== null).join(' ')
  out.line(`${title}: ${profile === null ? 'gets no answer' : `boots ${profile}`}`)
  for (const step of why) out.line(`  ${step}`)
  if (entry !== null) out.line(`  entry ${entry}${files.length === 0 ? '' : ':'}`)
  for (const { name, bytes, why: fault } of files) {
    const state =
      bytes !== null ? formatBytes(bytes) : fault === null ? 'from another server, not looked at' : 'not served'
    out.line(`    ${name}  ${state}`)
  }
  for (const note of notes) out.line(`  ${note}`)
  if (lastBoot) {
    const given = lastBoot.profile === null ? '' : `${lastBoot.profile}, `
    out.line(`  last boot ${lastBoot.at}: ${given}${lastBoot.outcome}`)
  }
  for (const line of wrong) out.line(`  wrong: ${line}`)
  for (const line of text == null ? [] : ['', ...text.replace(/\n$/, '').split('\n')]) out.line(line)
}
