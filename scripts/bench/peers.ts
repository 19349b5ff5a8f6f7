/**
 * The peers' programs out of Debian's packages: downloaded with package lists of its own, unpacked into a cache folder with
 * the libraries that the machine lacks, never installed; no script of a package runs and no service is started.
 *
 * A peer that cannot be had (no apt, no network) is named with the reason; the bench goes on without it.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Debian, openDebian } from '../debian-download.mjs'
import { cacheDir } from './bench.ts'
import { runProgram } from './processes.ts'

/** Program of each peer inside its package. */
const packages = {
  dnsmasq: { name: 'dnsmasq-base', program: 'usr/sbin/dnsmasq' },
  atftpd: { name: 'atftpd', program: 'usr/sbin/atftpd' },
  'tftpd-hpa': { name: 'tftpd-hpa', program: 'usr/sbin/in.tftpd' },
  nginx: { name: 'nginx', program: 'usr/sbin/nginx' },
} as const

export type PeerName = keyof typeof packages

export interface PeerProgram {
  readonly program: string
  /** What it needs to find the libraries unpacked beside it. */
  readonly env: Readonly<Record<string, string>>
}

/** One folder a peer, complete once it has its name. */
const peersDir = join(cacheDir, 'peers')

/** The peer's program; throws with the reason where it cannot be had. */
export async function getPeer(peer: PeerName): Promise<PeerProgram> {
  const { name, program } = packages[peer]
  const root = join(peersDir, name)
  if (!existsSync(root)) await unpackPeer(name, program, root)
  return { program: join(root, program), env: libraryPath(root) }
}

async function unpackPeer(name: string, program: string, root: string): Promise<void> {
  mkdirSync(peersDir, { recursive: true })
  const work = mkdtempSync(join(peersDir, 'work-'))
  try {
    const debian = await openDebian(work, (words, cwd) => runProgram(words, { cwd }))
    const fresh = join(work, 'root')
    await debian.unpack([name], () => fresh)
    if ((await missingLibraries(join(fresh, program), fresh)).length > 0) {
      await debian.unpack(await librariesOf(debian, name), () => fresh)
    }
    const missing = await missingLibraries(join(fresh, program), fresh)
    if (missing.length > 0) throw new Error(`${name} needs ${missing.join(', ')}, which its packages lack`)
    renameSync(fresh, root)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Names of the library packages that a package depends on, directly and further. */
async function librariesOf(debian: Debian, name: string): Promise<string[]> {
  const kinds = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`)
  const lines = (await debian.depends(['--recurse', ...kinds, name])).split('\n')
  // libc6 is the machine's own: another one beside it would not fit its loader
  return [...new Set(lines.filter((line) => /^lib[a-z0-9.+-]+$/.test(line) && line !== 'libc6'))]
}

async function missingLibraries(program: string, root: string): Promise<string[]> {
  const listed = await runProgram(['ldd', program], { env: libraryPath(root) })
  return [...listed.matchAll(/^\s*(\S+) => not found/gm)].map(([, name]) => name ?? '')
}

function libraryPath(root: string): Record<string, string> {
  const dirs = ['usr/lib', 'lib'].flatMap((dir) => {
    const path = join(root, dir)
    const inner = existsSync(path) ? readdirSync(path).filter((entry) => entry.endsWith('-linux-gnu')) : []
    return inner.map((entry) => join(path, entry))
  })
  return { LD_LIBRARY_PATH: dirs.join(':') }
}
