/**
 * The results folder (`results-dir`): logs as they came, progress, attachments, cases, and the scripts that were sent.
 *
 *   <id>.log            the upload, byte for byte       <id>.<n>.log       one that was replaced or refused, kept aside
 *   <id>.part           what came as progress           <id>.cases.json    the cases that are kept
 *   <id>.files/<n>      attachments, by number: a name that a machine gives is never a path
 *   scripts/<sha256>    text of a test as it was sent   incoming/           uploads on their way (`incoming.ts`)
 *
 * What is answered is on disk: temporary file, rename (or a second name: `small-log.ts`), then fdatasync of the file and sync
 * of the folder, which uploads at once share, at the same time; only then its record, without which a file under its name
 * does not count.
 * Source: CONTRACT "Daemon" (`results-dir`), DESIGN "State" (uploaded logs are files).
 */
import type { FileHandle } from 'node:fs/promises'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ResultFiles, RunLog } from '../commands/daemon.ts'
import type { ResultCase } from '../domain/run.ts'
import { fileMode, folderMode, groupSync, isMissing, sizeOf, writeAll, writeSynced } from './durable-files.ts'
import {
  type Alone,
  type IncomingUpload,
  type IsUploaded,
  receiveUpload,
  recoverUploads,
  removeOldUploads,
} from './incoming.ts'
import { uniqueTag } from './unique-tag.ts'

const chunkBytes = 64 * 1024
/** Hashes of scripts known to be on disk. */
const scriptsKnownMax = 10_000

export interface ResultFolder extends ResultFiles {
  receive(run: number): IncomingUpload
  /** Once at start: settles what a crash left; how many uploads that takes back. See `recoverUploads`. */
  recover(isUploaded: IsUploaded): Promise<number>
  /** In the background, once: see `removeOldUploads`. */
  removeOld(isUploaded: IsUploaded, alone: Alone, isOver: () => boolean): Promise<number>
  /** Length of what came as progress. */
  progressBytes(run: number): Promise<number>
  readProgress(run: number, start: number, end: number): Promise<Uint8Array>
  /** Appends at `at`, which is the length so far; on disk when it resolves. */
  appendProgress(run: number, at: number, bytes: Uint8Array): Promise<void>
  /** undefined: it is there already. */
  keepScript(hash: string, text: string): Promise<void> | undefined
  /** How many bytes go; `dryRun`: would go. */
  removeLog(run: number, dryRun?: boolean): Promise<number>
  removeAll(run: number, dryRun?: boolean): Promise<number>
}

export function createResultFolder(dir: string): ResultFolder {
  const path = (name: string) => join(dir, name)
  const logPath = (run: number) => path(`${run}.log`)
  const partPath = (run: number) => path(`${run}.part`)
  const scriptsDir = path('scripts')
  const scripts = new Set<string>()
  const syncFolder = groupSync(dir)

  const openRead = async (file: string, final: boolean): Promise<RunLog | undefined> => {
    let handle: FileHandle
    try {
      handle = await open(file, 'r')
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
    const sizeBytes = (await handle.stat()).size
    return {
      sizeBytes,
      final,
      async *chunks(start = 0, end = sizeBytes) {
        for (let at = start; at < end; ) {
          const { bytesRead, buffer } = await handle.read(
            Buffer.alloc(Math.min(chunkBytes, end - at)),
            0,
            undefined,
            at,
          )
          if (bytesRead === 0) return
          at += bytesRead
          yield buffer.subarray(0, bytesRead)
        }
      },
      close: () => handle.close(),
    }
  }

  /** Of a run, by their names: the folder may hold a million others. What was kept aside is numbered without gaps. */
  const filesOf = async (run: number, endings: readonly string[]): Promise<string[]> => {
    const found = [partPath(run)]
    for (const ending of endings) {
      found.push(path(`${run}.${ending}`))
      for (let number = 1; ; number++) {
        const aside = path(`${run}.${number}.${ending}`)
        if ((await sizeOf(aside)) === undefined) break
        found.push(aside)
      }
    }
    return found
  }

  const keepScript = async (hash: string, text: string): Promise<void> => {
    await mkdir(scriptsDir, { recursive: true, mode: folderMode })
    const file = join(scriptsDir, hash)
    if ((await sizeOf(file)) === undefined) {
      const temporary = `${file}.${uniqueTag()}.tmp`
      await writeSynced(temporary, text)
      await rename(temporary, file)
    }
    if (scripts.size >= scriptsKnownMax) scripts.clear()
    scripts.add(hash)
  }

  const recover: ResultFolder['recover'] = async (isUploaded) => {
    const takenBack = await recoverUploads(dir, isUploaded)
    for (const name of await readdir(scriptsDir).catch(() => [])) {
      if (name.endsWith('.tmp')) await rm(join(scriptsDir, name), { force: true })
    }
    return takenBack
  }

  return {
    receive: (run) => receiveUpload(dir, run, syncFolder),
    recover,
    removeOld: (isUploaded, alone, isOver) => removeOldUploads(dir, isUploaded, alone, isOver),
    async openLog(run) {
      return (await openRead(logPath(run), true)) ?? openRead(partPath(run), false)
    },
    async cases(run) {
      try {
        return JSON.parse(await readFile(path(`${run}.cases.json`), 'utf8')) as ResultCase[]
      } catch (error) {
        if (isMissing(error)) return []
        throw error
      }
    },
    openAttachment: (run, place) => openRead(join(path(`${run}.files`), String(place)), true),
    async script(hash) {
      if (!/^[0-9a-f]{64}$/.test(hash)) return undefined
      try {
        return await readFile(join(scriptsDir, hash), 'utf8')
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    },
    keepScript: (hash, text) => (scripts.has(hash) ? undefined : keepScript(hash, text)),
    progressBytes: async (run) => (await sizeOf(partPath(run))) ?? 0,
    async readProgress(run, start, end) {
      const file = await openRead(partPath(run), false)
      if (!file) return new Uint8Array()
      try {
        const pieces: Uint8Array[] = []
        for await (const piece of file.chunks(start, end)) pieces.push(piece)
        return Buffer.concat(pieces)
      } finally {
        await file.close()
      }
    },
    async appendProgress(run, at, bytes) {
      const isNew = at === 0
      const handle = await open(partPath(run), isNew ? 'w' : 'r+', fileMode)
      try {
        await writeAll(handle, bytes, at)
        await handle.truncate(at + bytes.length)
        await handle.datasync()
      } finally {
        await handle.close()
      }
      if (isNew) await syncFolder()
    },
    async removeLog(run, dryRun = false) {
      return removeFiles(await filesOf(run, ['log']), dryRun)
    },
    async removeAll(run, dryRun = false) {
      return removeFiles(await filesOf(run, ['log', 'cases.json', 'files']), dryRun)
    },
  }
}

async function removeFiles(files: readonly string[], dryRun: boolean): Promise<number> {
  let bytes = 0
  for (const file of files) {
    bytes += await contentBytes(file)
    if (!dryRun) await rm(file, { recursive: true, force: true })
  }
  return bytes
}

/** Of a file, or of the files in a folder: how large the folder's own entry is says nothing. */
async function contentBytes(path: string): Promise<number> {
  const found = await stat(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
  if (!found?.isDirectory()) return found?.size ?? 0
  let bytes = 0
  for (const name of await readdir(path)) bytes += (await sizeOf(join(path, name))) ?? 0
  return bytes
}
