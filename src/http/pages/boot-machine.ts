/**
 * Whose boot it was, and why it got what it got: from what the trace kept to the names and decisions of today.
 *
 * The trace keeps who decided by number; a system that was deleted meanwhile has no name any more, a decision that is
 * older than what is kept has no date. Source: WEB.md, DESIGN "Boot" (the decision explained).
 */
import type { Daemon } from '../../commands/daemon.ts'
import { parseIp4, parseMac, prefixesOf } from '../../domain/address.ts'
import { localProfile } from '../../domain/boot.ts'
import { defaultSystem } from '../../domain/name.ts'
import type { SystemRow } from '../../store/store.ts'
import type { BootView } from './boots.ts'
import { type Moment, moment, visible } from './words.ts'

/** Decisions of a system that are looked through for the one that decided a boot. */
const decisionsLookedAt = 30

export interface BootMachine {
  /** Of the system, or its address where no system has it. */
  readonly name: string
  /** As above, not made visible. */
  readonly rawName: string
  /** undefined: no system has it (now). */
  readonly id: number | undefined
}

export type MachineOf = (boot: Pick<BootView, 'mac' | 'ip' | 'system'>) => BootMachine

/** Finds out about many boots at once; each system is asked for once. */
export function createBootMachines(daemon: Daemon): MachineOf {
  const { queries } = daemon.store
  const known = new Map<number, SystemRow | undefined>()
  const systemOf = (id: number): SystemRow | undefined => {
    if (!known.has(id)) known.set(id, queries.getSystem(id))
    return known.get(id)
  }
  return ({ mac, ip, system }) => {
    const named = system === undefined ? undefined : systemOf(system)
    // `default` decides for machines that no system has: that is no name of theirs.
    const own = named && named.name !== defaultSystem ? named : systemWith(daemon, mac, ip)
    const rawName = own?.name ?? mac ?? ip ?? 'unknown'
    return { name: visible(rawName), rawName, id: own?.id }
  }
}

/** As a machine is recognised: by MAC, else by the MAC that its address last booted with, its IP, its network. */
function systemWith({ store }: Daemon, mac: string | undefined, ip: string | undefined): SystemRow | undefined {
  const { queries } = store
  const known = mac ?? (ip === undefined ? undefined : queries.lastMacOf(ip))
  const ip4 = ip === undefined ? undefined : parseIp4(ip)
  const addresses = [known === undefined ? undefined : parseMac(known), ip4, ...(ip4 ? prefixesOf(ip4) : [])]
  for (const address of addresses) {
    const [first] = address === undefined ? [] : queries.systemsWith(address)
    if (first) return first
  }
  return undefined
}

/** The line that gives an unknown machine a name; undefined where its address can be nobody's. */
export function namingCommand({ mac, ip }: Pick<BootView, 'mac' | 'ip'>): string | undefined {
  const address = mac ?? (ip === undefined ? undefined : parseIp4(ip))
  return address === undefined ? undefined : `pxemngr addsystem NAME ${address}`
}

export interface BootReason {
  /** As a clause: `its MAC is that of web01`; '' where it got nothing. */
  readonly text: string
  /** The same beside the name of the machine: `by its MAC`. */
  readonly short: string
  /** When and by whom that was decided, where it is still known. */
  readonly since: Moment | undefined
  readonly by: string
  readonly seq: number | undefined
  /** What was decided and could not be served; '' otherwise. */
  readonly instead: string
}

const clauses: Readonly<Record<string, { readonly text: string; readonly short: string }>> = {
  mac: { text: 'its MAC is that of NAME', short: 'by its MAC' },
  ip4: { text: 'its IP address is that of NAME', short: 'by its IP address' },
  prefix4: { text: 'its network is that of NAME', short: 'by its network' },
  report: { text: 'it had reported before', short: 'it had reported' },
  default: { text: 'no system has it, and default says so', short: 'as default says' },
}

/** Why it got its configuration; undefined where that was not kept. */
export function reasonOfBoot(daemon: Daemon, boot: BootView, nowMs: number): BootReason | undefined {
  const { decision, system, profile } = boot
  if (!decision) {
    if (profile !== undefined) return undefined
    return { text: '', short: '', since: undefined, by: '', seq: undefined, instead: '' }
  }
  const row =
    system === undefined
      ? undefined
      : daemon.store.queries.decisionsOf(system, decisionsLookedAt).find(({ seq }) => seq === decision.seq)
  const name = system === undefined ? undefined : daemon.store.queries.getSystem(system)?.name
  const { text, short } = clauses[decision.by] ?? { text: visible(decision.by), short: visible(decision.by) }
  return {
    text: text.replace('NAME', () => (name === undefined ? 'a system deleted since' : visible(name))),
    short,
    since: row && moment(row.at, nowMs),
    by: visible(row?.by ?? ''),
    seq: decision.seq,
    instead:
      decision.instead === ''
        ? ''
        : `${visible(decision.instead)} was decided and could not be served, so ${localProfile}`,
  }
}

export interface UnknownMachine {
  readonly mac: string | undefined
  readonly ip: string | undefined
  readonly when: Moment | undefined
  readonly outcome: string
  readonly verdict: string
  readonly glyph: string
  readonly id: number
  readonly command: string
}

/** Machines that asked and that no system has (now), newest first, each once. */
export function unknownMachines(machineOf: MachineOf, boots: readonly BootView[], most: number): UnknownMachine[] {
  const found = new Map<string, UnknownMachine>()
  for (const boot of boots) {
    if (found.size === most) break
    const { mac, ip, when, outcome, verdict, glyph, id } = boot
    const key = mac ?? ip
    const command = namingCommand(boot)
    if (key === undefined || command === undefined || found.has(key) || machineOf(boot).id !== undefined) continue
    found.set(key, { mac, ip, when, outcome, verdict, glyph, id, command })
  }
  return [...found.values()]
}
