/**
 * The results folder (`results-dir`): logs as they came, progress, attachments, cases, and the scripts that were sent.
 *
 *   <id>.log            the upload, byte for byte       <id>.<n>.log       one that was replaced or refused, kept aside
 *   <id>.part           what came as progress           <id>.cases.json    the cases that are kept
 *   <id>.files/<n>      attachments, by number: a name that a machine gives is never a path
 *   scripts/<sha256>    text of a test as it was sent
 *
 * What is answered is on disk: temporary file, rename, then fdatasync of the file and sync of the folder, which uploads at
 * once share, at the same time; only then its record, without which a file under its name does not count.
 * Source: CONTRACT "Daemon" (`results-dir`), DESIGN "State" (uploaded logs are files).
 */
import { randomBytes } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ResultFiles, RunLog } from '../commands/daemon.ts'
import type { ResultCase } from '../domain/run.ts'
import { groupSync, syncPath } from './folder-sync.ts'

const fileMode = 0o640
const folderMode = 0o750
const chunkBytes = 64 * 1024
/** Hashes of scripts known to be on disk. */
const scriptsKnownMax = 10_000

/** One upload on its way: nothing of it counts before `keep`. */
export interface Incoming {
  write(chunk: Uint8Array): Promise<void>
  readonly sizeBytes: number
}

export interface IncomingUpload {
  readonly log: Incoming
  /** Another file of the same upload. */
  attach(): Promise<Incoming>
  /** Begins the log anew: the last `file` part counts. */
  restart(): Promise<void>
  /** Everything is on disk under its name; the log before it is kept aside. `undo` puts that back. */
  keep(cases: readonly ResultCase[]): Promise<{ undo(): Promise<void> }>
  /** Keeps the log aside, of a run that takes none any more. */
  keepAside(): Promise<void>
  discard(): Promise<void>
}

export interface ResultFolder extends ResultFiles {
  receive(run: number): Promise<IncomingUpload>
  /** Length of what came as progress. */
  progressBytes(run: number): Promise<number>
  readProgress(run: number, start: number, end: number): Promise<Uint8Array>
  /** Appends at `at`, which is the length so far; on disk when it resolves. */
  appendProgress(run: number, at: number, bytes: Uint8Array): Promise<void>
  keepScript(hash: string, text: string): Promise<void>
  removeLog(run: number): Promise<number>
  removeAll(run: number): Promise<number>
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

  const receive = async (run: number): Promise<IncomingUpload> => {
    const temporary = path(`${run}.${randomBytes(6).toString('hex')}.tmp`)
    const filesDir = `${temporary}.files`
    const log = await openWrite(temporary)
    const attachments: Writing[] = []
    let cases: Writing | undefined
    const written = () => [log, ...attachments, ...(cases ? [cases] : [])]
    const discard = async () => {
      for (const file of written()) await file.close()
      for (const file of [temporary, filesDir, `${temporary}.cases`]) await rm(file, { recursive: true, force: true })
    }
    const sync = async () => {
      await Promise.all([
        ...written().map((file) => file.sync()),
        ...(attachments.length > 0 ? [syncPath(path(`${run}.files`))] : []),
        syncFolder(),
      ])
      for (const file of written()) await file.close()
    }
    return {
      log,
      async attach() {
        if (attachments.length === 0) await mkdir(filesDir, { mode: folderMode })
        const file = await openWrite(join(filesDir, String(attachments.length)))
        attachments.push(file)
        return file
      },
      restart: () => log.restart(),
      async keep(caseList) {
        const undo: (() => Promise<void>)[] = []
        const replace = async (name: string, from: string | undefined, mayBeThere: boolean) => {
          const aside = mayBeThere ? path(await freeName(dir, name)) : undefined
          const before = aside !== undefined && (await renameIfThere(path(name), aside))
          if (from !== undefined) await rename(from, path(name))
          undo.unshift(async () => {
            if (from !== undefined) await rm(path(name), { recursive: true, force: true })
            if (before) await rename(aside, path(name))
          })
        }
        const takeBack = async () => {
          for (const step of undo) await step()
          await syncFolder()
        }
        try {
          if (caseList.length > 0) {
            cases = await openWrite(`${temporary}.cases`)
            await cases.write(Buffer.from(JSON.stringify(caseList)))
          }
          // The log comes first: where there is none, nothing of an earlier upload is there either. Under their names, but
          // without a record, none of them counts yet, so that file and folder can be synced at the same time.
          const isSecond = (await sizeOf(logPath(run))) !== undefined
          await replace(`${run}.log`, temporary, isSecond)
          await replace(`${run}.cases.json`, cases && `${temporary}.cases`, isSecond)
          await replace(`${run}.files`, attachments.length > 0 ? filesDir : undefined, isSecond)
          await sync()
        } catch (error) {
          await takeBack().catch(() => undefined)
          await discard().catch(() => undefined)
          throw error
        }
        return { undo: takeBack }
      },
      async keepAside() {
        await rename(temporary, path(await freeName(dir, `${run}.log`)))
        await Promise.all([log.sync(), syncFolder()])
        await discard()
      },
      discard,
    }
  }

  return {
    receive,
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
    async keepScript(hash, text) {
      if (scripts.has(hash)) return
      await mkdir(scriptsDir, { recursive: true, mode: folderMode })
      const file = join(scriptsDir, hash)
      if ((await sizeOf(file)) === undefined) {
        const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
        await writeSynced(temporary, text)
        await rename(temporary, file)
      }
      if (scripts.size >= scriptsKnownMax) scripts.clear()
      scripts.add(hash)
    },
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
    async removeLog(run) {
      const names = (await readdir(dir)).filter((name) => isLogOf(name, run))
      return removeFiles(names.map(path))
    },
    async removeAll(run) {
      const names = (await readdir(dir)).filter((name) => name.startsWith(`${run}.`))
      return removeFiles(names.map(path))
    },
  }
}

interface Writing extends Incoming {
  restart(): Promise<void>
  sync(): Promise<void>
  close(): Promise<void>
}

async function openWrite(file: string): Promise<Writing> {
  const handle = await open(file, 'wx', fileMode)
  let sizeBytes = 0
  let isOpen = true
  return {
    get sizeBytes() {
      return sizeBytes
    },
    async write(chunk) {
      await writeAll(handle, chunk, sizeBytes)
      sizeBytes += chunk.length
    },
    async restart() {
      await handle.truncate(0)
      sizeBytes = 0
    },
    sync: () => handle.datasync(),
    async close() {
      if (isOpen) await handle.close()
      isOpen = false
    },
  }
}

/** `write` may write less than asked. */
async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten
  }
}

async function writeSynced(file: string, text: string): Promise<void> {
  await writeFile(file, text, { mode: fileMode, flush: true })
}

/** Whether there was something to rename. */
async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if (isMissing(error)) return false
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

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isLogOf(name: string, run: number): boolean {
  return name === `${run}.part` || (name.startsWith(`${run}.`) && /^\d+(\.\d+)?\.log$/.test(name))
}

async function removeFiles(files: readonly string[]): Promise<number> {
  let bytes = 0
  for (const file of files) {
    bytes += (await sizeOf(file)) ?? 0
    await rm(file, { recursive: true, force: true })
  }
  return bytes
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
