import assert from 'node:assert/strict'
import { test } from 'node:test'
import initSqlJs from 'sql.js'
import { emptyState } from '../../src/store/replay.ts'
import { type Database, openDatabase, type SqlValue } from '../../src/store/sqlite.ts'

async function someAddresses(): Promise<Database> {
  const database = await emptyState()
  for (let id = 1; id <= 50; id++) {
    database.run('INSERT INTO system (id, name) VALUES (?, ?)', [id, `system ${id}?`])
    database.run('INSERT INTO address (system, kind, text) VALUES (?1, ?2, ?3)', [id, 'mac', `address-${id}`])
  }
  return database
}

test('bound values keep their types, their places and their indexes', async () => {
  const database = await someAddresses()
  const types = database.get('SELECT typeof(?1), typeof(?2), typeof(?3), typeof(?4), ?2 || ?1, typeof(?5)', [
    ...[1, '7', null, 1.5],
    new Uint8Array([1]),
  ])
  assert.deepEqual(types, ['integer', 'text', 'null', 'real', '71', 'blob'])
  assert.deepEqual(database.get('SELECT id FROM system WHERE name = ?', ['system 7?']), [7])
  assert.equal(database.get('SELECT id FROM system WHERE name = ?', ['system 7']), undefined)
  assert.deepEqual(
    database.all('SELECT id FROM system WHERE name LIKE ? ESCAPE ? ORDER BY id LIMIT ?', ['%7%', '\\', 2]),
    [[7], [17]],
  )
  assert.equal(database.run('UPDATE system SET name = ?2 WHERE id = ?1', [7, '+?']), 1)
  assert.deepEqual(database.get('SELECT name FROM system WHERE id IN (?, ?)', [7, 700]), ['+?'])
  const plan = database.all('EXPLAIN QUERY PLAN SELECT id FROM system WHERE name = ?', ['x'])
  assert.match(String(plan[0]?.[3]), /USING COVERING INDEX/)
  database.close()
})

test('a bound value of any type finds what plain SQLite finds with it', async () => {
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
