/**
 * The tables of tests, runs and results; part of `schema.ts`, whose version counts for both.
 *
 * A million runs have to fit into memory, so `run` is narrow (numbers, two short words), texts are in `run_detail`, which
 * has a row only where there is something to say, and lines are kept of the newest runs only. The log itself is a file.
 * Times are ms since the epoch.
 * Source: CONTRACT's RUNS, DESIGN "State".
 */

/** Newest runs whose kept lines are in `run_line`: what a search looks through, some 10 MB. Older ones are in their logs. */
export const lineRunsKept = 50_000

/** Bits of `run.flags`. */
export const runFlags = { late: 1, flaky: 2, waived: 4, uploaded: 8, logKept: 16 } as const

export const runTables = `
-- available: its file was in the folder when it was last looked at.
CREATE TABLE test (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, available INTEGER NOT NULL) STRICT;
-- A version of the system under test; at: when it was first heard of. kept: retention leaves it alone.
CREATE TABLE version (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, kept INTEGER NOT NULL DEFAULT 0) STRICT;
-- Contents of test files that were sent, by hex SHA-256.
CREATE TABLE script (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE) STRICT;
-- Machines that got a run: MAC and IP address as they were seen together, '' where one was not known.
CREATE TABLE machine (id INTEGER PRIMARY KEY, mac TEXT NOT NULL, ip TEXT NOT NULL, UNIQUE (mac, ip)) STRICT;
-- asked: the version asked for. version: what it counts for. grp: id of the first attempt. flags: see runFlags.
-- deadline: when it is closed as lost, NULL once it is closed; grace: ms, for the time after a restart.
-- boot: when the boot that asked began. size: bytes of its log.
CREATE TABLE run (
  id INTEGER PRIMARY KEY, system INTEGER NOT NULL, test INTEGER NOT NULL, version INTEGER, asked INTEGER,
  state TEXT NOT NULL, verdict TEXT, attempt INTEGER NOT NULL, grp INTEGER NOT NULL, flags INTEGER NOT NULL DEFAULT 0,
  requested INTEGER NOT NULL, sent INTEGER, done INTEGER, deadline INTEGER, grace INTEGER, retries INTEGER,
  script INTEGER, boot INTEGER, infos INTEGER NOT NULL DEFAULT 0, warnings INTEGER NOT NULL DEFAULT 0,
  errors INTEGER NOT NULL DEFAULT 0, machine INTEGER, exit INTEGER, size INTEGER) STRICT;
-- test: so that the runs before and after one of the same test are found in this index alone.
CREATE INDEX run_system ON run (system, id, test);
CREATE INDEX run_test ON run (test, id);
-- verdict and flags: so that the overview of a version reads this index alone. A verdict has who is done.
CREATE INDEX run_version ON run (version, system, test, id, verdict, flags);
-- attempt: so that waiting runs come in their order out of this index alone.
CREATE INDEX run_open ON run (state, system, id, attempt) WHERE state IN ('requested', 'sent', 'running');
CREATE INDEX run_again ON run (grp, id) WHERE attempt > 1;
-- cases: [total,pass,fail,skip,todo]; notes: [text…]; attachments: [[name,bytes]…]; JSON or NULL.
CREATE TABLE run_detail (
  run INTEGER PRIMARY KEY, reason TEXT, cases TEXT, notes TEXT, attachments TEXT, waived TEXT) STRICT;
-- lines: [[kind,line,text]…], JSON. Only of the newest runs (lineRunsKept).
CREATE TABLE run_line (run INTEGER PRIMARY KEY, lines TEXT NOT NULL) STRICT;
CREATE TABLE measure (id INTEGER PRIMARY KEY, name TEXT NOT NULL, unit TEXT NOT NULL, UNIQUE (name, unit)) STRICT;
CREATE TABLE measurement (
  run INTEGER NOT NULL, measure INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (run, measure)) STRICT, WITHOUT ROWID;
-- What a suite expects of a system for a version.
CREATE TABLE expected (
  version INTEGER NOT NULL, system INTEGER NOT NULL, test INTEGER NOT NULL, suite TEXT NOT NULL,
  PRIMARY KEY (version, system, test)) STRICT, WITHOUT ROWID;
CREATE INDEX expected_system ON expected (system);
-- One row: the key from which run tokens follow.
CREATE TABLE secret (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT NOT NULL) STRICT;
CREATE TABLE webhook (
  id INTEGER PRIMARY KEY, url TEXT NOT NULL, events TEXT NOT NULL, secret TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
-- Messages that are not delivered yet. at: when it was queued.
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY, webhook INTEGER NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
  body TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX delivery_webhook ON delivery (webhook);
`
