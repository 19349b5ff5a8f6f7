/**
 * The Debian packages that tests need, and how their presence is seen without asking dpkg.
 *
 * Plain JavaScript with nothing but Node's own modules (Node 20 too): the test runner reads it before anything is
 * installed, and installs what is missing where it is root. The tests ask `lacking` and name what they skip for.
 * `kernelPackages` are never installed: they are downloaded and unpacked into `.cache/` (kernel.ts).
 */
import { accessSync, constants } from 'node:fs'

/**
 * Package → file that shows it is there (first that exists; a name without `/` is looked for in PATH and sbin).
 * @type {readonly { readonly name: string, readonly shows: readonly string[] }[]}
 */
export const debianPackages = [
  { name: 'qemu-system-x86', shows: ['qemu-system-x86_64'] },
  { name: 'ovmf', shows: ['/usr/share/OVMF/OVMF_CODE_4M.fd'] },
  { name: 'ipxe-qemu', shows: ['/usr/lib/ipxe/qemu/pxe-virtio.rom'] },
  { name: 'dnsmasq-base', shows: ['dnsmasq'] },
  { name: 'iproute2', shows: ['ip'] },
  { name: 'busybox-static', shows: ['busybox'] },
  { name: 'curl', shows: ['curl'] },
  { name: 'wget', shows: ['wget'] },
  { name: 'atftp', shows: ['atftp'] },
  { name: 'tftp-hpa', shows: ['tftp'] },
  { name: 'gcc', shows: ['cc'] },
  { name: 'libc6-dev', shows: ['/usr/include/stdio.h'] },
  { name: 'ethtool', shows: ['ethtool'] },
  { name: 'cpio', shows: ['cpio'] },
  { name: 'nftables', shows: ['nft'] },
  { name: 'chromium', shows: ['chromium'] },
  { name: 'zsh', shows: ['zsh'] },
  { name: 'fish', shows: ['fish'] },
]

const folders = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']

/**
 * Absolute path of a program, or undefined if it is nowhere.
 * @param {string} name
 * @returns {string | undefined}
 */
export function findProgram(name) {
  return folders.map((folder) => `${folder || '.'}/${name}`).find((path) => allowed(path, constants.X_OK))
}

/**
 * Those of the packages (all, or the named ones) that are not there.
 * @param {readonly string[]} [names]
 * @returns {string[]}
 */
export function lacking(names = debianPackages.map(({ name }) => name)) {
  return names.filter((name) => {
    const known = debianPackages.find((each) => each.name === name)
    if (!known) throw new Error(`${name} is not in debianPackages`)
    return !known.shows.some((file) => (file.includes('/') ? allowed(file, constants.R_OK) : findProgram(file)))
  })
}

/**
 * @param {string} path
 * @param {number} mode
 */
function allowed(path, mode) {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
