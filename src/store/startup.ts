/**
 * From a data directory to the state it holds: newest good snapshot + the segments after it, or everything from nothing.
 *
 * Leaves the directory ready for appending: temporary files gone, an unsynced tail moved aside, snapshots in their places.
 * Damage in what it has to read is a refusal that names file, line and `pxemngr repair`; damage behind the snapshot is a
 * degradation. Called with the lock held. Source: DESIGN "Torn or damaged", "snapshot".
 */
import { open, readdir, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Refusal } from '../domain/errors.ts'
import type { Log } from '../log.ts'
import { ApplyError } from './apply.ts'
import { type Disk, replaceFile } from './disk.ts'
import { type DataFolder, fileTime } from './folder.ts'
import { makeFolder } from './make-folder.ts'
import { emptyState, loadSnapshot, replay, type SnapshotFile } from './replay.ts'
import { listSegments } from './segment.ts'
import { settleSnapshots } from './snapshot.ts'
import { type Database, prepareEngine } from './sqlite.ts'
import type { Degradation } from './store.ts'
import { type Damage, readRecords, type Survey, surveySegments, type TornTail } from './survey.ts'

export interface Started {
  readonly database: Database
  readonly seq: number
  readonly newest: SnapshotFile | undefined
  readonly before: SnapshotFile | undefined
  /** Bytes of the segments behind the newest snapshot. */
  readonly pendingBytes: number
  /** Where to go on; undefined: a new segment. */
  readonly resume: { readonly path: string; readonly first: number; readonly sizeBytes: number } | undefined
  readonly degradations: readonly Degradation[]
}

export interface StartupParts {
  readonly folder: DataFolder
  readonly disk: Disk
  readonly log: Log
  readonly now: () => Date
  /** false: read-only; nothing is tidied up. */
  readonly writable: boolean
}

/** Makes the folders of a data directory; those of the journal are private, whatever the umask. */
export async function makeFolders(folder: DataFolder): Promise<void> {
  makeFolder(folder.dir, 0o755)
  for (const dir of [folder.journal, folder.archive]) makeFolder(dir, 0o700)
}

export async function startUp(parts: StartupParts): Promise<Started> {
  const { folder, disk, log, now, writable } = parts
  prepareEngine()
  const degradations: Degradation[] = []
  if (writable) await removeTemporaries(folder, disk)
  const all = await listSegments(folder)
  const live = all.filter((segment) => !segment.archived)
  const recent = await surveySegments(live, live[0] ? live[0].first - 1 : 0)
  const found = writable
    ? await settleSnapshots(folder, disk, recent.snapshots, recent.last)
    : await settleSnapshots(folder, readOnlyDisk(disk), recent.snapshots, recent.last)
  for (const path of found.bad) {
    const aside = `${path}.damaged-${fileTime(now())}`
    if (writable) await rename(path, aside)
    const text = `${basename(path)} is not the snapshot that was written: moved to ${basename(aside)}`
    degradations.push({ code: 'snapshot-set-aside', weight: 'fault', text })
    log.error(text)
  }
  let base: { file: SnapshotFile; database: Database } | undefined
  for (const file of found.good) {
    const database = base ? undefined : await loadSnapshot(file)
    if (database) base = { file, database }
  }
  const after = base?.file.seq ?? 0
  const survey = base ? recent : await surveySegments(all, 0)
  refuseDamage(folder, damageAfter(survey, after))
  const first = survey.segments[0]
  if (base && survey.last < after) {
    const to = after
    refuseDamage(folder, [
      { path: folder.journal, line: 0, from: survey.last + 1, to, reason: 'it ends before the snapshot' },
    ])
  }
  if (base && first && first.first > after + 1) {
    refuseDamage(folder, [
      { path: first.path, line: 0, from: after + 1, to: first.first - 1, reason: 'records before it are missing' },
    ])
  }
  for (const one of damageUpTo(survey, after)) degradations.push(archiveDamaged(one))
  if (survey.tail && writable) degradations.push(await moveTail(folder, disk, survey.tail, now, log))
  const database = base?.database ?? (await emptyState())
  try {
    await replay(
      database,
      readRecords(base ? live : all, after, survey.last, (path, line, reason) => {
        throw new Error(`${path}:${line}: ${reason}`)
      }),
    )
  } catch (error) {
    if (!(error instanceof ApplyError)) throw error
    throw new Refusal(
      'refused',
      `the journal in ${folder.dir} cannot be replayed: ${error.message}: ${repairHint(folder)}`,
      {
        cause: error,
      },
    )
  }
  const lost = Number(database.get('SELECT count(*) FROM lost')?.[0])
  if (lost > 0) {
    const text = `${lost} records were lost to damage and given up by pxemngr repair: see pxemngr history`
    degradations.push({ code: 'records-lost', weight: 'notice', text })
  }
  const newest = base?.file
  return {
    database,
    seq: survey.last,
    newest,
    before: found.good.find((file) => file.seq < after),
    pendingBytes: pendingBytes(recent, after),
    resume: resumeAt(recent),
    degradations,
  }
}

