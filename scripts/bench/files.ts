/**
 * The files that everybody serves: one configuration of 153 bytes for each system, and one file of 64 MiB; with the lists
 * that tell the load generators what to ask for and what has to come.
 *
 * Peers serve plain files from one folder; pxemngr computes the same configurations from its systems and profiles.
 */
import { existsSync, mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** As the configurations in PEERS' measurements: a small real one. */
const configurationBytes = 153
export const profileNames = ['bench0', 'bench1', 'bench2', 'bench3'] as const
const fileName = 'large.bin'
const fileBytes = 64 * 1024 * 1024
/** Younger files are read anew at each request by a careful server: not what is to be measured. */
const ageSeconds = 3600

/** System number → its MAC with `separator`, its profile. */
export const macOf = (index: number, separator: string): string =>
  [0x52, 0x54, 0, 0, index >> 8, index & 255].map((byte) => byte.toString(16).padStart(2, '0')).join(separator)
export const profileOf = (index: number): string => profileNames[index % profileNames.length] ?? profileNames[0]

export interface Work {
  /** Folder of the 64 MiB file alone: the TFTP root of pxemngr. */
  readonly filesDir: string
  readonly profilesDir: string
  /** Folder of both, as peers serve it. */
  readonly peersDir: string
  /** List of the configurations of the first `systems` systems. */
  configurations(systems: number): string
  /** The same names, all with the first profile's configuration as the answer. */
  constantConfigurations(systems: number): string
  readonly fileList: string
  /** The file by URL; `prefix` such as `/boot/`. */
  httpFileList(prefix: string): string
  /** `/profile/<mac>/` of each system, with the name of its profile as the answer. */
  profileUrlList(systems: number): string
  /** The same URLs, all with the name of the first profile as the answer. */
  constantUrlList(systems: number): string
}

/** Lays the files out below `dir` (or finds them there). `systems` is how many configurations peers get. */
export function layOut(dir: string, systems: number): Work {
  const filesDir = join(dir, 'files')
  const profilesDir = join(dir, 'profiles')
  const peersDir = join(dir, 'peers')
  for (const path of [filesDir, profilesDir, join(peersDir, 'pxelinux.cfg')]) mkdirSync(path, { recursive: true })
  const file = join(filesDir, fileName)
  if (!existsSync(file)) write(file, pattern(fileBytes))
  if (!existsSync(join(peersDir, fileName))) write(join(peersDir, fileName), pattern(fileBytes))
  write(join(profilesDir, 'local.prof'), configuration('local'))
  for (const name of profileNames) write(join(profilesDir, `${name}.prof`), configuration(name))
  for (let index = 0; index < systems; index++) {
    write(join(peersDir, 'pxelinux.cfg', `01-${macOf(index, '-')}`), configuration(profileOf(index)))
  }
  const list = (name: string, lines: readonly string[]): string => {
    const path = join(dir, `${name}.list`)
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
    return path
  }
  for (const name of profileNames) writeFileSync(join(dir, name), name)
  const profileUrl = (index: number, name: string): string => `/profile/${macOf(index, ':')}/\t${join(dir, name)}`
  const configurationOf = (index: number, name: string): string =>
    `pxelinux.cfg/01-${macOf(index, '-')}\t${join(profilesDir, `${name}.prof`)}`
  const each = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
  return {
    filesDir,
    profilesDir,
    peersDir,
    fileList: list('file', [`${fileName}\t${file}`]),
    configurations: (count) =>
      list(
        `configurations-${count}`,
        each(count, (i) => configurationOf(i, profileOf(i))),
      ),
    constantConfigurations: (count) =>
      list(
        `constant-configurations-${count}`,
        each(count, (i) => configurationOf(i, profileNames[0])),
      ),
    httpFileList: (prefix) => list(`http-file${prefix.replaceAll('/', '-')}`, [`${prefix}${fileName}\t${file}`]),
    profileUrlList: (count) =>
      list(
        `profile-urls-${count}`,
        each(count, (i) => profileUrl(i, profileOf(i))),
      ),
    constantUrlList: (count) =>
      list(
        `constant-urls-${count}`,
        each(count, (i) => profileUrl(i, profileNames[0])),
      ),
  }
}

function write(path: string, bytes: Uint8Array | string): void {
  writeFileSync(path, bytes)
  const past = statSync(path).mtimeMs / 1000 - ageSeconds
  utimesSync(path, past, past)
}

export function configuration(name: string): string {
  const text = `DEFAULT ${name}\nLABEL ${name}\n  KERNEL vmlinuz-${name}\n  APPEND initrd=initrd-${name}.img console=ttyS0,115200 `
  return `${text.padEnd(configurationBytes - 1, 'x')}\n`
}

/** Bytes of which no two blocks are alike: each 8 hold their own position. */
function pattern(size: number): Uint8Array {
  const words = new BigUint64Array(size / 8)
  for (let i = 0; i < words.length; i++) words[i] = BigInt(i) * 0x9e3779b97f4a7c15n
  return new Uint8Array(words.buffer)
}
