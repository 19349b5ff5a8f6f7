/**
 * Space kept back for machines' reports on a full disk: a file with real bytes, given up when nothing else is left.
 *
 * Without it a machine whose report cannot be written would reinstall for ever. It is made at start and again when there
 * is room, never while that would take what the reports may need. Source: DESIGN "State" (reserve).
 */
import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Disk, replaceFile } from './disk.ts'

/** DESIGN: 4 MiB, some 20,000 reports. */
export const reserveBytes = 4 * 1024 * 1024
/** Left free when the reserve is made again: it must not fill the disk itself. */
const marginBytes = 1024 * 1024

export interface Reserve {
  readonly held: boolean
  /** Makes it if it is not there; false where there is no room (or the disk fails). */
  make(): Promise<boolean>
  /** Gives the space free; false if there was none to give. */
  giveUp(): Promise<boolean>
}

export function createReserve(disk: Disk, path: string): Reserve {
  let held = false
  return {
    get held() {
      return held
    },
    async make() {
      if (held) return true
      try {
        if ((await sizeOf(path)) >= reserveBytes) {
          held = true
          return true
        }
        if ((await disk.freeBytes(dirname(path))) < reserveBytes + marginBytes) return false
        // Random: a file system that compresses would keep no room for zeros.
        await replaceFile(disk, dirname(path), path, [randomBytes(reserveBytes)])
        held = true
      } catch {
        await disk.remove(`${path}.tmp`).catch(() => undefined)
      }
      return held
    },
    async giveUp() {
      if (!held) return false
      held = false
      await disk.remove(path)
      return true
    },
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch {
    return 0
  }
}
