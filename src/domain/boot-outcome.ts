/**
 * How a boot ended, from the requests that the server saw: how far it came, in stages, and where it did not go on, what
 * that usually means and what to look at.
 *
 * After the kernel the server sees nothing until the machine reports, so much here is a guess, worded as one.
 * Sources: PXELINUX wiki "Hardware Compatibility", PROTOCOLS §1 to §3 (which loader asks for what), README "When something
 * does not work".
 */
import { localProfile } from './boot.ts'
import { formatBytes } from './size.ts'
import { stageOf } from './stage.ts'
import { visible } from './visible.ts'

/** Verdict of a boot or step as the pages show it: glyph and word (WEB.md "Look"). */
export type BootVerdict = 'pass' | 'warn' | 'fail' | 'lost' | 'running' | 'skip'

/** A step as far as it is judged. */
export interface JudgedStep {
  readonly at?: number | null | undefined
  readonly name: string
  readonly sizeBytes?: number | null | undefined
  readonly sentBytes?: number | null | undefined
  readonly outcome: string
  readonly detail?: string | null | undefined
}

export interface Outcome {
  readonly verdict: BootVerdict
  /** A few words: `reported`, `asked for no kernel`. */
  readonly outcome: string
  /** What it means and what to look at, in sentences; empty where nothing is to be done. */
  readonly clue: string
}

/** How a transfer ended → what it means for the reader. What is looked for in vain is how loaders search. */
export const stepVerdicts: Readonly<Record<string, BootVerdict>> = {
  done: 'pass',
  probe: 'skip',
  replaced: 'skip',
  refused: 'skip',
  aborted: 'warn',
  timeout: 'fail',
  failed: 'fail',
}

/** Names that were asked for in vain, as many as a sentence bears. */
const namesShown = 3

/** How it ended, from the furthest it came; while the machine may still go on (not `silent`) it is running. */
export function judgeBoot(steps: readonly JudgedStep[], profile: string | undefined, silent: boolean): Outcome {
  const last = steps.at(-1)
  if (!last) return { verdict: 'lost', outcome: 'not kept', clue: 'What it asked for was not kept.' }
  if (stepVerdicts[last.outcome] === 'fail') return brokenOff(last)
  const reached = new Set(steps.filter(({ outcome }) => outcome === 'done').map(({ name }) => stageOf(name)))
  if (reached.has('report')) return fine('reported')
  if (reached.has('configuration') && profile === localProfile) return fine('local disk')
  if (!silent) return { verdict: 'running', outcome: 'booting', clue: '' }
  if (reached.has('configuration')) return reached.has('file') ? kernelSent(profile) : withoutKernel(steps, profile)
  if (profile === undefined && steps.some(({ name }) => stageOf(name) === 'configuration')) return unanswered(steps)
  return withoutConfiguration(steps, reached.has('loader'), reached.has('file'))
}

function fine(outcome: string): Outcome {
  return { verdict: 'pass', outcome, clue: '' }
}

function brokenOff({ name, sizeBytes, sentBytes, detail }: JudgedStep): Outcome {
  const sent =
    sentBytes == null || sizeBytes == null ? '' : ` after ${formatBytes(sentBytes)} of ${formatBytes(sizeBytes)}`
  const why = detail ? `: ${visible(detail)}` : ''
  return {
    verdict: 'fail',
    outcome: 'broke off',
    clue: `${visible(name)} stopped${sent}${why}. The machine was switched off, or the network lost it: look at cable, switch port and the range of ports that a firewall lets through.`,
  }
}

/** Outcome of a boot whose kernel was sent, and of which nothing was heard since. */
export const unreported = 'kernel sent'

function kernelSent(profile: string | undefined): Outcome {
  const what = profile === undefined ? 'the same' : visible(profile)
  return {
    verdict: 'pass',
    outcome: unreported,
    clue: `It has not reported since: until it asks for /localboot/, each start boots ${what} again.`,
  }
}