function damageAfter(survey: Survey, after: number): Damage[] {
  return survey.segments.flatMap(({ damage, last }) =>
    damage.filter((one) => one.to > after || (one.to < one.from && last > after)),
  )
}

function damageUpTo(survey: Survey, after: number): Damage[] {
  const needed = new Set(damageAfter(survey, after))
  return survey.segments.flatMap(({ damage }) => damage.filter((one) => !needed.has(one)))
}

function refuseDamage(folder: DataFolder, damage: readonly Damage[]): void {
  const [first] = damage
  if (!first) return
  const more = damage.length > 1 ? ` (and ${damage.length - 1} more places)` : ''
  throw new Refusal('refused', `the journal is damaged: ${describeDamage(first)}${more}: ${repairHint(folder)}`)
}

function repairHint(folder: DataFolder): string {
  return `pxemngr repair --dry-run --data-dir ${folder.dir} shows what would be lost`
}

/** `journal/5.jsonl:12: records 17 to 18: its checksum does not match` */
export function describeDamage({ path, line, from, to, reason }: Damage): string {
  const records = to < from ? 'the header' : from === to ? `record ${from}` : `records ${from} to ${to}`
  return `${path}${line > 0 ? `:${line}` : ''}: ${records}: ${reason}`
}

/** What `history` and `status` say of a damaged place that start-up did not need. */
function archiveDamaged(damage: Damage): Degradation {
  return {
    code: 'archive-damaged',
    weight: 'fault',
    text: `${describeDamage(damage)} (behind the snapshot: state is whole, history and backup are not)`,
  }
}

function resumeAt(survey: Survey): Started['resume'] {
  const last = survey.segments.at(-1)
  // end 0: not even its header is there; a new one takes its name.
  return last && last.end > 0 ? { path: last.path, first: last.first, sizeBytes: last.end } : undefined
}

function pendingBytes(survey: Survey, after: number): number {
  return survey.segments.reduce((sum, { last, end }) => (last > after ? sum + end : sum), 0)
}

/** Keeps the unsynced tail in `journal.tail-<time>`, then cuts it off. */
async function moveTail(
  folder: DataFolder,
  disk: Disk,
  tail: TornTail,
  now: () => Date,
  log: Log,
): Promise<Degradation> {
  const aside = join(folder.dir, `journal.tail-${fileTime(now())}`)
  const handle = await open(tail.path, 'r')
  try {
    const { size } = await handle.stat()
    const bytes = Buffer.alloc(Math.max(0, size - tail.start))
    await handle.read(bytes, 0, bytes.length, tail.start)
    await replaceFile(disk, folder.dir, aside, [bytes])
  } finally {
    await handle.close()
  }
  const file = await disk.open(tail.path, 'existing')
  try {
    await file.truncate(tail.start)
    await file.sync()
  } finally {
    await file.close()
  }
  const text = `the journal ended in an unsynced tail (${tail.path}:${tail.line}: ${tail.reason}): moved to ${basename(aside)}`
  log.warn(text)
  return { code: 'torn-tail', weight: 'notice', text }
}

async function removeTemporaries(folder: DataFolder, disk: Disk): Promise<void> {
  for (const dir of [folder.dir, folder.journal]) {
    for (const name of await readdir(dir)) if (name.endsWith('.tmp')) await disk.remove(join(dir, name))
  }
}

/** For a read-only file system: what start-up would tidy up stays. */
function readOnlyDisk(disk: Disk): Disk {
  return { ...disk, rename: async () => {}, remove: async () => {}, syncFolder: async () => {} }
}
