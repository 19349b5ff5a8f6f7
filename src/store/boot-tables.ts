/**
 * The boot timeline as tables: boots and their steps, written many at a time, found by machine, bounded in number.
 *
 * What a boot is, and when it is written here, is `boot-log.ts`; where the database lies is `trace-worker.ts`. Its
 * statements cost 10 to 20 µs each, as much as a whole small transfer: nothing here is called for a single step, and the
 * steps of a boot that are written at once are one row, a JSON list.
 */
import type { DecidedBy } from '../domain/boot.ts'
import type { Boot, BootQuery, StepDecision, TraceStep } from './boot-timeline.ts'
import type { Database, Row, SqlValue } from './sqlite.ts'

export const traceSchemaVersion = 3
export const bootsPerMachine = 20
/** Steps in all, some 30 MB; the oldest boots go first. */
const stepsMax = 150_000
const bootsAnsweredMax = 1000

export function createTraceSchema(database: Database): void {
  database.script(`
    PRAGMA user_version = ${traceSchemaVersion};
    CREATE TABLE boot (
      id INTEGER PRIMARY KEY, mac TEXT, ip TEXT NOT NULL, system INTEGER, profile TEXT, started INTEGER NOT NULL,
      ended INTEGER NOT NULL, steps INTEGER NOT NULL, more INTEGER NOT NULL, configured INTEGER NOT NULL,
      kernel INTEGER NOT NULL, decided_by TEXT, instead TEXT, decision INTEGER) STRICT;
    CREATE INDEX boot_mac ON boot (mac, id);
    CREATE INDEX boot_ip ON boot (ip, id);
    CREATE INDEX boot_system ON boot (system, id);
    ${stepsTable}`)
}

/** Steps of a boot from the one with this place on, each as `toEntry` has it. */
const stepsTable = `
    CREATE TABLE steps (
      boot INTEGER NOT NULL REFERENCES boot (id) ON DELETE CASCADE, place INTEGER NOT NULL, list TEXT NOT NULL,
      PRIMARY KEY (boot, place)) STRICT;`

/** Brings the tables of an older version to this one; false: nobody knows that version. */
export function upgradeTraceSchema(database: Database, version: SqlValue | undefined): boolean {
  if (version === traceSchemaVersion) return true
  if (version !== 1 && version !== 2) return false
  if (version === 1) {
    // 2: what decided the configuration.
    database.script(`
      ALTER TABLE boot ADD COLUMN decided_by TEXT;
      ALTER TABLE boot ADD COLUMN instead TEXT;
      ALTER TABLE boot ADD COLUMN decision INTEGER;`)
  }
  // 3: a row for the steps that are written at once, where each had its own. A boot's are read in the order of their key.
  database.script(`
    ${stepsTable}
    INSERT INTO steps (boot, place, list)
      SELECT boot, min(place), json_group_array(json_array(at, kind, name, size, sent, duration, outcome, detail))
      FROM (SELECT * FROM step ORDER BY boot, place) GROUP BY boot;
    DROP TABLE step;
    PRAGMA user_version = ${traceSchemaVersion};`)
  return true
}

type BootStep = Boot['steps'][number]
/** A step in a list: at, kind, name, size, sent, duration, outcome, detail. */
type Entry = readonly [number, 'tftp' | 'http', string, number | null, number, number, string, string]

function toEntry({ at, kind, name, sizeBytes, sentBytes, durationMs, outcome, detail }: TraceStep): Entry {
  return [Math.round(at), kind, name, sizeBytes, sentBytes, Math.round(durationMs), outcome, detail]
}

function toStep([at, kind, name, sizeBytes, sentBytes, durationMs, outcome, detail]: Entry): BootStep {
  return { at, kind, name, sizeBytes, sentBytes, durationMs, outcome, detail }
}

/** A boot without its steps, as a row and in memory. */
export interface BootState {
  readonly id: number
  mac: string | null
  ip: string
  system: number | null
  profile: string | null
  /** ms since the epoch */
  readonly startedMs: number
  endedMs: number
  /** Steps kept, and steps that were not. */
  steps: number
  more: number
  /** It has asked for its configuration; it has got a kernel or has reported. */
  configured: boolean
  kernel: boolean
  decision: StepDecision | null
}

const bootColumns =
  'id, mac, ip, system, profile, started, ended, steps, more, configured, kernel, decided_by, instead, decision'

export interface BootTables {
  /** Id of the next boot. */
  readonly nextId: number
  latestOfMac(mac: string): BootState | undefined
  latestOfIp(ip: string): BootState | undefined
  /** Names of a boot's steps, each once. */
  namesOf(boot: number): string[]
  /** In one transaction: boots as they are now, new steps of theirs, the first of which has place `steps - unsaved.length`. */
  save(boots: Iterable<BootState & { readonly unsaved: readonly TraceStep[] }>): void
  /** Drops the oldest boots of these machines and of all where there are too many; returns the ids. */
  forgetOldest(machines: Iterable<Pick<BootState, 'mac' | 'ip'>>): number[]
  boots(query: BootQuery): Boot[]
}

