/**
 * Signals: SIGTERM and SIGINT stop in order and bounded, SIGHUP reads the configuration and the folders again.
 *
 * A stop has to end within 5 s, also where a thread hangs on a dead mount: then, with the journal closed, the process ends
 * itself by SIGKILL, the one case in which SIGTERM does not end with status 0. Source: CONTRACT "Daemon", DESIGN "Speed".
 */
import type { Log } from '../log.ts'

/** Longest wait for a stop in order. */
const stopTimeoutMs = 4000

export interface Stoppable {
  reload(): Promise<void>
  /** Stops accepting, finishes what runs, closes the journal last but for what may hang. */
  close(): Promise<void>
}

/** Resolves when a signal has stopped the daemon; further signals change nothing. */
export async function stopBounded(daemon: Stoppable, log: Log): Promise<void> {
  let reloading = Promise.resolve()
  process.on('SIGHUP', () => {
    reloading = reloading.then(() =>
      daemon.reload().catch((error: unknown) => {
        log.error(error instanceof Error ? error.message : String(error))
      }),
    )
  })
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        log.info('stopping', { signal })
        resolve()
      })
    }
  })
  const late = setTimeout(() => {
    log.error('the stop takes too long: a file read hangs')
    process.kill(process.pid, 'SIGKILL')
  }, stopTimeoutMs)
  await daemon.close()
  clearTimeout(late)
}
