/**
 * The profile folder: `*.prof` files, read as they are at the request.
 *
 * One `statSync` (inode, size, times in ns) decides whether the bytes kept from the last read still hold; bytes that
 * were read within 2 s of the file's last change are not kept, since a second write could leave the same times. A file
 * that cannot be read, or a template that does not compile, disables itself: `fault` says why, and machines get `local`
 * (the embedded one where that file is missing or bad too). So does what may be no profile at all (`offered.ts`). What
 * names mean to the state is `registry.ts`.
 * Source: CONTRACT "Command line" (profiles), DESIGN "Speed".
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { localProfile } from '../domain/boot.ts'
import { nameFault } from '../domain/name.ts'
import { createOffer } from './offered.ts'
import { compileTemplate, isTemplate, type Template, TemplateFault } from './template.ts'

/** A configuration is some KiB; more is a mistake, such as a kernel under the wrong name. */
const sizeMaxBytes = 1024 * 1024
/** How long after a change two writes could still share one time stamp (coarse file systems: 1 s, FAT: 2 s). */
const youngNs = 2_000_000_000n
export const profileSuffix = '.prof'

/** What a profile template sees: strings, '' where unknown. */
export interface ProfileVariables {
  readonly system: string
  readonly mac: string
  readonly ip: string
  readonly profile: string
  readonly url: string
}

export type Rendered =
  | { readonly ok: true; readonly bytes: Uint8Array; readonly template: boolean }
  | { readonly ok: false; readonly fault: string }

/** One profile as it is at this instant. */
export interface OpenedProfile {
  /** Why it cannot be served to anybody; never for `local`. */
  readonly fault: string | undefined
  /** As `ProfileFiles.render`. */
  render(variables: () => ProfileVariables): Rendered
}

export interface ProfileFiles {
  /** Looks at the file once, for asking and rendering. */
  open(name: string): OpenedProfile
  /** As `open`, for a look beforehand: how its rendering failed is not kept, since no machine got it. */
  preview(name: string): OpenedProfile
  /**
   * Bytes of the profile for one machine; `local` is always there. `variables` is asked only for a template. A fault of
   * rendering concerns this machine, and is kept for `fault` until the file changes.
   */
  render(name: string, variables: () => ProfileVariables): Rendered
  /** undefined if it can be read and compiled, else why not, with file and line. For the decision. */
  unservable(name: string): string | undefined
  /** As `unservable`, or how its last rendering failed. For people. */
  fault(name: string): string | undefined
  /** Whether there is a file of that name now, good or bad, that may be a profile. */
  has(name: string): boolean
  /** Names whose file is there now and may be a profile, in folder order. */
  names(): string[]
  /** What the file says, for people; as `ProfileFolder.text`. */
  text(name: string): { readonly text: string; readonly template: boolean; readonly embedded: boolean } | undefined
  /** Why what is called so may be no profile, whatever its file says; undefined if it may, or is not there. */
  refusal(name: string): string | undefined
  /** Files that are there and may be no profiles. */
  refused(): { readonly name: string; readonly why: string }[]
}

interface Kept {
  readonly path: string
  readonly stat: BigIntStats
  readonly content: Content
  /** Whether the bytes may be used again while the stat is the same. */
  readonly lasting: boolean
  /** Turn of the event loop in which the file was looked at last. */
  seenIn: number | undefined
  /** Those of the configuration with which it was read. */
  readonly linkTargets: readonly string[]
}

type Content =
  | { readonly ok: true; readonly bytes: Uint8Array; readonly template: Template | undefined; readonly utf8: boolean }
  | { readonly ok: false; readonly fault: string }

/**
 * `embeddedLocal`: bytes of the `local.prof` that ships. `now` in ms since the epoch. With `turn` (see `turn.ts`) a file
 * is looked at once a turn; without, at each call. `linkTargets`: folders that links out of `dir` may lead to.
 */
