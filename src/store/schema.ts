/**
 * The tables of `state`, in memory and in `snapshot.sqlite` (an ordinary SQLite file: `sqlite3 snapshot.sqlite .schema`).
 *
 * All of it follows from the journal, so a new schema needs no migration: raise `schemaVersion`, and start-up ignores
 * older snapshots and replays. `PRAGMA user_version` holds the version, `meta` the record the content stands at. Source:
 * DESIGN "State".
 */
import { runTables } from './schema-runs.ts'
import type { Database } from './sqlite.ts'

/** Raise it with every change below, and with every change of what `apply.ts` writes. */
export const schemaVersion = 4

/** `PRAGMA application_id`: "PXEM", so that `file` and a restore can tell what this is. */
const applicationId = 0x5058454d

/** Newest decisions kept for each system; older ones are in the journal (`history`). 0.8 showed ten. */
export const decisionsKept = 100
/** Remembered reports kept of each kind (MAC, IP), oldest dropped: anybody on the wire can send them (CONTRACT). */
export const remembersKept = 10_000
/** IP addresses whose MAC is remembered, oldest dropped: some 100 bytes each, ample for 10,000 machines. */
export const bootAddressesKept = 50_000
/** Snapshots remembered: the two that are kept as files, and some before them for whoever looks. */
export const snapshotsKept = 8

const tables = `
-- One row: the last record applied.
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL) STRICT;
-- First id of each kind that was never used. Removing a row does not give its id back.
CREATE TABLE next_id (kind TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- decision: the system's next boot, its newest row in decision; NULL before the first.
CREATE TABLE system (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, decision INTEGER,
  -- version: the last one a result named. sick: why, or NULL. released: its last done run when it was released last.
  version INTEGER, sick TEXT, released INTEGER) STRICT;
-- place: order in which addresses were added. text: canonical spelling. kind: mac, ip4, prefix4.
CREATE TABLE address (
  place INTEGER PRIMARY KEY, system INTEGER NOT NULL REFERENCES system (id) ON DELETE CASCADE,
  kind TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX address_text ON address (text, system);
CREATE INDEX address_system ON address (system);
-- seq, at, by: the record that decided it (RFC 3339 UTC; who).
CREATE TABLE decision (
  id INTEGER PRIMARY KEY, system INTEGER NOT NULL REFERENCES system (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL, at TEXT NOT NULL, profile TEXT NOT NULL, "by" TEXT NOT NULL) STRICT;
CREATE INDEX decision_system ON decision (system, id);
-- Reports that belong to no system's own next boot. place: order of arrival. kind: mac, ip.
-- system: the prefix system through which the machine was known, or NULL.
CREATE TABLE remembered (
  place INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL UNIQUE, system INTEGER REFERENCES system (id),
  seq INTEGER NOT NULL, at TEXT NOT NULL, profile TEXT NOT NULL) STRICT;
CREATE INDEX remembered_system ON remembered (system);
CREATE INDEX remembered_kind ON remembered (kind, place);
-- Which MAC last booted from an IP address (IPv4 or IPv6 text). place: order of change.
CREATE TABLE boot_address (place INTEGER PRIMARY KEY, ip TEXT NOT NULL UNIQUE, mac TEXT NOT NULL) STRICT;
CREATE INDEX boot_address_mac ON boot_address (mac, place);
-- Rows in the tables that are bounded (counting them costs a walk).
CREATE TABLE tally (name TEXT PRIMARY KEY, rows INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- available: its file was in the folder when it was last looked at.
CREATE TABLE profile (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, available INTEGER NOT NULL) STRICT;
-- hash: hex SHA-256 of the token. expires: RFC 3339 UTC or NULL.
CREATE TABLE token (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, hash TEXT NOT NULL UNIQUE,
  created TEXT NOT NULL, expires TEXT, revoked INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX token_name ON token (name, id);
-- The snapshots that were made: seq is the record each stands at.
CREATE TABLE snapshot (
  seq INTEGER PRIMARY KEY, file TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, schema INTEGER NOT NULL,
  at TEXT NOT NULL) STRICT;
${runTables}
-- Numbers whose record was lost to damage and filled in by pxemngr repair.
CREATE TABLE lost (seq INTEGER PRIMARY KEY) STRICT;
`

/** Makes the tables in an empty database. */
export function createSchema(database: Database): void {
  database.script(`
    PRAGMA application_id = ${applicationId};
    PRAGMA user_version = ${schemaVersion};
    BEGIN;
    ${tables}
    INSERT INTO meta (id, seq) VALUES (1, 0);
    INSERT INTO tally (name, rows) VALUES ('mac', 0), ('ip', 0), ('boot_address', 0);
    COMMIT;`)
}

/** Schema version of a database that was opened from bytes; 0 where it is none of ours. */
export function schemaOf(database: Database): number {
  if (database.get('PRAGMA application_id')?.[0] !== applicationId) return 0
  return Number(database.get('PRAGMA user_version')?.[0] ?? 0)
}

/** Sequence number of the last record applied. */
export function seqOf(database: Database): number {
  return Number(database.get('SELECT seq FROM meta')?.[0])
}

/** Content of every table in a stable order: equal content, equal text. For tests and `repair`, not for speed. */
export function dumpContent(database: Database): string {
  const names = database.all(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
  const lines = names.flatMap(([name]) => {
    const rows = database.all(`SELECT * FROM "${name}"`)
    return rows.map((row) => `${name} ${JSON.stringify(row)}`).sort()
  })
  return lines.join('\n')
}
