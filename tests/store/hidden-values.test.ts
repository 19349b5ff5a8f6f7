/**
 * Statements whose values the planner does not see: they answer the same, and are planned once.
 * Source: `hideValues` of src/store/sqlite.ts.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import initSqlJs from 'sql.js'
import { hideValues, openDatabase, type SqlValue } from '../../src/store/sqlite.ts'

test('values that a column is compared with are hidden, and no others', () => {
  const same = [
    'INSERT INTO t (a, b) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET b = ?2',
    'SELECT a FROM t WHERE a IN (?, ?) ORDER BY a LIMIT ? OFFSET ?2',
    "SELECT a FROM t WHERE b LIKE ? ESCAPE '\\'",
    'UPDATE t SET a = ?1 WHERE a = ?1 - 1',
    'SELECT a FROM t WHERE a = b AND (a, b) > (?2, ?3)',
    'SELECT ? = ?',
  ]
  for (const sql of same) assert.equal(hideValues(sql), sql)
  const hidden: Readonly<Record<string, string>> = {
    'SELECT a FROM t WHERE a = ?': 'SELECT a FROM t WHERE a = (SELECT ?)',
    'SELECT a FROM t WHERE a=?12 AND b<>?': 'SELECT a FROM t WHERE a= (SELECT ?12) AND b<> (SELECT ?)',
    'DELETE FROM t WHERE a <= ? OR b >= ?3': 'DELETE FROM t WHERE a <= (SELECT ?) OR b >= (SELECT ?3)',
    'UPDATE t SET b = ? WHERE a = ? AND b < ?': 'UPDATE t SET b = ? WHERE a = (SELECT ?) AND b < (SELECT ?)',
    'SELECT a FROM t WHERE a IN (SELECT b FROM u WHERE c = ?1) LIMIT ?2':
      'SELECT a FROM t WHERE a IN (SELECT b FROM u WHERE c = (SELECT ?1)) LIMIT ?2',
  }
  for (const [sql, wanted] of Object.entries(hidden)) assert.equal(hideValues(sql), wanted)
})

test('a hidden value of any type finds what it found', async () => {
  const database = await openDatabase()
  const { Database } = await initSqlJs()
  const plain = new Database()
  const rows: SqlValue[][] = [
    [1, 'a', new Uint8Array([1])],
    [2, '2', new Uint8Array([2])],
    [3, '', null],
    [4, '10', null],
  ]
  const table = 'CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT, bytes BLOB) STRICT; CREATE INDEX t_text ON t (text)'
  database.script(table)
  plain.run(table)
  for (const row of rows) {
    database.run('INSERT INTO t VALUES (?, ?, ?)', row)
    plain.run('INSERT INTO t VALUES (?, ?, ?)', row)
  }
  const values: SqlValue[] = [1, 2.5, -1, '1', '2', 2, '', 'b', null, new Uint8Array([2]), new Uint8Array()]
  for (const column of ['n', 'text', 'bytes']) {
    for (const sign of ['=', '<>', '<', '<=', '>', '>=']) {
      const sql = `SELECT n FROM t WHERE ${column} ${sign} ? ORDER BY n DESC`
      for (const value of values) {
        const wanted = plain.exec(sql, [value])[0]?.values ?? []
        assert.deepEqual(database.all(sql, [value]), wanted, `${sql} ${value}`)
      }
    }
  }
  database.close()
  plain.close()
})

test('a statement is planned once, not at each value', async () => {
  const table = 'CREATE TABLE t (a INTEGER NOT NULL, b INTEGER NOT NULL) STRICT; CREATE INDEX t_ab ON t (a, b)'
  const sql = 'SELECT b FROM t WHERE a = ? ORDER BY b DESC LIMIT 1'
  const database = await openDatabase()
  const { Database } = await initSqlJs()
  const plain = new Database()
  database.script(table)
  plain.run(table)
  const statement = plain.prepare(sql)
  /** Shortest of many short rounds: what else the machine does is not in it. */
  const shortestMs = (once: (value: number) => void): number => {
    let best = Number.POSITIVE_INFINITY
    for (let round = 0; round < 100; round++) {
      const begun = performance.now()
      for (let value = 0; value < 50; value++) once(value)
      best = Math.min(best, performance.now() - begun)
    }
    return best
  }
  const plannedEachTime = shortestMs((value) => {
    statement.bind([value])
    statement.step()
    statement.reset()
  })
  const plannedOnce = shortestMs((value) => database.get(sql, [value]))
  assert.ok(plannedOnce < plannedEachTime / 2, `${plannedOnce} ms against ${plannedEachTime} ms`)
  statement.free()
  plain.close()
  database.close()
})