export function createProfileFiles(
  dir: string,
  embeddedLocal: Uint8Array,
  now: () => number = Date.now,
  turn?: () => number,
  linkTargets: () => readonly string[] = () => noTargets,
): ProfileFiles {
  const kept = new Map<string, Kept>()
  const renderFaults = new Map<string, { readonly content: Content; readonly fault: string }>()
  const pathOf = (name: string) => join(dir, `${name}${profileSuffix}`)
  const offer = createOffer(dir, linkTargets)

  function load(name: string): Content {
    const before = kept.get(name)
    const seenIn = turn?.()
    if (before && seenIn !== undefined && before.seenIn === seenIn) return before.content
    // A kept name was checked when it was read first.
    if (!before && nameFault(name) !== undefined) return { ok: false, fault: 'no such profile' }
    const path = before?.path ?? pathOf(name)
    const reserved = offer.reserved(name)
    if (reserved !== undefined) return { ok: false, fault: reserved }
    let stat: BigIntStats | undefined
    try {
      stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    } catch (error) {
      kept.delete(name)
      return { ok: false, fault: `${path}: ${reason(error)}` }
    }
    if (!stat) {
      kept.delete(name)
      return { ok: false, fault: `no file ${path}` }
    }
    const targets = linkTargets()
    if (before?.lasting && before.linkTargets === targets && sameFile(before.stat, stat)) {
      before.seenIn = seenIn
      return before.content
    }
    const read = readSmallFile(path, stat, (fd) => offer.outside(path, fd))
    // The same bytes as before keep their compiled template, and the fault of its last rendering.
    const content = before && sameBytes(before.content, read) ? before.content : compile(path, read)
    const lasting = BigInt(Math.round(now())) * 1_000_000n - later(stat.mtimeNs, stat.ctimeNs) > youngNs
    // A link may be turned, or its target moved into the folder, without the file's own times changing.
    kept.set(name, { path, stat, content, lasting: lasting && typeof read !== 'string', seenIn, linkTargets: targets })
    return content
  }

  function servable(name: string): Content {
    const content = load(name)
    return content.ok || name !== localProfile ? content : embedded
  }
  const embedded: Content = { ok: true, bytes: embeddedLocal, template: undefined, utf8: true }

  function render(name: string, content: Content, variables: () => ProfileVariables, keepsFault = true): Rendered {
    if (!content.ok) return content
    if (!content.template) return { ok: true, bytes: content.bytes, template: false }
    try {
      const text = content.template.render({ ...variables() })
      return { ok: true, bytes: Buffer.from(text, content.utf8 ? 'utf8' : 'latin1'), template: true }
    } catch (error) {
      if (!(error instanceof TemplateFault)) throw error
      const fault = atLine(pathOf(name), error)
      if (keepsFault) renderFaults.set(name, { content, fault })
      return name === localProfile ? { ok: true, bytes: embeddedLocal, template: false } : { ok: false, fault }
    }
  }

  return {
    open: (name) => openedOf(name, true),
    preview: (name) => openedOf(name, false),
    render: (name, variables) => render(name, servable(name), variables),
    unservable(name) {
      const content = servable(name)
      return content.ok ? undefined : content.fault
    },
    fault(name) {
      const content = load(name)
      if (!content.ok) return content.fault
      const last = renderFaults.get(name)
      if (last?.content === content) return last.fault
      renderFaults.delete(name)
      return undefined
    },
    text(name) {
      const read = readNow(name)
      if (read === undefined && name !== localProfile) return undefined
      const bytes = Buffer.from(read ?? embeddedLocal)
      const utf8 = bytes.toString('utf8')
      const text = Buffer.from(utf8, 'utf8').equals(bytes) ? utf8 : bytes.toString('latin1')
      return { text, template: isTemplate(bytes), embedded: read === undefined }
    },
    has: (name) =>
      nameFault(name) === undefined && isFile(pathOf(name)) && offer.refusal(name, pathOf(name)) === undefined,
    names: () => there().filter((name) => offer.refusal(name, pathOf(name)) === undefined),
    refusal: (name) => (nameFault(name) === undefined ? offer.refusal(name, pathOf(name)) : undefined),
    refused: () =>
      there().flatMap((name) => {
        const why = offer.refusal(name, pathOf(name))
        return why === undefined ? [] : [{ name, why }]
      }),
  }

  function openedOf(name: string, keepsFault: boolean): OpenedProfile {
    const content = servable(name)
    return {
      fault: content.ok ? undefined : content.fault,
      render: (variables) => render(name, content, variables, keepsFault),
    }
  }

  /** Also what does not compile: whoever mends it has to see it. */
  function readNow(name: string): Uint8Array | undefined {
    if (nameFault(name) !== undefined || offer.reserved(name) !== undefined) return undefined
    const path = pathOf(name)
    try {
      const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
      const read = stat && readSmallFile(path, stat, (fd) => offer.outside(path, fd))
      return typeof read === 'string' ? undefined : read
    } catch {
      return undefined // `fault` says why
    }
  }

  function there(): string[] {
    return profileNames(readdirSync(dir, { encoding: 'buffer' })).filter((name) => isFile(pathOf(name)))
  }
}

