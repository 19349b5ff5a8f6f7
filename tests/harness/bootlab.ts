/**
 * A boot network of one test: the executable and DHCP in one namespace, machines on a bridge in another, a cable between.
 *
 * Whatever a test throws, the lab is taken down, and the error carries the ends of every console and log. Loaders come
 * from the executable: the TFTP root holds only the guest's kernel and initramfs.
 */
import { randomBytes } from 'node:crypto'
import { accessSync, constants, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram, lacking } from './debian.mjs'
import { type Dhcp, startDhcp } from './dhcp.ts'
import { makeDisk } from './disk.ts'
import { type RunningDaemon, serve } from './executable.ts'
import { makeInitramfs } from './guest.ts'
import { getKernel } from './kernel.ts'
import { type HttpAnswer, httpGet } from './netclient.ts'
import { createNetwork, type Namespace } from './netns.ts'
import { type Firmware, type Machine, startMachine } from './qemu.ts'

/** The server's address; namespaces are worlds of their own, so every test may use the same. */
export const serverAddress = '10.77.0.1'
const httpPort = 8000
const needed = ['qemu-system-x86', 'ovmf', 'ipxe-qemu', 'dnsmasq-base', 'iproute2', 'busybox-static', 'ethtool', 'curl']
/** What a failed test shows of each log. */
const tailChars = 4000

/** Why real firmware cannot be booted here, in words for a skipped test; undefined if it can. */
export function bootLabFault(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, or user namespaces: network namespaces and bridges'
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
  } catch {
    return 'needs /dev/net/tun, which this user may not open'
  }
  const missing = lacking(needed)
  if (missing.length > 0) return `needs Debian packages: ${missing.join(' ')}`
  return undefined
}

/** Files every guest boots, made once for all tests of a process. */
export interface GuestFiles {
  readonly kernel: string
  readonly initramfs: string
}

/** Writes kernel and initramfs into `dir`; throws where there is no kernel to be had. */
export async function makeGuestFiles(dir: string): Promise<GuestFiles> {
  const files = { kernel: join(dir, 'vmlinuz'), initramfs: join(dir, 'initrd.gz') }
  const kernel = await getKernel()
  writeFileSync(files.kernel, kernel.image)
  writeFileSync(files.initramfs, makeInitramfs(kernel, findProgram('busybox') ?? 'busybox'))
  return files
}

export interface LabMachine extends Machine {
  readonly mac: string
  /** What its disk shows when it is booted. */
  readonly marker: string
}

/** A profile that boots the guest; `token` is on its kernel command line only. */
export interface GuestProfile {
  readonly name: string
  readonly token: string
}

/** `gate`: the guest asks before it reports and reboots. `tests`: it runs a test by the shipped loop before it reboots. */
export interface GuestOptions {
  readonly gate?: boolean
  readonly tests?: boolean
}

export interface BootLab {
  /** The daemon that runs now: another object after `start`. */
  readonly daemon: RunningDaemon
  /** Starts it again on the same state, after the test stopped or killed it. */
  start(): Promise<void>
  /** Writes and registers a profile with a new token. */
  profile(name: string, options?: GuestOptions): Promise<GuestProfile>
  /** A page of the daemon, or another of its URLs, by its path. */
  page(path: string): Promise<HttpAnswer>
  /** Switches a machine on. */
  machine(mac: string, firmware: Firmware): LabMachine
}

/** Builds the lab, lets `use` work in it and takes it down. */
export async function withBootLab(guest: GuestFiles, use: (lab: BootLab) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-lab-'))
  const network = createNetwork()
  const closing: (() => Promise<void>)[] = []
  const machines: LabMachine[] = []
  const daemons: RunningDaemon[] = []
  let dhcp: Dhcp | undefined
  try {
    const { server, clients } = cable(network)
    const dataDir = join(dir, 'data')
    mkdirSync(join(dataDir, 'tftpboot'), { recursive: true })
    copyFileSync(guest.kernel, join(dataDir, 'tftpboot', 'vmlinuz'))
    copyFileSync(guest.initramfs, join(dataDir, 'tftpboot', 'initrd.gz'))
    const startDaemon = async (): Promise<RunningDaemon> => {
      const listen = { tftp: `${serverAddress}:69`, http: `${serverAddress}:${httpPort}` }
      const daemon = await serve({ prefix: server.prefix, dataDir, ...listen })
      daemons.push(daemon)
      closing.push(() => daemon.close())
      return daemon
    }
    let daemon = await startDaemon()
    dhcp = await startDhcp({ space: server, link: 'net0', server: serverAddress, dir })
    closing.push(dhcp.close)
    await use({
      get daemon() {
        return daemon
      },
      async start() {
        daemon = await startDaemon()
      },
      page: (path) => httpGet(server, `http://${serverAddress}:${httpPort}${path}`),
      async profile(name, options = {}) {
        const token = randomBytes(6).toString('hex')
        writeFileSync(join(dataDir, 'profiles', `${name}.prof`), profileText(token, options))
        await daemon.must('syncbootnames')
        return { name, token }
      },
      machine(mac, firmware) {
        const marker = `booted ${randomBytes(6).toString('hex')}`
        const tap = `tap${machines.length}`
        const options = { space: clients, bridge: 'bridge0', tap, mac, firmware, disk: makeDisk(marker), dir }
        const machine = { ...startMachine(options), mac, marker }
        machines.push(machine)
        closing.push(machine.close)
        return machine
      },
    })
  } catch (error) {
    const logs = [
      ...machines.map((machine) => `console of ${machine.mac}\n${tail(machine.serial())}`),
      ...daemons.map((daemon) => `log of pid ${daemon.pid}\n${tail(daemon.log())}`),
      `DHCP\n${tail(dhcp?.log() ?? 'not started')}`,
    ]
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
    throw new Error([what, ...logs].join('\n\n==== '))
  } finally {
    for (const close of closing.reverse()) await close()
    network.close()
    rmSync(dir, { recursive: true, force: true })
  }
}

function cable(network: ReturnType<typeof createNetwork>): { server: Namespace; clients: Namespace } {
  const server = network.namespace('server')
  const clients = network.namespace('clients')
  network.link(
    { space: server, name: 'net0', addresses: [`${serverAddress}/24`, 'fd77::1/64'] },
    { space: clients, name: 'net1' },
  )
  clients.must('ip', 'link', 'add', 'bridge0', 'type', 'bridge')
  clients.must('ip', 'link', 'set', 'dev', 'bridge0', 'up')
  clients.must('ip', 'link', 'set', 'dev', 'net1', 'master', 'bridge0')
  return { server, clients }
}

/** `IPAPPEND 2` makes the loader say which card it booted from. */
function profileText(token: string, { gate = false, tests = false }: GuestOptions): string {
  const words = ['initrd=initrd.gz', 'console=ttyS0', 'panic=-1', 'quiet', `token=${token}`]
  words.push(`server=${serverAddress}:${httpPort}`, ...(gate ? ['gate'] : []), ...(tests ? ['tests'] : []))
  return `default guest\nprompt 0\n\nlabel guest\n  kernel vmlinuz\n  append ${words.join(' ')}\n  ipappend 2\n`
}

function tail(text: string): string {
  return text.slice(-tailChars)
}
