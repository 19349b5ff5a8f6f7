/**
 * The one place where it is decided what a machine boots: for TFTP, HTTP, iPXE and every page that previews it.
 *
 * Pure: what is known of systems and profiles is asked through `BootKnowledge`; the answer carries the steps taken, in
 * words. What the profile says is not read here, and how it is put for a loader is `loaders/`. Source: CONTRACT "Command
 * line" (aliases), "What machines ask over HTTP", "TFTP"; DESIGN "Boot".
 */
import { type Ip4, type Ip4Prefix, type Mac, prefixesOf } from './address.ts'

/** A system as far as a decision concerns it. */
export interface NamedSystem {
  readonly id: number
  readonly name: string
}

/** A next boot that was decided. Later decisions have higher numbers (never compared by time). */
export interface NextBoot {
  readonly system: NamedSystem
  readonly profile: string
  /** Sequence number of the record that decided it. */
  readonly seq: number
  /** RFC 3339 UTC */
  readonly at: string
  /** Who decided it, as the record's actor says. */
  readonly by: string
}

/** A machine's report that belongs to no system's own next boot (see `report.remembered`). */
export interface RememberedReport {
  readonly profile: string
  readonly seq: number
  readonly at: string
  /** The prefix system through which the machine was known, if any. */
  readonly system: NamedSystem | null
}

/** What the decision asks of the state. All answers are of the latest acknowledged record. */
export interface BootKnowledge {
  /** The latest next boot among the systems with this very address; undefined if none has a decision. */
  nextBootOf(address: Mac | Ip4 | Ip4Prefix): NextBoot | undefined
  /** The systems that have this very address, decided or not, in creation order. */
  systemsWith(address: Mac | Ip4 | Ip4Prefix): readonly NamedSystem[]
  rememberedFor(address: Mac | Ip4): RememberedReport | undefined
  /** Next boot of the reserved name `default`. */
  defaultNextBoot(): NextBoot | undefined
  /** undefined if the profile can be served, else why not ("no file", "line 3: …"). */
  profileFault(profile: string): string | undefined
}

/** Which question a machine asks. */
export type BootQuestion =
  /** One name of PXELINUX's search: only what this very name owns. `ip`: where the question comes from, if known. */
  | { readonly kind: 'mac'; readonly mac: Mac; readonly ip?: Ip4 | undefined }
  | { readonly kind: 'ip4'; readonly ip: Ip4 }
  | { readonly kind: 'prefix4'; readonly prefix: Ip4Prefix }
  | { readonly kind: 'default' }
  /** All names of a machine of which only its network is known: what a preview asks for a whole network. */
  | { readonly kind: 'network'; readonly prefix: Ip4Prefix }
  /** One question only (`/ipxe/`, `/profile/`): every step in order, `default` last. `macs` best first. */
  | { readonly kind: 'machine'; readonly macs: readonly Mac[]; readonly ip: Ip4 | undefined }

/** Which step decided: the machine's MAC, its IP, a prefix, a remembered report, or `default`. */
export type DecidedBy = 'mac' | 'ip4' | 'prefix4' | 'report' | 'default'

export interface Decision {
  /** null: a remembered report of a machine that no system has. */
  readonly system: NamedSystem | null
  readonly decidedBy: DecidedBy
  /** The profile to serve; `local` where the one decided is missing or bad. */
  readonly profile: string
  /** The profile that was decided; differs from `profile` only if that one is missing or bad. */
  readonly decided: string
  /** Sequence number of the record that decided it. */
  readonly seq: number
  /** The steps taken, in words, in order. */
  readonly why: readonly string[]
}

/** Nothing fits: `why` as above, `hint` one line for whoever stands in front of the screen. */
export interface NoDecision {
  readonly why: readonly string[]
  readonly hint: string
}

export const localProfile = 'local'

/**
 * Decides what the asking machine boots; `found: false` if nothing fits the question. `untold`: `why` stays empty, for
 * whoever does not show it: wording the steps costs more than deciding.
 */
export function decideBoot(
  question: BootQuestion,
  knowledge: BootKnowledge,
  steps: 'told' | 'untold' = 'told',
): ({ readonly found: true } & Decision) | ({ readonly found: false } & NoDecision) {
  const why: string[] = []
  const step: Step = steps === 'told' ? (text: string) => why.push(text) : undefined
  const found = answer(question, knowledge, step)
  if (!found) return { found: false, why, hint: hintFor(question, knowledge) }
  const { system, decidedBy, profile: decided, seq } = found
  const fault = decided === localProfile ? undefined : knowledge.profileFault(decided)
  if (fault !== undefined) step?.(`profile ${decided} cannot be served (${fault}): ${localProfile} instead`)
  return { found: true, system, decidedBy, profile: fault === undefined ? decided : localProfile, decided, seq, why }
}

interface Found {
  readonly system: NamedSystem | null
  readonly decidedBy: DecidedBy
  readonly profile: string
  readonly seq: number
}

type Step = ((text: string) => void) | undefined

