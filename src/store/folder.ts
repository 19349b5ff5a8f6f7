/**
 * Where the parts of a data directory lie. Source: CONTRACT "Daemon" (Files).
 */
import { join } from 'node:path'

/** Folder beside `journal` for segments behind the snapshots. */
export const archiveName = 'archive'

export interface DataFolder {
  readonly dir: string
  /** `<first seq>.jsonl`: segments that start-up may need. */
  readonly journal: string
  /** Segments behind the snapshots: the history. */
  readonly archive: string
  /** The newest snapshot, the one before it, and one that is being put in place. */
  readonly snapshot: string
  readonly snapshotBefore: string
  readonly snapshotNext: string
  /** Space kept for machines' reports on a full disk. */
  readonly reserve: string
  readonly lock: string
  readonly trace: string
}

export function dataFolder(dir: string): DataFolder {
  return {
    dir,
    journal: join(dir, 'journal'),
    archive: join(dir, archiveName),
    snapshot: join(dir, 'snapshot.sqlite'),
    snapshotBefore: join(dir, 'snapshot.before.sqlite'),
    snapshotNext: join(dir, 'snapshot.next.sqlite'),
    reserve: join(dir, 'reserve'),
    lock: join(dir, 'lock'),
    trace: join(dir, 'trace.sqlite'),
  }
}

/** Time as it stands in file names: `20261123T080156.400Z`. */
export function fileTime(now: Date): string {
  return now.toISOString().replace(/[-:]/g, '')
}
