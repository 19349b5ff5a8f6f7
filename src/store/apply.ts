/**
 * What each event does to the database: `(database, record) → void`, the only place that changes state.
 *
 * It reads no clock, file or random number, so replaying the journal gives the same content every time. It trusts nothing
 * either: an event that names what does not exist throws (`ApplyError`), because it means that a record before it is
 * missing. The caller holds the transaction. Source: DESIGN "State"; the meaning of each event is in `domain/event.ts`.
 */
import type { Event, IdKind, JournalRecord, RecordHead } from '../domain/event.ts'
import { applyRunEvent, forgetRunsOf } from './apply-runs.ts'
import { bootAddressesKept, decisionsKept, remembersKept, snapshotsKept } from './schema.ts'
import type { Database } from './sqlite.ts'

/** A record does not fit the state before it: the journal lacks something, or this is a bug. */
export class ApplyError extends Error {}

/** Applies a whole record; `record.seq` must be the next one. Throws `ApplyError`; roll back then. */
export function applyRecord(database: Database, record: JournalRecord): void {
  const used = new Map<IdKind, number>()
  for (const event of record.events) applyEvent(database, record, event, used)
  finishRecord(database, record.seq, used)
}

/** Applies one event; `used` collects the highest id of each kind for `finishRecord`. */
export function applyEvent(database: Database, head: RecordHead, event: Event, used: Map<IdKind, number>): void {
  try {
    apply(database, head, event, used)
  } catch (error) {
    if (error instanceof ApplyError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new ApplyError(`record ${head.seq}, ${event.type}: ${reason}`, { cause: error })
  }
}

/** Writes down which ids are used up and that the state stands at `seq`. */
export function finishRecord(database: Database, seq: number, used: ReadonlyMap<IdKind, number>): void {
  for (const [kind, highest] of used) {
    database.run(
      'INSERT INTO next_id (kind, next) VALUES (?1, ?2) ON CONFLICT (kind) DO UPDATE SET next = max(next, ?2)',
      [kind, highest + 1],
    )
  }
  one(database.run('UPDATE meta SET seq = ?1 WHERE seq = ?1 - 1', [seq]), seq, 'does not follow the state')
}

/** First id of a kind that was never used. */
export function nextIdOf(database: Database, kind: IdKind): number {
  return Number(database.get('SELECT next FROM next_id WHERE kind = ?', [kind])?.[0] ?? 1)
}

function one(rows: number, seq: number, fault: string): void {
  if (rows !== 1) throw new ApplyError(`record ${seq} ${fault}`)
}

function note(used: Map<IdKind, number>, kind: IdKind, id: number): void {
  if (id > (used.get(kind) ?? 0)) used.set(kind, id)
}

function apply(database: Database, head: RecordHead, event: Event, used: Map<IdKind, number>): void {
  const { seq, at } = head
  switch (event.type) {
    case 'system.added':
      note(used, 'system', event.system)
      database.run('INSERT INTO system (id, name) VALUES (?, ?)', [event.system, event.name])
      return
    case 'system.renamed': {
      const rows = database.run('UPDATE system SET name = ? WHERE id = ?', [event.name, event.system])
      one(rows, seq, `renames system ${event.system}, which does not exist`)
      return
    }
    case 'system.removed':
      forgetSystem(database, event.system)
      forgetRunsOf(database, event.system)
      one(
        database.run('DELETE FROM system WHERE id = ?', [event.system]),
        seq,
        `removes system ${event.system}, which does not exist`,
      )
      return
    case 'address.added':
      // place: the next by itself (a subselect for it would take six times as long as the rest).
      database.run('INSERT INTO address (system, kind, text) VALUES (?, ?, ?)', [
        event.system,
        event.address.kind,
        event.address.text,
      ])
      return
    case 'address.removed': {
      const rows = database.run('DELETE FROM address WHERE text = ? AND system = ?', [event.address.text, event.system])
      one(rows, seq, `removes ${event.address.text} from system ${event.system}, which does not have it`)
      return
    }
    case 'boot.decided':
      note(used, 'decision', event.decision)
      decideBoot(database, head, event)
      return
    case 'report.remembered':
      if (event.mac) remember(database, head, 'mac', event.mac, event.system, event.profile)
      if (event.ip && event.system !== null) remember(database, head, 'ip', event.ip, event.system, event.profile)
      return
    case 'boot.address': {
      const known = database.run('DELETE FROM boot_address WHERE ip = ?', [event.ip])
      database.run('INSERT INTO boot_address (ip, mac) VALUES (?, ?)', [event.ip, event.mac])
      if (known === 0 && count(database, 'boot_address', 1) > bootAddressesKept) {
        database.run('DELETE FROM boot_address WHERE place = (SELECT min(place) FROM boot_address)')
        count(database, 'boot_address', -1)
      }
      return
    }
    case 'profile.registered':
      note(used, 'profile', event.profile)
      database.run('INSERT INTO profile (id, name, available) VALUES (?, ?, 1)', [event.profile, event.name])
      return
    case 'profile.missing':
    case 'profile.returned': {
      const available = event.type === 'profile.returned' ? 1 : 0
      const rows = database.run('UPDATE profile SET available = ? WHERE id = ?', [available, event.profile])
      one(rows, seq, `is about profile ${event.profile}, which does not exist`)
      return
    }
    case 'token.added':
      note(used, 'token', event.token)
      database.run('INSERT INTO token (id, name, role, hash, created, expires) VALUES (?, ?, ?, ?, ?, ?)', [
        event.token,
        event.name,
        event.role,
        event.hash,
        at,
        event.expires,
      ])
      return
    case 'token.revoked': {
      const rows = database.run('UPDATE token SET revoked = 1 WHERE id = ?', [event.token])
      one(rows, seq, `revokes token ${event.token}, which does not exist`)
      return
    }
    case 'snapshot.made':
      database.run('INSERT OR REPLACE INTO snapshot (seq, file, sha256, size, schema, at) VALUES (?, ?, ?, ?, ?, ?)', [
        event.seq,
        event.file,
        event.sha256,
        event.sizeBytes,
        event.schema,
        at,
      ])
      database.run('DELETE FROM snapshot WHERE seq <= (SELECT seq FROM snapshot ORDER BY seq DESC LIMIT 1 OFFSET ?)', [
        snapshotsKept,
      ])
      return
    case 'record.lost':
      if (event.effect === 'in-snapshot') {
        throw new ApplyError(`record ${seq} is lost, and only a snapshot still holds what it did`)
      }
      database.run('INSERT INTO lost (seq) VALUES (?)', [seq])
      return
    case 'daemon.stopped':
      return
    case 'test.registered':
    case 'test.missing':
    case 'test.returned':
    case 'secret.made':
    case 'run.requested':
    case 'run.sent':
    case 'run.running':
    case 'run.extended':
    case 'run.closed':
    case 'run.uploaded':
    case 'run.cancelled':
    case 'run.expired':
    case 'run.waived':
    case 'log.removed':
    case 'run.removed':
    case 'version.kept':
    case 'suite.given':
    case 'system.sick':
    case 'system.released':
    case 'webhook.added':
    case 'webhook.removed':
    case 'webhook.queued':
    case 'webhook.settled':
      applyRunEvent(database, head, event, {
        note: (kind, id) => note(used, kind, id),
        fault: (what) => {
          throw new ApplyError(`record ${seq} ${what}`)
        },
      })
      return
    default:
      throw new ApplyError(`record ${seq} holds an event that this version does not know: ${JSON.stringify(event)}`)
  }
}

/** A new next boot; what was remembered for the system's machines is thereby overruled. */
function decideBoot(database: Database, head: RecordHead, event: Extract<Event, { type: 'boot.decided' }>): void {
  const { decision, system, profile } = event
  database.run('INSERT INTO decision (id, system, seq, at, profile, "by") VALUES (?, ?, ?, ?, ?, ?)', [
    decision,
    system,
    head.seq,
    head.at,
    profile,
    head.actor.who,
  ])
  database.run('UPDATE system SET decision = ? WHERE id = ?', [decision, system])
  database.run(
    `DELETE FROM decision WHERE system = ?1
     AND id <= (SELECT id FROM decision WHERE system = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`,
    [system, decisionsKept],
  )
  forget(database, 'remembered r WHERE r.system = ?', system)
  forget(database, 'address a JOIN remembered r ON r.text = a.text WHERE a.system = ?', system)
}

/** The prefix system goes: its machines' IP addresses mean nothing without it, their MACs still do. */
function forgetSystem(database: Database, system: number): void {
  forget(database, `remembered r WHERE r.kind = 'ip' AND r.system = ?`, system)
  database.run('UPDATE remembered SET system = NULL WHERE system = ?', [system])
}

function forget(database: Database, which: string, system: number): void {
  for (const [place, kind] of database.all(`SELECT r.place, r.kind FROM ${which}`, [system])) {
    database.run('DELETE FROM remembered WHERE place = ?', [place ?? null])
    count(database, String(kind), -1)
  }
}

function remember(
  database: Database,
  head: RecordHead,
  kind: 'mac' | 'ip',
  text: string,
  system: number | null,
  profile: string,
): void {
  const known = database.run('DELETE FROM remembered WHERE text = ?', [text])
  database.run('INSERT INTO remembered (kind, text, system, seq, at, profile) VALUES (?, ?, ?, ?, ?, ?)', [
    kind,
    text,
    system,
    head.seq,
    head.at,
    profile,
  ])
  if (known === 0 && count(database, kind, 1) > remembersKept) {
    database.run('DELETE FROM remembered WHERE place = (SELECT min(place) FROM remembered WHERE kind = ?)', [kind])
    count(database, kind, -1)
  }
}

function count(database: Database, name: string, more: number): number {
  database.run('UPDATE tally SET rows = rows + ? WHERE name = ?', [more, name])
  return Number(database.get('SELECT rows FROM tally WHERE name = ?', [name])?.[0])
}
