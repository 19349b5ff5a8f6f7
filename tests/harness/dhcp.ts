/**
 * DHCP for a test's boot network, by dnsmasq with everything but DHCP switched off (`port=0`, no TFTP).
 *
 * Tells BIOS from UEFI by option 93 as PROTOCOLS section 7 says. UEFI's further boot options (HTTP over IPv4 and IPv6)
 * are answered so that they fail at once: unanswered they hold up the way to the local disk by two minutes.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from './debian.mjs'
import type { Namespace } from './netns.ts'
import { dieWithParent, type Running, start, until } from './process.ts'

export interface DhcpOptions {
  readonly space: Namespace
  readonly link: string
  /** The server's own address, which is also where the boot files are; a /24 is given out, from .100. */
  readonly server: string
  /** Folder for its configuration and leases. */
  readonly dir: string
}

export interface Dhcp {
  log(): string
  close(): Promise<void>
}

const startTimeoutMs = 10_000

export async function startDhcp({ space, link, server, dir }: DhcpOptions): Promise<Dhcp> {
  const net = server.replace(/\.\d+$/, '')
  const config = join(dir, 'dnsmasq.conf')
  const lines = [
    'port=0',
    'log-dhcp',
    'log-facility=-',
    'pid-file=',
    `dhcp-leasefile=${join(dir, 'dnsmasq.leases')}`,
    'bind-interfaces',
    `interface=${link}`,
    'no-ping', // probing each address first costs three seconds a boot
    `dhcp-range=${net}.100,${net}.199,1h`,
    'dhcp-range=fd77::100,fd77::1ff,64,1h',
    'enable-ra',
    'dhcp-match=set:bios,option:client-arch,0',
    'dhcp-match=set:efi64,option:client-arch,7',
    'dhcp-match=set:http64,option:client-arch,16',
    `dhcp-boot=tag:bios,pxelinux.0,,${server}`,
    `dhcp-boot=tag:efi64,syslinux.efi,,${server}`,
    'dhcp-option-force=tag:http64,60,HTTPClient',
    `dhcp-boot=tag:http64,http://${server}:9/none`, // port 9, discard: nobody listens, refused at once
  ]
  writeFileSync(config, `${lines.join('\n')}\n`)
  const program = findProgram('dnsmasq') ?? 'dnsmasq'
  // In the foreground it stays the account it is: a user namespace has no other.
  const daemon = start([...space.prefix, ...dieWithParent([program, '--no-daemon', `--conf-file=${config}`])])
  await until(
    () => (ready(daemon) ? true : undefined),
    startTimeoutMs,
    () => `dnsmasq did not start:\n${daemon.written.stderr}`,
  )
  return {
    log: () => daemon.written.stderr,
    async close() {
      if (daemon.alive()) await daemon.end('SIGTERM')
    },
  }
}

function ready(daemon: Running): boolean {
  if (!daemon.alive()) throw new Error(`dnsmasq ended:\n${daemon.written.stderr}`)
  return daemon.written.stderr.includes('DHCP, IP range')
}
