/**
 * Texts that many runs share, each once in a table of its own: versions, scripts, machines, what is measured.
 *
 * Part of `apply-runs.ts`: the id of a text follows from the records before it, so replay gives the same.
 */
import type { Database } from './sqlite.ts'

export function versionId(database: Database, name: string, atMs: number): number {
  return intern(database, 'SELECT id FROM version WHERE name = ?', name, () =>
    database.run('INSERT INTO version (name, at) VALUES (?, ?)', [name, atMs]),
  )
}

export function scriptId(database: Database, hash: string): number {
  return intern(database, 'SELECT id FROM script WHERE hash = ?', hash, () =>
    database.run('INSERT INTO script (hash) VALUES (?)', [hash]),
  )
}

export function machineId(database: Database, mac: string | null, ip: string | null): number | null {
  if (mac === null && ip === null) return null
  const find = 'SELECT id FROM machine WHERE mac = ? AND ip = ?'
  return internPair(database, find, 'INSERT INTO machine (mac, ip) VALUES (?, ?)', [mac ?? '', ip ?? ''])
}

export function measureId(database: Database, name: string, unit: string): number {
  const find = 'SELECT id FROM measure WHERE name = ? AND unit = ?'
  return internPair(database, find, 'INSERT INTO measure (name, unit) VALUES (?, ?)', [name, unit])
}

function intern(database: Database, find: string, text: string, insert: () => void): number {
  const known = database.get(find, [text])?.[0]
  if (known !== undefined) return Number(known)
  insert()
  return Number(database.get(find, [text])?.[0])
}

function internPair(database: Database, find: string, insert: string, values: readonly [string, string]): number {
  const known = database.get(find, values)?.[0]
  if (known !== undefined) return Number(known)
  database.run(insert, values)
  return Number(database.get(find, values)?.[0])
}
