/**
 * Opens the store of a data directory: lock, start-up, journal, committer, snapshots, in this order; `close` in reverse.
 *
 * Only wiring: each part says in its own file what it does. A failing disk does not keep the store from opening (boots go
 * on, changes are refused); a lock that is taken, damage and an unreadable folder do. Source: DESIGN "State".
 */
import { Refusal } from '../domain/errors.ts'
import type { Actor } from '../domain/event.ts'
import type { Log } from '../log.ts'
import { writeBackup } from './backup.ts'
import { createCommitter } from './committer.ts'
import { type Disk, realDisk, reasonOf } from './disk.ts'
import { openFileJournal } from './file-journal.ts'
import { dataFolder } from './folder.ts'
import { readHistory } from './history.ts'
import { takeLock } from './lock.ts'
import { createLookups } from './lookups.ts'
import { createQueries, rememberedOf } from './queries.ts'
import { createRecall } from './recall.ts'
import { createRecent, recentKept } from './recent.ts'
import { createReserve } from './reserve.ts'
import { createSnapshots } from './snapshot.ts'
import { makeFolders, startUp } from './startup.ts'
import type { Degradation, Store } from './store.ts'

export interface StoreOptions {
  /** Absolute path; made if it is not there. */
  readonly dataDir: string
  readonly log: Log
  readonly now?: () => Date
  /** Tests make it fail. */
  readonly disk?: Disk
  /** Length at which a segment is closed; default 1 MiB. */
  readonly segmentMaxBytes?: number
  /** Bytes of journal after which a snapshot is made; default 4 MiB. */
  readonly snapshotEveryBytes?: number
  /** How often writing is tried again while it fails; default 3 s. */
  readonly retryMs?: number
}

/** The store, and what only tests and `close` need besides. */
export interface OpenedStore extends Store {
  /** Makes a snapshot now; false if it could not be made or nothing is new. */
  snapshot(): Promise<boolean>
}

const daemon: Actor = { who: 'pxemngr', from: 'daemon', surface: 'daemon' }
/** Damaged places of the archive that `history` came across and `status` names. */
const faultsKept = 20

/** Rejects with a `Refusal`: another process has the directory, damage (names file, line and repair), no access. */
export async function openStore(options: StoreOptions): Promise<OpenedStore> {
  const { dataDir, log, disk = realDisk, now = () => new Date() } = options
  const folder = dataFolder(dataDir)
  try {
    await makeFolders(folder)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EROFS')) throw error
  }
  const lock = takeLock(folder.lock, dataDir)
  try {
    const started = await startUp({ folder, disk, log, now, writable: lock.held })
    const { database } = started
    if (started.seq > 0) lock.begin()
    else if (lock.begun) {
      throw new Refusal(
        'refused',
        `the journal in ${folder.journal} is gone or empty, though it had records: put it back, or pxemngr restore a backup into a new folder; to begin anew remove ${folder.lock}`,
      )
    }
    const journal = await openFileJournal({
      folder,
      disk,
      reserve: createReserve(disk, folder.reserve),
      log,
      now,
      seq: started.seq,
      resume: started.resume,
      segmentBytesMax: options.segmentMaxBytes,
      retryMs: options.retryMs,
    })
    const base = createQueries(database)
    const recall = createRecall()
    const lookups = createLookups(base, recall, (system) => rememberedOf(database, system))
    const committer = createCommitter({ database, base, journal, lookups, recall, log, now })
    const snapshots = createSnapshots({
      folder,
      disk,
      journal,
      log,
      newest: started.newest,
      before: started.before,
      pendingBytes: started.pendingBytes,
      everyBytes: options.snapshotEveryBytes,
      commit: (actor, decide) => committer.commit(actor, decide),
    })
    committer.onApplied(() => lock.begin())
    committer.onApplied(() => snapshots.consider())
    const systemOfRun = (run: number) => base.systemOfRun(run)
    const recent = createRecent({ folder, last: started.seq, log, systemOfRun })
    committer.onApplied(recent.applied)
    const faults = new Map<string, Degradation>()
    const onFault = (path: string, line: number, reason: string) => {
      if (faults.size >= faultsKept) return
      const text = `${path}${line > 0 ? `:${line}` : ''}: ${reason} (behind the snapshot: state is whole, history is not)`
      faults.set(text, { code: 'archive-damaged', weight: 'fault', text })
    }
    let closing: Promise<void> | undefined
    const close = async () => {
      recent.close()
      await snapshots.close()
      try {
        await committer.finish((tx) => tx.emit({ type: 'daemon.stopped' }), daemon)
      } catch (error) {
        log.warn('the journal ends without its closing record', { reason: reasonOf(error) })
      }
      await journal.close()
      database.close()
      lock.release()
    }
    return {
      queries: lookups.queries,
      commit: committer.commit,
      onApplied: committer.onApplied,
      get seq() {
        return committer.seq
      },
      history(query) {
        const [system, ...others] = query.systems ?? []
        if (query.recent === true && system !== undefined && others.length === 0) {
          return recent.find(system, query.limit ?? recentKept)
        }
        return readHistory(folder, query, committer.seq, onFault, systemOfRun)
      },
      degradations() {
        const refusal = journal.refusal()
        const held = recall.describe()
        const snapshot = snapshots.degradation()
        const found: Degradation[] = [...started.degradations, ...faults.values()]
        if (refusal !== undefined) found.push({ code: 'writes-refused', weight: 'fault', text: refusal })
        if (held !== undefined) found.push({ code: 'reports-in-memory', weight: 'fault', text: held })
        if (snapshot) found.push(snapshot)
        if (!lock.held)
          found.push({ code: 'not-locked', weight: 'fault', text: `${dataDir} is read-only: no lock is held` })
        return found
      },
      backup: (write) => writeBackup(folder, committer.seq, now().toISOString(), write),
      snapshot: () => snapshots.make(),
      close() {
        closing ??= close()
        return closing
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}
