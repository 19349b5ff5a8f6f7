/**
 * Large and hostile results through the built executable: memory stays bounded, the run gets its note, and machines that
 * boot are answered meanwhile. How fast is measured elsewhere (`npm run bench`). Sources: RUNS "Results" (counts are exact
 * however large the result, each cut leaves a note; a DTD makes JUnit unreadable), CONTRACT "Result files".
 */
import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { ask, call, readSmall } from '../harness/api.ts'
import { growthDuring } from '../harness/daemon-memory.ts'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { formEnd, formPieces, logOf, partEnd, partHead, sendUpload } from '../harness/upload-client.ts'

const MB = 1_000_000
/** What an upload may add to the daemon's memory, however large it is. */
const growthMax = 80 * MB
const pieceBytes = 65_536
const mac = '52:54:00:00:00:01'
const probeEveryMs = 10

let daemon: RunningDaemon
before(async () => {
  daemon = await serve()
  writeFileSync(join(daemon.dataDir, 'tests', 'smoke.test'), 'echo\n')
  await daemon.must('synctestnames')
  await daemon.must('addsystem', 'node', mac, '127.0.0.1')
  await daemon.must('nextboot', 'node', 'local')
  // Code compiled and caches filled: that is no part of what an upload costs.
  for (let time = 0; time < 3; time++) await upload(formPieces(logOf(8 * MB)))
  await upload(formPieces(again(`1..50000\n${'ok 1 - x\n'.repeat(5000)}`, 10)))
})
after(() => daemon.close())

interface Run {
  readonly id: number
  readonly verdict: string
  readonly counts: { readonly info: number; readonly warning: number; readonly error: number }
  readonly cases: { readonly total: number; readonly fail: number }
  readonly notes: readonly string[]
}

/** Uploads a form for a new run; what became of it. */
async function upload(pieces: Iterable<Uint8Array | string>): Promise<Run> {
  const { json } = await call(daemon.ready.socket, 'nexttest', { name: 'node', tests: ['smoke'] })
  const [run] = (json as { runs: { id: number }[] }).runs
  const answer = await sendUpload(daemon.url, `/upload/${run?.id}/`, pieces)
  assert.equal(answer?.text, 'uploaded')
  return (await call(daemon.ready.socket, 'show', { run: run?.id })).json as Run
}

/** Boots during `work`: each has to be answered, rightly; how long that took is printed, for whoever looks on. */
async function bootsMeanwhile(t: TestContext, work: () => Promise<unknown>): Promise<void> {
  let isRunning = true
  const delays: number[] = []
  const boots = async (): Promise<void> => {
    do {
      const begun = performance.now()
      const config = await readSmall(daemon.tftpPort, `pxelinux.cfg/01-${mac.replaceAll(':', '-')}`)
      assert.match(JSON.stringify(config), /localboot/i)
      assert.equal((await ask({ url: daemon.url }, '/profile/')).text, 'local')
      delays.push(performance.now() - begun)
      await new Promise((resolve) => setTimeout(resolve, probeEveryMs))
    } while (isRunning)
  }
  const booting = boots()
  await work().finally(() => {
    isRunning = false
  })
  await booting
  const sorted = delays.sort((a, b) => a - b)
  const at = (part: number) => (sorted[Math.floor(part * (sorted.length - 1))] ?? 0).toFixed(1)
  t.diagnostic(`${delays.length} boots meanwhile, each two reads: median ${at(0.5)} ms, 99 % ${at(0.99)} ms`)
}

/** Uploads, with boots meanwhile, in bounded memory. */
async function uploadBounded(t: TestContext, pieces: Iterable<Uint8Array | string>): Promise<Run> {
  let found: Run | undefined
  const growth = await growthDuring(daemon.pid, () =>
    bootsMeanwhile(t, async () => {
      found = await upload(pieces)
    }),
  )
  t.diagnostic(`memory grew by ${(growth / MB).toFixed(0)} MB`)
  assert.ok(growth < growthMax, `resident memory grew by ${growth} bytes`)
  assert.ok(found)
  return found
}

const sizeOf = ({ id }: Run): number => statSync(join(daemon.dataDir, 'results', `${id}.log`)).size

function* again(piece: Uint8Array | string, times: number): Generator<Uint8Array | string> {
  for (let time = 0; time < times; time++) yield piece
}

test('S7: 300 MB: every line counts, the memory of the daemon grows by less than 80 MB, boots are answered', async (t) => {
  const run = await uploadBounded(t, formPieces(logOf(300 * MB)))
  assert.equal(sizeOf(run), 300 * MB)
  assert.deepEqual([run.verdict, run.counts.info, run.notes], ['pass', Math.ceil((300 * MB) / 64), []])
})

