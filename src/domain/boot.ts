/**
 * The one place where it is decided what a machine boots: for TFTP, HTTP, iPXE and every page that previews it.
 *
 * Pure: what is known of systems and profiles is asked through `BootKnowledge`; the answer carries the steps taken, in
 * words. What the profile says is not read here, and how it is put for a loader is `loaders/`. Source: CONTRACT "Command
 * line" (aliases), "What machines ask over HTTP", "TFTP"; DESIGN "Boot".
 */
import { type Ip4, type Ip4Prefix, type Mac, prefixesOf } from './address.ts'

/** A next boot that was decided. Later decisions have higher numbers (never compared by time). */
export interface NextBoot {
  readonly system: { readonly id: number; readonly name: string }
  readonly profile: string
  /** Sequence number of the record that decided it. */
  readonly seq: number
  readonly at: string
  readonly by: string
}

/** A machine's report that belongs to no system's own next boot (see `report.remembered`). */
export interface RememberedReport {
  readonly profile: string
  readonly seq: number
  readonly at: string
  /** The prefix system through which the machine was known, if any. */
  readonly system: { readonly id: number; readonly name: string } | null
}

/** What the decision asks of the state. All answers are of the latest acknowledged record. */
export interface BootKnowledge {
  /** The latest next boot among the systems with this very address; undefined if none has a decision. */
  nextBootOf(address: Mac | Ip4 | Ip4Prefix): NextBoot | undefined
  /** Names of the systems that have this very address, decided or not. */
  systemsWith(address: Mac | Ip4 | Ip4Prefix): readonly string[]
  rememberedFor(address: Mac | Ip4): RememberedReport | undefined
  /** Next boot of the reserved name `default`. */
  defaultNextBoot(): NextBoot | undefined
  /** undefined if the profile can be served, else why not ("no file", "line 3: …"). */
  profileFault(profile: string): string | undefined
}

/** Which question a machine asks. */
export type BootQuestion =
  /** One name of PXELINUX's search: only what this very name owns. */
  | { readonly kind: 'mac'; readonly mac: Mac }
  | { readonly kind: 'ip4'; readonly ip: Ip4 }
  | { readonly kind: 'prefix4'; readonly prefix: Ip4Prefix }
  | { readonly kind: 'default' }
  /** One question only (`/ipxe/`, `/profile/`): every step in order, `default` last. `macs` best first. */
  | { readonly kind: 'machine'; readonly macs: readonly Mac[]; readonly ip: Ip4 | undefined }

export interface Decision {
  /** null: a remembered report of a machine that no system has. */
  readonly system: { readonly id: number; readonly name: string } | null
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

/** Decides what the asking machine boots; `found: false` if nothing fits the question. */
export function decideBoot(
  question: BootQuestion,
  knowledge: BootKnowledge,
): ({ readonly found: true } & Decision) | ({ readonly found: false } & NoDecision) {
  const why: string[] = []
  const step = (text: string) => why.push(text)
  const found = answer(question, knowledge, step)
  if (!found) return { found: false, why, hint: hintFor(question, knowledge) }
  const fault = knowledge.profileFault(found.profile)
  if (!fault || found.profile === localProfile) {
    return { found: true, system: found.system, profile: found.profile, decided: found.profile, seq: found.seq, why }
  }
  step(`profile ${found.profile} cannot be served (${fault}): local instead`)
  return { found: true, system: found.system, profile: localProfile, decided: found.profile, seq: found.seq, why }
}

interface Found {
  readonly system: { readonly id: number; readonly name: string } | null
  readonly profile: string
  readonly seq: number
}

function answer(question: BootQuestion, knowledge: BootKnowledge, step: (text: string) => void): Found | undefined {
  switch (question.kind) {
    case 'mac':
      return byAddress(question.mac, knowledge, step)
    case 'ip4':
      return byAddress(question.ip, knowledge, step)
    case 'prefix4':
      return owned(question.prefix, knowledge, step)
    case 'default':
      return byDefault(knowledge, step)
    case 'machine': {
      for (const mac of question.macs) {
        const found = byAddress(mac, knowledge, step)
        if (found) return found
      }
      if (question.ip) {
        const found = byAddress(question.ip, knowledge, step)
        if (found) return found
        for (const prefix of prefixesOf(question.ip)) {
          const within = owned(prefix, knowledge, step)
          if (within) return within
        }
      }
      return byDefault(knowledge, step)
    }
    default:
      return question satisfies never
  }
}

/** A system's own next boot by this address, else what was remembered for it; the later of both where both stand. */
function byAddress(address: Mac | Ip4, knowledge: BootKnowledge, step: (text: string) => void): Found | undefined {
  const own = owned(address, knowledge, step)
  const remembered = knowledge.rememberedFor(address)
  if (remembered && (!own || remembered.seq > own.seq)) {
    step(`${address} reported at ${remembered.at}: ${remembered.profile}`)
    return remembered
  }
  return own
}

function owned(
  address: Mac | Ip4 | Ip4Prefix,
  knowledge: BootKnowledge,
  step: (text: string) => void,
): NextBoot | undefined {
  const names = knowledge.systemsWith(address)
  const next = knowledge.nextBootOf(address)
  if (next) {
    const among = names.length > 1 ? ` (latest among ${names.join(', ')})` : ''
    step(`${address} is ${next.system.name}${among}: ${next.profile}, set by ${next.by} at ${next.at}`)
  } else if (names.length > 0) step(`${address} is ${names.join(', ')}, without a next boot`)
  else step(`no system has ${address}`)
  return next
}

function byDefault(knowledge: BootKnowledge, step: (text: string) => void): NextBoot | undefined {
  const next = knowledge.defaultNextBoot()
  step(next ? `default: ${next.profile}, set by ${next.by} at ${next.at}` : 'default has no next boot')
  return next
}

function hintFor(question: BootQuestion, knowledge: BootKnowledge): string {
  if (question.kind === 'default') return 'default has no next boot: pxemngr nextboot default PROFILE'
  const address =
    question.kind === 'mac'
      ? question.mac
      : question.kind === 'ip4'
        ? question.ip
        : question.kind === 'prefix4'
          ? question.prefix
          : (question.macs[0] ?? question.ip)
  if (!address) return 'the caller is not known by MAC or IP address'
  const [name] = knowledge.systemsWith(address)
  if (name !== undefined) return `${name} has no next boot: pxemngr nextboot ${name} PROFILE`
  return `no system has ${address}: pxemngr addsystem NAME ${address}`
}
