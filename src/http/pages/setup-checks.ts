/**
 * What DHCP has to say so that machines find this server, with its real addresses, and what to look at when a machine was
 * started and nothing came of it.
 *
 * The lines for dnsmasq, ISC dhcpd and Kea are those of README "DHCP". Sources: RFC 4578 (client architecture, option 93),
 * dnsmasq(8), dhcpd.conf(5), Kea ARM "Client classes", PROTOCOLS §7.
 */
import { isIPv4 } from 'node:net'
import type { Daemon } from '../../commands/daemon.ts'

const tftpPort = 69
const biosLoader = 'pxelinux.0'
const uefiLoader = 'syslinux.efi'
const ipxeLoaders = ['undionly.kpxe', 'snponly.efi', 'ipxe.efi'] as const
/** Stands in the snippets where no address of this server is known that others reach. */
const noAddress = 'ADDRESS-OF-THIS-SERVER'

export interface Snippet {
  readonly id: string
  readonly name: string
  readonly text: string
}

export interface BootPlaces {
  /** IPv4 addresses on which TFTP answers other machines, the most likely first. */
  readonly addresses: readonly string[]
  /** What keeps PXE firmware from being served, one sentence each. */
  readonly faults: readonly string[]
  /** Base URL of the most likely address, no slash at its end; undefined: HTTP is off. */
  readonly url: string | undefined
  readonly bios: string
  readonly uefi: string
  /** Loaders of these that are not inside the executable. */
  readonly lacking: readonly string[]
  /** The iPXE loaders that are inside. */
  readonly ipxe: readonly string[]
  readonly snippets: readonly Snippet[]
}

/** `local`: the address by which whoever asks has reached this server: likely the one that machines reach too. */
export function bootPlaces(daemon: Daemon, local: string): BootPlaces {
  const { addresses: own, urlFrom } = daemon.premises()
  const { tftp, http } = daemon.listeners
  const reached = own.includes(local) ? [local, ...own.filter((each) => each !== local)] : own
  const heard = tftp.filter((each) => portOf(each) === tftpPort)
  const addresses = addressesOf(heard.length > 0 ? heard : tftp, reached)
  const [first] = addresses
  const server = first ?? reached[0] ?? noAddress
  const url = http.length === 0 ? undefined : urlFrom(server === noAddress ? local : server)
  return {
    addresses,
    faults: faultsOf(tftp, heard, addresses),
    url,
    bios: biosLoader,
    uefi: uefiLoader,
    lacking: [biosLoader, uefiLoader].filter((name) => !daemon.loaders.includes(name)),
    ipxe: ipxeLoaders.filter((name) => daemon.loaders.includes(name)),
    snippets: snippetsFor(server, url),
  }
}

function faultsOf(tftp: readonly string[], heard: readonly string[], addresses: readonly string[]): string[] {
  if (tftp.length === 0) return ['TFTP is off: PXE firmware gets nothing, machines have to boot over HTTP.']
  if (heard.length === 0) {
    const ports = [...new Set(tftp.map(portOf))].join(', ')
    return [
      `TFTP is on port ${ports}, and PXE firmware asks port 69 only: start as root, or give the tftp key that port.`,
    ]
  }
  if (addresses.length === 0) return [`TFTP listens on ${heard.join(', ')}, which no other machine reaches by IPv4.`]
  return []
}

/** The addresses behind listeners: those named, and all of the host for a wildcard. Loopback reaches nobody else. */
function addressesOf(listeners: readonly string[], own: readonly string[]): string[] {
  const hosts = listeners.map((each) => each.replace(/:\d+$/, ''))
  if (hosts.includes('0.0.0.0')) return [...own]
  const named = hosts.filter((host) => isIPv4(host) && !host.startsWith('127.'))
  return [...own.filter((each) => named.includes(each)), ...named.filter((each) => !own.includes(each))]
}

function portOf(listener: string): number {
  return Number(/:(\d+)$/.exec(listener)?.[1])
}

function snippetsFor(server: string, url: string | undefined): Snippet[] {
  const script = url === undefined ? undefined : `${url}/ipxe/`
  const dnsmasq = [
    'dhcp-match=set:efi64,option:client-arch,7',
    'dhcp-match=set:efi64,option:client-arch,9',
    ...(script === undefined
      ? [`dhcp-boot=tag:efi64,${uefiLoader},,${server}`, `dhcp-boot=tag:!efi64,${biosLoader},,${server}`]
      : [
          'dhcp-userclass=set:ipxe,iPXE',
          `dhcp-boot=tag:efi64,tag:!ipxe,${uefiLoader},,${server}`,
          `dhcp-boot=tag:!efi64,tag:!ipxe,${biosLoader},,${server}`,
          `dhcp-boot=tag:ipxe,${script}`,
        ]),
  ]
  const isc = [
    'option arch code 93 = unsigned integer 16;',
    `next-server ${server};`,
    ...(script === undefined
      ? ['if option arch = 00:07 or option arch = 00:09']
      : [
          `if exists user-class and option user-class = "iPXE" { filename "${script}"; }`,
          'elsif option arch = 00:07 or option arch = 00:09',
        ]),
    `  { filename "${uefiLoader}"; }`,
    `else { filename "${biosLoader}"; }`,
  ]
  const ipxe = script === undefined ? '' : " and not member('ipxe')"
  const kea = [
    '"client-classes": [',
    ...(script === undefined
      ? []
      : [`  { "name": "ipxe", "test": "substring(option[77].hex,0,4) == 'iPXE'", "boot-file-name": "${script}" },`]),
    `  { "name": "efi64", "test": "(option[93].hex == 0x0007 or option[93].hex == 0x0009)${ipxe}",`,
    `    "next-server": "${server}", "boot-file-name": "${uefiLoader}" },`,
    `  { "name": "bios", "test": "not member('efi64')${ipxe}",`,
    `    "next-server": "${server}", "boot-file-name": "${biosLoader}" } ]`,
  ]
  return [
    { id: 'dnsmasq', name: 'dnsmasq', text: dnsmasq.join('\n') },
    { id: 'isc', name: 'ISC dhcpd', text: isc.join('\n') },
    { id: 'kea', name: 'Kea', text: kea.join('\n') },
  ]
}

export interface Check {
  readonly text: string
  /** Where that is shown, or a command to type. */
  readonly href?: string
  readonly link?: string
  readonly command?: string
  readonly faulty?: boolean
}

/** What to look at when a machine was started and nothing of it arrived, in the order in which a boot goes. */
export function bootChecks(daemon: Daemon, local: string): Check[] {
  const { addresses, faults, bios, uefi } = bootPlaces(daemon, local)
  const servers = addresses.length === 0 ? 'this server' : addresses.join(' or ')
  return [
    ...faults.map((text) => ({ text, faulty: true })),
    {
      text: 'Its firmware boots from the network first, and its cable is in a network that DHCP serves (by a relay, if need be).',
    },
    {
      text: `DHCP gives it next-server ${servers} and the file name ${bios} (BIOS) or ${uefi} (UEFI).`,
      href: '/setup#dhcp',
      link: 'The lines for DHCP',
    },
    {
      text: 'No firewall drops UDP 69 or the answers, which come from other ports (keys tftp-ports, tftp-single-port).',
    },
    { text: 'What it asked for, as it came:', command: 'pxemngr status --transfers' },
    { text: 'Whether it asks at all, on the server:', command: "tcpdump -ni any 'udp port 67 or udp port 69'" },
  ]
}
