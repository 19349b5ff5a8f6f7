/**
 * Data directories for tests of the store: made, filled by real commands, compared, removed.
 */
import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Address, parseAddress } from '../../src/domain/address.ts'
import type { Actor } from '../../src/domain/event.ts'
import { silentLog } from '../../src/log.ts'
import { dataFolder } from '../../src/store/folder.ts'
import { type OpenedStore, openStore, type StoreOptions } from '../../src/store/open.ts'
import { emptyState, replay } from '../../src/store/replay.ts'
import { dumpContent } from '../../src/store/schema.ts'
import { listSegments } from '../../src/store/segment.ts'
import type { Transaction } from '../../src/store/store.ts'
import { readRecords } from '../../src/store/survey.ts'
import { makeFolder } from './folder.ts'

export { makeFolder } from './folder.ts'

export const operator: Actor = { who: 'root', from: 'socket', surface: 'cli' }
export const machine: Actor = { who: '52:54:00:00:00:01', from: '10.0.0.1', surface: 'machine' }

export function copyFolder(t: TestContext, from: string): string {
  const dir = makeFolder(t)
  cpSync(from, dir, { recursive: true })
  return dir
}

/** Opens it, and closes it after the test where the test has not. */
export async function open(t: TestContext, dataDir: string, options: Partial<StoreOptions> = {}): Promise<OpenedStore> {
  const store = await openStore({ dataDir, log: silentLog, ...options })
  t.after(() => store.close())
  return store
}

export function addSystem(tx: Transaction, name: string, ...addresses: string[]): number {
  const system = tx.nextId('system')
  tx.emit({ type: 'system.added', system, name })
  for (const text of addresses) tx.emit({ type: 'address.added', system, address: parseAddress(text) as Address })
  return system
}

export function decide(tx: Transaction, system: number, profile: string): void {
  tx.emit({ type: 'boot.decided', decision: tx.nextId('decision'), system, profile })
}

/** Content of the state that records 1 … `last` on disk give, replayed from nothing. */
export async function contentFromNothing(dataDir: string, last: number): Promise<string> {
  const state = await emptyState()
  try {
    const segments = await listSegments(dataFolder(dataDir))
    await replay(
      state,
      readRecords(segments, 0, last, (path, line, reason) => {
        throw new Error(`${path}:${line}: ${reason}`)
      }),
    )
    return dumpContent(state)
  } finally {
    state.close()
  }
}

/** Every file below the journal and archive folders, with its bytes. */
export function journalFiles(dataDir: string): { path: string; bytes: Buffer }[] {
  return ['archive', 'journal'].flatMap((folder) =>
    readdirSync(join(dataDir, folder)).map((name) => {
      const path = join(dataDir, folder, name)
      return { path, bytes: readFileSync(path) }
    }),
  )
}
