/**
 * Signals: SIGTERM and SIGINT stop in order and bounded, SIGHUP reads the configuration and the folders again.
 *
 * They are listened for before anything starts: a signal during the start takes effect when it is done. A stop has to end
 * within 5 s, also where a thread hangs on a dead mount: then the process ends itself by SIGKILL, the one case in which
 * SIGTERM does not end with status 0. Source: CONTRACT "Daemon", DESIGN "Speed".
 */
import type { Log } from '../log.ts'

/** Longest wait for a stop in order. */
const stopTimeoutMs = 4000

export interface Stoppable {
  reload(): Promise<void>
  /** Stops accepting, finishes what runs, closes the journal last but for what may hang. */
  close(): Promise<void>
}

export interface Signals {
  /** Resolves when a signal has stopped the daemon; further signals change nothing. */
  serve(daemon: Stoppable): Promise<void>
}

/** Takes over SIGTERM, SIGINT and SIGHUP of the process. */
export function listenForSignals(log: Log): Signals {
  let hangups = 0
  let onHangup = (): void => {
    hangups++
  }
  process.on('SIGHUP', () => onHangup())
  const stop = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal))
  })
  return {
    async serve(daemon) {
      let reloading = Promise.resolve()
      const reload = (): void => {
        reloading = reloading
          .then(() => daemon.reload())
          .catch((error: unknown) => log.error(error instanceof Error ? error.message : String(error)))
      }
      onHangup = reload
      if (hangups > 0) reload()
      log.info('stopping', { signal: await stop })
      const late = setTimeout(() => {
        log.error('the stop takes too long: a file read hangs')
        process.kill(process.pid, 'SIGKILL')
      }, stopTimeoutMs)
      await daemon.close()
      clearTimeout(late)
    },
  }
}
