/**
 * The executable uses the compiled code that the build put into it: it is of the very runtime and flags that run it.
 * Source: scripts/code-cache.mjs, src/evaluate.ts.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from '../harness/executable.ts'

test('both bundles of a daemon come compiled, and V8 takes them', async (t) => {
  const daemon = await serve({ flags: ['--log-level', 'debug'] })
  t.after(() => daemon.close())
  const line = daemon.logLines().find(({ message }) => message === 'compiled code of the build')
  assert.deepEqual(line?.['bundles'], { 'main.cjs': 'used', 'daemon.cjs': 'used' })
})
