/**
 * Whose next boot a machine's report changes (`/localboot/`, `/nextboot/<profile>/`): the other half of `boot.ts`.
 *
 * Pure, like the decision it follows: a report is recorded for the system that decided the machine's boot; a machine
 * that no system has, or that is known only through a prefix, is remembered by its own addresses, so that one machine
 * never changes what others boot. Source: CONTRACT "Command line" (aliases), "What machines ask over HTTP".
 */
import { type Ip4, type Mac, prefixesOf } from './address.ts'
import { type BootKnowledge, decideBoot, type NamedSystem } from './boot.ts'

/** The addresses a machine is known by: MACs best first, IPv4 address if it has one. */
export interface MachineAddresses {
  readonly macs: readonly Mac[]
  readonly ip: Ip4 | undefined
}

export type ReportTarget =
  /** The system's own next boot. */
  | { readonly kind: 'system'; readonly system: NamedSystem; readonly unchanged: boolean }
  /** Remembered for these addresses; `system` is the prefix system the machine is known through, if any. */
  | {
      readonly kind: 'remembered'
      readonly mac: Mac | null
      readonly ip: Ip4 | null
      readonly system: NamedSystem | null
      readonly unchanged: boolean
    }
  /** Nothing to remember it by. */
  | { readonly kind: 'nobody' }

type Knowledge = Omit<BootKnowledge, 'profileFault'>

/** What a report of `profile` by this machine changes; `unchanged`: it already is so, and nothing need be written. */
export function decideReport(machine: MachineAddresses, profile: string, knowledge: Knowledge): ReportTarget {
  const decision = decideBoot({ kind: 'machine', ...machine }, { ...bound(knowledge), profileFault: () => undefined })
  if (decision.found && decision.system && (decision.decidedBy === 'mac' || decision.decidedBy === 'ip4')) {
    return { kind: 'system', system: decision.system, unchanged: decision.decided === profile }
  }
  for (const address of machine.ip === undefined ? machine.macs : [...machine.macs, machine.ip]) {
    const system = knowledge.nextBootOf(address)?.system ?? knowledge.systemsWith(address)[0]
    if (system) return { kind: 'system', system, unchanged: false }
  }
  const mac = machine.macs[0] ?? null
  const within = machine.ip === undefined ? undefined : prefixSystem(machine.ip, knowledge)
  if (machine.ip !== undefined && within) {
    const unchanged = holds(machine.ip, profile, within, knowledge) && (!mac || holds(mac, profile, within, knowledge))
    return { kind: 'remembered', mac, ip: machine.ip, system: within, unchanged }
  }
  if (mac === null) return { kind: 'nobody' }
  return { kind: 'remembered', mac, ip: null, system: null, unchanged: holds(mac, profile, null, knowledge) }
}

/** Systems that this machine is, by the first of its addresses that any has; of prefixes the longest. */
export function systemsBehind(
  { macs, ip }: MachineAddresses,
  { systemsWith }: Pick<Knowledge, 'systemsWith'>,
): readonly NamedSystem[] {
  for (const address of ip === undefined ? macs : [...macs, ip, ...prefixesOf(ip)]) {
    const systems = systemsWith(address)
    if (systems.length > 0) return systems
  }
  return []
}

/** The system of the longest prefix that has a decision, else of the longest that has a system. */
function prefixSystem(ip: Ip4, knowledge: Knowledge): NamedSystem | undefined {
  const prefixes = prefixesOf(ip)
  for (const prefix of prefixes) {
    const next = knowledge.nextBootOf(prefix)
    if (next) return next.system
  }
  for (const prefix of prefixes) {
    const [first] = knowledge.systemsWith(prefix)
    if (first) return first
  }
  return undefined
}

function holds(address: Mac | Ip4, profile: string, system: NamedSystem | null, knowledge: Knowledge): boolean {
  const remembered = knowledge.rememberedFor(address)
  return remembered?.profile === profile && (remembered.system?.id ?? null) === (system?.id ?? null)
}

/** The functions themselves, whatever object they hang on (a transaction's methods may need their `this`). */
function bound(knowledge: Knowledge): Knowledge {
  return {
    nextBootOf: (address) => knowledge.nextBootOf(address),
    systemsWith: (address) => knowledge.systemsWith(address),
    rememberedFor: (address) => knowledge.rememberedFor(address),
    defaultNextBoot: () => knowledge.defaultNextBoot(),
  }
}
