/**
 * An upload on its way into the results folder: a folder `incoming/<id>.<random>.tmp` of its own, and how its files get names
 * so that whatever happens in between, all of them are there or none. A small log alone takes a shorter way (`small-log.ts`).
 *
 *   log  0 1 …  cases  files/     what came, and what is to be kept      replaces.json     what `keep` is about to do
 *
 * `keep` renames and syncs; where it replaces files, it first writes down which, and where those go. The folder goes away
 * when the record of the upload is on disk (`settle`). Start-up finds the folders that a crash left: with a record since,
 * they are only removed; without one, what they replaced is put back, and what has a name already goes.
 * Source: DESIGN "State" (uploaded logs are files), CONTRACT "What machines ask over HTTP" (a second upload replaces the
 * first; one that is cut off changes nothing).
 */
import { mkdir, opendir, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ResultCase } from '../domain/run.ts'
import { folderMode, isMissing, sizeOf, syncFolder as syncOnce, writeSynced } from './durable-files.ts'
import { keepSmallLog, recoverSmallLog, runOfSmallLog, type SmallLog } from './small-log.ts'
import { uniqueTag } from './unique-tag.ts'
import { heldLog, type IncomingFile, type OpenFile, openWrite } from './upload-files.ts'

/** Files that have their names, without a record yet. */
export interface KeptFiles {
  /** The record is on disk. */
  settle(): Promise<void>
  /** There is no record: what was before is put back. */
  undo(): Promise<void>
}

export interface IncomingUpload {
  readonly log: IncomingFile
  /** Another file of the same upload. */
  attach(): Promise<IncomingFile>
  /** Begins the log anew: the last `file` part counts. */
  restart(): Promise<void> | void
  /**
   * Everything is on disk under its name; what was there before is kept aside. `seq`: the journal's, any record of this
   * upload comes later. `isFirst`: the run has no record of an upload. Where it rejects, nothing has changed and nothing is
   * left.
   */
  keep(cases: readonly ResultCase[], seq: number, isFirst: boolean): Promise<KeptFiles>
  /** Keeps the log aside, of a run that takes none any more. */
  keepAside(): Promise<void>
  /** Nothing of it stays. */
  discard(): Promise<void>
}

/** `replaces.json`: the journal's number before the upload's record, and each file that gets another content. */
interface Replacement {
  readonly seq: number
  readonly steps: readonly Step[]
}

interface Step {
  readonly name: string
  /** Where the one before goes; null: there is none. */
  readonly aside: string | null
  /** Name in the upload's folder; null: nothing comes in its place. */
  readonly from: string | null
}

const planName = 'replaces.json'
/** Apart, so that a start has not to look through the names of a million logs. */
const incomingName = 'incoming'
/** Names of the results folder looked at in one go, and the pause behind them: a million takes half a minute. */
const namesAtOnce = 512
const namesPauseMs = 10
const temporaryPattern = /^(\d+)\.[0-9a-f]{12}\.tmp$/

