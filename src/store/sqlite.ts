/**
 * SQLite in memory: the one wrapper around sql.js, whose types stop here.
 *
 * Every statement is prepared once for each database, kept by its text, and reset in a `finally`: one left open by a
 * throw would pin the transaction it was in. It is not a store: what the tables mean is `schema.ts`, who may change them
 * `apply.ts`. Sources: sql.js documentation, DESIGN "State" (journal_mode), sqlite.org/foreignkeys.html.
 */
import initSqlJs from 'sql.js'
import { getAsset } from '../assets.ts'

export type SqlValue = number | string | Uint8Array | null
export type Row = readonly SqlValue[]

export interface Database {
  /** Runs a statement that answers nothing; returns the number of rows changed. */
  run(sql: string, values?: readonly SqlValue[]): number
  /** First row, columns in the order asked for; undefined if there is none. */
  get(sql: string, values?: readonly SqlValue[]): Row | undefined
  all(sql: string, values?: readonly SqlValue[]): Row[]
  /** Several statements without values: schema, transaction control. Not prepared, not kept. */
  script(sql: string): void
  /** The database as the bytes of an SQLite file. Synchronous, and a second copy in memory. Not inside a transaction. */
  export(): Uint8Array
  close(): void
}

/**
 * Room behind the bytes of a database, so that it grows in place: sql.js else copies the whole file for each eighth that
 * it grows by, and both copies are there until the next garbage collection. Untouched, it is address space and no memory.
 */
const roomBytes = 512 * 1024 * 1024
/** Pages kept by SQLite: the ends of all indexes that a commit of a busy lab touches. */
const cacheKib = 8 * 1024

/**
 * Bytes to read an SQLite file into, for `openDatabase`, which takes them over. Where so much address space cannot be
 * had they have no room, and the database grows by copying.
 */
export function allocateFile(sizeBytes: number): Uint8Array {
  let whole: Uint8Array
  try {
    whole = new Uint8Array(sizeBytes + roomBytes)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    whole = new Uint8Array(sizeBytes)
  }
  // The file system inside sql.js makes its own copy by `slice`, and uses what lies behind the end before it copies again.
  return Object.defineProperty(whole.subarray(0, sizeBytes), 'slice', { value: () => whole })
}

type Engine = Awaited<ReturnType<typeof initSqlJs>>

let engine: Promise<Engine> | undefined

/** Begins to load the engine, which threads of the runtime do: whoever opens a database soon has something to do meanwhile. */
export function prepareEngine(): void {
  engine ??= loadEngine()
  // Whoever opens a database is told.
  engine.catch(() => {})
}

/** Opens an empty database, or the one in `bytes` (an SQLite file); rejects where these are none. */
export async function openDatabase(bytes?: Uint8Array): Promise<Database> {
  engine ??= loadEngine()
  const { Database } = await engine
  const opened = new Database(bytes)
  try {
    // MEMORY, never OFF: without a rollback journal a failed statement leaves the database undefined.
    opened.run('PRAGMA journal_mode=MEMORY')
    // Nobody else can open it: without this each statement asks the file layer for its locks, a third of its time.
    opened.run('PRAGMA locking_mode=EXCLUSIVE')
    opened.run('PRAGMA foreign_keys=ON')
    opened.run(`PRAGMA cache_size=-${cacheKib}`)
  } catch (error) {
    opened.close()
    throw error
  }
  return wrap(opened)
}

function loadEngine(): Promise<Engine> {
  // sql.js wants an ArrayBuffer of its own: the asset is read-only memory.
  const wasmBinary = new Uint8Array(getAsset('sql-wasm.wasm')).buffer
  // The option is newer than the published types; without it old maths functions print a warning on stderr.
  const options = { wasmBinary, useOldExtensionFunctions: false }
  return initSqlJs(options)
}

/**
 * The same statement, of which SQLite does not want to see the values when it plans it: `?1` becomes `+?1`.
 *
 * Where a bare parameter may have a say in the plan (any join will do), every binding makes SQLite prepare the statement
 * anew at its next step, which takes 20 times as long as the step itself. An operator in between ends that; it changes no
 * value, no type and no index that is used. No text of ours has a question mark in a string.
 * Source: sqlite.org/c3ref/prepare.html ("automatically recompiled"), sqlite.org/lang_expr.html (unary plus is a no-op).
 */
function withoutPeeking(sql: string): string {
  return sql.replace(/\?\d*/g, '+$&')
}

function wrap(database: InstanceType<Engine['Database']>): Database {
  const statements = new Map<string, ReturnType<typeof database.prepare>>()
  const prepare = (sql: string) => {
    let statement = statements.get(sql)
    if (!statement) {
      statement = database.prepare(withoutPeeking(sql))
      statements.set(sql, statement)
    }
    return statement
  }
  return {
    run(sql, values = []) {
      const statement = prepare(sql)
      try {
        if (values.length > 0) statement.bind(values as SqlValue[])
        statement.step()
      } finally {
        statement.reset()
      }
      return database.getRowsModified()
    },
    get(sql, values = []) {
      const statement = prepare(sql)
      try {
        if (values.length > 0) statement.bind(values as SqlValue[])
        return statement.step() ? (statement.get() as SqlValue[]) : undefined
      } finally {
        statement.reset()
      }
    },
    all(sql, values = []) {
      const statement = prepare(sql)
      const rows: Row[] = []
      try {
        if (values.length > 0) statement.bind(values as SqlValue[])
        while (statement.step()) rows.push(statement.get() as SqlValue[])
      } finally {
        statement.reset()
      }
      return rows
    },
    script(sql) {
      database.exec(sql)
    },
    export: () => database.export(),
    close() {
      for (const statement of statements.values()) statement.free()
      statements.clear()
      database.close()
    },
  }
}
