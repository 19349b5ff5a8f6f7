/**
 * Signs of life: when each machine last began a boot, how far that got, and when it was last heard of.
 *
 * Fed by everything a machine asks for (configurations, files, machine URLs), kept in memory only, bounded; after a start
 * boots come back from the timeline (`recall-boots.ts`). Whether it means that a run is lost or its machine broken is the
 * run clock's to say. A machine is its MAC where that is known, else its IP address. Source: RUNS "Life of a run",
 * "Verdicts" (infra, lost).
 */
import type { Mac } from '../domain/address.ts'
import { stageOf } from '../domain/stage.ts'

export interface MachineIdentity {
  readonly mac: Mac | undefined
  readonly ip: string | undefined
}

/** As it is now: a machine that asks again within one boot changes it. */
export interface Life {
  /** When its last boot began: its configuration was read, or a kernel without one. ms. */
  readonly bootMs: number | undefined
  /** When it last read its configuration in that boot: it may have started over unnoticed since `bootMs`. ms. */
  readonly configuredMs: number | undefined
  /** Last thing asked for in that boot, in words: `the profile install`, `vmlinuz`, `/localboot/`. */
  readonly reached: string
  /** It has not got beyond its loader: nothing but configurations and modules was asked for. */
  readonly isLoading: boolean
  readonly lastSignMs: number
  /** System that decided the boot; undefined: none. */
  readonly systemId: number | undefined
  readonly machine: MachineIdentity
}

/** A boot began: a configuration was served for real (no preview). */
export interface BootSeen {
  readonly machine: MachineIdentity
  readonly systemId: number | undefined
  /** Name of the profile, or of the file that was the configuration. */
  readonly read: { readonly profile: string } | { readonly file: string }
  readonly atMs: number
}

export interface Lives {
  booted(boot: BootSeen): void
  /** `reached`: what it asked for; `loads`: by a program that boots, not by what runs on the machine. */
  sign(machine: MachineIdentity, reached: string, atMs: number, loads?: boolean): void
  /** What was seen before the daemon started; nothing where the machine has been heard of since. */
  recall(life: Life): void
  find(machine: MachineIdentity): Life | undefined
  /** All machines that are known, least recently heard of first. */
  all(): Iterable<Life>
  onBoot(listener: (boot: BootSeen) => void): void
}

/** Machines remembered, least recently heard of dropped. */
const machinesMax = 20_000
/** A machine heard of again within this keeps its place among the others: a boot is many requests in a second. */
const samePlaceMs = 1000
/**
 * A loader asks for its configuration several times within one boot (size probe, iPXE after PXELINUX, a second name):
 * configurations closer together than this are one boot.
 */
export const oneBootMs = 20_000

interface Placed extends Life {
  /** `lastSignMs` of when it got its place in the order. */
  placedMs: number
  configuredMs: number | undefined
  lastSignMs: number
  systemId: number | undefined
  /** Profile that it reached; undefined: it reached something else. */
  readonly profile: string | undefined
}

export function createLives(): Lives {
  const lives = new Map<string, Placed>()
  const listeners: ((boot: BootSeen) => void)[] = []
  const keep = (life: Life, profile?: string) => {
    const key = keyOf(life.machine)
    if (key === undefined) return
    const placedMs = lives.get(key)?.placedMs
    const stays = placedMs !== undefined && keepsPlace(placedMs, life.lastSignMs)
    if (!stays) lives.delete(key)
    // What was seen of it before its MAC was known would stay behind, silent for ever.
    if (life.machine.mac !== undefined && life.machine.ip !== undefined) lives.delete(life.machine.ip)
    lives.set(key, { ...life, profile, placedMs: stays ? placedMs : life.lastSignMs })
    if (lives.size <= machinesMax) return
    const [oldest] = lives.keys()
    if (oldest !== undefined) lives.delete(oldest)
  }
  /** The same configuration again within one boot: nothing new is kept of what hundreds of machines do at once. */
  const goOn = (life: Placed, { mac, ip }: MachineIdentity, atMs: number, systemId: number | undefined) => {
    life.configuredMs = atMs
    life.lastSignMs = atMs
    life.systemId = systemId
    if (mac !== undefined && ip !== undefined) lives.delete(ip)
    const key = mac ?? ip
    if (key === undefined || keepsPlace(life.placedMs, atMs)) return
    lives.delete(key)
    life.placedMs = atMs
    lives.set(key, life)
  }
  const find = (machine: MachineIdentity): Placed | undefined => {
    const known = (machine.mac && lives.get(machine.mac)) ?? (machine.ip && lives.get(machine.ip))
    return known || undefined
  }
  return {
    booted(boot) {
      const before = find(boot.machine)
      // Whichever way: a clock that was set back makes no boot of today one with that of tomorrow.
      const isNear = before !== undefined && Math.abs(boot.atMs - before.lastSignMs) < oneBootMs
      const again = isNear && before.bootMs !== undefined && before.isLoading
      const { machine, systemId, atMs } = boot
      const profile = 'profile' in boot.read ? boot.read.profile : undefined
      if (again && profile !== undefined && before.profile === profile && isSame(before.machine, machine)) {
        goOn(before, machine, atMs, systemId)
        return
      }
      const bootMs = again ? before.bootMs : atMs
      const reached = 'file' in boot.read ? boot.read.file : `the profile ${boot.read.profile}`
      keep({ bootMs, configuredMs: atMs, reached, isLoading: true, lastSignMs: atMs, systemId, machine }, profile)
      if (!again) for (const listener of listeners) listener(boot)
    },
    sign(machine, reached, atMs, loads = false) {
      const before = find(machine)
      const stage = stageOf(reached)
      // A kernel that no configuration of this server named (one inside the loader, say) is a boot too.
      const isFirst = before?.bootMs === undefined || stageOf(before.reached) === 'report'
      const begins = loads && stage === 'file' && isFirst
      keep({
        bootMs: begins ? atMs : before?.bootMs,
        configuredMs: begins ? undefined : before?.configuredMs,
        reached,
        isLoading: stage === 'module' && before?.isLoading === true,
        lastSignMs: atMs,
        systemId: before?.systemId,
        machine: { mac: machine.mac ?? before?.machine.mac, ip: machine.ip ?? before?.machine.ip },
      })
    },
    recall(life) {
      if (!find(life.machine)) keep(life)
    },
    find,
    all: () => lives.values(),
    onBoot: (listener) => void listeners.push(listener),
  }
}

function keepsPlace(placedMs: number, signMs: number): boolean {
  return Math.abs(signMs - placedMs) < samePlaceMs
}

function isSame(one: MachineIdentity, other: MachineIdentity): boolean {
  return one.mac === other.mac && one.ip === other.ip
}

function keyOf(machine: MachineIdentity): string | undefined {
  return machine.mac ?? machine.ip
}
