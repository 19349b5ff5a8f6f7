/**
 * Which steps of machines make up one boot, and how many boots are kept: the database behind the boot timeline.
 *
 * A *boot* is one start of a machine as the server saw it. A step begins a new one when
 *   - the machine was silent for `pauseMs`,
 *   - it asks for a loader or a configuration after it had got a kernel or had reported: it has restarted,
 *   - it asks for a loader again that this boot had asked for before its configuration: it booted from disk and is back.
 * Size probes and chains of loaders (ROM → iPXE, shim → GRUB) stay in one boot. A machine is known by MAC, before that by
 * IP address. Not durable and not owed to anybody: `trace.ts`. Source: DESIGN "State" (trace), terms in "Boot".
 */
import { type Stage, stageOf } from '../domain/stage.ts'
import type { Database, Row, SqlValue } from './sqlite.ts'

/** One request of a machine, as TFTP and HTTP record it when it has ended. */
export interface TraceStep {
  /** When it began, ms since the epoch. */
  readonly at: number
  readonly mac?: string | undefined
  /** IPv4 or IPv6 text. */
  readonly ip: string
  readonly kind: 'tftp' | 'http'
  /** Name asked for, as it came (path for HTTP). */
  readonly name: string
  /** null: nothing was found. */
  readonly sizeBytes: number | null
  readonly sentBytes: number
  readonly durationMs: number
  readonly outcome: string
  readonly detail: string
  /** Profile that was decided, where the step was a configuration. */
  readonly profile?: string | undefined
  readonly systemId?: number | undefined
}

export interface Boot {
  readonly id: number
  readonly mac: string | null
  readonly ip: string
  readonly systemId: number | null
  readonly profile: string | null
  /** ms since the epoch: begin of the first step, end of the last. */
  readonly startedMs: number
  readonly endedMs: number
  /** In order, at most `stepsPerBoot`. */
  readonly steps: readonly Omit<TraceStep, 'mac' | 'ip' | 'systemId' | 'profile'>[]
  /** Steps that were not kept. */
  readonly more: number
}

export interface BootQuery {
  readonly system?: number | undefined
  readonly mac?: string | undefined
  readonly limit: number
}

/** A loader that waits longer between two requests sits at a menu; that is another boot for whoever reads it. */
export const pauseMs = 10 * 60_000
export const bootsPerMachine = 20
export const stepsPerBoot = 100
/** Steps in all, some 30 MB; the oldest boots go first. */
const stepsMax = 150_000
const bootsAnsweredMax = 1000

export const traceSchemaVersion = 1

export function createTraceSchema(database: Database): void {
  database.script(`
    PRAGMA user_version = ${traceSchemaVersion};
    CREATE TABLE boot (
      id INTEGER PRIMARY KEY, mac TEXT, ip TEXT NOT NULL, system INTEGER, profile TEXT, started INTEGER NOT NULL,
      ended INTEGER NOT NULL, steps INTEGER NOT NULL, more INTEGER NOT NULL, configured INTEGER NOT NULL,
      kernel INTEGER NOT NULL) STRICT;
    CREATE INDEX boot_mac ON boot (mac, id);
    CREATE INDEX boot_ip ON boot (ip, id);
    CREATE INDEX boot_system ON boot (system, id);
    CREATE TABLE step (
      boot INTEGER NOT NULL REFERENCES boot (id) ON DELETE CASCADE, place INTEGER NOT NULL, at INTEGER NOT NULL,
      kind TEXT NOT NULL, name TEXT NOT NULL, size INTEGER, sent INTEGER NOT NULL, duration INTEGER NOT NULL,
      outcome TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (boot, place)) STRICT, WITHOUT ROWID;`)
}

export interface BootLog {
  /** In one transaction. */
  add(steps: readonly TraceStep[]): void
  /** Newest first. */
  boots(query: BootQuery): Boot[]
}

const bootColumns = 'id, mac, ip, system, profile, started, ended, steps, more, configured, kernel'

interface Current {
  readonly id: number
  readonly mac: string | null
  readonly ended: number
  readonly steps: number
  readonly configured: boolean
  readonly kernel: boolean
}

