/**
 * The empty state: the build's file and one made at start are the same; a file of another schema is not used.
 * Source: src/store/replay.ts.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { emptyImage, emptyState } from '../../src/store/replay.ts'
import { dumpContent, schemaOf, schemaVersion, seqOf } from '../../src/store/schema.ts'
import { openDatabase } from '../../src/store/sqlite.ts'

const tables = `SELECT type, name, sql FROM sqlite_schema ORDER BY name`

test('out of a file and made here the empty state is the same, and can be written', async () => {
  const image = await emptyImage()
  const [ready, made] = [await emptyState(image), await emptyState(undefined)]
  assert.deepEqual(ready.all(tables), made.all(tables))
  assert.equal(dumpContent(ready), dumpContent(made))
  for (const state of [ready, made]) {
    assert.equal(seqOf(state), 0)
    assert.equal(state.run('INSERT INTO system (id, name) VALUES (1, ?)', ['web01']), 1)
    state.close()
  }
  // The image itself is an asset: memory that is never written to.
  assert.deepEqual(image, await emptyImage())
})

test('a file of another schema, or of a state that is not empty, is not used', async () => {
  for (const change of [`PRAGMA user_version = ${schemaVersion - 1}`, 'UPDATE meta SET seq = 7']) {
    const other = await openDatabase(await emptyImage())
    other.script(change)
    const image = other.export()
    other.close()
    const state = await emptyState(image)
    assert.equal(schemaOf(state), schemaVersion)
    assert.equal(seqOf(state), 0)
    state.close()
  }
})
