/**
 * Compiles the failing disk (`faults.c`) once and gives each test its own control file. Needs a C compiler; where there is
 * none, `faultsLibrary` is undefined and the tests say so by name.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram } from './debian.mjs'

export interface FailingDisk {
  /** Environment for the executable. */
  readonly env: Readonly<Record<string, string>>
  /** What goes wrong from now on, in the words of `faults.c`; none: all is well again. */
  order(...words: readonly string[]): void
  close(): void
}

const compiler = findProgram('cc') ?? findProgram('gcc')
/** Why failing disks cannot be had here; false if they can. */
export const noFaults: string | false = compiler ? false : 'needs a C compiler (Debian package gcc)'

/** A disk that fails on command below `folder`. */
export function failingDisk(folder: string): FailingDisk {
  if (!compiler) throw new Error('no C compiler')
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-faults-'))
  const library = join(dir, 'faults.so')
  execFileSync(compiler, ['-shared', '-fPIC', '-O1', '-o', library, join(import.meta.dirname, 'faults.c'), '-ldl'])
  const control = join(dir, 'orders')
  writeFileSync(control, '')
  return {
    env: { LD_PRELOAD: library, FAULTS_BELOW: folder, FAULTS_CONTROL: control },
    order(...words) {
      // Whole or as before: an order read while it is empty would let a stalled sync through.
      writeFileSync(`${control}.new`, words.map((word) => `${word}\n`).join(''))
      renameSync(`${control}.new`, control)
    },
    close: () => rmSync(dir, { recursive: true, force: true }),
  }
}