function withoutKernel(steps: readonly JudgedStep[], profile: string | undefined): Outcome {
  const missing = namesOf(steps.filter(({ name, outcome }) => outcome === 'refused' && stageOf(name) === 'file'))
  if (missing !== '') {
    return {
      verdict: 'fail',
      outcome: 'kernel not found',
      clue: `It asked for ${missing}, which is not here: put it below the TFTP root, or correct the path in the profile.`,
    }
  }
  const given = profile === undefined ? 'its configuration' : `the configuration ${visible(profile)}`
  return {
    verdict: 'fail',
    outcome: 'asked for no kernel',
    clue: `It got ${given} and asked for nothing more: it waits at a menu or prompt, takes its kernel from another server, or its loader cannot read that configuration.`,
  }
}

function unanswered(steps: readonly JudgedStep[]): Outcome {
  const hint = steps.findLast(({ name, detail }) => detail && stageOf(name) === 'configuration')?.detail
  return {
    verdict: 'skip',
    outcome: 'got no answer',
    clue: `No system has its address and default has no next boot, so it goes on to its next boot device${hint ? `: ${visible(hint)}` : ''}.`,
  }
}

function withoutConfiguration(steps: readonly JudgedStep[], loader: boolean, file: boolean): Outcome {
  if (loader) {
    return {
      verdict: 'fail',
      outcome: 'asked for no configuration',
      clue: 'It got its loader and asked for nothing more. Mostly that loader is not for its firmware (BIOS takes pxelinux.0, UEFI syslinux.efi), Secure Boot refused it, or the loader does not know its network card.',
    }
  }
  if (file)
    return {
      verdict: 'skip',
      outcome: 'took a file only',
      clue: 'No loader and no configuration: a program, or a person.',
    }
  const missing = namesOf(steps.filter(({ outcome }) => outcome === 'refused'))
  if (missing !== '') {
    return {
      verdict: 'fail',
      outcome: 'file not found',
      clue: `It asked for ${missing}, which is not here: the file name that DHCP gives has to be one of the loaders.`,
    }
  }
  return {
    verdict: 'fail',
    outcome: 'asked for no configuration',
    clue: 'It asked for its loader and never took it: a firewall drops the answers, or the machine was switched off.',
  }
}

function namesOf(steps: readonly JudgedStep[]): string {
  const names = [...new Set(steps.map(({ name }) => visible(name)))]
  const more = names.length - namesShown
  return `${names.slice(0, namesShown).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

/** Stages that a boot goes through, as the server sees them. */
const trackNames = ['loader', 'configuration', 'kernel', 'initrd', 'report'] as const
export type TrackName = (typeof trackNames)[number]

export interface TrackPart {
  readonly name: TrackName
  /** When it was asked for, ms since the epoch. */
  readonly atMs: number | undefined
  readonly reached: boolean
}

const initrdName = /init(rd|ramfs|ramdisk)|\.(cpio|img)(\.|$)|rootfs|\.(gz|xz|zst|squashfs)$/i

/**
 * The first request of each stage that was answered, and the first stage after them that a boot of a kernel still needs;
 * `report` only where it came.
 */
export function trackOf(steps: readonly JudgedStep[], profile: string | undefined): TrackPart[] {
  const done = steps.filter(({ outcome }) => outcome === 'done')
  const files = done.filter(({ name }) => stageOf(name) === 'file')
  const kernel = files.find(({ name }) => !initrdName.test(name)) ?? files[0]
  const first: Readonly<Record<TrackName, JudgedStep | undefined>> = {
    loader: done.find(({ name }) => stageOf(name) === 'loader'),
    configuration: done.find(({ name }) => stageOf(name) === 'configuration'),
    kernel,
    initrd: files.find((step) => step !== kernel && initrdName.test(step.name)),
    report: done.find(({ name }) => stageOf(name) === 'report'),
  }
  const parts = trackNames.flatMap((name): TrackPart[] => {
    const step = first[name]
    return step ? [{ name, atMs: step.at ?? undefined, reached: true }] : []
  })
  const needed = (['configuration', 'kernel'] as const).find((name) => !first[name])
  if (needed === undefined || first.report || (needed === 'kernel' && profile === localProfile)) return parts
  return [...parts, { name: needed, atMs: undefined, reached: false }]
}
