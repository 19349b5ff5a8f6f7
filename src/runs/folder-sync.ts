/**
 * Syncs of a folder, so that the names in it are on disk: what a rename or a new file needs besides the sync of the file.
 * Source: fsync(2), "Calling fsync() does not necessarily ensure that the entry in the directory … has also reached disk".
 */
import { open } from 'node:fs/promises'

/** Once, for this caller alone. */
export async function syncPath(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A folder's sync that those who ask meanwhile share: the one that begins after they asked. */
export function groupSync(dir: string): () => Promise<void> {
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  const start = (): Promise<void> => {
    const begun = syncPath(dir).finally(() => {
      if (running === begun) running = undefined
    })
    running = begun
    return begun
  }
  return () => {
    if (!running) return start()
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined
        return start()
      })
    return next
  }
}
