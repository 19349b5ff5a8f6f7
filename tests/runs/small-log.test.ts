/**
 * The short way of a small log, cut off at every place: afterwards all of it is there with its record, or nothing without.
 * Source: `small-log.ts`; CONTRACT "What machines ask over HTTP" (one that is cut off changes nothing).
 */
import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { receiveUpload, recoverUploads } from '../../src/runs/incoming.ts'
import { smallLogMax } from '../../src/runs/small-log.ts'

const run = 7
const log = `${run}.log`
const left = `incoming/${run}.0123456789ab.log`
const never = async (): Promise<boolean> => false
const always = async (): Promise<boolean> => true

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-small-log-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Names below the folder, with what the files hold. */
function treeOf(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name)
      return [path.slice(dir.length + 1), readFileSync(path, 'utf8')]
    }),
  )
}

/** An upload of these pieces, whole and not yet kept. */
async function receive(dir: string, pieces: readonly string[], sync: () => Promise<void> = async () => {}) {
  const upload = receiveUpload(dir, run, sync)
  for (const piece of pieces) await upload.log.write(Buffer.from(piece))
  return upload
}

test('it has its name before its record, a second one until then, and is whole', async (t) => {
  const dir = folder(t)
  const synced: Record<string, string>[] = []
  const upload = await receive(dir, ['V: 1\n', '', 'I: ü\n'], async () => void synced.push(treeOf(dir)))
  assert.equal(upload.log.sizeBytes, 11)
  assert.deepEqual(treeOf(dir), {}, 'nothing is written while it comes')
  const kept = await upload.keep([], 1, true)
  const names = Object.keys(treeOf(dir)).sort()
  assert.match(names.join(' '), /^7\.log incoming\/7\.[0-9a-f]{12}\.log$/)
  assert.deepEqual(synced, [treeOf(dir)], 'the folder is synced when the name is there, once')
  await kept.settle()
  assert.deepEqual(treeOf(dir), { [log]: 'V: 1\nI: ü\n' })
})

test('cut off anywhere without a record it is taken back; with one it stays; twice is as good as once', async (t) => {
  for (const [isLinked, text] of [
    [false, ''],
    [false, 'I: ha'],
    [true, 'I: ha'],
    [true, 'I: half and more\n'],
  ] as const) {
    for (const hasRecord of [false, true]) {
      const dir = folder(t)
      mkdirSync(join(dir, 'incoming'))
      writeFileSync(join(dir, left), text)
      if (isLinked) linkSync(join(dir, left), join(dir, log))
      const asked: unknown[] = []
      const isUploaded = async (...of: unknown[]) => {
        asked.push(of)
        return hasRecord
      }
      assert.equal(await recoverUploads(dir, isUploaded), hasRecord ? 0 : 1)
      assert.deepEqual(asked, [[run, undefined]])
      assert.deepEqual(treeOf(dir), hasRecord && isLinked ? { [log]: text } : {})
      assert.equal(await recoverUploads(dir, never), 0)
    }
  }
})

test('a log of the same run that is another file is not taken away with it', async (t) => {
  const dir = folder(t)
  mkdirSync(join(dir, 'incoming'))
  writeFileSync(join(dir, left), 'same text')
  copyFileSync(join(dir, left), join(dir, log))
  for (const name of ['incoming/x.0123456789ab.log', 'incoming/7.log', 'incoming/7.0123.log'])
    writeFileSync(join(dir, name), '')
  assert.equal(await recoverUploads(dir, never), 1)
  assert.deepEqual(Object.keys(treeOf(dir)).sort(), [
    log,
    'incoming/7.0123.log',
    'incoming/7.log',
    'incoming/x.0123456789ab.log',
  ])
})

test('a sync that fails, and an undo, leave nothing', async (t) => {
  const dir = folder(t)
  const failing = await receive(dir, ['x'], () => Promise.reject(Object.assign(new Error('no sync'), { code: 'EIO' })))
  await assert.rejects(failing.keep([], 1, true), /no sync/)
  await failing.discard()
  assert.deepEqual(treeOf(dir), {})
  const kept = await (await receive(dir, ['x'])).keep([], 1, true)
  await kept.undo()
  assert.deepEqual(treeOf(dir), {})
  assert.equal(await recoverUploads(dir, always), 0)
})

test('where the name is taken, by a log that nobody recorded, that one is kept aside', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, log), 'older')
  await (await (await receive(dir, ['newer'])).keep([], 1, true)).settle()
  assert.deepEqual(treeOf(dir), { [log]: 'newer', [`${run}.1.log`]: 'older' })
})

test('it is held in memory up to its limit and no further, whatever the pieces; a restart begins anew', async (t) => {
  for (const pieces of [['x'.repeat(smallLogMax)], Array.from({ length: smallLogMax }, () => 'x')]) {
    const dir = folder(t)
    const upload = await receive(dir, pieces)
    assert.equal(existsSync(join(dir, 'incoming')), false)
    await upload.log.write(Buffer.from('y'))
    assert.deepEqual(Object.values(treeOf(dir)), [`${'x'.repeat(smallLogMax)}y`])
    await upload.log.write(Buffer.from('z'))
    assert.equal(upload.log.sizeBytes, smallLogMax + 2)
    await (await upload.keep([], 1, true)).settle()
    assert.deepEqual(treeOf(dir), { [log]: `${'x'.repeat(smallLogMax)}yz` })
  }
  const dir = folder(t)
  const upload = await receive(dir, ['first'])
  await upload.restart()
  await upload.log.write(Buffer.from('second'))
  await (await upload.keep([], 1, true)).settle()
  assert.deepEqual(treeOf(dir), { [log]: 'second' })
})

test('of a run that takes none any more it is kept aside; discarded it never was', async (t) => {
  const dir = folder(t)
  await (await receive(dir, ['late'])).keepAside()
  assert.deepEqual(treeOf(dir), { [`${run}.1.log`]: 'late' })
  await (await receive(dir, ['gone'])).discard()
  assert.deepEqual(treeOf(dir), { [`${run}.1.log`]: 'late' })
})

test('where its folder cannot be had it says so and leaves nothing', async (t) => {
  const dir = folder(t)
  const inTheWay = join(dir, 'incoming')
  writeFileSync(inTheWay, '')
  await assert.rejects((await receive(dir, ['x'])).keep([], 1, true), { code: 'ENOTDIR' })
  assert.deepEqual(readdirSync(dir), ['incoming'])
})
