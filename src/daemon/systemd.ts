/**
 * Tells systemd that the daemon accepts requests. Where there is no systemd, nothing. Source: sd_notify(3), CONTRACT
 * "Daemon" (ready line).
 */
import { execFile } from 'node:child_process'
import type { Log } from '../log.ts'

/** Node has no Unix datagram sockets, so systemd's own program says it (sd_notify(3); `NotifyAccess=all`). */
export function notifySystemd(log: Log): void {
  if (!process.env['NOTIFY_SOCKET']) return
  execFile('systemd-notify', ['--ready', '--status=serving'], (error) => {
    if (error) log.warn('systemd could not be told that the daemon is ready', { error: error.message })
  })
}
