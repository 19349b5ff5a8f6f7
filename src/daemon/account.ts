/**
 * Becoming another account (`user`) once every port is bound: who that is, what has to belong to it, and the change.
 *
 * The account is looked up by `id` (so that directory services count, which /etc/passwd alone would miss). Order of the
 * change: supplementary groups, group, user (credentials(7)); afterwards all threads have it. Source: CONTRACT "Daemon".
 */
import { execFileSync } from 'node:child_process'
import { existsSync, lchownSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { LoadedConfig } from '../config.ts'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/**
 * Whom `user` names; undefined: nobody, or not root, who alone can become another. Refuses (`usage`: it is a value of the
 * configuration) an account this system does not have.
 */
export function getAccount({ config, refusal }: Pick<LoadedConfig, 'config' | 'refusal'>): Account | undefined {
  const { user: name } = config
  if (name === null || process.getuid?.() !== 0) return undefined
  const ask = (option: string): number => {
    const printed = execFileSync('id', [option, '--', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return Number(printed.trim())
  }
  try {
    return { name, uid: ask('-u'), gid: ask('-g') }
  } catch {
    throw refusal('user', 'this system has no such account')
  }
}

/** Folders of the data directory whose content the daemon writes itself. Kernels and results may be huge and stay. */
const ownFolders = ['journal', 'profiles', 'tests']

/** Gives the account what the daemon has to write later: the data directory's own files, the socket and its folder. */
export function handOver(account: Account, dataDir: string, socket: string): void {
  const give = (path: string): void => {
    if (existsSync(path)) lchownSync(path, account.uid, account.gid)
  }
  give(dataDir)
  for (const entry of readdirSync(dataDir)) give(join(dataDir, entry))
  for (const folder of ownFolders) {
    const path = join(dataDir, folder)
    if (!existsSync(path)) continue
    for (const entry of readdirSync(path, { recursive: true })) give(join(path, String(entry)))
  }
  give(socket)
  // Removing the socket at the end needs its folder; a folder that others use (/run, /tmp) is not ours to give away.
  if (dirname(socket).endsWith('/pxemngr')) give(dirname(socket))
}

/** Becomes the account; throws Node's error where that is not permitted. */
export function become(account: Account): void {
  type WithGroups = typeof process & { initgroups(user: string, extraGroup: number): void } // not in the type package
  ;(process as WithGroups).initgroups(account.name, account.gid)
  process.setgid?.(account.gid)
  process.setuid?.(account.uid)
}
