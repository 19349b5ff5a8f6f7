/**
 * The daemon's half of the executable: `serve`, and the commands that work on a stopped data directory.
 *
 * Errors end here: a refusal is one line on stderr and its exit status. What starts in which order is `daemon/start.ts`.
 * Source: CONTRACT "Daemon".
 */
import { readFileSync } from 'node:fs'
import { isatty } from 'node:tty'
import { setFlagsFromString } from 'node:v8'
import { stream } from './cli/process.ts'
import { checkFolders, refuseFiles, refuseTwice } from './config/check.ts'
import { type LoadedConfig, loadConfig } from './config.ts'
import { getAccount } from './daemon/account.ts'
import { startDaemon } from './daemon/start.ts'
import { listenForSignals } from './daemon/stop.ts'
import { Refusal } from './domain/errors.ts'
import { lineControls, showSigns } from './domain/visible.ts'
import { createLog, type Log } from './log.ts'
import { restoreDataDir } from './store/backup.ts'
import { repairDataDir } from './store/repair.ts'

const stdoutDescriptor = 1
const stderrDescriptor = 2
/**
 * The heap grows by a third of what is alive before it is cleaned; on a large machine V8 lets it grow to four times.
 * Set at run time: as a flag of the executable it would make V8 refuse the code cache inside it.
 */
const heapGrowth = '--heap-growing-percent=33'

/** Runs one of the local commands to its end; resolves with the exit status. Refusals reach the caller. */
export async function runLocal(
  name: 'serve' | 'repair' | 'restore',
  typed: Readonly<Record<string, unknown>>,
): Promise<number> {
  switch (name) {
    case 'serve':
      return serve(typed['argv'] as readonly string[])
    case 'repair':
      return repair(typed)
    case 'restore':
      return restore(typed)
  }
}

function readConfig(argv: readonly string[]): Promise<LoadedConfig> {
  return loadConfig({
    argv,
    env: process.env,
    cwd: process.cwd(),
    uid: process.getuid?.() ?? -1,
    readFile: (path) => readFileSync(path),
  })
}

async function serve(argv: readonly string[]): Promise<number> {
  setFlagsFromString(heapGrowth)
  const loaded = await readConfig(argv)
  const log = createLog(loaded.config.logLevel, isatty(stderrDescriptor))
  for (const warning of loaded.warnings) log.warn(warning)
  refuseTwice(loaded.config)
  if (loaded.check) {
    getAccount(loaded)
    refuseFiles(loaded.config)
    for (const warning of checkFolders(loaded.config)) log.warn(warning)
    return 0
  }
  const signals = listenForSignals(log)
  const daemon = await startDaemon(loaded, log, async () => {
    const again = await readConfig(argv)
    for (const warning of again.warnings) log.warn(warning)
    return again.config
  })
  sayReady(daemon.readyLine, log)
  await signals.serve(daemon)
  return 0
}

/** The ready line is for whoever waits for it: a stdout that is closed or full ends no daemon. */
function sayReady(line: string, log: Log): void {
  try {
    if (stream(stdoutDescriptor).write(`${shown(line)}\n`)) return
    log.warn('nobody reads standard output: the ready line is lost')
  } catch (error) {
    log.warn('the ready line cannot be written to standard output', { error: String(error) })
  }
}

/** Names and bytes come from disk: what would steer a terminal is made visible, as the client does. */
function shown(text: string): string {
  return showSigns(text, lineControls)
}

/** The data directory that `serve` would use with these flags. */
async function dataDirOf(typed: Readonly<Record<string, unknown>>): Promise<string> {
  const argv = ['data-dir', 'config'].flatMap((name) => {
    const value = typed[name]
    return typeof value === 'string' ? [`--${name}=${value}`] : []
  })
  return (await readConfig(argv)).config.dataDir
}

async function repair(typed: Readonly<Record<string, unknown>>): Promise<number> {
  const report = await repairDataDir(await dataDirOf(typed), { dryRun: typed['dry-run'] === true })
  print(typed['json'] === undefined ? report.lines.map(shown) : [JSON.stringify(report)])
  return report.lostAcknowledged ? 1 : 0
}

async function restore(typed: Readonly<Record<string, unknown>>): Promise<number> {
  const { file } = typed
  if (typeof file !== 'string') throw new Refusal('usage', 'restore needs the backup file')
  const restored = await restoreDataDir(file, await dataDirOf(typed))
  if (typed['json'] !== undefined) print([JSON.stringify(restored)])
  return 0
}

function print(lines: readonly string[]): void {
  try {
    stream(stdoutDescriptor).write(lines.map((line) => `${line}\n`).join(''))
  } catch (error) {
    throw new Refusal('unavailable', `cannot write standard output: ${String(error)}`, { cause: error })
  }
}
