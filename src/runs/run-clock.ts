/**
 * Closes runs that nobody will end: by time (lost, `silent`), because their machine began another boot (lost,
 * `rebooted`), or because the machine that should have fetched them booted and was not heard of again (infra).
 *
 * After a start of the daemon no run is closed before its grace has passed once more: what was answered meanwhile could
 * not be seen. The same goes for a clock that was set forward, or a host that slept. Source: RUNS "Verdicts", "Times", "Life of a run".
 */
import type { TestFolder } from '../commands/daemon.ts'
import { type Mac, parseIp4 } from '../domain/address.ts'
import type { Actor } from '../domain/event.ts'
import type { KeptProgress } from '../domain/run.ts'
import type { Log } from '../log.ts'
import type { RunRow } from '../store/run-rows.ts'
import type { Store } from '../store/store.ts'
import { concludeRun, type Ending } from './conclude.ts'
import type { BootSeen, Life, Lives } from './life.ts'
import type { ProgressReaders } from './progress.ts'
import type { Uploads } from './uploads.ts'

const daemon: Actor = { who: 'pxemngr', from: 'daemon', surface: 'daemon' }
const lookMs = 1000
/** The clock went this much further than time did since the last look: it was set, or the host slept. */
const leapMs = 10_000
/** Runs closed in one look; the rest a second later. */
const closedMax = 200
/** Open runs of one system that a boot may concern. */
const openMax = 1000
/** Newest lost runs of one system that may be of its last boot. */
const lostMax = 100

type Closing = Extract<Ending, { kind: 'closed' }>

const lostByBoot: Closing = { kind: 'closed', verdict: 'lost', reason: 'rebooted' }

export interface RunClock {
  /** ms; undefined where the run has no deadline. */
  deadlineMs(run: number): number | undefined
  /** Looks now; resolves when what it closed is kept. */
  look(): Promise<void>
  /** The machine of this run, which is under way, has begun another boot. */
  rebooted(run: number): Promise<void>
  close(): void
}

export interface RunClockOptions {
  readonly store: Store
  readonly lives: Lives
  readonly tests: Pick<TestFolder, 'times'>
  /** What a run had sent is kept when it is closed. */
  readonly progress: Pick<ProgressReaders, 'kept' | 'forget'>
  readonly uploads: Pick<Uploads, 'alone'>
  readonly log: Log
  readonly nowMs?: () => number
  /** Time that passes, whatever the clock is set to; `nowMs` where only that is given. */
  readonly upMs?: () => number
  /** For tests: looks only when asked. */
  readonly manual?: boolean
}

