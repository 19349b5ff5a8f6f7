/**
 * Where this server is: the folders it uses and the addresses by which others reach it, for whoever sets up DHCP.
 */
import { networkInterfaces } from 'node:os'
import type { Premises } from '../commands/daemon.ts'
import type { Config } from '../config.ts'
import type { Reach } from './reach.ts'

/** As it is now: addresses come and go. */
export function premisesOf(config: Config, { urlFrom }: Reach): Premises {
  return {
    folders: [
      { key: 'data-dir', path: config.dataDir },
      { key: 'profiles-dir', path: config.profilesDir },
      { key: 'tests-dir', path: config.testsDir },
      { key: 'results-dir', path: config.resultsDir },
      { key: 'tftp-root', path: config.tftpRoot },
    ],
    addresses: ownAddresses(),
    urlFrom,
  }
}

/** IPv4 addresses that a machine on the network can reach, in the order of the interfaces. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address),
  )
}
