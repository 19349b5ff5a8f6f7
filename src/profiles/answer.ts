/**
 * What a machine gets: the decision, and the bytes of the decided profile as they are for this machine.
 *
 * The one path from a question to bytes, shared by TFTP, `/profile/`, `/ipxe/` and previews, so that none of them can say
 * something else than another. A template that fails for this machine gives it `local`, like a profile that is missing.
 * How the bytes are put for a loader is `domain/loaders`. Source: CONTRACT "Command line" (profiles), "TFTP".
 */
import { type BootKnowledge, type BootQuestion, type Decision, decideBoot, localProfile } from '../domain/boot.ts'
import type { OpenedProfile, ProfileFiles, ProfileVariables } from './folder.ts'

/** What is known of the asking machine beside the question; asked only where a template needs it. */
export interface AskingMachine {
  readonly mac: () => string
  readonly ip: string
  /** Base URL, no slash at its end. */
  readonly url: () => string
  /** `untold`: the decision's `why` may stay empty. */
  readonly steps?: 'told' | 'untold'
}

export type BootAnswer =
  | { readonly found: true; readonly decision: Decision; readonly bytes: Uint8Array }
  | { readonly found: false; readonly why: readonly string[]; readonly hint: string }

export type AnswerBoot = (question: BootQuestion, machine: AskingMachine) => BootAnswer

export function createAnswerBoot(
  knowledge: Omit<BootKnowledge, 'profileFault'>,
  profiles: Pick<ProfileFiles, 'open'>,
): AnswerBoot {
  let opened: OpenedProfile | undefined
  const asking: BootKnowledge = {
    nextBootOf: (address) => knowledge.nextBootOf(address),
    systemsWith: (address) => knowledge.systemsWith(address),
    rememberedFor: (address) => knowledge.rememberedFor(address),
    defaultNextBoot: () => knowledge.defaultNextBoot(),
    profileFault(profile) {
      opened = profiles.open(profile)
      return opened.fault
    },
  }
  return (question, machine) => {
    opened = undefined
    const decision = decideBoot(question, asking, machine.steps)
    if (!decision.found) return decision
    // Looked at once a request: what was asked for its fault is what is served.
    const decided = decision.profile === decision.decided ? opened : undefined
    const rendered = (decided ?? profiles.open(decision.profile)).render(() => variables(decision, machine))
    if (rendered.ok) return { found: true, decision, bytes: rendered.bytes }
    const why = [...decision.why, `profile ${decision.profile} failed (${rendered.fault}): ${localProfile} instead`]
    const local = { ...decision, profile: localProfile, why }
    const instead = profiles.open(localProfile).render(() => variables(local, machine))
    if (!instead.ok) throw new Error(`local cannot be rendered: ${instead.fault}`)
    return { found: true, decision: local, bytes: instead.bytes }
  }
}

function variables(decision: Decision, machine: AskingMachine): ProfileVariables {
  return {
    system: decision.system?.name ?? '',
    mac: machine.mac(),
    ip: machine.ip,
    profile: decision.profile,
    url: machine.url(),
  }
}
