/**
 * How an upload gets its names, cut off at every place: afterwards all of it is there, or what was before it. Sources:
 * CONTRACT "What machines ask over HTTP" (a second upload replaces the first; one that is cut off changes nothing).
 */
import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ResultCase } from '../../src/domain/run.ts'
import {
  type IncomingUpload,
  type KeptFiles,
  receiveUpload,
  recoverUploads,
  removeOldUploads,
} from '../../src/runs/incoming.ts'

const run = 7
const someCase: ResultCase = { name: 'a', outcome: 'pass', note: '', durationMs: null }

/** What an upload consists of. */
interface Content {
  readonly log: string
  readonly attached: readonly string[]
  readonly cases: boolean
}

const contents: readonly Content[] = [
  { log: 'small', attached: [], cases: false },
  { log: 'whole', attached: ['x', 'y'], cases: true },
  { log: 'with cases', attached: [], cases: true },
  { log: 'attached', attached: ['z'], cases: false },
]

async function receive(dir: string, content: Content): Promise<IncomingUpload> {
  const upload = receiveUpload(dir, run, async () => {})
  await upload.log.write(Buffer.from(content.log))
  for (const text of content.attached) {
    const file = await upload.attach()
    await file.write(Buffer.from(text))
    await file.finish()
  }
  return upload
}

async function keep(dir: string, content: Content, isFirst = false): Promise<KeptFiles> {
  return (await receive(dir, content)).keep(content.cases ? [someCase] : [], 1, isFirst)
}

/** Every file below the folder with its text. */
function treeOf(dir: string): Record<string, string> {
  const names = readdirSync(dir, { recursive: true }).map(String).sort()
  const files = names.filter((name) => statSync(join(dir, name)).isFile())
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(dir, name), 'utf8')]))
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-incoming-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

interface Step {
  readonly name: string
  readonly aside: string | null
  readonly from: string | null
}

/** A first upload replaces nothing, and writes no plan. */
const firstSteps: readonly Step[] = [
  { name: `${run}.files`, aside: null, from: 'files' },
  { name: `${run}.cases.json`, aside: null, from: 'cases' },
  { name: `${run}.log`, aside: null, from: 'log' },
]

/** Takes the last `count` renames of a `keep` back by hand, as if they had not come. */
function renamesMissing(dir: string, count: number): number {
  const name = relative(dir, planned(dir))
  const { steps } = existsSync(join(dir, name, 'replaces.json'))
    ? (JSON.parse(readFileSync(join(dir, name, 'replaces.json'), 'utf8')) as { steps: Step[] })
    : { steps: firstSteps.filter((step) => existsSync(join(dir, step.name))) }
  const renames = steps.flatMap((step) => [
    ...(step.aside === null ? [] : [[step.name, step.aside]]),
    ...(step.from === null ? [] : [[join(name, step.from), step.name]]),
  ])
  for (const [from = '', to = ''] of renames.reverse().slice(0, count)) renameSync(join(dir, to), join(dir, from))
  return renames.length
}

/** The folder of the upload under way. */
const planned = (dir: string): string => join(dir, 'incoming', leftIn(dir)[0] ?? '')

/** What is on its way. */
const leftIn = (dir: string): string[] => (existsSync(join(dir, 'incoming')) ? readdirSync(join(dir, 'incoming')) : [])

const never = async (): Promise<boolean> => false

for (const [first, before] of [undefined, ...contents].entries()) {
  for (const [second, content] of contents.entries()) {
    // A small log where there is nothing is `small-log.test.ts`'s.
    if (!before && content === contents[0]) continue
    test(`upload ${second + 1} ${before ? `over upload ${first}` : 'alone'}: cut off between any two renames it is taken back whole`, async (t) => {
      for (let missing = 0, renames = 1; missing <= renames; missing++) {
        const dir = folder(t)
        if (before) await (await keep(dir, before, true)).settle()
        const was = treeOf(dir)
        await keep(dir, content, before === undefined)
        assert.equal(existsSync(join(planned(dir), 'replaces.json')), before !== undefined)
        renames = renamesMissing(dir, missing)
        assert.equal(await recoverUploads(dir, never), 1)
        assert.deepEqual(treeOf(dir), was, `${missing} of ${renames} renames missing`)
        assert.deepEqual(leftIn(dir), [])
        assert.equal(await recoverUploads(dir, never), 0)
      }
    })
  }
}

