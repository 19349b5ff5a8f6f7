/**
 * What a machine would ask if it booted now, and what the decision about it asks of the daemon: for pages and commands
 * that say beforehand what will be served.
 */
import { type Address, findAddress, type Ip4, type Mac } from '../domain/address.ts'
import type { BootKnowledge, BootQuestion } from '../domain/boot.ts'
import type { Daemon } from './daemon.ts'

/** What the machine with this address would ask if it booted now. */
export function questionOf(daemon: Daemon, address: Address | undefined): BootQuestion {
  if (!address) return { kind: 'default' }
  switch (address.kind) {
    case 'mac':
      return { kind: 'machine', macs: [address.text], ip: ip4Of(ipOfMac(daemon, address.text)) }
    case 'ip4': {
      // It asks by its MAC first, where that is known.
      const mac = daemon.store.queries.lastMacOf(address.text)
      return { kind: 'machine', macs: mac ? [mac] : [], ip: address.text }
    }
    case 'prefix4':
      return { kind: 'network', prefix: address.text }
    default:
      return address satisfies never
  }
}

/** Where a MAC is now, else where it booted last; undefined if neither is known. */
export function ipOfMac(daemon: Daemon, mac: Mac): string | undefined {
  return daemon.neighbourIp(mac) ?? daemon.store.queries.lastIpOf(mac)
}

export function ip4Of(text: string | undefined): Ip4 | undefined {
  const address = text === undefined ? undefined : findAddress(text)
  return address?.kind === 'ip4' ? address.text : undefined
}

/** What a decision asks, of the running daemon. */
export function knowledgeOf(daemon: Daemon): BootKnowledge {
  const { queries } = daemon.store
  return {
    nextBootOf: (address) => queries.nextBootOf(address),
    systemsWith: (address) => queries.systemsWith(address),
    rememberedFor: (address) => queries.rememberedFor(address),
    defaultNextBoot: () => queries.defaultNextBoot(),
    profileFault: (profile) => daemon.profiles.fault(profile),
  }
}
