/**
 * The program that makes a snapshot: a child process, so that neither its memory nor its time is the daemon's.
 *
 * Loads the last snapshot, applies the sealed segments, writes the new one to the file it is told, reads it back, and
 * says on stdout what it wrote (`SnapshotAnswer`). It never renames and never touches the journal; who started it does.
 * Argument: `SnapshotTask` as JSON. Source: DESIGN "State" (snapshot).
 */
import { setPriority } from 'node:os'
import { dirname } from 'node:path'
import { realDisk, reasonOf, writeAll } from './disk.ts'
import { dataFolder } from './folder.ts'
import { emptyState, loadSnapshot, replay, type SnapshotFile, sha256, sha256File } from './replay.ts'
import { schemaVersion } from './schema.ts'
import { listSegments } from './segment.ts'
import { readRecords } from './survey.ts'

export interface SnapshotTask {
  readonly dir: string
  /** null: from nothing. */
  readonly base: SnapshotFile | null
  /** The record the snapshot is to stand at; its segment is sealed. */
  readonly seq: number
  /** Where to write it; nothing is there. */
  readonly path: string
}

export interface SnapshotAnswer {
  readonly sha256: string
  readonly sizeBytes: number
  readonly schema: number
}

/** Boots are more urgent. */
const niceness = 10

/** Makes the snapshot; rejects with what is wrong with base or segments. */
export async function makeSnapshot(task: SnapshotTask): Promise<SnapshotAnswer> {
  const base = task.base ? await loadSnapshot(task.base) : await emptyState()
  if (!base) throw new Error(`${task.base?.path} is not the snapshot that was written`)
  const after = task.base?.seq ?? 0
  const segments = await listSegments(dataFolder(task.dir))
  const records = readRecords(segments, after, task.seq, (path, line, reason) => {
    throw new Error(`${path}:${line}: ${reason}`)
  })
  await replay(base, records)
  const bytes = base.export()
  const sum = sha256(bytes)
  const file = await realDisk.open(task.path, 'create')
  try {
    await writeAll(file, bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await realDisk.syncFolder(dirname(task.path))
  if ((await sha256File(task.path)) !== sum) throw new Error(`${task.path} does not read back as it was written`)
  return { sha256: sum, sizeBytes: bytes.length, schema: schemaVersion }
}

async function main(argument: string | undefined): Promise<void> {
  try {
    setPriority(niceness)
  } catch {
    // Not allowed to be nice: only slower for others.
  }
  try {
    const answer = await makeSnapshot(JSON.parse(argument ?? 'null') as SnapshotTask)
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  } catch (error) {
    process.stderr.write(`${reasonOf(error)}\n`)
    process.exitCode = 1
  }
}

void main(process.argv[2])
