/**
 * Versions that are known, and those of which nothing is left. Source: RUNS "Commands" (refused: `keep`, `compare` of
 * something unknown), "Results" (missing).
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openManagement } from '../harness/management.ts'

test('a version of which nothing is left is unknown to compare, as `versions` says, until it is kept; what it misses is still told', async () => {
  const m = await openManagement()
  try {
    writeFileSync(join(m.testsDir, 'smoke.test'), 'echo\n')
    writeFileSync(join(m.testsDir, 'all.suite'), 'smoke\n')
    await m.daemon.tests.sync()
    await m.type('addsystem', { name: 's1', addresses: ['52:54:00:12:34:56'] })
    for (const version of ['4.1', '4.2']) await m.type('nexttest', { name: 's1', tests: ['@all'], version })
    assert.equal((await m.type('compare', { a: '4.1', b: '4.2' })).exit, 0)
    await m.type('cancel', { runs: [2] })
    assert.equal((await m.type('versions', {})).stdout, '4.1\n')
    const unknown = { exit: 1, stdout: '', stderr: 'Version 4.2 not defined\n' }
    assert.deepEqual(await m.type('compare', { a: '4.1', b: '4.2' }), unknown)
    assert.deepEqual(await m.type('compare', { a: '4.2', b: '4.1' }), unknown)
    assert.equal((await m.overTcp('/compare/4.1...4.2')).status, 404)
    const missing = await m.type('results', { version: '4.2', verdict: ['missing'] })
    assert.match(missing.stdout, /^-\tmissing\ts1\tsmoke\t4\.2\t/)
    await m.type('keep', { version: '4.2' })
    assert.equal((await m.type('compare', { a: '4.1', b: '4.2' })).exit, 0, 'it is listed again')
    await m.type('keep', { version: '4.1' })
    await m.type('cancel', { runs: [1] })
    assert.equal((await m.type('compare', { a: '4.1', b: '4.1' })).exit, 0, 'one that is kept stays')
  } finally {
    await m.shut()
  }
})