/** `syncFolder`: of the results folder. Nothing is on disk before there is more than a small log. */
export function receiveUpload(dir: string, run: number, syncFolder: () => Promise<void>): IncomingUpload {
  const incoming = join(dir, incomingName)
  const temporary = `${incoming}/${run}.${uniqueTag()}.tmp`
  const files: OpenFile[] = []
  const discard = async () => {
    for (const file of files) await file.close()
    await rm(temporary, { recursive: true, force: true })
  }
  const begin = async (name: string): Promise<OpenFile> => {
    const file = await openWrite(join(temporary, name))
    files.push(file)
    return file
  }
  /** The folder, with the log in it. */
  const unfold = async (): Promise<void> => {
    if (log.isFile) return
    await mkdir(temporary, { mode: folderMode, recursive: true })
    await log.become(await begin('log'))
  }
  const log = heldLog(unfold)
  let attachments = 0

  const prepare = async (cases: readonly ResultCase[], isFirst: boolean): Promise<readonly Step[]> => {
    if (cases.length > 0) await writeSynced(join(temporary, 'cases'), JSON.stringify(cases))
    if (attachments > 0) {
      await mkdir(join(temporary, 'files'), { mode: folderMode })
      for (let at = 0; at < attachments; at++)
        await rename(join(temporary, String(at)), join(temporary, 'files', String(at)))
      await syncOnce(join(temporary, 'files'))
    }
    const wanted = [
      [`${run}.files`, attachments > 0 ? 'files' : null],
      [`${run}.cases.json`, cases.length > 0 ? 'cases' : null],
      [`${run}.log`, 'log'],
    ] as const
    if (isFirst && (await sizeOf(join(dir, `${run}.log`))) === undefined) {
      return firstSteps(run).filter(({ name }) => wanted.some(([own, from]) => own === name && from !== null))
    }
    const steps: Step[] = []
    for (const [name, from] of wanted) {
      const isThere = (await sizeOf(join(dir, name))) !== undefined
      if (isThere || from !== null) steps.push({ name, from, aside: isThere ? await freeName(dir, name) : null })
    }
    return steps
  }

  return {
    log,
    async attach() {
      await unfold()
      const file = await begin(String(attachments))
      attachments += 1
      return file
    },
    restart: () => log.restart(),
    async keep(cases, seq, isFirst) {
      if (isFirst && !log.isFile && cases.length === 0) {
        const kept = await keepSmallLog(dir, incoming, run, log.held(), syncFolder)
        if (kept) return afterSmallLog(kept, syncFolder)
      }
      let steps: readonly Step[] = []
      try {
        await unfold()
        steps = await prepare(cases, isFirst)
        // A first upload needs no plan: what it gave a name to is all there is.
        if (!isFirst || steps.some(({ aside }) => aside !== null)) {
          for (const file of files) await file.finish()
          await writeSynced(join(temporary, planName), JSON.stringify({ seq, steps } satisfies Replacement))
          await syncOnce(temporary)
          await syncOnce(join(dir, incomingName))
        }
        for (const { name, aside, from } of steps) {
          if (aside !== null) await rename(join(dir, name), join(dir, aside))
          if (from !== null) await rename(join(temporary, from), join(dir, name))
        }
        // Bytes and names at once: none of them counts before the record, which comes after both.
        await Promise.all([...files.map((file) => file.finish()), syncFolder()])
      } catch (error) {
        for (const file of files) await file.close()
        // A disk that does not even take this back is met again at the next start (`recoverUploads`).
        await takeBack(dir, temporary, steps).catch(() => undefined)
        throw error
      }
      return {
        async settle() {
          // Mostly empty by now: then one call does it.
          await rmdir(temporary).catch(() => rm(temporary, { recursive: true, force: true }))
        },
        async undo() {
          await takeBack(dir, temporary, steps)
          await syncFolder()
        },
      }
    },
    async keepAside() {
      try {
        await unfold()
        for (const file of files) await file.finish()
        await rename(join(temporary, 'log'), join(dir, await freeName(dir, `${run}.log`)))
      } finally {
        await discard()
      }
      await syncFolder()
    },
    discard,
  }
}

function afterSmallLog(kept: SmallLog, syncFolder: () => Promise<void>): KeptFiles {
  return {
    settle: kept.settle,
    async undo() {
      await kept.undo()
      await syncFolder()
    },
  }
}

/** What the first upload of a run gives names to, as far as it is there: no plan has to say so. */
function firstSteps(run: number): readonly Step[] {
  return [
    { name: `${run}.files`, from: 'files', aside: null },
    { name: `${run}.cases.json`, from: 'cases', aside: null },
    { name: `${run}.log`, from: 'log', aside: null },
  ]
}

/** Whether the run has a record of an upload behind that number, or any at all. */
export type IsUploaded = (run: number, seq: number | undefined) => Promise<boolean>