function answer(question: BootQuestion, knowledge: BootKnowledge, step: Step): Found | undefined {
  switch (question.kind) {
    case 'mac':
      return byMac(question.mac, question.ip, knowledge, step)
    case 'ip4':
      return byIp(question.ip, knowledge, step)
    case 'prefix4':
      return owned('prefix4', question.prefix, knowledge, step)
    case 'default':
      return byDefault(knowledge, step)
    case 'network': {
      for (const prefix of networksOf(question.prefix)) {
        const within = owned('prefix4', prefix, knowledge, step)
        if (within) return within
      }
      return byDefault(knowledge, step)
    }
    case 'machine': {
      for (const mac of question.macs) {
        const found = byMac(mac, question.ip, knowledge, step)
        if (found) return found
      }
      if (question.ip !== undefined) {
        const found = byIp(question.ip, knowledge, step)
        if (found) return found
        for (const prefix of prefixesOf(question.ip)) {
          const within = owned('prefix4', prefix, knowledge, step)
          if (within) return within
        }
      }
      return byDefault(knowledge, step)
    }
    default:
      return question satisfies never
  }
}

/**
 * A system's own next boot, or the MAC's remembered report where that is later. A report of a MAC that no system has
 * gives way to a later decision for the IP address it asks from: else `nextboot` of that system would not be obeyed.
 */
function byMac(mac: Mac, ip: Ip4 | undefined, knowledge: BootKnowledge, step: Step): Found | undefined {
  const own = owned('mac', mac, knowledge, step)
  const remembered = knowledge.rememberedFor(mac)
  if (!remembered || (own && own.seq > remembered.seq)) return own
  if (!own && ip !== undefined) {
    const later = nextBootOfIp(ip, knowledge)
    if (later && later.seq > remembered.seq) {
      step?.(`${mac} reported at ${remembered.at}: ${remembered.profile}, but ${later.system.name} was set later`)
      return undefined
    }
  }
  return byReport(mac, remembered, step)
}

function byIp(ip: Ip4, knowledge: BootKnowledge, step: Step): Found | undefined {
  const own = owned('ip4', ip, knowledge, step)
  const remembered = knowledge.rememberedFor(ip)
  if (!remembered || (own && own.seq > remembered.seq)) return own
  return byReport(ip, remembered, step)
}

function byReport(address: Mac | Ip4, remembered: RememberedReport, step: Step): Found {
  step?.(`${address} reported at ${remembered.at}: ${remembered.profile}`)
  return { system: remembered.system, decidedBy: 'report', profile: remembered.profile, seq: remembered.seq }
}

/** Next boot of the system that has this IP address, else of its longest prefix that has one. */
function nextBootOfIp(ip: Ip4, knowledge: BootKnowledge): NextBoot | undefined {
  const [three, two] = prefixesOf(ip)
  return knowledge.nextBootOf(ip) ?? knowledge.nextBootOf(three) ?? knowledge.nextBootOf(two)
}

function owned(
  decidedBy: 'mac' | 'ip4' | 'prefix4',
  address: Mac | Ip4 | Ip4Prefix,
  knowledge: BootKnowledge,
  step: Step,
): Found | undefined {
  const systems = knowledge.systemsWith(address)
  if (systems.length === 0) {
    step?.(`no system has ${address}`)
    return undefined
  }
  const next = knowledge.nextBootOf(address)
  if (!next) {
    step?.(`${address} is ${namesOf(systems)}, without a next boot`)
    return undefined
  }
  if (step) {
    const among = systems.length > 1 ? ` (latest among ${namesOf(systems)})` : ''
    step(`${address} is ${next.system.name}${among}: ${next.profile}, set by ${next.by} at ${next.at}`)
  }
  return { system: next.system, decidedBy, profile: next.profile, seq: next.seq }
}

function namesOf(systems: readonly NamedSystem[]): string {
  return systems.map((system) => system.name).join(', ')
}

function byDefault(knowledge: BootKnowledge, step: Step): Found | undefined {
  const next = knowledge.defaultNextBoot()
  step?.(next ? `default: ${next.profile}, set by ${next.by} at ${next.at}` : 'default has no next boot')
  return next && { system: next.system, decidedBy: 'default', profile: next.profile, seq: next.seq }
}

/** The next thing to type for whoever wants this machine to boot. */
function hintFor(question: BootQuestion, knowledge: BootKnowledge): string {
  const addresses = askedAddresses(question)
  const [address] = addresses
  if (address === undefined) {
    return question.kind === 'default'
      ? 'default has no next boot: pxemngr nextboot default PROFILE'
      : 'the caller is not known by MAC or IP address'
  }
  const [first] = addresses.flatMap((each) => knowledge.systemsWith(each))
  if (first) return `${first.name} has no next boot: pxemngr nextboot ${first.name} PROFILE`
  return `no system has ${address}: pxemngr addsystem NAME ${address}`
}

/** All by which a system may have the machine, in the order of the decision. */
function askedAddresses(question: BootQuestion): readonly (Mac | Ip4 | Ip4Prefix)[] {
  switch (question.kind) {
    case 'mac':
      return [question.mac]
    case 'ip4':
      return [question.ip]
    case 'prefix4':
      return [question.prefix]
    case 'default':
      return []
    case 'network':
      return networksOf(question.prefix)
    case 'machine':
      return [...question.macs, ...(question.ip === undefined ? [] : [question.ip, ...prefixesOf(question.ip)])]
    default:
      return question satisfies never
  }
}

/** `10.34.5` and the network around it, `10.34`. */
function networksOf(prefix: Ip4Prefix): Ip4Prefix[] {
  const wider = prefix.slice(0, prefix.lastIndexOf('.'))
  return wider.includes('.') ? [prefix, wider as Ip4Prefix] : [prefix]
}
