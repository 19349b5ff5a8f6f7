/** What `nexttest --wait` hears of its runs, from the first line on. Source: RUNS "Commands" (`nexttest … --wait`). */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RunView } from '../../src/commands/run-view.ts'
import { openManagement } from '../harness/management.ts'

test('the first part of the stream is each run as show --json has it, with when it was requested', async (t) => {
  const m = await openManagement()
  t.after(() => m.shut())
  writeFileSync(join(m.testsDir, 'smoke.test'), 'echo\n')
  await m.type('synctestnames', {})
  await m.type('addsystem', { name: 'web01', addresses: ['10.0.0.1'] })
  const { body } = await m.call('nexttest', { name: 'web01', tests: ['smoke', 'smoke'], version: '4.2' })
  const runs = (body['runs'] as { id: number }[]).map(({ id }) => ({ id, system: 'web01', test: 'smoke' }))
  const parts: { group: number; run: RunView }[][] = []
  const note = async (_text: string | undefined, part: readonly object[] = []) => {
    parts.push(part as { group: number; run: RunView }[])
  }
  await m.daemon.waitForRuns(
    [...runs, { id: 99, system: 'gone', test: 'smoke' }],
    1,
    note,
    new AbortController().signal,
  )
  const first = parts[0] ?? []
  for (const { id } of runs) {
    const { body: shown } = await m.call('show', { run: id })
    assert.deepEqual(first.find(({ group }) => group === id)?.run, shown)
    assert.ok(shown['requested'])
  }
  const gone = first.find(({ group }) => group === 99)?.run
  assert.deepEqual(
    [gone?.system, gone?.state, gone?.requested],
    ['gone', 'requested', null],
    'of one that is gone nothing is known',
  )
})