export function createBootLog(database: Database): BootLog {
  let stepsKept = Number(database.get('SELECT coalesce(sum(steps), 0) FROM boot')?.[0])
  const current = (row: Row | undefined): Current | undefined =>
    row && {
      id: Number(row[0]),
      mac: row[1] as string | null,
      ended: Number(row[6]),
      steps: Number(row[7]),
      configured: row[9] === 1,
      kernel: row[10] === 1,
    }
  const latest = ({ mac, ip }: TraceStep): Current | undefined => {
    const byMac = mac && database.get(`SELECT ${bootColumns} FROM boot WHERE mac = ? ORDER BY id DESC LIMIT 1`, [mac])
    const byIp = database.get(`SELECT ${bootColumns} FROM boot WHERE ip = ? ORDER BY id DESC LIMIT 1`, [ip])
    const [own, here] = [current(byMac || undefined), current(byIp)]
    // Begun before its MAC was known: the later one of both, if it is nobody else's.
    return here && (!mac || here.mac === null || here.mac === mac) && here.id > (own?.id ?? 0) ? here : own
  }
  const hadLoader = (boot: number, name: string) =>
    database.get('SELECT 1 FROM step WHERE boot = ? AND name = ? LIMIT 1', [boot, name]) !== undefined
  const beginsNew = (boot: Current, step: TraceStep, stage: Stage): boolean => {
    if (step.at - boot.ended > pauseMs) return true
    if (stage !== 'loader' && stage !== 'configuration') return false
    return boot.kernel || (stage === 'loader' && boot.configured && hadLoader(boot.id, step.name))
  }
  const begin = (step: TraceStep): Current => {
    const { mac = null, ip, at } = step
    database.run(
      'INSERT INTO boot (mac, ip, started, ended, steps, more, configured, kernel) VALUES (?, ?, ?, ?, 0, 0, 0, 0)',
      [mac, ip, at, at],
    )
    const id = Number(database.get('SELECT max(id) FROM boot')?.[0])
    forgetOldest(mac, ip)
    return { id, mac, ended: at, steps: 0, configured: false, kernel: false }
  }
  const remove = (id: SqlValue, steps: SqlValue) => {
    database.run('DELETE FROM boot WHERE id = ?', [id])
    stepsKept -= Number(steps)
  }
  const forgetOldest = (mac: string | null, ip: string) => {
    const [which, value] = mac === null ? ['mac IS NULL AND ip', ip] : ['mac', mac]
    const older = database.all(
      `SELECT id, steps FROM boot WHERE ${which} = ? ORDER BY id DESC LIMIT -1 OFFSET ${bootsPerMachine}`,
      [value],
    )
    for (const [id, steps] of older) remove(id ?? null, steps ?? 0)
    while (stepsKept > stepsMax) {
      const oldest = database.get('SELECT id, steps FROM boot ORDER BY id LIMIT 1')
      if (!oldest) return
      remove(oldest[0] ?? null, oldest[1] ?? 0)
    }
  }
  const addOne = (step: TraceStep) => {
    const stage = stageOf(step.name)
    let boot = latest(step)
    if (!boot || beginsNew(boot, step, stage)) boot = begin(step)
    const keep = boot.steps < stepsPerBoot
    const kernel = stage === 'report' || (stage === 'file' && boot.configured && step.outcome === 'done')
    database.run(
      `UPDATE boot SET mac = coalesce(?2, mac), ip = ?3, system = coalesce(?4, system), profile = coalesce(?5, profile),
       ended = max(ended, ?6), steps = steps + ?7, more = more + 1 - ?7, configured = max(configured, ?8),
       kernel = max(kernel, ?9) WHERE id = ?1`,
      [
        boot.id,
        step.mac ?? null,
        step.ip,
        step.systemId ?? null,
        step.profile ?? null,
        Math.round(step.at + step.durationMs),
        keep ? 1 : 0,
        stage === 'configuration' ? 1 : 0,
        kernel ? 1 : 0,
      ],
    )
    if (boot.mac === null && step.mac) forgetOldest(step.mac, step.ip)
    if (!keep) return
    stepsKept += 1
    const { at, kind, name, sizeBytes, sentBytes, durationMs, outcome, detail } = step
    database.run(
      'INSERT INTO step (boot, place, at, kind, name, size, sent, duration, outcome, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      [boot.id, boot.steps, Math.round(at), kind, name, sizeBytes, sentBytes, Math.round(durationMs), outcome, detail],
    )
  }
  return {
    add(steps) {
      database.run('BEGIN')
      try {
        for (const step of steps) addOne(step)
        database.run('COMMIT')
      } catch (error) {
        database.run('ROLLBACK')
        stepsKept = Number(database.get('SELECT coalesce(sum(steps), 0) FROM boot')?.[0])
        throw error
      }
    },
    boots({ system, mac, limit }) {
      const [where, values]: [string, SqlValue[]] =
        system !== undefined ? ['WHERE system = ?', [system]] : mac !== undefined ? ['WHERE mac = ?', [mac]] : ['', []]
      const most = Math.max(0, Math.min(limit, bootsAnsweredMax))
      const rows = database.all(`SELECT ${bootColumns} FROM boot ${where} ORDER BY id DESC LIMIT ?`, [...values, most])
      return rows.map((row) => toBoot(database, row))
    },
  }
}

function toBoot(database: Database, [id, mac, ip, system, profile, started, ended, , more]: Row): Boot {
  const steps = database.all(
    'SELECT at, kind, name, size, sent, duration, outcome, detail FROM step WHERE boot = ? ORDER BY place',
    [id ?? null],
  )
  return {
    id: Number(id),
    mac: mac as string | null,
    ip: String(ip),
    systemId: system as number | null,
    profile: profile as string | null,
    startedMs: Number(started),
    endedMs: Number(ended),
    more: Number(more),
    steps: steps.map(([at, kind, name, size, sent, duration, outcome, detail]) => ({
      at: Number(at),
      kind: kind as 'tftp' | 'http',
      name: String(name),
      sizeBytes: size as number | null,
      sentBytes: Number(sent),
      durationMs: Number(duration),
      outcome: String(outcome),
      detail: String(detail),
    })),
  }
}
