/**
 * What retention takes from the results folder: everything of the run, what was kept aside too, and nothing of another.
 * Source: RUNS "Commands" (retention).
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createResultFolder } from '../../src/runs/result-files.ts'

const others = ['17.log', '70.1.log', '71.log', '77.part', '8.cases.json', 'notes.txt']
const logs = ['7.log', '7.1.log', '7.2.log', '7.part']
const results = ['7.cases.json', '7.1.cases.json']

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-results-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  for (const name of [...others, ...logs, ...results]) writeFileSync(join(dir, name), 'x'.repeat(10))
  for (const name of ['7.files', '7.1.files', '70.files']) {
    mkdirSync(join(dir, name))
    writeFileSync(join(dir, name, '0'), 'attached')
  }
  return dir
}

const filesIn = (dir: string): string[] => readdirSync(dir).sort()

test('the raw log goes with what was kept aside of it and what came as progress; the rest stays', async (t) => {
  const dir = folder(t)
  const before = filesIn(dir)
  assert.equal(await createResultFolder(dir).removeLog(7, true), 10 * logs.length)
  assert.deepEqual(filesIn(dir), before, 'a dry run')
  assert.equal(await createResultFolder(dir).removeLog(7), 10 * logs.length)
  assert.deepEqual(filesIn(dir), [...others, ...results, '7.files', '7.1.files', '70.files'].sort())
})

test('a run goes with every file of its own', async (t) => {
  const dir = folder(t)
  const bytes = 10 * (logs.length + results.length) + 2 * 'attached'.length
  assert.equal(await createResultFolder(dir).removeAll(7, true), bytes)
  assert.equal(await createResultFolder(dir).removeAll(7), bytes)
  assert.deepEqual(filesIn(dir), [...others, '70.files'].sort())
  assert.equal(await createResultFolder(dir).removeAll(7), 0)
})
