/**
 * Rebuilding the state: a verified snapshot (or nothing) and the records after it. Start-up, the snapshot program and
 * `repair` all come through here. Source: DESIGN "State".
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { JournalRecord } from '../domain/event.ts'
import { applyRecord } from './apply.ts'
import { createSchema, schemaOf, schemaVersion, seqOf } from './schema.ts'
import { type Database, openDatabase } from './sqlite.ts'

/** Records applied in one transaction, and without a turn of the event loop. */
const transactionRecords = 500

/** A snapshot file whose record is known. */
export interface SnapshotFile {
  readonly path: string
  readonly seq: number
  readonly sha256: string
  readonly sizeBytes: number
  readonly schema: number
}

/** An empty state at record 0. */
export async function emptyState(): Promise<Database> {
  const database = await openDatabase()
  createSchema(database)
  return database
}

/** The state in a snapshot; undefined if its bytes are not those that were written down, or of another schema. */
export async function loadSnapshot(file: SnapshotFile): Promise<Database | undefined> {
  if (file.schema !== schemaVersion) return undefined
  const bytes = await readFile(file.path)
  if (bytes.length !== file.sizeBytes || sha256(bytes) !== file.sha256) return undefined
  const database = await openDatabase(bytes)
  if (schemaOf(database) === schemaVersion && seqOf(database) === file.seq) return database
  database.close()
  return undefined
}

/** Applies records to a state; rejects with `ApplyError` for one that does not follow from it. */
export async function replay(database: Database, records: AsyncIterable<JournalRecord>): Promise<void> {
  let batch: JournalRecord[] = []
  const flush = () => {
    database.run('BEGIN')
    try {
      for (const record of batch) applyRecord(database, record)
      database.run('COMMIT')
    } catch (error) {
      database.run('ROLLBACK')
      throw error
    }
    batch = []
  }
  for await (const record of records) {
    batch.push(record)
    if (batch.length >= transactionRecords) flush()
  }
  if (batch.length > 0) flush()
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