/**
 * At start, before any upload: settles what a crash left. Returns how many uploads were taken back.
 */
export async function recoverUploads(dir: string, isUploaded: IsUploaded): Promise<number> {
  let takenBack = 0
  for (const name of await namesIn(join(dir, incomingName))) {
    const small = runOfSmallLog(name)
    if (small !== undefined) {
      const isKept = await isUploaded(small, undefined)
      if (await recoverSmallLog(dir, join(dir, incomingName, name), small, isKept)) takenBack += 1
      continue
    }
    const run = Number(temporaryPattern.exec(name)?.[1])
    if (Number.isNaN(run)) continue
    if (await settleLeft(dir, join(dir, incomingName, name), run, isUploaded)) takenBack += 1
  }
  if (takenBack > 0) await syncOnce(dir)
  return takenBack
}

/** One folder that a crash left; whether its upload was taken back. */
async function settleLeft(dir: string, temporary: string, run: number, isUploaded: IsUploaded): Promise<boolean> {
  const plan = await readPlan(temporary)
  if (await isUploaded(run, plan?.seq)) {
    // Without a plan it is a later upload of the run that had not begun to replace anything.
    await rm(temporary, { recursive: true, force: true })
    return false
  }
  await takeBack(dir, temporary, plan?.steps ?? firstSteps(run))
  return true
}

/** One at a time for each run. */
export type Alone = <T>(run: number, work: () => Promise<T>) => Promise<T>

/**
 * Removes what uploads of an older layout left beside the logs themselves: nothing that comes in now has such a name. The
 * folder may have a million names, so they are gone through slowly, while everything else goes on. `alone`: no upload of
 * the run is kept meanwhile. `isOver` ends it early. Resolves with how many there were.
 */
export async function removeOldUploads(
  dir: string,
  isUploaded: IsUploaded,
  alone: Alone,
  isOver: () => boolean = () => false,
): Promise<number> {
  let seen = 0
  let removed = 0
  for await (const entry of await opendir(dir, { bufferSize: namesAtOnce })) {
    if (isOver()) break
    seen += 1
    if (seen % namesAtOnce === 0) await new Promise<void>((resolve) => setTimeout(resolve, namesPauseMs).unref())
    const run = Number(temporaryPattern.exec(entry.name)?.[1])
    if (Number.isNaN(run)) continue
    const left = join(dir, entry.name)
    await alone(run, async () => {
      if (entry.isDirectory()) await settleLeft(dir, left, run, isUploaded)
      else await rm(left, { force: true })
    })
    removed += 1
  }
  if (removed > 0) await syncOnce(dir)
  return removed
}

/** Undoes a `keep`, as far as it got; may itself be cut off and done again. The upload's folder goes last. */
async function takeBack(dir: string, temporary: string, steps: readonly Step[]): Promise<void> {
  for (const { name, aside, from } of [...steps].reverse()) {
    const isDone = from !== null && (await sizeOf(join(temporary, from))) === undefined
    const before = aside !== null && (await sizeOf(join(dir, aside))) !== undefined
    if (isDone && (before || aside === null)) await rm(join(dir, name), { recursive: true, force: true })
    if (before) await rename(join(dir, aside), join(dir, name))
  }
  await rm(temporary, { recursive: true, force: true })
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** undefined: `keep` had not begun. */
async function readPlan(temporary: string): Promise<Replacement | undefined> {
  try {
    return JSON.parse(await readFile(join(temporary, planName), 'utf8')) as Replacement
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError) return undefined
    throw error
  }
}

/** `7.log` → `7.1.log`, or the next number that is free. */
async function freeName(dir: string, name: string): Promise<string> {
  const dot = name.indexOf('.')
  for (let number = 1; ; number++) {
    const aside = `${name.slice(0, dot)}.${number}${name.slice(dot)}`
    if ((await sizeOf(join(dir, aside))) === undefined) return aside
  }
}
