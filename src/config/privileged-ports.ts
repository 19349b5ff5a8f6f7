/**
 * Whether the ports of `tftp-ports` can still be bound by the account that `user` names: transfers bind theirs when a
 * machine asks, long after the daemon has stopped being root, and setuid(2) takes every capability along.
 *
 * Only this one pair of keys needs looking at together: listeners are bound before the change. Source: CONTRACT "Daemon"
 * (`user`, `tftp-ports`), capabilities(7), Linux Documentation/networking/ip-sysctl.rst (`ip_unprivileged_port_start`).
 */
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import type { Config } from './keys.ts'

const settingFile = '/proc/sys/net/ipv4/ip_unprivileged_port_start'
/** The kernel's default: ports below it need root or CAP_NET_BIND_SERVICE. */
const defaultStart = 1024

/** Refuses (`usage`) a range that begins below what an ordinary account may bind; for a daemon that starts as root. */
export function refusePrivilegedPorts(config: Config, readFile: (path: string) => Uint8Array): void {
  const { tftpPorts, user } = config
  if (user === null || tftpPorts === null || config.tftpSinglePort || config.tftp.length === 0) return
  const start = unprivilegedStart(readFile)
  if (tftpPorts.first >= start) return
  throw new Refusal(
    'usage',
    `tftp-ports ${quote(`${tftpPorts.first}-${tftpPorts.last}`)} is not allowed with user ${quote(user)}, which may not bind ` +
      `ports below ${start}: give a range from ${start} on, or start as that account with CAP_NET_BIND_SERVICE instead of user`,
  )
}

function unprivilegedStart(readFile: (path: string) => Uint8Array): number {
  try {
    const text = new TextDecoder().decode(readFile(settingFile)).trim()
    return /^\d{1,5}$/.test(text) ? Number(text) : defaultStart
  } catch {
    return defaultStart // no /proc: the kernel's default holds
  }
}
