/**
 * Compiled code that cannot be made is told with the reason, which the build says before it goes on without; nothing is
 * left behind. Source: scripts/code-cache.mjs. That what is made is used: tests/e2e/compiled-code.test.ts.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeCodeCaches } from '../scripts/code-cache.mjs'

const bundles: Readonly<Record<string, readonly [string, RegExp]>> = {
  'ends at once': ['process.exitCode = 7', /ended/],
  'throws, and says why': ['throw new Error("no port is left")', /no port is left/],
  'is no program': ['exports.runLocal = (', /SyntaxError/],
}

for (const [what, [code, reason]] of Object.entries(bundles)) {
  test(`a daemon that ${what}`, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'pxemngr-cache-'))
    t.after(() => rmSync(dir, { recursive: true, force: true }))
    const bundle = join(dir, 'daemon.cjs')
    writeFileSync(bundle, code)
    const assets = { 'daemon.cjs': bundle, 'main.cjs': bundle }
    // `os.tmpdir()`: a folder of the test's own shows what is left.
    const { TMPDIR: usual } = process.env
    process.env['TMPDIR'] = dir
    t.after(() => {
      if (usual === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = usual
    })
    await assert.rejects(makeCodeCaches({ runtime: process.execPath, flags: [], assets, dir }), reason)
    assert.deepEqual(readdirSync(dir), ['daemon.cjs'])
  })
}

test('a runtime that is not there', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-cache-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const options = { runtime: join(dir, 'node'), flags: [], assets: {}, dir }
  await assert.rejects(makeCodeCaches(options), /ENOENT/)
})
