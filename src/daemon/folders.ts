/**
 * The folders of the configuration: made where they are not there, filled at the first start, never touched afterwards.
 * Source: CONTRACT "Daemon" (first start).
 */
import { accessSync, constants, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getAsset } from '../assets.ts'
import { refuseFiles } from '../config/check.ts'
import type { Config } from '../config.ts'
import { Refusal } from '../domain/errors.ts'
import { populateProfiles } from '../profiles/registry.ts'
import { makeFolder } from '../store/make-folder.ts'
import { reason } from './listeners.ts'

/** Makes the folders that are not there; whether the data directory is new. Refuses (exit 1) one that is unusable. */
export function makeFolders(config: Config): boolean {
  refuseFiles(config)
  const isNew = !existsSync(join(config.dataDir, 'journal'))
  const folders: readonly (readonly [string, string, number])[] = [
    ['data-dir', config.dataDir, 0o755],
    ['profiles-dir', config.profilesDir, 0o755],
    ['tests-dir', config.testsDir, 0o755],
    ['results-dir', config.resultsDir, 0o750],
    ['tftp-root', config.tftpRoot, 0o755],
  ]
  for (const [key, path, mode] of folders) {
    try {
      makeFolder(path, mode)
      accessSync(path, constants.R_OK | constants.X_OK)
    } catch (error) {
      if (existsSync(path) && error instanceof Error && 'code' in error && error.code === 'EROFS') continue
      throw new Refusal('refused', `${key} ${path}: ${reason(error)}`, { cause: error })
    }
  }
  return isNew
}

/** First start: the default profile and test. What is there already is never touched. */
export async function populate(config: Config): Promise<void> {
  await populateProfiles(config.profilesDir, getAsset('profiles/local.prof'))
  const wait = join(config.testsDir, 'wait.test')
  if (!existsSync(wait)) writeFileSync(wait, getAsset('templates/tests/wait.test'), { flag: 'wx', mode: 0o644 })
}