test('with its record it stays: what it replaced is kept aside, its folder goes', async (t) => {
  const dir = folder(t)
  const [small, whole] = contents
  assert.ok(small && whole)
  await (await keep(dir, small)).settle()
  await keep(dir, whole)
  assert.equal(await recoverUploads(dir, async (of, seq) => of === run && seq === 1), 0)
  assert.deepEqual(treeOf(dir), {
    '7.1.log': 'small',
    '7.cases.json': JSON.stringify([someCase]),
    '7.files/0': 'x',
    '7.files/1': 'y',
    '7.log': 'whole',
  })
})

test('a first upload with its record stays; without any it goes, whatever has a name', async (t) => {
  const [, whole] = contents
  assert.ok(whole)
  for (const hasRecord of [true, false]) {
    const dir = folder(t)
    await keep(dir, whole, true)
    assert.equal(
      await recoverUploads(dir, async (of, seq) => hasRecord && of === run && seq === undefined),
      hasRecord ? 0 : 1,
    )
    const names = hasRecord ? ['7.cases.json', '7.files/0', '7.files/1', '7.log'] : []
    assert.deepEqual(Object.keys(treeOf(dir)), names)
  }
})

test('a first upload that fails at its sync leaves nothing', async (t) => {
  const dir = folder(t)
  const upload = receiveUpload(dir, run, () => Promise.reject(new Error('no sync')))
  await upload.log.write(Buffer.from('x'))
  await assert.rejects(upload.keep([someCase], 1, true), /no sync/)
  assert.deepEqual(treeOf(dir), {})
  assert.deepEqual(leftIn(dir), [])
})

test('undo, discard and a keep that fails leave what was there', async (t) => {
  const dir = folder(t)
  const [small, whole] = contents
  assert.ok(small && whole)
  await (await keep(dir, small)).settle()
  await (await keep(dir, whole)).undo()
  await (await receive(dir, whole)).discard()
  const blocked = await receive(dir, whole)
  const failing = receiveUpload(dir, run, () => Promise.reject(new Error('no sync')))
  await assert.rejects(failing.keep([someCase], 1, false), /no sync/)
  await blocked.discard()
  await blocked.discard()
  assert.deepEqual(treeOf(dir), { '7.log': 'small' })
  assert.deepEqual(leftIn(dir), [])
})

test('the last log counts; what is not of a crash is not touched', async (t) => {
  const dir = folder(t)
  const [small] = contents
  assert.ok(small)
  const upload = await receive(dir, { ...small, log: 'longer than the second' })
  await upload.restart()
  await upload.log.write(Buffer.from('second'))
  await (await upload.keep([], 1, true)).settle()
  for (const name of ['notes.txt', '8.log', '8.part', 'incoming/x.0123456789ab.tmp'])
    writeFileSync(join(dir, name), name)
  assert.equal(await recoverUploads(dir, never), 0)
  assert.equal(readFileSync(join(dir, '7.log'), 'utf8'), 'second')
  for (const name of ['notes.txt', '8.log', '8.part', 'incoming/x.0123456789ab.tmp'])
    assert.ok(existsSync(join(dir, name)))
})

test('what an older layout left beside the logs goes, whatever it is; what has a record stays, and nothing else is touched', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-incoming-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const tmp = (of: number, end = 'tmp') => join(dir, `${of}.0123456789ab.${end}`)
  for (const name of ['7.log', '7.1.log', '8.log', '9.part', 'notes.tmp', '7.short.tmp'])
    writeFileSync(join(dir, name), name)
  writeFileSync(tmp(7), 'a file')
  // One that had got its name when the crash came, of a run without a record; one that had not, of a run with one.
  for (const [of, files] of [
    [8, []],
    [7, ['log']],
    [9, ['log', '0']],
  ] as const) {
    const folder = of === 7 ? join(dir, '7.ba9876543210.tmp') : tmp(of)
    mkdirSync(folder)
    for (const name of files) writeFileSync(join(folder, name), 'x')
  }
  const held: number[] = []
  const alone = async <T>(of: number, work: () => Promise<T>): Promise<T> => {
    held.push(of)
    return work()
  }
  assert.equal(await removeOldUploads(dir, async (of) => of === 7, alone), 4)
  assert.deepEqual(Object.keys(treeOf(dir)), ['7.1.log', '7.log', '7.short.tmp', '9.part', 'notes.tmp'])
  assert.deepEqual(held.sort(), [7, 7, 8, 9])
  assert.equal(await removeOldUploads(dir, async () => false, alone), 0)
})
