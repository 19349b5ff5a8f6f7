/**
 * Small file systems of one test's own, gone after it. Root mounts them, or whoever is root in a user namespace, as the
 * test runner arranges for ordinary users.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** Reason for a skip; false where file systems can be mounted. */
export const noMounts = process.getuid?.() === 0 ? false : 'needs root, or user namespaces: a file system of its own'

/** Mounts a tmpfs of this size (`8m`) and gives its folder; throws where the kernel refuses. */
export function mountTmpfs(t: TestContext, size: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-mount-'))
  must(['mount', '-t', 'tmpfs', '-o', `size=${size}`, 'pxemngr-test', dir])
  t.after(() => {
    must(['umount', '-l', dir])
    rmSync(dir, { recursive: true, force: true })
  })
  return dir
}

/** From now on nothing can be written there; of this mount alone, which a user namespace may change too. */
export function makeReadOnly(dir: string): void {
  must(['mount', '-o', 'remount,bind,ro', dir])
}

function must(words: readonly string[]): void {
  const [program = '', ...rest] = words
  const { status, stderr } = spawnSync(program, rest, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
}
