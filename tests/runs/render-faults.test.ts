/**
 * Failed templates of tests: remembered for the machine that waits, asked for without looking through those of all others.
 * Source: CONTRACT "Command line" (`status`: a template failure on a waiting run).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRenderFaults } from '../../src/runs/render-faults.ts'
import type { OpenedTest } from '../../src/runs/test-files.ts'
import type { RunRow } from '../../src/store/run-rows.ts'

/** Counts how often the store is asked; `waiting` says for whom a run waits. */
function openFaults() {
  const state = { asked: 0, waiting: (_system: number) => true, bytes: new Uint8Array(1) }
  const opened = () => ({ bytes: state.bytes }) as unknown as OpenedTest
  const count = ({ system }: { system?: number | undefined }): number => {
    state.asked += 1
    return state.waiting(system ?? 0) ? 1 : 0
  }
  const faults = createRenderFaults({ countRuns: count }, { open: opened })
  const tell = (system: number, text: string | undefined) =>
    faults.tell(
      { test: { id: 1, name: 'smoke' }, system: { id: system, name: `s${system}` } } as RunRow,
      opened(),
      text,
    )
  return { state, faults, tell }
}

test('a fault is of one machine; a success, another file and a run that no longer waits end it', () => {
  const { state, faults, tell } = openFaults()
  tell(1, 'one')
  tell(2, 'two')
  assert.deepEqual(
    [faults.find('smoke', 1), faults.find('smoke', 3), faults.find('other')],
    ['one', undefined, undefined],
  )
  assert.deepEqual(faults.list(), ['one', 'two'])
  tell(1, undefined)
  assert.deepEqual([faults.find('smoke', 1), faults.find('smoke')], [undefined, 'two'])
  state.waiting = () => false
  assert.deepEqual(faults.list(), [])
  state.waiting = () => true
  assert.deepEqual(faults.list(), [], 'what has ended does not come back')
  tell(1, 'one')
  state.bytes = new Uint8Array(1)
  assert.deepEqual(faults.list(), [])
})

test('a list of runs asks the store for its own rows, however many machines failed; they are bounded', () => {
  const { state, faults, tell } = openFaults()
  for (let system = 1; system <= 1500; system++) tell(system, `fault ${system}`)
  assert.equal(faults.find('smoke', 1), undefined, 'the oldest are forgotten')
  state.asked = 0
  assert.equal(faults.find('smoke', 1500), 'fault 1500')
  assert.equal(state.asked, 1)
  assert.equal(faults.list().length, 1000)
})
