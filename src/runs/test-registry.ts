/**
 * The test folder and the state: which tests there are (registered), and whether each one's file is there.
 *
 * As `profiles/registry.ts` does for profiles: looks at the folder at start, on SIGHUP, for `synctestnames` and by itself
 * after a change, and records what changed. Source: CONTRACT "Command line", COMPATIBILITY 3.9.
 */
import type { TestFolder } from '../commands/daemon.ts'
import { Refusal } from '../domain/errors.ts'
import type { Actor } from '../domain/event.ts'
import type { Log } from '../log.ts'
import { reason, whileThere } from '../profiles/folder.ts'
import { watchFolder } from '../profiles/watch.ts'
import type { Store, Transaction } from '../store/store.ts'
import { createRenderFaults, type RenderFaults } from './render-faults.ts'
import { createTestFiles, type DefaultTimes, type TestFiles, waitTest } from './test-files.ts'

const daemon: Actor = { who: 'pxemngr', from: 'daemon', surface: 'daemon' }

export interface Tests extends TestFolder {
  /** The files behind it, for handing out. */
  readonly files: TestFiles
  readonly renderFaults: RenderFaults
  close(): void
}

export interface TestsOptions {
  readonly dir: string
  readonly store: Store
  readonly log: Log
  readonly defaults: () => DefaultTimes
  /** Folders that links out of `dir` may lead to; none if absent. */
  readonly linkTargets?: () => readonly string[]
  /** How often the folder is looked at; for tests. */
  readonly watchMs?: number
}

export async function openTests(options: TestsOptions): Promise<Tests> {
  const { dir, store, log, defaults, watchMs } = options
  const files = createTestFiles(dir, defaults, options.linkTargets)
  const renderFaults = createRenderFaults(store.queries, files)
  let running = Promise.resolve()

  /** One at a time, so that each sees the records of the one before. */
  const sync = (): Promise<{ registered: string[]; missing: string[] }> => {
    const result = running.then(look)
    running = result.then(
      () => undefined,
      () => undefined,
    )
    return result
  }

  const presentNames = (): string[] => {
    try {
      return files.names()
    } catch (error) {
      throw new Refusal('refused', unreadable(dir, error), { cause: error })
    }
  }

  const look = async (): Promise<{ registered: string[]; missing: string[] }> => {
    const registered = presentNames()
    const present = new Set(registered)
    const known = store.queries.listTests()
    const changed =
      known.some((test) => test.available !== present.has(test.name)) ||
      registered.length !== known.filter((test) => test.available).length
    if (changed) await store.commit(daemon, (tx) => register(tx, registered, present))
    return { registered, missing: present.has(waitTest) ? [] : [waitTest] }
  }

  const syncOrWarn = async (): Promise<void> => {
    try {
      await sync()
    } catch (error) {
      // Changes may be refused (full disk): machines get their tests all the same, the next look registers.
      log.warn('tests are not registered', { dir, error })
    }
  }
  await syncOrWarn()
  const watch = watchFolder(dir, syncOrWarn, watchMs)
  // Where the folder is gone `faults` says so.
  const names = (): string[] => whileThere(files.names)
  return {
    files,
    renderFaults,
    renderFault: renderFaults.find,
    sync,
    names,
    fault: files.fault,
    times: files.times,
    tagged: (tag) =>
      names()
        .filter((name) => files.fault(name) === undefined && files.times(name)?.tags.includes(tag))
        .sort(),
    refused: () => whileThere(files.refused),
    suiteNames: () => whileThere(files.suiteNames),
    suite: files.suite,
    faults() {
      const found: string[] = []
      try {
        const present = files.names()
        if (!present.includes(waitTest)) found.push('test wait is missing: the one inside the executable is served')
        for (const name of present) found.push(...[files.fault(name)].filter((fault) => fault !== undefined))
        found.push(...files.refused().map(({ why }) => why))
        for (const name of files.suiteNames()) {
          const suite = files.suite(name)
          if (suite && 'fault' in suite) found.push(suite.fault)
        }
        found.push(...renderFaults.list())
      } catch (error) {
        found.push(unreadable(dir, error))
      }
      return found
    },
    close: () => watch.close(),
  }
}

function unreadable(dir: string, error: unknown): string {
  return `the test folder ${dir} cannot be read: ${reason(error)}`
}

function register(tx: Transaction, names: readonly string[], present: ReadonlySet<string>): void {
  const known = new Map(tx.listTests().map((test) => [test.name, test]))
  for (const name of names) {
    const row = known.get(name)
    if (!row) tx.emit({ type: 'test.registered', test: tx.nextId('test'), name })
    else if (!row.available) tx.emit({ type: 'test.returned', test: row.id })
  }
  for (const row of known.values()) {
    if (row.available && !present.has(row.name)) tx.emit({ type: 'test.missing', test: row.id })
  }
}
