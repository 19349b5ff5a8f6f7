/**
 * The management plane as the servers see it while it is still being loaded: a request waits, and is then answered.
 */
import type { RequestListener } from 'node:http'
import type { Surface } from '../http/env.ts'
import type { Management } from '../http/management.ts'
import type { Log } from '../log.ts'

export interface Later {
  /** Loads it at the first call. */
  get(): Promise<Management>
  /** undefined until it is loaded. */
  readonly current: Management | undefined
}

export function createLater(load: () => Promise<Management>): Later {
  let loading: Promise<Management> | undefined
  let current: Management | undefined
  return {
    get() {
      loading ??= load().then((loaded) => {
        current = loaded
        return loaded
      })
      return loading
    },
    get current() {
      return current
    },
  }
}

/** Answers by the listener of a surface, as soon as there is one. */
export function listenLater(later: Later, surface: Surface, log: Log): RequestListener {
  let listener: RequestListener | undefined
  return (incoming, outgoing) => {
    if (listener) {
      listener(incoming, outgoing)
      return
    }
    later.get().then(
      (management) => {
        listener ??= management.listener(surface)
        listener(incoming, outgoing)
      },
      (error: unknown) => {
        log.error('the management plane failed to load', { error })
        outgoing.destroy()
      },
    )
  }
}
