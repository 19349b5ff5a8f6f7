/**
 * What may be a profile although a file of its name is there: no file that a link brings in from elsewhere, none with
 * the reserved name. The rule for links is that of the test folder too.
 *
 * A link may lead to a file of the folder itself, or of one of the link targets, as in the TFTP root: whoever makes one
 * would else have any file of the server, such as a key, sent to whoever asks. The folder itself may be a link; it is
 * resolved at each look. Source: CONTRACT "Daemon" (`link-targets`), "Command line" (names).
 */
import { lstatSync, readlinkSync, realpathSync } from 'node:fs'
import { defaultSystem } from '../domain/name.ts'

export interface Offer {
  /** Why no profile may have this name. */
  reserved(name: string): string | undefined
  /** Why an open file is none: it lies elsewhere. */
  outside(path: string, fd: number): string | undefined
  /** Why the file `path` may not be the profile `name`; undefined also if there is none. */
  refusal(name: string, path: string): string | undefined
}

/** Whether links out of `dir` are refused, by what an open file or a path really is. `linkTargets`: asked at each look. */
export interface Links {
  /** Why an open file may not be read: it lies elsewhere. */
  outside(path: string, fd: number): string | undefined
  /** The same for a path; undefined also if there is no file. */
  leadsOut(path: string): string | undefined
}

/** `what` is the folder's noun in the line: `profile`, `test`. */
export function createLinks(dir: string, what: string, linkTargets: () => readonly string[]): Links {
  const isInside = (real: string): boolean =>
    [dir, ...linkTargets()].some((folder) => {
      try {
        const top = realpathSync.native(folder)
        return real.startsWith(top === '/' ? top : `${top}/`)
      } catch {
        // A link target that is not there holds nothing.
        return false
      }
    })
  const outOf = (path: string): string =>
    `${path}: a link leads out of the ${what} folder (link-targets may name the folder it leads to)`
  return {
    outside: (path, fd) => (isInside(readlinkSync(`/proc/self/fd/${fd}`)) ? undefined : outOf(path)),
    leadsOut(path) {
      try {
        // Most are files: one look says so.
        if (!lstatSync(path).isSymbolicLink() || isInside(realpathSync.native(path))) return undefined
        return outOf(path)
      } catch {
        return undefined // gone, or a link that leads nowhere: there is nothing to offer
      }
    },
  }
}

/** `dir`: of the profiles. `linkTargets` is asked at each look. */
export function createOffer(dir: string, linkTargets: () => readonly string[]): Offer {
  const links = createLinks(dir, 'profile', linkTargets)
  const reserved = (name: string): string | undefined => (name === defaultSystem ? reservedName : undefined)
  return {
    reserved,
    outside: links.outside,
    refusal: (name, path) => reserved(name) ?? links.leadsOut(path),
  }
}

const reservedName = `${defaultSystem} is a reserved name and cannot be used for a profile: it stands for the machines that no system has`
