/**
 * A kernel for the guests: Debian's cloud kernel, downloaded with package lists of our own and unpacked, never installed.
 *
 * Kept in `.cache/kernel` with the SHA-256 of every file, which is checked at each use; apt has checked the package
 * against Debian's signed lists. Its network card driver is a set of modules, which the guest loads (guest.ts).
 */
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openDebian } from '../../scripts/debian-download.mjs'
import { runToEnd } from './process.ts'

const cacheDir = join(import.meta.dirname, '..', '..', '.cache', 'kernel')
const metaPackage = 'linux-image-cloud-amd64'
/** The driver of QEMU's virtio network card and what it needs, in the order in which they load. */
export const modules = [
  'drivers/virtio/virtio_ring.ko',
  'drivers/virtio/virtio.ko',
  'drivers/virtio/virtio_pci_legacy_dev.ko',
  'drivers/virtio/virtio_pci_modern_dev.ko',
  'drivers/virtio/virtio_pci.ko',
  'net/core/failover.ko',
  'drivers/net/net_failover.ko',
  'drivers/net/virtio_net.ko',
] as const
const downloadTimeoutMs = 180_000

export interface Kernel {
  /** bzImage */
  readonly image: Uint8Array
  /** In loading order; `name` without folders. */
  readonly modules: readonly { readonly name: string; readonly bytes: Uint8Array }[]
}

/** From the cache, else from Debian; throws with the reason where neither gives it. */
export async function getKernel(): Promise<Kernel> {
  const cached = readCache()
  if (cached) return cached
  await download()
  const fresh = readCache()
  if (!fresh) throw new Error(`${cacheDir} does not hold together right after it was filled`)
  return fresh
}

/** What was kept, or undefined if a file is missing or is not what its checksum says. */
function readCache(): Kernel | undefined {
  const list = join(cacheDir, 'SHA256SUMS')
  if (!existsSync(list)) return undefined
  const sums = new Map<string, string>()
  for (const line of readFileSync(list, 'utf8').split('\n')) {
    const [sum, name] = line.split('  ')
    if (sum && name) sums.set(name, sum)
  }
  const read = (name: string): Uint8Array | undefined => {
    const path = join(cacheDir, name)
    if (!existsSync(path)) return undefined
    const bytes = readFileSync(path)
    return sha256(bytes) === sums.get(name) ? bytes : undefined
  }
  const image = read('vmlinuz')
  const found = modules.flatMap((path) => {
    const name = baseName(path)
    const bytes = read(name)
    return bytes ? [{ name, bytes }] : []
  })
  return image && found.length === modules.length ? { image, modules: found } : undefined
}

/** Fills a folder beside the cache and puts it in its place whole. */
async function download(): Promise<void> {
  const work = `${cacheDir}.${randomUUID()}`
  try {
    mkdirSync(join(work, 'files'), { recursive: true })
    const debian = await openDebian(work, must, { architecture: 'amd64' })
    // the meta package names today's kernel: no version is written down here that Debian will have removed
    const depends = await debian.depends([metaPackage])
    const name = /Depends: (linux-image-\S+-cloud-amd64)/.exec(depends)?.[1]
    if (!name) throw new Error(`${metaPackage} names no kernel:\n${depends}`)
    await debian.unpack([name], () => join(work, 'root'))
    keep(join(work, 'root'), join(work, 'files'))
    rmSync(cacheDir, { recursive: true, force: true })
    renameSync(join(work, 'files'), cacheDir)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function keep(root: string, files: string): void {
  const image = readdirSync(join(root, 'boot')).find((name) => name.startsWith('vmlinuz-'))
  const [version] = readdirSync(join(root, 'lib/modules'))
  if (!image || !version) throw new Error('the kernel package holds no kernel')
  const sums: string[] = []
  const put = (name: string, from: string): void => {
    const bytes = readFileSync(from)
    writeFileSync(join(files, name), bytes)
    sums.push(`${sha256(bytes)}  ${name}\n`)
  }
  put('vmlinuz', join(root, 'boot', image))
  for (const path of modules) put(baseName(path), join(root, 'lib/modules', version, 'kernel', path))
  writeFileSync(join(files, 'SHA256SUMS'), sums.join(''))
}

async function must(words: readonly string[], cwd: string): Promise<string> {
  const done = await runToEnd(words, { cwd, timeoutMs: downloadTimeoutMs })
  if (done.status !== 0) throw new Error(`${words[0]} ${words.at(-1)}: ${done.stderr.trim() || `exit ${done.status}`}`)
  return done.stdout
}

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
