/** The test folder as the state and the pages see it. Source: CONTRACT "Command line" (`status`). */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

test('a test or suite that is a link out of the folder is quarantined unless link-targets has its folder', async (t) => {
  const store = await openStateStore()
  t.after(() => store.close())
  const elsewhere = mkdtempSync(join(tmpdir(), 'pxemngr-elsewhere-'))
  t.after(() => rmSync(elsewhere, { recursive: true }))
  let targets: readonly string[] = []
  const { tests, testsDir, file, close } = await openTestParts(store, Date.now, () => targets)
  t.after(close)
  writeFileSync(join(elsewhere, 'key'), '# pxemngr: tags=secret\nsecret\n')
  writeFileSync(join(elsewhere, 'list'), 'own\n')
  symlinkSync(join(elsewhere, 'key'), join(testsDir, 'out.test'))
  symlinkSync(join(elsewhere, 'list'), join(testsDir, 'out.suite'))
  file('wait.test', 'wait\n')
  file('own.test', '# pxemngr: tags=secret\nown\n')
  symlinkSync('own.test', join(testsDir, 'alias.test'))
  const why = (name: string) =>
    `${testsDir}/${name}: a link leads out of the test folder (link-targets may name the folder it leads to)`
  assert.deepEqual(tests.faults(), [why('out.test'), why('out.suite')])
  assert.equal(tests.fault('out'), why('out.test'))
  assert.deepEqual(tests.files.open('out'), { fault: why('out.test') })
  assert.deepEqual(tests.suite('out'), { fault: why('out.suite') })
  assert.deepEqual(tests.tagged('secret'), ['alias', 'own'], 'a link within the folder is a test like any other')
  targets = [elsewhere]
  assert.deepEqual(tests.faults(), [])
  assert.deepEqual(tests.tagged('secret'), ['alias', 'out', 'own'])
  targets = []
  assert.equal(tests.fault('out'), why('out.test'), 'what was read while it was allowed is not kept')
  renameSync(join(elsewhere, 'key'), join(testsDir, 'key'))
  rmSync(join(testsDir, 'out.test'))
  symlinkSync('key', join(testsDir, 'out.test'))
  assert.equal(tests.fault('out'), undefined)
})

test('a file whose name nexttest takes for a suite or a tag is no test, and status says so', async (t) => {
  const store = await openStateStore()
  t.after(() => store.close())
  const { tests, testsDir, file, close } = await openTestParts(store)
  t.after(close)
  for (const name of ['wait', '@smoke', 'tag:disk', 'a@b', 'tags', 'untag:x']) file(`${name}.test`, 'echo\n')
  file('mixed.suite', 'a@b\n@smoke\n')
  file('@odd.suite', 'a@b\n')
  const { registered } = await tests.sync()
  assert.deepEqual(registered.sort(), ['a@b', 'tags', 'untag:x', 'wait'])
  assert.equal(store.queries.findTest('@smoke'), undefined)
  const why = (name: string) =>
    `${testsDir}/${name}.test: this can be the name of no test: nexttest takes @name for a suite and tag:name for all tests with a tag; rename the file`
  assert.deepEqual(tests.faults().sort(), [
    why('@smoke'),
    `${testsDir}/mixed.suite:2: there is no test "@smoke"`,
    why('tag:disk'),
  ])
  assert.ok('fault' in tests.files.open('@smoke'))
  assert.deepEqual(tests.suite('@odd'), [{ name: 'a@b', expected: true, line: 1 }], 'a suite is asked for as @@odd')
})
