/**
 * A folder with what is missing above it.
 *
 * Not `mkdir` with `recursive`: below a place that answers ENOENT although it is there (`/proc`, some FUSE and autofs
 * mounts) Node's goes round for ever, deaf to signals. Source: mkdir(2), node/src/node_file.cc (MKDirpSync).
 */
import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Makes `path` (absolute) and its parents; returns the topmost that was made, undefined if all were there. Throws as mkdir. */
export function makeFolder(path: string, mode: number): string | undefined {
  try {
    mkdirSync(path, { mode })
    return path
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (isFolder(path)) return undefined
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path || isFolder(parent)) throw error
    const first = makeFolder(parent, mode)
    mkdirSync(path, { mode })
    return first
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
