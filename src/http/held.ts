/**
 * Questions for a test that are held until there is one: an idle machine asks once in a while instead of every few seconds,
 * and has its test the moment somebody asks for it.
 *
 * Only who says that it can wait is held (`Prefer: wait=45`, as `run.sh` does); whoever does not, sees no difference. What
 * is held takes nothing: a run is taken when it is given to a connection that is still there, and from then on it is a
 * hand-out like any other. Held questions are bounded in number and time; those that end for another reason than a run are
 * answered as if they had not been held. Which run it is, and whether it arrives, is not known here.
 * Source: RFC 7240 §4.3 (`wait`), §3 (`Preference-Applied`).
 */
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import type { MachineIdentity } from '../runs/life.ts'
import type { Turns } from '../runs/turns.ts'

/** Why a question is answered: a run was asked for, or it is not to be held any longer. */
export type Released = 'requested' | 'waited' | 'booted' | 'closing'

export interface Question {
  readonly machine: MachineIdentity
  readonly systems: readonly number[]
  /** It may be held so long, in seconds; more than 0. */
  readonly seconds: number
  readonly outgoing: ServerResponse
  /** Answers it. False, for `requested` alone: there is nothing for it after all, it is held on. Must not throw. */
  answer(why: Released): boolean
}

export interface HeldQuestions {
  /** False: it has to be answered now. */
  hold(question: Question): boolean
  /** A run waits for this system. */
  wake(system: number): void
  /** This machine begins a boot: who asked before is not there any more. */
  booted(machine: MachineIdentity): void
  readonly count: number
  /** Answers all, and holds no more. */
  close(): void
}

/** Held longer by nobody: common proxies give up an answer that does not come within a minute. */
const secondsMax = 60
/** Each holds a connection, 24 KB. Further ones are answered at once. */
const heldMax = 5000
/** Of the files that the process may open, held connections take no more than this part. */
const openFilesPart = 4
/** Ends of waiting are spread over the last part of the time, so that machines do not all ask at once for ever. */
const spreadPart = 1 / 4
/** Ends fall together on a grid of this, ms: timers of equal length cost next to nothing. */
const gridMs = 250

const waitPreference = /(?:^|,)\s*wait\s*=\s*"?([0-9]{1,6})"?\s*(?:[;,]|$)/i

/** Seconds that a `Prefer` header allows to wait, at most a minute; 0: none. */
export function waitSeconds(prefer: string | undefined): number {
  return prefer === undefined ? 0 : Math.min(secondsMax, Number(waitPreference.exec(prefer)?.[1] ?? 0))
}

/** Held questions by something of theirs. */
class Groups<K> {
  readonly #groups = new Map<K, Set<Held>>()

  add(key: K | undefined, held: Held): void {
    if (key === undefined) return
    const group = this.#groups.get(key)
    if (group) group.add(held)
    else this.#groups.set(key, new Set([held]))
  }

  delete(key: K | undefined, held: Held): void {
    const group = key === undefined ? undefined : this.#groups.get(key)
    if (key === undefined || !group?.delete(held)) return
    if (group.size === 0) this.#groups.delete(key)
  }

  has(key: K): boolean {
    return this.#groups.has(key)
  }

  /** As they are now, in the order in which they came. */
  of(key: K | undefined): Held[] {
    return key === undefined ? [] : [...(this.#groups.get(key) ?? [])]
  }
}

interface Held extends Question {
  readonly timer: NodeJS.Timeout
  readonly gone: () => void
}

export function createHeldQuestions(turns: Turns, limit: number = openFilesLimit()): HeldQuestions {
  const most = Math.min(heldMax, Math.floor(limit / openFilesPart))
  const all = new Set<Held>()
  const bySystem = new Groups<number>()
  const byMac = new Groups<string>()
  const byIp = new Groups<string>()
  const woken = new Set<number>()
  let isWaking = false
  let isClosed = false

  const forget = (held: Held): void => {
    clearTimeout(held.timer)
    held.outgoing.off('close', held.gone)
    all.delete(held)
    for (const system of held.systems) bySystem.delete(system, held)
    byMac.delete(held.machine.mac, held)
    byIp.delete(held.machine.ip, held)
  }
  const release = (held: Held, why: Released): void => {
    forget(held)
    held.answer(why)
  }

  /** In turns with everybody else: a thousand machines may get a test by one command. */
  const wakeAll = async (): Promise<void> => {
    const piece = turns.begin()
    for (const system of woken) {
      woken.delete(system)
      // Who asked last is the likeliest to be still there.
      for (const held of bySystem.of(system).reverse()) {
        if (piece.isLong) await piece.next()
        if (!all.has(held) || held.outgoing.socket?.writable !== true) continue
        if (!held.answer('requested')) break
        forget(held)
      }
    }
    isWaking = false
  }

  return {
    hold(question) {
      const { machine, outgoing, systems, seconds } = question
      if (isClosed || all.size >= most || outgoing.destroyed) return false
      const ms = 1000 * seconds * (1 - spreadPart * Math.random())
      const timer = setTimeout(() => release(held, 'waited'), Math.ceil(ms / gridMs) * gridMs)
      const held: Held = { ...question, answer: (why) => question.answer(why), timer, gone: () => forget(held) }
      outgoing.once('close', held.gone)
      all.add(held)
      for (const system of systems) bySystem.add(system, held)
      byMac.add(machine.mac, held)
      byIp.add(machine.ip, held)
      return true
    },
    wake(system) {
      if (!bySystem.has(system)) return
      woken.add(system)
      if (isWaking) return
      isWaking = true
      // After the next look at the sockets: a machine that has gone by then gets nothing.
      setImmediate(() => void wakeAll())
    },
    booted({ mac, ip }) {
      // By its MAC where both are known, else by its address: one behind a router shares that with others.
      const atAddress = byIp.of(ip).filter(({ machine }) => mac === undefined || machine.mac === undefined)
      for (const held of mac === undefined ? atAddress : [...byMac.of(mac), ...atAddress]) release(held, 'booted')
    },
    get count() {
      return all.size
    },
    close() {
      isClosed = true
      for (const held of all) release(held, 'closing')
    },
  }
}

/** Files that this process may have open at once. */
function openFilesLimit(): number {
  try {
    const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    return line?.[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line?.[1] ?? 0)
  } catch {
    return 0
  }
}
