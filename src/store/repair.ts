/**
 * `pxemngr repair`: makes a damaged journal readable again and says exactly what that costs.
 *
 * Every readable record that still follows from those before it is kept byte for byte. A number whose record is lost, or
 * no longer fits because of one that is, gets a `record.lost` in its place, so that numbers stay without gaps and the loss
 * stays visible in `history`. Files that change are first moved to `repair-<time>/`. What stood before the newest good
 * snapshot is lost for history only. A second run finds nothing to do. Source: CONTRACT "Daemon", DESIGN "Torn or damaged".
 */
import { link, mkdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Refusal } from '../domain/errors.ts'
import type { JournalRecord } from '../domain/event.ts'
import { ApplyError, applyRecord } from './apply.ts'
import { type Disk, realDisk, replaceFile } from './disk.ts'
import { type DataFolder, dataFolder, fileTime } from './folder.ts'
import { formatHeader, formatRecord } from './line.ts'
import { takeLock } from './lock.ts'
import { emptyState, loadSnapshot } from './replay.ts'
import { listSegments, readLines } from './segment.ts'
import { findSnapshots } from './snapshot.ts'
import type { Database } from './sqlite.ts'
import { describeDamage } from './startup.ts'
import { type Damage, type Survey, type SurveyedSegment, surveySegments } from './survey.ts'

export interface RepairReport {
  /** For people, one fact a line, in the order of the journal. */
  readonly lines: readonly string[]
  /** Whether a record is lost that was, or may have been, acknowledged: exit status 1. */
  readonly lostAcknowledged: boolean
}

export interface RepairOptions {
  /** Only says what would be done. */
  readonly dryRun: boolean
  readonly disk?: Disk
  readonly now?: () => Date
}

/** Numbers that may be filled in: more missing than this is no damage but another journal's file. */
const lostMax = 1_000_000
/** Of an unreadable line as it is printed. */
const excerptMax = 160

/** Refuses where the directory is in use or holds no journal. */
export async function repairDataDir(dir: string, options: RepairOptions): Promise<RepairReport> {
  const { dryRun, disk = realDisk, now = () => new Date() } = options
  const folder = dataFolder(dir)
  const exists = await stat(folder.journal).catch(() => undefined)
  if (!exists?.isDirectory()) throw new Refusal('not-found', `${dir} holds no journal: give its --data-dir`)
  const lock = takeLock(folder.lock, dir)
  try {
    const at = now()
    const plan = await makePlan(folder, at.toISOString())
    if (!dryRun && plan.files.length > 0) await carryOut(folder, disk, join(dir, `repair-${fileTime(at)}`), plan.files)
    if (lock.begun && plan.last === 0) {
      plan.lost += 1
      plan.lines.push(`${folder.journal} has no records, though it had: only a backup has them (pxemngr restore)`)
    }
    const done = dryRun ? 'dry run: nothing was changed' : `the old files are in repair-${fileTime(at)}`
    const last = plan.files.length > 0 ? [done] : plan.lines.length > 0 ? [] : ['nothing to repair']
    return { lines: [...plan.lines, ...last], lostAcknowledged: plan.lost > 0 }
  } finally {
    lock.release()
  }
}

interface NewFile {
  readonly path: string
  /** Whether one of that name has to be kept aside. */
  readonly replaces: boolean
  readonly content: readonly Uint8Array[]
}

interface Plan {
  readonly lines: string[]
  readonly files: NewFile[]
  lost: number
  /** Number of the last record, lost or not. */
  last: number
}

async function makePlan(folder: DataFolder, at: string): Promise<Plan> {
  const survey = await surveySegments(await listSegments(folder), 0)
  const plan: Plan = { lines: [], files: [], lost: 0, last: lastOf(survey) }
  const found = await findSnapshots(folder, survey.snapshots, Number.MAX_SAFE_INTEGER)
  for (const path of found.bad) plan.lines.push(`${path} is not the snapshot that was written: not used`)
  let state: Database | undefined
  let base = 0
  for (const file of found.good) {
    state ??= await loadSnapshot(file)
    if (state && base === 0) base = file.seq
  }
  plan.last = Math.max(plan.last, base)
  state ??= await emptyState()
  const mend = new Mend(state, base, at, plan)
  try {
    let last = 0
    for (const [index, segment] of survey.segments.entries()) {
      mend.fillGap(segment, last + 1)
      const next = survey.segments[index + 1]
      last = next ? next.first - 1 : lastOf(survey)
      await mend.segment(segment, last)
    }
    const end = survey.segments.at(-1)
    if (end && last < base) mend.fillGap({ ...end, first: base + 1, damage: [] }, last + 1)
  } finally {
    state.close()
  }
  if (survey.tail) {
    const { path, line, reason } = survey.tail
    plan.lines.push(
      `${path}:${line}: ${reason}: an unsynced tail, which the next start moves aside; nothing acknowledged`,
    )
  }
  return plan
}

