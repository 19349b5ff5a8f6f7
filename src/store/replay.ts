/**
 * Rebuilding the state: a verified snapshot (or nothing) and the records after it. Start-up, the snapshot program and
 * `repair` all come through here. Source: DESIGN "State".
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { findAsset } from '../assets.ts'
import type { JournalRecord } from '../domain/event.ts'
import { applyRecord } from './apply.ts'
import { createSchema, schemaOf, schemaVersion, seqOf } from './schema.ts'
import { allocateFile, type Database, openDatabase } from './sqlite.ts'

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

/** Bytes of a file that are read and hashed in one go. */
const chunkBytes = 4 * 1024 * 1024

/** Asset: the file of an empty state, which the build makes (`scripts/empty-state.mjs`), so that no start has to. */
const emptyStateAsset = 'empty.sqlite'

/** An empty state at record 0: out of the file that the build made, or made here where there is none of this schema. */
export async function emptyState(image = findAsset(emptyStateAsset)): Promise<Database> {
  const ready = image && (await openEmpty(image))
  if (ready) return ready
  const made = await openEmpty(await emptyImage())
  if (!made) throw new Error('a state that was just made is not empty')
  return made
}

async function openEmpty(image: Uint8Array): Promise<Database | undefined> {
  const bytes = allocateFile(image.length)
  bytes.set(image)
  const database = await openDatabase(bytes)
  if (schemaOf(database) === schemaVersion && seqOf(database) === 0) return database
  database.close()
  return undefined
}

/** An empty state as the bytes of an SQLite file. */
export async function emptyImage(): Promise<Uint8Array> {
  const fresh = await openDatabase()
  try {
    createSchema(fresh)
    return fresh.export()
  } finally {
    fresh.close()
  }
}

/** The state in a snapshot; undefined if its bytes are not those that were written down, or of another schema. */
export async function loadSnapshot(file: SnapshotFile): Promise<Database | undefined> {
  if (file.schema !== schemaVersion) return undefined
  const bytes = allocateFile(file.sizeBytes)
  if ((await readFileInto(file.path, bytes)) !== file.sha256) return undefined
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

/** Hex SHA-256 of a file, read piece by piece. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256')
  const handle = await open(path, 'r')
  try {
    const chunk = Buffer.alloc(chunkBytes)
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, null)
      if (bytesRead === 0) return hash.digest('hex')
      hash.update(chunk.subarray(0, bytesRead))
    }
  } finally {
    await handle.close()
  }
}

/** Fills `bytes` with the file, which has to have that very length; resolves with its hex SHA-256, undefined if it has not. */
async function readFileInto(path: string, bytes: Uint8Array): Promise<string | undefined> {
  const hash = createHash('sha256')
  const handle = await open(path, 'r')
  try {
    if ((await handle.stat()).size !== bytes.length) return undefined
    for (let at = 0; at < bytes.length; ) {
      const { bytesRead } = await handle.read(bytes, at, Math.min(chunkBytes, bytes.length - at), at)
      if (bytesRead === 0) return undefined
      hash.update(bytes.subarray(at, at + bytesRead))
      at += bytesRead
    }
    return hash.digest('hex')
  } finally {
    await handle.close()
  }
}
