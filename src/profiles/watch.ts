/**
 * Notices that a flat folder's entries changed, within a second.
 *
 * It compares the folder's own stat once a second, off the main loop, instead of `fs.watch`: a folder that is replaced,
 * mounted over, on NFS or in a container is seen all the same, and nothing has to be set up again. Adding, removing and
 * renaming change a folder's times; an edited file does not and need not, since files are read at the request.
 */
import { stat } from 'node:fs/promises'

/** Half of what CONTRACT grants ("within 2 s of a change"): the rest is for looking at the folder. */
const everyMs = 1000
/**
 * The kernel stamps times a few ms coarse: two changes in one tick leave one time. A folder changed so recently is
 * looked at once more.
 */
const freshMs = 100

export interface Watch {
  close(): void
}

/** Calls `onChange` after each change until closed; never twice at a time. Errors of `onChange` are its own to report. */
export function watchFolder(path: string, onChange: () => Promise<void>, periodMs = everyMs): Watch {
  let seen: string | undefined
  let closed = false
  let timer: NodeJS.Timeout | undefined
  const look = async () => {
    const now = await fingerprint(path)
    if (closed) return
    if (seen !== undefined && now.text !== seen) await onChange()
    seen = now.fresh ? '' : now.text
    if (!closed) timer = setTimeout(look, periodMs).unref()
  }
  void look()
  return {
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

async function fingerprint(path: string): Promise<{ text: string; fresh: boolean }> {
  try {
    const s = await stat(path, { bigint: true })
    const fresh = Math.abs(Date.now() - Number(s.mtimeMs)) < freshMs
    return { text: `${s.dev} ${s.ino} ${s.mtimeNs} ${s.ctimeNs}`, fresh }
  } catch (error) {
    return { text: String((error as NodeJS.ErrnoException).code), fresh: false }
  }
}
