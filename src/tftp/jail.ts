/**
 * Opens a file below the TFTP root, and nothing else: the one place where a name from the wire meets the file system.
 *
 * Nothing is checked by name and opened afterwards. The path is opened with `O_PATH`, which has no effect on what it leads
 * to (a FIFO does not block, a device does not notice), then the descriptor itself is asked what it is and where it lies,
 * and exactly that inode is opened for reading through `/proc/self/fd`. A link may lead anywhere below the root or one
 * of the link targets; whatever else it leads to is "not found". The questions are here once; who may not block asks them
 * off the main loop (`http/file-read.ts`). Source: CONTRACT `link-targets`, PROTOCOLS §1 "Packets".
 */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readlinkSync } from 'node:fs'

/** Linux's O_PATH, the same on x64 and arm64; Node does not name it. */
export const O_PATH = 0o10000000

export interface OpenedFile {
  readonly fd: number
  readonly sizeBytes: number
  /** Changes whenever the content may have: device, inode, size, modification and change time. */
  readonly identity: string
  /** ms since the epoch */
  readonly modifiedMs: number
}

export interface NotOpened {
  /** `missing` lets the search go on among the loaders, the others end it. */
  readonly why: 'missing' | 'folder' | 'special' | 'outside' | 'denied' | 'failed'
  readonly detail: string
}

/** How a file is opened for reading once it is known to be one: should it have become a FIFO, it does not block. */
export const readFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY

/** Where the kernel says what a descriptor stands for: its real path as a link, and the file itself to open again. */
export function handlePath(handle: number): string {
  return `/proc/self/fd/${handle}`
}

/** Why a name is refused without a look at the disk; undefined: it is not. */
export function refuseName(path: string): NotOpened | undefined {
  return isClean(path) ? undefined : { why: 'outside', detail: 'the name leaves the TFTP root' }
}

/** Why what was found is not served; undefined: it is a regular file where it may lie. */
export function refuseFile(stat: BigIntStats, inside: boolean): NotOpened | undefined {
  if (!inside) return { why: 'outside', detail: 'a link leads out of the TFTP root' }
  if (stat.isDirectory()) return { why: 'folder', detail: 'is a folder' }
  return stat.isFile() ? undefined : { why: 'special', detail: 'is no regular file' }
}

export function describeFile(fd: number, stat: BigIntStats): OpenedFile {
  return {
    fd,
    sizeBytes: Number(stat.size),
    identity: `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`,
    modifiedMs: Number(stat.mtimeMs),
  }
}

/** Whether the real path `real` lies below the real path `top`. */
export function liesBelow(real: string, top: string): boolean {
  return real.startsWith(top === '/' ? top : `${top}/`)
}

/** `path`: relative, `/` between names. Never throws. The caller closes `fd`. */
export function openInside(root: string, linkTargets: readonly string[], path: string): OpenedFile | NotOpened {
  const unclean = refuseName(path)
  if (unclean) return unclean
  let handle: number | undefined
  try {
    handle = openSync(`${root}/${path}`, O_PATH)
    const stat = fstatSync(handle, { bigint: true })
    const refused = refuseFile(stat, isInside(readlinkSync(handlePath(handle)), root, linkTargets))
    return refused ?? describeFile(openSync(handlePath(handle), readFlags), stat)
  } catch (error) {
    return explain(error as NodeJS.ErrnoException)
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

/** Whether a path is relative and stays below wherever it starts, links aside. */
function isClean(path: string): boolean {
  if (path === '' || path.startsWith('/') || path.includes('\0') || path.includes('\\')) return false
  return !path.split('/').includes('..')
}

/** The root may itself be a link that is turned to a new tree while we run: it is resolved at each request. */
function isInside(real: string, root: string, linkTargets: readonly string[]): boolean {
  return below(real, root) || linkTargets.some((target) => below(real, target))
}

function below(real: string, folder: string): boolean {
  let handle: number | undefined
  try {
    handle = openSync(folder, O_PATH)
    return liesBelow(real, readlinkSync(handlePath(handle)))
  } catch {
    // A link target that is not there holds nothing.
    return false
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

export function explain(error: NodeJS.ErrnoException): NotOpened {
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENAMETOOLONG':
    case 'ELOOP':
      return { why: 'missing', detail: 'is not there' }
    case 'EACCES':
    case 'EPERM':
      return { why: 'denied', detail: 'may not be read by the account of the server' }
    default:
      return { why: 'failed', detail: error.message }
  }
}
