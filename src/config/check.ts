/**
 * What `serve --check` finds out beyond the form of the configuration: folders that cannot be read, a profile folder that
 * is not on a local disk, link targets that are not there. Warnings, as a folder may come with a later mount; refused is
 * what a start would refuse in any case: something else where a folder of ours has to be.
 *
 * A folder of the data directory that does not exist yet is no fault: the first start makes it.
 * Source: CONTRACT "Daemon", DESIGN "Speed" (profiles-dir belongs on a local disk), statfs(2) for the magic numbers.
 */
import { accessSync, constants, statfsSync, statSync } from 'node:fs'
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import type { Config } from './keys.ts'

/** The questions asked of the disk, so that tests can answer them. */
export interface Disk {
  /** `folder`, `file`, or why not, as Node's error code. */
  look(path: string): 'folder' | 'file' | { readonly code: string }
  /** Whether its entries can be listed and its files opened. */
  readable(path: string): boolean
  /** `f_type` of statfs(2), unsigned; undefined if it cannot be told. */
  fileSystemType(path: string): number | undefined
}

/** File systems whose answers come over a network or from another program: a stat may hang. */
const remoteFileSystems: Readonly<Record<number, string>> = {
  26985: 'NFS',
  20859: 'SMB',
  4283649346: 'CIFS',
  4266872130: 'SMB2',
  1702057286: 'FUSE',
  16914839: '9p',
  12805120: 'Ceph',
  198183888: 'Lustre',
  1397113167: 'AFS',
  1196443219: 'GPFS',
  18225520: 'GFS2',
}

/** One line a finding; none: nothing to say. */
export function checkFolders(config: Config, disk: Disk = localDisk): string[] {
  const warnings: string[] = []
  for (const [name, path] of ownFolders(config)) warnings.push(...checkFolder(disk, name, path, false))
  for (const path of config.linkTargets) warnings.push(...checkFolder(disk, 'link-targets', path, true))
  const type = disk.fileSystemType(config.profilesDir)
  const remote = type === undefined ? undefined : remoteFileSystems[type]
  if (remote !== undefined) {
    warnings.push(
      `profiles-dir ${quote(config.profilesDir)} is on ${remote}: put it on a local disk, each boot looks at a file in it`,
    )
  }
  return warnings
}

/** Refuses (`refused`, as the start does) a file where a folder has to be. */
export function refuseFiles(config: Config, disk: Disk = localDisk): void {
  for (const [name, path] of ownFolders(config)) {
    if (disk.look(path) === 'file') throw new Refusal('refused', `${name} ${path} is not a folder`)
  }
}

/** Refuses (`usage`) an address that is listed twice: its second bind would find it in use, as if by another program. */
export function refuseTwice(config: Config): void {
  for (const key of ['tftp', 'http'] as const) {
    const fixed = config[key].filter(({ port }) => port !== 0)
    const twice = fixed.find(({ host, port }, at) =>
      fixed.some((other, before) => before < at && other.host === host && other.port === port),
    )
    if (twice) throw new Refusal('usage', `${key} names the address ${twice.host} with port ${twice.port} twice`)
  }
}

function ownFolders(config: Config): [name: string, path: string][] {
  return [
    ['data-dir', config.dataDir],
    ['profiles-dir', config.profilesDir],
    ['tests-dir', config.testsDir],
    ['results-dir', config.resultsDir],
    ['tftp-root', config.tftpRoot],
  ]
}

function checkFolder(disk: Disk, name: string, path: string, mustExist: boolean): string[] {
  const found = disk.look(path)
  if (found === 'file') return [`${name} ${quote(path)} is no folder`]
  if (found === 'folder') return disk.readable(path) ? [] : [`${name} ${quote(path)} cannot be read by this user`]
  if (found.code === 'ENOENT') return mustExist ? [`${name} ${quote(path)} does not exist`] : []
  return [`${name} ${quote(path)} cannot be looked at: ${found.code}`]
}

const localDisk: Disk = {
  look(path) {
    try {
      return statSync(path).isDirectory() ? 'folder' : 'file'
    } catch (error) {
      return { code: error instanceof Error && 'code' in error ? String(error.code) : String(error) }
    }
  },
  readable(path) {
    try {
      accessSync(path, constants.R_OK | constants.X_OK)
      return true
    } catch {
      return false
    }
  },
  fileSystemType(path) {
    try {
      // 32 bits wide on the wire of the system call, signed on some architectures.
      return Number(BigInt.asUintN(32, statfsSync(path, { bigint: true }).type))
    } catch {
      return undefined
    }
  },
}