function lastOf(survey: Survey): number {
  return Math.max(survey.last, ...survey.segments.flatMap(({ damage }) => damage.map(({ to }) => to)))
}

/** Walks the journal in order with the state as far as it could be rebuilt. */
class Mend {
  readonly #state: Database
  readonly #base: number
  readonly #at: string
  readonly #plan: Plan

  constructor(state: Database, base: number, at: string, plan: Plan) {
    this.#state = state
    this.#base = base
    this.#at = at
    this.#plan = plan
  }

  /** Numbers for which there is no file at all: a new segment of lost records. */
  fillGap(segment: Pick<SurveyedSegment, 'path' | 'first' | 'damage'>, from: number): void {
    const to = segment.first - 1
    if (to < from) return
    const reason = `${from === to ? 'its segment is' : 'their segment is'} missing`
    const path = join(dirname(segment.path), `${from}.jsonl`)
    const lines = [formatHeader({ first: from, follows: from - 1 }, this.#at)]
    this.#say({ path, line: 0, from, to, reason })
    for (let seq = from; seq <= to; seq += 1) lines.push(this.#lost(seq, reason))
    this.#plan.files.push({ path, replaces: false, content: lines })
  }

  /** One segment up to `last`: unchanged where every record is there and fits. */
  async segment(segment: SurveyedSegment, last: number): Promise<void> {
    const readable = new Map<number, { record: JournalRecord; bytes: Uint8Array }>()
    const unreadable = new Map<number, string>()
    for await (const { line, number, bytes } of readLines(segment.path)) {
      if (line.kind === 'unreadable') unreadable.set(number, Buffer.from(bytes).toString('utf8'))
      if (line.kind === 'record') readable.set(line.record.seq, { record: line.record, bytes: Uint8Array.from(bytes) })
    }
    const own = segment.damage.filter(({ to, from, line }) => line > 0 || to >= segment.first || to < from)
    for (const damage of own) this.#say(damage, unreadable.get(damage.line))
    const content: Uint8Array[] = [formatHeader({ first: segment.first, follows: segment.first - 1 }, this.#at)]
    let changed = own.length > 0
    for (let seq = segment.first; seq <= last; seq += 1) {
      const found = readable.get(seq)
      const reason = found ? this.#fits(found.record) : 'damaged'
      if (found && reason === undefined) content.push(found.bytes)
      else {
        changed = true
        if (found)
          this.#plan.lines.push(`record ${seq} is lost as well: ${reason}: ${excerpt(JSON.stringify(found.record))}`)
        content.push(this.#lost(seq, reason ?? 'damaged'))
      }
    }
    if (changed) this.#plan.files.push({ path: segment.path, replaces: true, content })
  }

  #say(damage: Damage, text?: string): void {
    const behind = damage.to <= this.#base ? ' (behind the snapshot: lost for history only)' : ''
    const seen = text === undefined ? '' : `: ${excerpt(text)}`
    this.#plan.lines.push(`${describeDamage(damage)}${behind}${seen}`)
  }

  /** Applies a record that stands after the snapshot; else why it cannot be. */
  #fits(record: JournalRecord): string | undefined {
    if (record.seq <= this.#base) return undefined
    this.#state.run('BEGIN')
    try {
      applyRecord(this.#state, record)
      this.#state.run('COMMIT')
      return undefined
    } catch (error) {
      this.#state.run('ROLLBACK')
      if (error instanceof ApplyError) return error.message
      throw error
    }
  }

  #lost(seq: number, reason: string): Buffer {
    this.#plan.lost += 1
    if (this.#plan.lost > lostMax)
      throw new Refusal('refused', `more than ${lostMax} records are missing before ${seq}`)
    const effect = seq <= this.#base ? 'in-snapshot' : 'lost'
    const actor = { who: 'pxemngr repair', from: 'daemon', surface: 'daemon' } as const
    const record: JournalRecord = { seq, at: this.#at, actor, events: [{ type: 'record.lost', effect, reason }] }
    if (seq > this.#base) this.#fits(record)
    return formatRecord(record, seq - 1)
  }
}

async function carryOut(folder: DataFolder, disk: Disk, aside: string, files: readonly NewFile[]): Promise<void> {
  await mkdir(aside, { mode: 0o700 })
  for (const { path, replaces, content } of files) {
    // A second name first, then the rename over it: there is never a moment without the file.
    if (replaces) await link(path, join(aside, basename(path)))
    await disk.syncFolder(aside)
    await replaceFile(disk, dirname(path), path, content)
  }
  await disk.syncFolder(folder.dir)
}

/** Unreadable bytes as one printable line. */
function excerpt(text: string): string {
  return JSON.stringify(text.length > excerptMax ? `${text.slice(0, excerptMax)}…` : text)
}
