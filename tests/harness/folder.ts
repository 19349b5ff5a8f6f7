/** A folder of one test, gone after it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export function makeFolder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-test-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