const noTargets: readonly string[] = []

/** Entries of the folder → names of profiles; what cannot be a name (bare `.prof`, no UTF-8 …) is none. */
export function profileNames(entries: readonly Buffer[], suffix = profileSuffix): string[] {
  const names: string[] = []
  for (const entry of entries) {
    const text = entry.toString('utf8')
    if (!text.endsWith(suffix) || !Buffer.from(text, 'utf8').equals(entry)) continue
    const name = text.slice(0, -suffix.length)
    if (nameFault(name) === undefined) names.push(name)
  }
  return names
}

/** Folders, FIFOs, devices and links that lead nowhere are no profiles. */
export function isFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true
  } catch {
    return false
  }
}

/**
 * Bytes, or why there are none. A FIFO that takes the file's place in between is opened without waiting and refused;
 * `refuse` may look at what was opened.
 */
export function readSmallFile(
  path: string,
  seen: BigIntStats,
  refuse?: (fd: number) => string | undefined,
): Uint8Array | string {
  if (!seen.isFile()) return `${path} is not a regular file`
  let fd: number | undefined
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    const stat = fstatSync(fd)
    if (!stat.isFile()) return `${path} is not a regular file`
    const refused = refuse?.(fd)
    if (refused !== undefined) return refused
    if (stat.size > sizeMaxBytes) return `${path} is larger than ${sizeMaxBytes} bytes`
    return readFileSync(fd)
  } catch (error) {
    return `${path}: ${reason(error)}`
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function compile(path: string, read: Uint8Array | string): Content {
  if (typeof read === 'string') return { ok: false, fault: read }
  if (!isTemplate(read)) return { ok: true, bytes: read, template: undefined, utf8: true }
  // Latin-1 keeps every byte of a text that is no UTF-8.
  const buffer = Buffer.from(read.buffer, read.byteOffset, read.byteLength)
  const text = buffer.toString('utf8')
  const utf8 = Buffer.from(text, 'utf8').equals(buffer)
  try {
    return { ok: true, bytes: read, template: compileTemplate(utf8 ? text : buffer.toString('latin1')), utf8 }
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error
    return { ok: false, fault: atLine(path, error) }
  }
}

export function atLine(path: string, fault: TemplateFault): string {
  return fault.line === undefined
    ? `${path}: ${fault.message}`
    : `${path}:${fault.message.replace(/^line (\d+)/, '$1')}`
}

export function sameFile(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.dev === b.dev
}

function sameBytes(content: Content, read: Uint8Array | string): boolean {
  return content.ok && typeof read !== 'string' && Buffer.compare(content.bytes, read) === 0
}

function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

/** What a look at a folder finds; nothing where it is gone or cannot be read, which somebody else has to tell. */
export function whileThere<T>(look: () => T[]): T[] {
  try {
    return look()
  } catch {
    return []
  }
}

/** Why a file or folder cannot be read, in words. */
export function reason(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException
  return code === undefined ? String(error) : (words[code] ?? code)
}

const words: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  ENOENT: 'it is not there',
  ENOTDIR: 'it is no folder',
  EROFS: 'the file system is read-only',
  EIO: 'the disk or the mount below it fails',
  ESTALE: 'its mount is gone',
}
