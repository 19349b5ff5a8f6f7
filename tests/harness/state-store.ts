/**
 * The real store in a temporary folder, which is gone after `close`, on a disk that the test can hold.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JournalRecord } from '../../src/domain/event.ts'
import { silentLog } from '../../src/log.ts'
import { openStore } from '../../src/store/open.ts'
import type { Store } from '../../src/store/store.ts'
import { faultyDisk } from './faulty-disk.ts'

export interface StateStore extends Store {
  /** All records applied since it was opened. */
  readonly records: readonly JournalRecord[]
  /** Commits wait for their sync until the returned function is called. */
  hold(): () => void
  /** Time of the records to come; the wall clock if unset. */
  at: string | undefined
}

/** No test of commands writes so much that a snapshot is due: that is for the tests of the store. */
const neverBytes = Number.MAX_SAFE_INTEGER

export async function openStateStore(): Promise<StateStore> {
  const dataDir = await mkdtemp(join(tmpdir(), 'pxemngr-commands-'))
  const disk = faultyDisk()
  const clock: { at: string | undefined } = { at: undefined }
  const now = () => new Date(clock.at ?? Date.now())
  const store = await openStore({ dataDir, log: silentLog, disk, now, snapshotEveryBytes: neverBytes })
  const records: JournalRecord[] = []
  store.onApplied((record) => records.push(record))
  const state: StateStore = {
    ...store,
    get seq() {
      return store.seq
    },
    records,
    get at() {
      return clock.at
    },
    set at(text) {
      clock.at = text
    },
    hold() {
      const held = disk.hold('sync')
      return () => held.release()
    },
    async close() {
      await store.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
  return state
}
