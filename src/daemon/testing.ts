/**
 * Wiring of the test system: test folder, hand-out, uploads, the clock of the runs, retention, webhooks. What each does
 * is in `src/runs`; how machines reach it in `src/http`.
 */
import { getAssetText } from '../assets.ts'
import type { Daemon } from '../commands/daemon.ts'
import type { Config } from '../config.ts'
import { parseIp4 } from '../domain/address.ts'
import type { Decision } from '../domain/boot.ts'
import { isGrubConfiguration, stageOf } from '../domain/stage.ts'
import { createHandoutUrls, type HandoutUrls } from '../http/handout.ts'
import type { MachineOptions } from '../http/machines.ts'
import { createUploadUrls, type UploadUrls } from '../http/uploads.ts'
import type { Log } from '../log.ts'
import { createEnding } from '../runs/ending.ts'
import { createHandout } from '../runs/handout.ts'
import type { IsUploaded } from '../runs/incoming.ts'
import { createLives, type MachineIdentity } from '../runs/life.ts'
import { createProgressReaders, readersMax } from '../runs/progress.ts'
import { recallBoots } from '../runs/recall-boots.ts'
import { createResultFolder } from '../runs/result-files.ts'
import { openRetention } from '../runs/retention.ts'
import { openRunClock } from '../runs/run-clock.ts'
import { createSpaceGuard } from '../runs/space.ts'
import { openTests } from '../runs/test-registry.ts'
import { openRunTokens } from '../runs/token.ts'
import { createTurns } from '../runs/turns.ts'
import { createUploads } from '../runs/uploads.ts'
import { waitsFor } from '../runs/waiting.ts'
import { openWebhooks } from '../runs/webhooks.ts'
import type { Store } from '../store/store.ts'
import type { Trace } from '../store/trace.ts'

export interface Testing extends Pick<Daemon, 'tests' | 'results' | 'runs' | 'webhooks'> {
  /** Why `status` is degraded, one line each. */
  faults(): string[]
  /** A configuration was served for a real boot; `ip`: who asked. */
  booted(machine: MachineIdentity, decision: Decision): void
  /** A file was served whole; `loads`: to a program that boots. */
  fetched(machine: MachineIdentity, file: string, loads: boolean): void
  /** A machine asked for something else. */
  sign(machine: MachineIdentity, what: string): void
  /** The URLs of machines, with what they share with the others. */
  urls(options: MachineOptions): HandoutUrls
  uploadUrls(options: MachineOptions): UploadUrls
  close(): Promise<void>
}

/** `config`: as it is now; SIGHUP changes it. */
export async function openTesting(
  store: Store,
  log: Log,
  config: () => Config,
  trace: Pick<Trace, 'boots'>,
): Promise<Testing> {
  const { testsDir, resultsDir } = config()
  const tests = await openTests({
    dir: testsDir,
    store,
    log,
    linkTargets: () => config().linkTargets,
    defaults: () => ({ timeoutMs: config().runTimeoutMs, bootMs: config().bootTimeoutMs }),
  })
  const tokens = await openRunTokens(store)
  const lives = createLives()
  const folder = createResultFolder(resultsDir)
  const isUploaded: IsUploaded = async (run, seq) => {
    if (seq === undefined) return store.queries.getRun(run)?.uploaded === true
    const records = await store.history({ after: seq, limit: Number.MAX_SAFE_INTEGER })
    return records.some(({ events }) => events.some((event) => event.type === 'run.uploaded' && event.run === run))
  }
  const takenBack = await folder.recover(isUploaded)
  if (takenBack > 0) log.warn('uploads that were under way when the daemon ended are gone', { uploads: takenBack })
  const turns = createTurns()
  const progress = createProgressReaders(folder, turns)
  const retriesOf = (test: string) => tests.times(test)?.retries ?? 0
  const uploads = createUploads({ store, folder, progress, log, retriesOf, turns })
  const { files, renderFaults } = tests
  const clock = openRunClock({ store, lives, tests, progress, uploads, log })
  const handout = createHandout({
    ...{ store, files, lives, log, keepScript: folder.keepScript, renderFaults },
    rebooted: (run) => void clock.rebooted(run),
  })
  const retention = openRetention({
    store,
    folder,
    log,
    keep: () => ({ logsMs: config().keepLogsMs, resultsMs: config().keepResultsMs }),
  })
  const webhooks = openWebhooks({ store, log, allow: () => config().webhookAllow })
  const space = createSpaceGuard(resultsDir, () => config().keepFree)
  let isClosed = false
  // In the background: machines are not kept waiting for it.
  const recall = async (): Promise<void> => {
    for (const { id } of store.queries.runs({ states: ['running'], limit: readersMax })) {
      if (isClosed) return
      await uploads
        .alone(id, () => progress.read(id))
        .catch((error: unknown) => log.warn('what a run had sent cannot be read', { run: id, error }))
    }
  }
  void recall()
  folder
    .removeOld(isUploaded, uploads.alone, () => isClosed)
    .then((removed) => removed > 0 && log.warn('uploads that an older version left are removed', { uploads: removed }))
    .catch((error: unknown) => log.warn('the results folder cannot be looked through', { error }))
  recallBoots({ store, lives, boots: trace.boots, isOver: () => isClosed }).catch((error: unknown) => {
    if (!isClosed) log.warn('boots from before this start are not known: their runs wait for the next one', { error })
  })
  return {
    tests,
    results: folder,
    runs: {
      deadlineMs: clock.deadlineMs,
      waitsFor: (run) => waitsFor(store, run),
      progress: progress.view,
      onProgress: progress.onProgress,
      ending: createEnding(uploads, progress, log),
      expire: retention.expire,
      removeFiles: retention.removeFiles,
    },
    webhooks,
    faults: () => [...tests.faults(), ...[space.fault()].filter((fault) => fault !== undefined)],
    booted(machine, decision) {
      const systemId = decision.system?.id
      lives.booted({ machine, systemId, read: { profile: decision.profile }, atMs: Date.now() })
    },
    fetched(machine, file, loads) {
      const atMs = Date.now()
      if (loads && isGrubConfiguration(file)) lives.booted({ machine, systemId: undefined, read: { file }, atMs })
      // Any other configuration has been counted when it was decided: it is where a boot begins.
      else if (stageOf(file) !== 'configuration') lives.sign(machine, file, atMs, loads)
    },
    sign: (machine, what) => lives.sign(machine, what, Date.now()),
    urls: (options) =>
      createHandoutUrls({
        ...options,
        files: tests.files,
        handout,
        tokens,
        lives,
        turns,
        embedded: {
          wait: getAssetText('templates/tests/wait.test'),
          loop: getAssetText('templates/tests/run.sh'),
        },
      }),
    uploadUrls: (options) =>
      createUploadUrls({
        ...options,
        tokens,
        folder,
        uploads,
        progress,
        lives,
        maxUpload: () => config().maxUploadBytes,
        space,
        ensureSent: handout.ensureSent,
      }),
    async close() {
      isClosed = true
      clock.close()
      retention.close()
      tests.close()
      await webhooks.close()
    },
  }
}

/** What is known of who is at an address. */
export function identityOf(address: string, macOf: (ip: string) => MachineIdentity['mac']): MachineIdentity {
  return { mac: macOf(address), ip: parseIp4(address) ?? address }
}