export function openRunClock(options: RunClockOptions): RunClock {
  const { store, lives, tests, progress, uploads, log } = options
  const now = options.nowMs ?? Date.now
  const up = options.upMs ?? options.nowMs ?? (() => performance.now())
  let readyMs = now()
  let aheadMs = readyMs - up()
  /** Lives of which nothing is left to say; a machine that is heard of again has another one. */
  const judged = new WeakMap<Life, number>()
  let looking: Promise<void> = Promise.resolve()

  /** `still`: asked again in the record's own transaction, since what came before it in its batch counts. */
  const close = async (run: RunRow, ending: Closing, still: (current: RunRow) => boolean): Promise<void> => {
    const commit = (whole: Closing) =>
      store.commit(daemon, (tx) => {
        const current = tx.getRun(run.id)
        if (!current || !still(current)) return
        concludeRun(tx, current, whole, current.retries ?? tests.times(run.test.name)?.retries ?? 0)
      })
    try {
      // Only what runs has sent anything; a piece that is being written comes first.
      if (run.state !== 'running') await commit(ending)
      else await uploads.alone(run.id, async () => commit({ ...ending, ...(await sentBy(run)) }))
    } catch (error) {
      log.warn('a run could not be closed', { run: run.id, error })
    }
  }

  const sentBy = async (run: RunRow): Promise<{ progress?: KeptProgress }> => {
    try {
      const kept = await progress.kept(run.id)
      progress.forget(run.id)
      return kept ? { progress: kept } : {}
    } catch (error) {
      log.warn('what a run had sent cannot be read', { run: run.id, error })
      return {}
    }
  }

  const closeOverdue = async (): Promise<void> => {
    const leaptMs = now() - up() - aheadMs
    aheadMs += leaptMs
    if (leaptMs > leapMs) readyMs = now()
    // Set back: else nothing would be closed until it is that late again.
    else if (leaptMs < -leapMs) readyMs += leaptMs
    for (const run of store.queries.overdueRuns(now(), readyMs, closedMax)) {
      const isOverdue = (current: RunRow) => isUnderWay(current) && (current.deadlineMs ?? 0) <= (run.deadlineMs ?? 0)
      await close(run, { kind: 'closed', verdict: 'lost', reason: 'silent' }, isOverdue)
    }
  }

  // Nearly every boot, and nearly every machine each second, has no run: that may not cost a question to SQL.
  const waiting = systemsWith(store, ['requested'])
  const underWay = systemsWith(store, ['sent', 'running'])

  const onBoot = (boot: BootSeen): void => {
    for (const run of runsOf(boot)) {
      // What is known to be sent by now was sent before, if in the same instant.
      if (run.sentMs === null || run.sentMs > boot.atMs) continue
      void close(run, lostByBoot, isUnderWay)
    }
  }

  /** Runs under way on the machine: sent to its MAC, else to its address, else, where neither is known, to its system. */
  const runsOf = ({ machine, systemId }: Pick<BootSeen, 'machine' | 'systemId'>): RunRow[] => {
    const found: RunRow[] = []
    if (underWay().size === 0) return found
    for (const system of systemsOf(machine, systemId)) {
      if (!underWay().has(system)) continue
      for (const run of store.queries.runs({ system, states: ['sent', 'running'], limit: openMax })) {
        if (isOn(run, machine, system)) found.push(run)
      }
    }
    return found
  }

  /** Whether the machine fetched the run, from whichever of its interfaces. */
  const isOn = (run: RunRow, machine: BootSeen['machine'], system: number): boolean => {
    const { mac = null, ip = null } = store.queries.machineOf(run.id) ?? {}
    return mac !== null && machine.mac !== undefined
      ? mac === machine.mac || macsOfMachine(machine.mac, system).some((text) => text === mac)
      : ip === null || ip === machine.ip
  }

  /** Whether a run that the machine fetched after that boot is lost. */
  const isLostSince = (system: number, machine: BootSeen['machine'], bootMs: number): boolean =>
    store.queries
      .runs({ system, states: ['done'], verdicts: ['lost'], limit: lostMax })
      .some((run) => (run.sentMs ?? 0) >= bootMs && isOn(run, machine, system))

  /** MACs of a system that names the machine by this one: it boots from one interface and may speak from another. */
  const macsOfMachine = (mac: Mac, system: number): Mac[] => {
    const macs = store.queries.addressesOf(system).flatMap(({ kind, text }) => (kind === 'mac' ? [text] : []))
    return macs.includes(mac) ? macs : []
  }

  /** When the machine was last heard of, from whichever of its interfaces. */
  const lastSignOf = ({ machine: { mac }, lastSignMs }: Life, systems: readonly number[]): number => {
    if (mac === undefined) return lastSignMs
    const others = systems.flatMap((system) => macsOfMachine(mac, system))
    return Math.max(lastSignMs, ...others.map((other) => lives.find({ mac: other, ip: undefined })?.lastSignMs ?? 0))
  }

  const systemsOf = (machine: BootSeen['machine'], systemId: number | undefined): Set<number> => {
    // By its addresses too: a boot that `default` decided says nothing of the machine's own system.
    const owners = [machine.mac, parseIp4(machine.ip ?? '')].flatMap((address) =>
      address === undefined ? [] : store.queries.systemsWith(address).map(({ id }) => id),
    )
    return new Set(systemId === undefined ? owners : [systemId, ...owners])
  }

  const judgeBoots = async (): Promise<void> => {
    if (waiting().size === 0) return
    for (const life of lives.all()) {
      const { bootMs, lastSignMs, reached, machine, systemId } = life
      if (bootMs === undefined || judged.get(life) === lastSignMs) continue
      const readMs = life.configuredMs ?? bootMs
      const systems = [...systemsOf(machine, systemId)].filter((system) => waiting().has(system))
      const [run] =
        systems.length === 0
          ? []
          : store.queries.oldestRequestedOf(systems, 1).filter(({ requestedMs }) => requestedMs < readMs)
      if (!run) {
        judged.set(life, lastSignMs)
        continue
      }
      const patienceMs = tests.times(run.test.name)?.bootMs
      if (patienceMs === undefined || now() - Math.max(lastSignOf(life, systems), readyMs) < patienceMs) continue
      // It did come, for another run: its silence is that run's, also once that is lost by it.
      if (runsOf(life).some(({ sentMs }) => sentMs !== null && sentMs >= bootMs)) continue
      judged.set(life, lastSignMs)
      if (systems.some((system) => isLostSince(system, machine, bootMs))) continue
      const who = machine.mac ?? machine.ip ?? run.system.name
      const bootedMs = run.requestedMs < bootMs ? bootMs : readMs
      const reason = `${who} booted at ${new Date(bootedMs).toISOString()} and got as far as ${reached}`
      await close(run, { kind: 'closed', verdict: 'infra', reason }, ({ state }) => state === 'requested')
    }
  }

  lives.onBoot(onBoot)
  const look = (): Promise<void> => {
    // One that failed says nothing of the next.
    looking = looking
      .catch(() => undefined)
      .then(closeOverdue)
      .then(judgeBoots)
    return looking
  }
  let running = false
  const timer =
    options.manual === true
      ? undefined
      : setInterval(() => {
          if (running) return
          running = true
          look()
            .catch((error: unknown) => log.error('the clock of the runs failed', { error }))
            .finally(() => {
              running = false
            })
        }, lookMs)
  timer?.unref()

  return {
    deadlineMs(run) {
      const row = store.queries.getRun(run)
      if (!row || row.deadlineMs === null || !isUnderWay(row)) return undefined
      return Math.max(row.deadlineMs, readyMs + (row.graceMs ?? 0))
    },
    look,
    async rebooted(run) {
      const row = store.queries.getRun(run)
      if (row && isUnderWay(row)) await close(row, lostByBoot, isUnderWay)
    },
    close: () => clearInterval(timer),
  }
}

/** Systems with a run in these states; asked anew after each record. */
function systemsWith(store: Store, states: readonly ('requested' | 'sent' | 'running')[]): () => ReadonlySet<number> {
  let seq = -1
  let systems: ReadonlySet<number> = new Set()
  return () => {
    if (store.seq !== seq) {
      seq = store.seq
      systems = store.queries.openSystems(states)
    }
    return systems
  }
}

function isUnderWay({ state }: RunRow): boolean {
  return state === 'sent' || state === 'running'
}
