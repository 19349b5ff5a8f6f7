/**
 * What may be a profile although a file of its name is there: no file that a link brings in from elsewhere, none with
 * the reserved name.
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

/** `dir`: of the profiles. `linkTargets` is asked at each look. */
export function createOffer(dir: string, linkTargets: () => readonly string[]): Offer {
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
  const reserved = (name: string): string | undefined => (name === defaultSystem ? reservedName : undefined)
  return {
    reserved,
    outside: (path, fd) => (isInside(readlinkSync(`/proc/self/fd/${fd}`)) ? undefined : outOf(path)),
    refusal(name, path) {
      const why = reserved(name)
      if (why !== undefined) return why
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

const reservedName = `${defaultSystem} is a reserved name and cannot be used for a profile: it stands for the machines that no system has`

function outOf(path: string): string {
  return `${path}: a link leads out of the profile folder (link-targets may name the folder it leads to)`
}