export function createBootTables(database: Database): BootTables {
  let stepsKept = Number(database.get('SELECT coalesce(sum(steps), 0) FROM boot')?.[0])
  const latest = (column: 'mac' | 'ip', value: string): BootState | undefined => {
    const row = database.get(`SELECT ${bootColumns} FROM boot WHERE ${column} = ? ORDER BY id DESC LIMIT 1`, [value])
    return row && toState(row)
  }
  const saveBoot = (boot: BootState): void => {
    const { id, mac, ip, system, profile, startedMs, endedMs, steps, more, decision } = boot
    database.run(
      `INSERT INTO boot (${bootColumns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
       mac = excluded.mac, ip = excluded.ip, system = excluded.system, profile = excluded.profile,
       ended = excluded.ended, steps = excluded.steps, more = excluded.more, configured = excluded.configured,
       kernel = excluded.kernel, decided_by = excluded.decided_by, instead = excluded.instead,
       decision = excluded.decision`,
      [
        ...[id, mac, ip, system, profile, startedMs, endedMs, steps, more],
        ...[boot.configured ? 1 : 0, boot.kernel ? 1 : 0],
        ...(decision ? [decision.by, decision.instead, decision.seq] : [null, null, null]),
      ],
    )
  }
  const saveSteps = (boot: number, first: number, steps: readonly TraceStep[]): void => {
    const list = JSON.stringify(steps.map(toEntry))
    database.run('INSERT INTO steps (boot, place, list) VALUES (?, ?, ?)', [boot, first, list])
  }
  const remove = ([id = null, steps = null]: Row): number => {
    database.run('DELETE FROM boot WHERE id = ?', [id])
    stepsKept -= Number(steps)
    return Number(id)
  }
  return {
    get nextId() {
      return Number(database.get('SELECT coalesce(max(id), 0) FROM boot')?.[0]) + 1
    },
    latestOfMac: (mac) => latest('mac', mac),
    latestOfIp: (ip) => latest('ip', ip),
    namesOf: (boot) => [...new Set(stepsOf(database, boot).map(({ name }) => name))],
    save(boots) {
      let added = 0
      database.run('BEGIN')
      try {
        for (const boot of boots) {
          saveBoot(boot)
          const { id, steps, unsaved } = boot
          if (unsaved.length > 0) saveSteps(id, steps - unsaved.length, unsaved)
          added += unsaved.length
        }
        database.run('COMMIT')
      } catch (error) {
        database.run('ROLLBACK')
        throw error
      }
      stepsKept += added
    },
    forgetOldest(machines) {
      const forgotten: number[] = []
      for (const { mac, ip } of machines) {
        const [which, value] = mac === null ? ['mac IS NULL AND ip', ip] : ['mac', mac]
        const older = database.all(
          `SELECT id, steps FROM boot WHERE ${which} = ? ORDER BY id DESC LIMIT -1 OFFSET ${bootsPerMachine}`,
          [value],
        )
        forgotten.push(...older.map(remove))
      }
      while (stepsKept > stepsMax) {
        const oldest = database.get('SELECT id, steps FROM boot ORDER BY id LIMIT 1')
        if (!oldest) break
        forgotten.push(remove(oldest))
      }
      return forgotten
    },
    boots({ latestOf, id, system, mac, limit }) {
      if (latestOf) {
        const latestOne = `SELECT ${bootColumns} FROM boot WHERE system = ? ORDER BY id DESC LIMIT 1`
        return latestOf.slice(0, bootsAnsweredMax).flatMap((each) => {
          const row = database.get(latestOne, [each])
          return row ? [toBoot(database, row)] : []
        })
      }
      const [column, value] = Object.entries({ id, system, mac }).find(([, each]) => each !== undefined) ?? []
      const where = column === undefined ? '' : `WHERE ${column} = ?`
      const values = value === undefined ? [] : [value]
      const most = Math.max(0, Math.min(limit, bootsAnsweredMax))
      const rows = database.all(`SELECT ${bootColumns} FROM boot ${where} ORDER BY id DESC LIMIT ?`, [...values, most])
      return rows.map((row) => toBoot(database, row))
    },
  }
}

function toState(row: Row): BootState {
  const [id, mac, ip, system, profile, started, ended, steps, more, configured, kernel, by, instead, decision] = row
  return {
    id: Number(id),
    mac: mac as string | null,
    ip: String(ip),
    system: system as number | null,
    profile: profile as string | null,
    startedMs: Number(started),
    endedMs: Number(ended),
    steps: Number(steps),
    more: Number(more),
    configured: configured === 1,
    kernel: kernel === 1,
    decision: by ? { by: by as DecidedBy, instead: String(instead ?? ''), seq: Number(decision) } : null,
  }
}

function toBoot(database: Database, row: Row): Boot {
  const { id, mac, ip, system, profile, startedMs, endedMs, more, decision } = toState(row)
  return {
    id,
    mac,
    ip,
    systemId: system,
    profile,
    decision,
    startedMs,
    endedMs,
    more,
    steps: stepsOf(database, id),
  }
}

function stepsOf(database: Database, boot: number): BootStep[] {
  const rows = database.all('SELECT list FROM steps WHERE boot = ? ORDER BY place', [boot])
  return rows.flatMap(([list]) => (JSON.parse(String(list)) as Entry[]).map(toStep))
}