test('one line of 200 MB without its end: kept whole, a note, bounded memory', async (t) => {
  const times = Math.ceil((200 * MB) / pieceBytes)
  const run = await uploadBounded(t, formPieces(again(Buffer.alloc(pieceBytes, 0x45), times)))
  assert.equal(sizeOf(run), times * pieceBytes)
  assert.equal(run.verdict, 'pass')
  assert.match(run.notes.join('\n'), /1 lines are longer than 16384 bytes/)
})

test('a million TAP cases: counted exactly, 1,000 kept, failing ones first, a note', async (t) => {
  const each = 1000
  const cases = function* (): Generator<string> {
    yield 'TAP version 14\n1..1000000\n'
    for (let from = 0; from < 1_000_000; from += each) {
      let text = ''
      for (let n = from + 1; n <= from + each; n++) text += `${n % 1000 === 0 ? 'not ok' : 'ok'} ${n} - case ${n}\n`
      yield text
    }
  }
  const run = await uploadBounded(t, formPieces(cases()))
  assert.deepEqual([run.verdict, run.cases.total, run.cases.fail], ['fail', 1_000_000, 1000])
  assert.match(run.notes.join('\n'), /1000 of 1000000 cases are kept, failing ones first/)
})

test('JUnit that laughs a billion times: unread for its DTD, a warning with a note', async (t) => {
  const entities = Array.from({ length: 10 }, (_, n) => `<!ENTITY l${n + 1} "${`&l${n};`.repeat(10)}">`).join('')
  const bomb = `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">${entities}]><testsuite name="&l10;"/>`
  const without = `<testsuite name="${'&l10;'.repeat(100)}"><testcase name="&l10;&#x1f600;"/></testsuite>`
  const run = await uploadBounded(t, [
    `${partHead('file', 'out')}done\n${partEnd}`,
    `${partHead('a', 'bomb.xml')}${bomb}${partEnd}`,
    `${partHead('a', 'plain.xml')}${without}${partEnd}`,
    formEnd,
  ])
  assert.deepEqual([run.verdict, run.cases.total], ['warn', 1])
  assert.match(run.notes.join('\n'), /bomb\.xml: .*DTD/)
})

test('fifteen JUnit reports, one of 30 MB, one of entities only: read as they pass, in bounded memory', async (t) => {
  const some = '<testcase classname="a.b" name="c" time="0.1"/>'.repeat(1400)
  const report = function* (name: string, pieces: number): Generator<Uint8Array | string> {
    yield `${partHead('a', name)}<testsuite name="s">`
    yield* again(some, pieces)
    yield `</testsuite>${partEnd}`
  }
  const form = function* (): Generator<Uint8Array | string> {
    yield `${partHead('file', 'out')}done\n${partEnd}`
    yield* report('large.xml', 450)
    yield `${partHead('a', 'value.xml')}<testsuite><testcase name="`
    yield* again('&amp;'.repeat(13_000), 100)
    yield `"/></testsuite>${partEnd}`
    for (let n = 0; n < 13; n++) yield* report(`${n}.xml`, 20)
    yield formEnd
  }
  const run = await uploadBounded(t, form())
  assert.deepEqual([run.verdict, run.cases.total], ['warn', (450 + 13 * 20) * 1400])
  assert.match(run.notes.join('\n'), /value\.xml: <testcase … is not closed in 262144 characters/)
})

test('binary, NUL bytes, invalid UTF-8, lone surrogates, empty lines: any bytes are taken and kept', async (t) => {
  const noise = Buffer.alloc(pieceBytes)
  for (let at = 0, seed = 1; at < noise.length; at++) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
    noise[at] = seed >>> 24
  }
  const odd = Buffer.concat([
    Buffer.from('\nI: \xff\xfe\xed\xa0\x80 \xc3\nW: \0\0\nE: \xf8\x88\x80\x80\x80\nV: \xff\nM: \xff 3 s\n', 'latin1'),
    Buffer.from('E: \ud800 lone\nE:no blank\n E: indented\n'),
  ])
  const form = function* (): Generator<Uint8Array | string> {
    yield* again(noise, 400)
    yield odd
    yield* again('\n'.repeat(pieceBytes), 20)
  }
  const run = await uploadBounded(t, formPieces(form()))
  assert.equal(sizeOf(run), 420 * pieceBytes + odd.length)
  assert.ok(run.counts.info >= 1 && run.counts.warning >= 1 && run.counts.error >= 2)
  for (const path of [`/test/${run.id}/`, `/testcontent/${run.id}/`])
    assert.equal((await ask({ url: daemon.url }, path, { method: 'HEAD' })).status, 200)
})
