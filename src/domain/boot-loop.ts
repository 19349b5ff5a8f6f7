/**
 * The machine that installs for ever: it starts again and again by one decision, gets its kernel each time, and nothing is
 * ever heard from what that kernel started.
 *
 * Nothing is stopped here: until a machine reports, the same answer is what it is owed. It is told to people. A machine
 * without a disk that is switched on once a day does the same for years, so only starts that follow each other soon count;
 * and one that fetched a test in between has shown that what it boots works. Source: DESIGN "The problem", PEERS 2.1.
 */
import { localProfile } from './boot.ts'
import { type Outcome, unreported } from './boot-outcome.ts'
import { formatDuration } from './duration.ts'
import { visible } from './visible.ts'

/** A boot as far as this concerns it. */
export interface SeenBoot {
  readonly startedMs: number
  /** Its MAC, else its IP address: one system may have many machines (an IP prefix). */
  readonly machine: string
  /** undefined: it was given no configuration. */
  readonly profile: string | undefined
  /** Record that decided it. */
  readonly seq: number | undefined
  readonly outcome: Pick<Outcome, 'verdict' | 'outcome'>
}

export interface BootLoop {
  readonly starts: number
  /** The first of them, ms since the epoch. */
  readonly sinceMs: number
  /** In a few words, as `Outcome.outcome`. */
  readonly outcome: string
  /** What it means and what to look at, in sentences. */
  readonly clue: string
}

/** One start is a boot, two are a power cut. */
const startsMin = 3
/** Two starts that are further apart have nothing to do with each other: the slowest installations take an hour or two. */
const gapMaxMs = 3 * 3_600_000

/**
 * `boots`: of one machine, newest first. `signMs`: when it last fetched a test, if it ever did. undefined: no such loop.
 */
export function findLoop(
  boots: readonly SeenBoot[],
  signMs: number | undefined,
  system: string,
  nowMs: number,
): BootLoop | undefined {
  const [latest] = boots
  if (!latest || latest.seq === undefined || latest.profile === undefined || latest.profile === localProfile) return
  if (!isUnreported(latest) || nowMs - latest.startedMs > gapMaxMs) return
  let starts = 0
  let sinceMs = latest.startedMs
  for (const boot of boots) {
    if (boot.seq !== latest.seq || boot.profile !== latest.profile) break
    if (sinceMs - boot.startedMs > gapMaxMs || (signMs !== undefined && boot.startedMs <= signMs)) break
    // A start that broke off on its way is none of those that got through.
    if (!isUnreported(boot)) continue
    starts += 1
    sinceMs = boot.startedMs
  }
  if (starts < startsMin) return
  const profile = visible(latest.profile)
  return {
    starts,
    sinceMs,
    outcome: `started ${starts} times`,
    clue:
      `It has started ${profile} ${starts} times in ${formatDuration(latest.startedMs - sinceMs)} and never reported: ` +
      `what ${profile} installs has to ask for /localboot/ at its end. ` +
      `Until it does, each start boots ${profile} again; pxemngr nextboot ${visible(system)} ${localProfile} ends that.`,
  }
}

/** It got its kernel, or may still be getting it. */
function isUnreported({ outcome: { verdict, outcome } }: SeenBoot): boolean {
  return verdict === 'running' || outcome === unreported
}
