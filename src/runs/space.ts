/**
 * Whether a folder takes an upload: it may be written, and its disk has room beyond what `keep-free` reserves.
 * Source: RUNS "Commands" (`keep-free`).
 */
import { accessSync, constants, statfsSync } from 'node:fs'
import type { Config } from '../config.ts'
import { reason } from '../profiles/folder.ts'

export interface SpaceGuard {
  /** Why nothing more may be stored, or undefined. `moreBytes`: about to come. */
  fault(moreBytes?: number): string | undefined
  /** So much was written since: counts until the disk is asked again. */
  written(bytes: number): void
}

/** The disk is asked at most so often: what others write to it counts for the next upload. */
const askedEveryMs = 100

export function createSpaceGuard(dir: string, keepFree: () => Config['keepFree'], nowMs = Date.now): SpaceGuard {
  let asked = Number.NEGATIVE_INFINITY
  let free = 0
  let total = 0
  return {
    fault(moreBytes = 0) {
      const now = nowMs()
      if (now - asked > askedEveryMs) {
        try {
          const stat = statfsSync(dir)
          free = stat.bavail * stat.bsize
          total = stat.blocks * stat.bsize
          asked = now
        } catch (error) {
          return `the disk of ${dir} cannot be asked for its space: ${reason(error)}`
        }
        try {
          accessSync(dir, constants.W_OK | constants.X_OK)
        } catch (error) {
          asked = Number.NEGATIVE_INFINITY
          return `the folder ${dir} cannot be written: ${reason(error)}: no results are taken`
        }
      }
      const keep = keepFree()
      const reserve = 'bytes' in keep ? keep.bytes : (total * keep.percent) / 100
      if (free - moreBytes >= reserve) return undefined
      return `the disk of ${dir} has ${free} bytes free, and keep-free keeps ${Math.ceil(reserve)}: no results are taken`
    },
    written(bytes) {
      free -= bytes
    },
  }
}
