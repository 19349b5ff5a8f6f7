/**
 * The profile folder and the state: which names there are (registered), and whether each one's file is there.
 *
 * `sync` looks at the folder and records what changed, in one record; it runs at start, on SIGHUP, for `syncbootnames`
 * and by itself after a change. Never are files written, but for the first start's defaults. Nothing here opens a
 * profile: a FIFO, a folder or a link that leads nowhere is only looked at. Source: CONTRACT "Command line" (profiles),
 * "Daemon" (first start), COMPATIBILITY 3.7.
 */
import { readdirSync } from 'node:fs'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ProfileFolder } from '../commands/daemon.ts'
import { localProfile } from '../domain/boot.ts'
import { Refusal } from '../domain/errors.ts'
import type { Actor } from '../domain/event.ts'
import type { Log } from '../log.ts'
import type { Store } from '../store/store.ts'
import { createTurn } from '../turn.ts'
import { createProfileFiles, type ProfileFiles, profileNames, profileSuffix, reason, whileThere } from './folder.ts'
import { watchFolder } from './watch.ts'

const daemon: Actor = { who: 'pxemngr', from: 'daemon', surface: 'daemon' }

export interface Profiles extends ProfileFolder, ProfileFiles {
  close(): void
}

export interface ProfilesOptions {
  readonly dir: string
  readonly store: Store
  readonly log: Log
  /** Bytes of the `local.prof` that ships. */
  readonly embeddedLocal: Uint8Array
  /** Folders that links out of `dir` may lead to; asked at each look. */
  readonly linkTargets?: () => readonly string[]
  /** How often the folder is looked at; for tests. */
  readonly watchMs?: number
}

/** Opens the folder (which must exist), registers what is in it, and goes on watching it until closed. */
export async function openProfiles(options: ProfilesOptions): Promise<Profiles> {
  const { dir, store, log, watchMs } = options
  const files = createProfileFiles(dir, options.embeddedLocal, Date.now, createTurn(), options.linkTargets)
  let running = Promise.resolve()

  /** One at a time, so that each sees the records of the one before. */
  function sync(): Promise<{ registered: string[]; missing: string[] }> {
    const result = running.then(look)
    running = result.then(
      () => undefined,
      () => undefined,
    )
    return result
  }

  async function look(): Promise<{ registered: string[]; missing: string[] }> {
    const registered = (await presentNames(dir)).filter((name) => files.refusal(name) === undefined)
    const present = new Set(registered)
    const known = store.queries.listProfiles()
    const changed =
      known.some((profile) => profile.available !== present.has(profile.name)) ||
      registered.length !== known.filter((profile) => profile.available).length
    if (changed) await store.commit(daemon, (tx) => register(tx, registered, present))
    return { registered, missing: present.has(localProfile) ? [] : [localProfile] }
  }

  try {
    await sync()
  } catch (error) {
    // Changes may be refused at start (full disk): machines boot all the same, the next look registers.
    log.warn('profiles are not registered', { dir, error })
  }
  const watch = watchFolder(
    dir,
    async () => {
      try {
        await sync()
      } catch (error) {
        log.warn('profiles are not registered', { dir, error })
      }
    },
    watchMs,
  )
  return {
    ...files,
    sync,
    // Where the folder is gone `folderFault` says so.
    names: () => whileThere(files.names),
    refused: () => whileThere(files.refused),
    folderFault() {
      try {
        readdirSync(dir)
        return undefined
      } catch (error) {
        return unreadable(dir, error)
      }
    },
    close: () => watch.close(),
  }
}

type Transaction = Parameters<Parameters<Store['commit']>[1]>[0]

function register(tx: Transaction, names: readonly string[], present: ReadonlySet<string>): void {
  const known = new Map(tx.listProfiles().map((profile) => [profile.name, profile]))
  for (const name of names) {
    const row = known.get(name)
    if (!row) tx.emit({ type: 'profile.registered', profile: tx.nextId('profile'), name })
    else if (!row.available) tx.emit({ type: 'profile.returned', profile: row.id })
  }
  for (const row of known.values()) {
    if (row.available && !present.has(row.name)) tx.emit({ type: 'profile.missing', profile: row.id })
  }
}

function unreadable(dir: string, error: unknown): string {
  return `the profile folder ${dir} cannot be read: ${reason(error)}`
}

async function presentNames(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { encoding: 'buffer' }).catch((error: unknown) => {
    throw new Refusal('refused', unreadable(dir, error), { cause: error })
  })
  const names: string[] = []
  for (const name of profileNames(entries)) {
    const entry = await stat(join(dir, `${name}${profileSuffix}`)).catch(() => undefined)
    if (entry?.isFile()) names.push(name)
  }
  return names
}

/** First start: makes the folder and puts the default `local.prof` in. An existing file is never touched. */
export async function populateProfiles(dir: string, embeddedLocal: Uint8Array): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o755 })
  await writeFile(join(dir, `${localProfile}${profileSuffix}`), embeddedLocal, { flag: 'wx', mode: 0o644 }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    },
  )
}
