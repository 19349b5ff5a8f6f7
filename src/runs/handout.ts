/**
 * Which run a machine gets, and when it counts as sent.
 *
 * A run is taken in memory when its script is given to a connection, so that nobody else gets it, and recorded as sent
 * when the answer has been delivered. A connection that breaks before that gives it back: the same run comes again. What
 * the connection saw is `http/handout.ts`'s to say. Source: CONTRACT "What machines ask over HTTP" (`/nexttest/`), RUNS
 * "Life of a run"; bugs L2 and R2 of pxemngr 0.8.
 */
import { createHash } from 'node:crypto'
import type { TestTimes } from '../commands/daemon.ts'
import type { Actor } from '../domain/event.ts'
import type { Log } from '../log.ts'
import type { RunRow } from '../store/run-rows.ts'
import type { Store } from '../store/store.ts'
import type { Lives, MachineIdentity } from './life.ts'
import type { RenderFaults } from './render-faults.ts'
import type { OpenedTest, TestFiles, TestVariables } from './test-files.ts'

/**
 * Waiting runs looked at for one machine, and at most where those first ones are taken, quarantined or fail to render.
 * Mostly it is the first one.
 */
const lookedAtFirst = 1
const lookedAtMax = 20_000
/** Systems of which something is known. */
const systemsMax = 100_000

export interface Handed {
  readonly run: RunRow
  readonly script: string
  readonly times: TestTimes
  /** It was delivered: recorded as sent. Never rejects; while nothing can be written, it is tried by the next sign. */
  delivered(): Promise<void>
  /** It was cut: the run goes back. */
  cut(): void
}

export interface Handout {
  /**
   * The oldest waiting run of these systems that can be handed out, taken; undefined if there is none. `variables` is
   * asked for the run.
   */
  take(
    systems: readonly number[],
    machine: MachineIdentity,
    variables: (run: RunRow) => TestVariables,
  ): Handed | undefined
  /** What `take` would give, without taking it. */
  peek(
    systems: readonly number[],
    variables: (run: RunRow) => TestVariables,
  ): { readonly run: RunRow; readonly script: string; readonly times: TestTimes } | undefined
  /** Whether no run waits for any of these systems, as the last look has shown. */
  isIdle(systems: readonly number[]): boolean
  /** `listener` is called when a run has been asked for, and can be taken. */
  onRequested(listener: (system: number) => void): void
  /**
   * Records as sent a run that is taken: its machine has acted on it before the connection told. `isAsked`: what is
   * committed from now on comes behind that record; else only once it is `kept`.
   */
  ensureSent(run: number): Sent
}

export interface Sent {
  readonly isAsked: boolean
  readonly kept: Promise<void>
}

export interface HandoutOptions {
  readonly store: Store
  readonly files: TestFiles
  readonly lives: Lives
  readonly log: Log
  /** Keeps the text of a test as it was sent, by its hash. */
  readonly keepScript: (hash: string, text: string) => Promise<void> | undefined
  readonly renderFaults: Pick<RenderFaults, 'tell'>
  /** Its machine began another boot between taking the run and the record that it was sent. */
  readonly rebooted: (run: number) => void
}

interface Taken {
  readonly record: () => Sent
}

/** Nothing is to be recorded. */
const sentBefore: Sent = { isAsked: true, kept: Promise.resolve() }

