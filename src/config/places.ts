/**
 * Where things are when nobody says otherwise: known to the daemon, which makes them, and to the client, which looks for
 * them. Apart from the table of keys because the client needs no more than this.
 *
 * Source: CONTRACT "Daemon" and "Command line", XDG Base Directory Specification (`XDG_STATE_HOME`).
 */
import { join } from 'node:path'

/** Read where it exists and no other file is named. */
export const systemConfigFile = '/etc/pxemngr/pxemngr.toml'
/** Where the socket is when the daemon runs as root. */
export const systemSocket = '/run/pxemngr/pxemngr.sock'
/** Its name in the data directory of any other user. */
export const socketName = 'pxemngr.sock'

/** `$XDG_STATE_HOME/pxemngr`, else `~/.local/state/pxemngr`; undefined without a home. */
export function userStateDir(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { XDG_STATE_HOME: state, HOME: home } = env
  if (state?.startsWith('/')) return join(state, 'pxemngr')
  return home?.startsWith('/') ? join(home, '.local', 'state', 'pxemngr') : undefined
}
