/** The test folder as the state and the pages see it. Source: CONTRACT "Command line" (`status`). */
import assert from 'node:assert/strict'
import { mkdirSync, rmSync } from 'node:fs'
import { test } from 'node:test'
import { openStateStore } from '../harness/state-store.ts'
import { openTestParts } from '../harness/test-parts.ts'

test('a folder that is gone has no tests and no suites, which is said once and fails nothing', async (t) => {
  const store = await openStateStore()
  t.after(() => store.close())
  const { tests, testsDir, file, close } = await openTestParts(store)
  t.after(close)
  file('smoke.test', '# pxemngr: tags=quick\necho\n')
  file('night.suite', 'smoke\n')
  assert.deepEqual([tests.names(), tests.suiteNames(), tests.tagged('quick')], [['smoke'], ['night'], ['smoke']])
  rmSync(testsDir, { recursive: true })
  const fault = `the test folder ${testsDir} cannot be read: it is not there`
  assert.deepEqual([tests.names(), tests.suiteNames(), tests.tagged('quick')], [[], [], []])
  assert.deepEqual(tests.faults(), [fault])
  await assert.rejects(tests.sync(), { name: 'Refusal', kind: 'refused', message: fault })
  mkdirSync(testsDir)
  assert.deepEqual(await tests.sync(), { registered: [], missing: ['wait'] })
})