export function createHandout(options: HandoutOptions): Handout {
  const { store, files, lives, log, keepScript, renderFaults } = options
  const taken = new Map<number, Taken>()
  /** Systems without a waiting run: most machines that ask have none, thousands ask every few seconds. */
  const idle = new Set<number>()
  /** Systems none of whose waiting runs is a retry: their oldest is the next. */
  const withoutRetries = new Set<number>()
  const listeners: ((system: number) => void)[] = []
  store.onApplied(({ events }) => {
    for (const event of events) {
      if (event.type !== 'run.requested') continue
      idle.delete(event.system)
      if (event.attempt > 1) withoutRetries.delete(event.system)
      for (const listener of listeners) listener(event.system)
    }
  })
  const isIdle = (systems: readonly number[]): boolean => systems.every((system) => idle.has(system))

  /** Waiting runs in the order in which they are handed out. */
  const waiting = (systems: readonly number[], limit: number): RunRow[] => {
    if (systems.every((system) => withoutRetries.has(system))) return store.queries.oldestRequestedOf(systems, limit)
    const runs = store.queries.requestedOf(systems, limit)
    // Retries come first: there is none.
    if (runs[0]?.attempt === 1) addAll(withoutRetries, systems)
    return runs
  }

  const find = (systems: readonly number[], variables: (run: RunRow) => TestVariables) => {
    if (isIdle(systems)) return undefined
    /** Tests that cannot be handed out to a system now: what was found for one run holds for the next. */
    const faulty = new Set<string>()
    let looked = 0
    for (let limit = lookedAtFirst; ; limit = Math.min(8 * limit, lookedAtMax)) {
      const runs = waiting(systems, limit)
      if (runs.length === 0) addAll(idle, systems)
      for (const run of runs.slice(looked)) {
        const key = `${run.system.id} ${run.test.id}`
        if (taken.has(run.id) || faulty.has(key)) continue
        const test = files.open(run.test.name)
        if (!('fault' in test)) {
          const rendered = test.render(variables(run))
          const fault = 'fault' in rendered ? rendered.fault : undefined
          renderFaults.tell(run, test, fault)
          if (!('fault' in rendered)) return { run, test, times: test.times, script: rendered.text }
        }
        faulty.add(key) // its runs wait, `status` says why
      }
      looked = runs.length
      if (looked < limit || limit === lookedAtMax) return undefined
    }
  }

  const take: Handout['take'] = (systems, machine, variables) => {
    const found = find(systems, variables)
    if (!found) return undefined
    const { run, test, times, script } = found
    const takenMs = Date.now()
    const bootMs = lives.find(machine)?.bootMs
    let recorded: Sent | undefined
    const record = (): Sent => {
      if (!recorded) {
        const { isAsked, kept } = commit(run, test, times, machine)
        recorded = { isAsked, kept: kept.finally(() => taken.delete(run.id)) }
      }
      return recorded
    }
    taken.set(run.id, { record })
    return {
      run,
      script,
      times,
      async delivered() {
        try {
          await record().kept
          // Nobody else sees that boot: while it was seen, the run still counted as waiting. One from before is known
          // only now (read from the timeline, or under a MAC that was not known yet), and is the one that asked.
          const lastMs = lives.find(machine)?.bootMs
          if (lastMs !== undefined && lastMs !== bootMs && lastMs >= takenMs) options.rebooted(run.id)
        } catch (error) {
          // It waits again, and comes again: rather twice than never.
          log.error('a run that was sent could not be recorded', { run: run.id, error })
        }
      },
      cut() {
        if (recorded === undefined) taken.delete(run.id)
      },
    }
  }

  const commit = (run: RunRow, test: OpenedTest, times: TestTimes, machine: MachineIdentity): Sent => {
    const hash = hashOf(test.bytes)
    const script = keepScript(hash, test.text)
    const ask = () => askSent(run, times, machine, hash)
    if (!script) return { isAsked: true, kept: ask() }
    const warn = (error: unknown) => log.warn('a script could not be kept', { hash, error })
    return { isAsked: false, kept: script.catch(warn).then(ask) }
  }

  const askSent = (run: RunRow, times: TestTimes, machine: MachineIdentity, hash: string): Promise<void> => {
    const life = lives.find(machine)
    const actor: Actor = {
      who: machine.mac ?? machine.ip ?? run.system.name,
      from: machine.ip ?? '',
      surface: 'machine',
    }
    return store.commit(
      actor,
      (tx) => {
        // Cancelled or removed meanwhile: then there is nothing to send.
        if (tx.stateOfRun(run.id) !== 'requested') return
        tx.emit({
          type: 'run.sent',
          run: run.id,
          hash,
          mac: machine.mac ?? null,
          ip: machine.ip ?? null,
          boot: life?.bootMs === undefined ? null : new Date(life.bootMs).toISOString(),
          timeoutMs: times.timeoutMs,
          graceMs: times.graceMs,
          retries: times.retries,
        })
      },
      { plane: 'machine' },
    )
  }

  return {
    take,
    peek: find,
    isIdle,
    onRequested: (listener) => void listeners.push(listener),
    ensureSent: (run) => taken.get(run)?.record() ?? sentBefore,
  }
}

function addAll(known: Set<number>, systems: readonly number[]): void {
  if (known.size >= systemsMax) known.clear()
  for (const system of systems) known.add(system)
}

/** Of bytes that stay the same object as long as the file is the same. */
const hashes = new WeakMap<Uint8Array, string>()

function hashOf(bytes: Uint8Array): string {
  const known = hashes.get(bytes) ?? createHash('sha256').update(bytes).digest('hex')
  hashes.set(bytes, known)
  return known
}
