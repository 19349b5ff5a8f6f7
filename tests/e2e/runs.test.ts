/**
 * The test system through the built executable: hand-out, upload, verdicts, deadlines, commands. Each bug of the test half
 * of pxemngr 0.8 has a test with its id. Sources: COMPATIBILITY 3.9, 4.4–4.6, 5; RUNS; CONTRACT "What machines ask over
 * HTTP".
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { executable, type RunningDaemon, serve } from '../harness/executable.ts'
import { until as untilFound } from '../harness/process.ts'
import { openPeer, read } from '../harness/tftp-server.ts'

/** A busy machine does each of these in well under this. */
const untilMs = 20_000

function until(what: string, isTrue: () => Promise<boolean>): Promise<true> {
  return untilFound(
    async () => ((await isTrue()) ? true : undefined),
    untilMs,
    () => `waited in vain until ${what}`,
  )
}

let daemon: RunningDaemon
/** The system that the tests' own address is, another with a MAC, a new pair for each test. */
let system: string
let number = 0

before(async () => {
  daemon = await serve()
  script('smoke', 'echo <%= testname %> <%= system %> <%= log.id %>\n')
  script('plain', "printf '%s\\n' \"o'neil & <co>\" {{.Names}} $x\r\n")
  script('again', '# pxemngr: retries=2\necho\n')
  script('short', '# pxemngr: timeout=1s grace=0s\necho\n')
  script('disk', '# pxemngr: tags=burnin,disk\necho\n')
  writeFileSync(join(daemon.dataDir, 'tests', 'all.suite'), 'smoke\ndisk\nplain optional\n')
  await daemon.must('synctestnames')
})
after(() => daemon.close())

beforeEach(async () => {
  if (system !== undefined) await daemon.must('delsystem', system)
  number += 1
  system = `m${number}`
  await daemon.must('addsystem', system, '127.0.0.1')
})

function script(name: string, text: string): void {
  writeFileSync(join(daemon.dataDir, 'tests', `${name}.test`), text)
}

const get = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(`${daemon.url}${path}`, { ...init, headers: { connection: 'close', ...init.headers } })
  return { status: response.status, text: await response.text(), headers: response.headers }
}

async function upload(
  run: number,
  content: string | Uint8Array,
  field = 'file',
  query = '',
  more: [string, string][] = [],
) {
  const form = new FormData()
  form.append(field, new Blob([typeof content === 'string' ? content : new Uint8Array(content)]), 'out.log')
  for (const [name, text] of more) form.append('attachment', new Blob([text]), name)
  return get(`/upload/${run}/${query}`, { method: 'POST', body: form })
}

interface Run {
  id: number
  state: string
  verdict: string
  reason: string | null
  attempt: number
  flaky: boolean
  late: boolean
  version: string | null
  counts: { info: number; warning: number; error: number }
  cases: { total: number; fail: number }
  notes: string[]
  test: string
  system: string
}
const show = async (run: number): Promise<Run> => JSON.parse(await daemon.must('show', String(run), '--json')) as Run
const results = async (...words: string[]): Promise<Run[]> =>
  (JSON.parse(await daemon.must('results', ...words, '--json')) as { runs: Run[] }).runs

/** Asks for tests; their ids. */
async function request(...tests: string[]): Promise<number[]> {
  const { runs } = JSON.parse(await daemon.must('nexttest', system, ...tests, '--json')) as { runs: { id: number }[] }
  return runs.map(({ id }) => id)
}

/** Hands one out; resolves once it is recorded as sent. */
async function fetchRun(): Promise<number> {
  const { headers } = await get('/nexttest/')
  const run = Number(headers.get('x-pxemngr-run'))
  if (run > 0) await until(`run ${run} is sent`, async () => (await show(run)).state !== 'requested')
  return run
}

describe('as the original', () => {
  test('3.9: synctestnames registers, nexttest is silent, dpytest shows the newest first, they are served oldest first', async () => {
    assert.match(await daemon.must('synctestnames'), /^registering /m)
    assert.equal(await daemon.must('nexttest', system, 'smoke', 'plain'), '')
    const lines = (await daemon.must('dpytest', system)).split('\n')
    assert.equal(lines[0], `Name: ${system}`)
    assert.match(lines[1] ?? '', /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?\+00:00 plain R$/)
    assert.match(lines[2] ?? '', / smoke R$/)
    assert.match((await get('/nexttest/')).text, /^echo smoke /)
    assert.match((await get('/nexttest/')).text, /^printf/)
    assert.deepEqual((await daemon.must('dpytest', '-l')).split('\n').filter(Boolean).sort(), [
      'again',
      'disk',
      'plain',
      'short',
      'smoke',
      'wait',
    ])
  })

  test('3.9: unknown names are refused with the lines of 0.8, and nothing is asked for', async () => {
    for (const [words, line] of [
      [['nosuch', 'smoke'], 'System nosuch not defined'],
      [[system, 'smoke', 'nosuch'], 'Test name nosuch not defined'],
    ] as const) {
      const { status, stdout, stderr } = await daemon.run(['nexttest', ...words])
      assert.deepEqual([status, stdout, stderr], [1, '', `${line}\n`])
    }
    assert.equal(await daemon.must('dpytest', system), `Name: ${system}\n`)
    assert.equal((await daemon.run(['nexttest', system])).status, 2)
  })

  test('L1, 6: the whole loop with curl, as the README of 0.8 has it', async () => {
    const [run = 0] = await request('smoke')
    assert.equal((await get('/nexttest/')).text, `echo smoke ${system} ${run}\n`)
    const file = join(daemon.dataDir, 'out')
    writeFileSync(file, 'V: 1.0\nI: a\nW: b\nE: c\n')
    const curl = spawn('curl', ['--retry', '0', '-s', '-f', '-F', `file=@${file}`, `${daemon.url}/upload/${run}/`])
    let out = ''
    curl.stdout.on('data', (chunk) => {
      out += chunk
    })
    const code = await new Promise((resolve) => curl.on('close', resolve))
    assert.deepEqual([code, out], [0, 'uploaded'], 'L1: uploads work as shipped')
    const { state, verdict, version, counts } = await show(run)
    assert.deepEqual([state, verdict, version, counts], ['done', 'fail', '1.0', { info: 1, warning: 1, error: 1 }])
    assert.equal(readFileSync(join(daemon.dataDir, 'results', `${run}.log`), 'utf8'), 'V: 1.0\nI: a\nW: b\nE: c\n')
    for (const page of [`/test/${run}/`, `/testcontent/${run}/`, '/queue', '/versions', '/matrix', '/search?q=c']) {
      assert.equal((await get(page)).status, 200, page)
    }
    assert.match((await get(`/test/${run}/`)).text, /complete log/)
  })

  test('4.4: an empty queue gives wait; an unknown caller 404; HEAD and POST change nothing (L2, S5)', async () => {
    assert.match((await get('/nexttest/')).text, /sleep/)
    assert.equal((await get('/nexttest/00:00:00:00:00:01/')).status, 404)
    const [run = 0] = await request('smoke')
    assert.equal((await get('/nexttest/', { method: 'HEAD' })).headers.get('x-pxemngr-run'), String(run))
    assert.equal((await get('/nexttest/', { method: 'POST' })).status, 405)
    assert.equal((await get('/nexttest/', { headers: { 'sec-purpose': 'prefetch' } })).status, 503)
    assert.equal((await show(run)).state, 'requested')
    assert.equal(await fetchRun(), run)
  })

  test('L2: an answer that is reset before it arrived gives the same run again', async () => {
    const [run = 0] = await request('smoke')
    const { hostname, port } = new URL(daemon.url)
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => socket.write('GET /nexttest/ HTTP/1.1\r\nHost: x\r\n\r\n'))
      socket.once('data', () => {
        socket.resetAndDestroy()
        resolve()
      })
    })
    let again = 0
    await until('the run is given again', async () => {
      again = Number((await get('/nexttest/')).headers.get('x-pxemngr-run'))
      return again !== 0
    })
    assert.equal(again, run)
  })

  test('L2: a template that fails leaves its run waiting, the machine gets wait, status says file and line', async () => {
    script('broken', 'echo\n<%= nosuch.thing %>\n')
    await daemon.must('synctestnames')
    const [run = 0] = await request('broken')
    assert.match((await get('/nexttest/')).text, /sleep/)
    assert.equal((await show(run)).state, 'requested')
    const { status, stdout } = await daemon.run(['status'])
    assert.equal(status, 1)
    assert.match(stdout, /broken\.test:2/)
    const looked = await get('/script/broken/')
    assert.equal(looked.status, 500)
    assert.match(looked.text, /broken\.test:2/)
    script('broken', 'echo mended\n')
    assert.equal((await get('/nexttest/')).text, 'echo mended\n')
  })

  test('looking at a script that fails only there neither degrades nor refuses its test', async () => {
    script('looked', "<% if (log.id === 0) throw new Error('looking') %>echo <%= log.id %>\n")
    await daemon.must('synctestnames')
    assert.equal((await get('/script/looked/')).status, 500)
    assert.equal((await daemon.run(['status'])).status, 0)
    const [run = 0] = await request('looked')
    assert.equal((await get('/nexttest/')).text, `echo ${run}\n`)
  })

  test('a template that fails for one machine is asked for by others; status says so while its run waits, no longer', async () => {
    script('picky', `<% if (system === ${JSON.stringify(system)}) throw new Error('not here') %>echo picky\n`)
    await daemon.must('synctestnames')
    const [run = 0] = await request('picky')
    assert.match((await get('/nexttest/')).text, /sleep/)
    assert.match((await daemon.run(['status'])).stdout, /picky\.test:1: Error: not here/)
    await daemon.must('addsystem', 'other', '52:54:00:99:99:99')
    await daemon.must('nexttest', 'other', 'picky')
    await daemon.must('cancel', String(run))
    assert.equal((await daemon.run(['status'])).status, 0, 'nobody waits for what fails')
    await daemon.must('delsystem', 'other')
  })

  test('4.5: scripts are not escaped, braces and CRLF pass; /script/ renders for a system named system', async () => {
    assert.equal((await get('/script/plain/')).text, "printf '%s\\n' \"o'neil & <co>\" {{.Names}} $x\r\n")
    assert.equal((await get('/script/smoke')).text, 'echo smoke system 0\n')
    assert.equal((await get('/script/nosuch/')).status, 404)
    assert.equal((await get('/script/..%2fx/')).status, 404)
    assert.match((await get('/script/run.sh/')).text, /^#!\/bin\/sh\n/)
  })

  test('L4: a wrong field, an empty file and a raw body are 400, and change nothing', async () => {
    const [run = 0] = await request('smoke')
    await fetchRun()
    assert.equal((await upload(run, 'x', 'nofile')).status, 400)
    assert.equal((await upload(run, '')).status, 400)
    assert.equal((await get(`/upload/${run}/`, { method: 'POST', body: 'raw' })).status, 400)
    assert.equal((await get(`/upload/${run}/`)).status, 405)
    assert.equal((await upload(999_999, 'x')).status, 404)
    assert.equal((await get('/upload/abc/', { method: 'POST' })).status, 404)
    assert.equal((await show(run)).state, 'sent')
  })

  test('M8: a second upload replaces the first, which is kept aside; counts are those of the second', async () => {
    const [run = 0] = await request('smoke')
    await upload(run, 'E: a\nE: b\n')
    await upload(run, 'I: c\n')
    const { counts, verdict } = await show(run)
    assert.deepEqual([counts, verdict], [{ info: 1, warning: 0, error: 0 }, 'pass'])
    const kept = readdirSync(join(daemon.dataDir, 'results'))
      .filter((name) => name.startsWith(`${run}.`))
      .sort()
    assert.deepEqual(kept, [`${run}.1.log`, `${run}.log`])
    assert.equal(readFileSync(join(daemon.dataDir, 'results', `${run}.1.log`), 'utf8'), 'E: a\nE: b\n')
  })

  test('L3, C6: Latin-1 lines and a non-ASCII version count, and every page shows them', async () => {
    const [run = 0] = await request('smoke')
    assert.equal((await upload(run, Buffer.from('I: ok\nI: caf\xe9\nE: x\nV: \xe91\n', 'latin1'))).status, 200)
    const { counts, version } = await show(run)
    assert.deepEqual([counts, version], [{ info: 2, warning: 0, error: 1 }, 'é1'])
    for (const page of [`/test/${run}/`, '/', '/versions', '/matrix']) assert.equal((await get(page)).status, 200, page)
  })

  test('S6: ids are never used again, and a deleted system takes its results from the pages', async () => {
    const [run = 0] = await request('smoke')
    await upload(run, 'secret of another\n')
    await daemon.must('delsystem', system)
    await until('its files are gone', async () =>
      readdirSync(join(daemon.dataDir, 'results')).every((name) => !name.startsWith(`${run}.`)),
    )
    await daemon.must('addsystem', system, '127.0.0.1')
    const [next = 0] = await request('smoke')
    assert.ok(next > run)
    assert.equal((await get(`/testcontent/${run}/`)).status, 404)
    assert.equal((await get(`/testcontent/${next}/`)).status, 404)
  })

  test('C3: aliases: the oldest request of all systems with the address, each may upload', async () => {
    await daemon.must('addsystem', `${system}-alias`, '127.0.0.1')
    const [first = 0] = JSON.parse(await daemon.must('nexttest', `${system}-alias`, 'smoke', '--json')).runs.map(
      ({ id }: { id: number }) => id,
    )
    await request('smoke')
    assert.equal(await fetchRun(), first)
    assert.equal((await upload(first, 'x\n')).status, 200)
    await daemon.must('delsystem', `${system}-alias`)
  })

  test('C5: names that are no ASCII: test and system in commands, scripts and pages', async () => {
    script('prüfung', 'echo <%= testname %>\n')
    await daemon.must('synctestnames')
    const [run = 0] = await request('prüfung')
    assert.equal((await get('/nexttest/')).text, 'echo prüfung\n')
    await upload(run, 'V: 1\n')
    assert.equal((await get(`/test/${run}/`)).status, 200)
    assert.match(await daemon.must('dpytest', '-l'), /prüfung/)
  })

  test('R2: forty askers at once never get the same run twice', async () => {
    const runs = await request(...Array.from({ length: 30 }, () => 'smoke'))
    const answers = await Promise.all(Array.from({ length: 40 }, () => get('/nexttest/')))
    const given = answers.map(({ headers }) => Number(headers.get('x-pxemngr-run'))).filter((run) => run > 0)
    assert.deepEqual(
      [...given].sort((a, b) => a - b),
      runs,
    )
  })
})

describe('verdicts, deadlines, retries', () => {
  test('TAP, exit status, measurements and a JUnit attachment make the verdict', async () => {
    const [tap = 0, skip = 0, junit = 0] = await request('smoke', 'smoke', 'smoke')
    await upload(tap, '1..2\nok 1\nnot ok 2 - b\nM: boot 3 s\n')
    await upload(skip, 'X: 77\n')
    const xml = '<testsuite name="s"><testcase name="a"><failure message="m"/></testcase></testsuite>'
    await upload(junit, 'done\n', 'file', '', [
      ['r.xml', xml],
      ['bad.xml', '<!DOCTYPE x><testsuite/>'],
    ])
    assert.deepEqual([(await show(tap)).verdict, (await show(tap)).cases.fail], ['fail', 1])
    assert.equal((await show(skip)).verdict, 'skip')
    const read = await show(junit)
    assert.deepEqual([read.verdict, read.cases.total, read.notes.length], ['fail', 1, 1])
  })

  test('retries: a failed run comes again at the head of the queue, a pass then is flaky', async () => {
    const [first = 0] = await request('again', 'smoke')
    await fetchRun()
    await upload(first, 'E: x\n')
    const second = await fetchRun()
    const run = await show(second)
    assert.deepEqual([run.test, run.attempt], ['again', 2])
    await upload(second, 'I: fine\n')
    assert.deepEqual([(await show(second)).flaky, (await show(second)).verdict], [true, 'pass'])
    assert.equal((await show(await fetchRun())).test, 'smoke')
  })

  test('a run past its deadline is lost, silent; its upload is late, and replaces the verdict', async () => {
    const [run = 0] = await request('short')
    await fetchRun()
    await until('the run is lost', async () => (await show(run)).state === 'done')
    assert.deepEqual([(await show(run)).verdict, (await show(run)).reason], ['lost', 'silent'])
    assert.equal((await upload(run, 'I: after all\n')).text, 'uploaded')
    assert.deepEqual([(await show(run)).verdict, (await show(run)).late], ['pass', true])
  })

  test('a boot over HTTP that only default decides loses the run that was sent: a machine known by IP', async () => {
    await daemon.must('nextboot', 'default', 'local')
    const [run = 0] = await request('smoke')
    await fetchRun()
    assert.equal((await get('/ipxe/', { method: 'HEAD' })).status, 200)
    assert.equal((await show(run)).state, 'sent')
    assert.equal((await get('/ipxe/', { headers: { 'user-agent': 'iPXE/1.21.1' } })).status, 200)
    await until('the run is lost', async () => (await show(run)).reason === 'rebooted')
  })

  test('a boot right behind the answer, before the run is recorded as sent, loses the run too', async (t) => {
    const nic = `${system}-hasty`
    await daemon.must('addsystem', nic, '52:54:00:0b:00:09')
    await daemon.must('nextboot', nic, 'local')
    const peer = await openPeer(t)
    for (let round = 0; round < 5; round += 1) {
      await daemon.must('nexttest', nic, 'smoke')
      const { headers } = await get('/nexttest/52:54:00:0b:00:09/')
      const run = Number(headers.get('x-pxemngr-run'))
      assert.ok(run > 0)
      await read(peer, daemon.tftpPort, 'pxelinux.cfg/01-52-54-00-0b-00-09')
      await until('the run is lost', async () => (await show(run)).reason === 'rebooted')
    }
    await daemon.must('delsystem', nic)
  })

  for (const [what, agent, paths] of [
    ['lpxelinux.0', 'Syslinux/6.04', ['/boot/pxelinux.cfg/01-52-54-00-0b-00-07', '/boot/pxelinux.cfg/default']],
    ['another loader', 'Wget/1.21', ['/boot/pxelinux.cfg/01-52-54-00-0b-00-07']],
    ['iPXE', 'iPXE/1.21.1', ['/ipxe/52:54:00:0b:00:07']],
  ] as const) {
    test(`a boot over HTTP (${what}) of a machine known by MAC loses the run that was sent`, async () => {
      const nic = `${system}-nic`
      const mac = '52:54:00:0b:00:07'
      await daemon.must('addsystem', nic, mac)
      await daemon.must('nextboot', 'default', 'local')
      if (what === 'another loader') await daemon.must('nextboot', nic, 'local')
      await get(`/ipxe/${mac}`, { headers: { 'user-agent': 'iPXE/1.21.1' } })
      await daemon.must('nexttest', nic, 'smoke')
      const run = await fetchRun()
      assert.equal((await show(run)).system, nic)
      for (const path of paths) await get(path, { headers: { 'user-agent': agent } })
      await until('the run is lost', async () => (await show(run)).reason === 'rebooted')
      await daemon.must('delsystem', nic)
    })
  }

  test('a boot by GRUB loses the run that was sent; a person who looks at its configuration does not', async (t) => {
    mkdirSync(join(daemon.dataDir, 'tftpboot', 'grub'), { recursive: true })
    writeFileSync(join(daemon.dataDir, 'tftpboot', 'grub', 'grub.cfg'), 'set timeout=1\n')
    const path = '/boot/grub/grub.cfg'
    for (const agent of ['GRUB 2.06', 'tftp']) {
      await request('smoke')
      const run = await fetchRun()
      assert.equal((await get(path, { headers: { 'user-agent': 'Mozilla/5.0' } })).status, 200)
      assert.equal((await show(run)).state, 'sent')
      if (agent === 'tftp')
        assert.equal((await read(await openPeer(t), daemon.tftpPort, 'grub/grub.cfg')).bytes.length, 14)
      else await get(path, { headers: { 'user-agent': agent } })
      await until('the run is lost', async () => (await show(run)).reason === 'rebooted')
    }
  })

  const loseRun = async () => {
    const [run = 0] = await request('short')
    await fetchRun()
    await until('the run is lost', async () => (await show(run)).state === 'done')
  }
  const sickness = async () => JSON.parse(await daemon.must('dpysystem', system, '--json')).sick

  test('what was lost before a release does not count for a machine that was seen to', async () => {
    for (let each = 0; each < 3; each++) await loseRun()
    assert.match(await sickness(), /3 runs in a row/)
    await daemon.must('release', system)
    for (let each = 0; each < 2; each++) {
      await loseRun()
      assert.equal(await sickness(), null)
    }
    await loseRun()
    assert.match(await sickness(), /3 runs in a row/)
    await daemon.must('release', system)
  })

  test('three lost in a row make a system sick; a conclusive run heals it', async () => {
    for (let each = 0; each < 3; each++) await loseRun()
    const status = await daemon.run(['status', '--json'])
    assert.equal(status.status, 0, 'a sick machine is no fault of the server')
    assert.deepEqual(
      (JSON.parse(status.stdout) as { sick: { system: string }[] }).sick.map((each) => each.system),
      [system],
    )
    assert.match(await sickness(), /3 runs in a row/)
    const [run = 0] = await request('smoke')
    await upload(run, 'E: fails, and that is an answer\n')
    assert.equal(await sickness(), null)
    assert.equal((await daemon.run(['release', system])).status, 1)
  })

  test('two files in the field "file": the last one is the log, and a note says so', async () => {
    const [run = 0] = await request('smoke')
    const form = new FormData()
    form.append('file', new Blob(['E: first\n']), 'a.log')
    form.append('file', new Blob(['I: second\n']), 'b.log')
    assert.equal((await get(`/upload/${run}/`, { method: 'POST', body: form })).status, 200)
    assert.equal(await daemon.must('log', String(run)), 'I: second\n')
    const { verdict, notes } = await show(run)
    assert.deepEqual([verdict, notes], ['pass', ['2 files came in the field "file": only the last one is kept']])
  })

  test('a cancelled run refuses its upload with 409 and keeps the file aside', async () => {
    const [run = 0] = await request('smoke')
    await fetchRun()
    await daemon.must('cancel', String(run))
    assert.equal((await upload(run, 'E: x\n')).status, 409)
    assert.equal((await show(run)).state, 'cancelled')
    assert.equal((await daemon.run(['cancel', String(run)])).status, 1)
    assert.equal(readFileSync(join(daemon.dataDir, 'results', `${run}.1.log`), 'utf8'), 'E: x\n')
  })

  test('a token that is not the run’s is 403 whoever sends it; the right one counts', async () => {
    const [run = 0] = await request('smoke')
    const { headers } = await get('/nexttest/')
    const url = new URL(headers.get('x-pxemngr-upload') ?? '')
    assert.equal((await upload(run, 'x\n', 'file', '?token=wrong')).status, 403)
    assert.equal((await upload(run, 'x\n', 'file', url.search)).status, 200)
  })

  test('progress: offset, overlap, gap, other bytes, wrong ranges, closed; its lines count at once', async () => {
    const [run = 0] = await request('smoke')
    const send = (range: string | undefined, body: string) =>
      get(`/progress/${run}/`, { method: 'POST', body, headers: range === undefined ? {} : { 'content-range': range } })
    assert.equal((await send('bytes 0-3/*', 'E: a')).status, 409, 'not sent yet')
    await fetchRun()
    assert.deepEqual([(await get(`/progress/${run}/`)).text, (await show(run)).state], ['0', 'sent'])
    assert.equal((await send('bytes 0-4/*', 'E: a\n')).text, '5')
    assert.deepEqual([(await show(run)).state, (await show(run)).counts.error], ['running', 1])
    assert.equal((await send('Bytes 3-9/*', 'a\nI: b\n')).text, '10')
    assert.equal((await send('bytes 0-4/*', 'E: b\n')).status, 409)
    const gap = await send('bytes 20-20/*', 'x')
    assert.deepEqual([gap.status, gap.headers.get('content-range')], [416, 'bytes */10'])
    for (const range of [undefined, 'bytes 0-3', 'bytes 3-0/*', 'bytes 0-9/*', 'bytes 0-3/2', 'x']) {
      assert.equal((await send(range, 'E: a')).status, 400, String(range))
    }
    assert.equal(await daemon.must('log', String(run)), 'E: a\nI: b\n')
    assert.equal((await get(`/progress/${run}/`)).headers.get('x-pxemngr-closed'), null)
    await upload(run, 'I: whole\n')
    assert.equal((await send('bytes 10-10/*', 'x')).status, 409)
    assert.equal(await daemon.must('log', String(run)), 'I: whole\n')
    assert.equal((await get(`/progress/${run}/`)).headers.get('x-pxemngr-closed'), 'uploaded')
    const [other = 0] = await request('smoke')
    await daemon.must('cancel', String(other))
    assert.equal((await get(`/progress/${other}/`)).headers.get('x-pxemngr-closed'), 'cancelled')
  })

  test('progress is kept when its run is closed as lost, also after a restart; a running run shows it again', async () => {
    const other = await serve()
    let again: RunningDaemon | undefined
    try {
      const tests = join(other.dataDir, 'tests')
      writeFileSync(join(tests, 'smoke.test'), '# pxemngr: timeout=1s grace=1s\necho\n')
      writeFileSync(join(tests, 'long.test'), 'echo\n')
      await other.must('synctestnames')
      await other.must('addsystem', 'm', '127.0.0.1')
      await other.must('nexttest', 'm', 'long', 'smoke')
      const body = 'I: a\nE: b\nV: zz\nE: half'
      const headers = { 'content-range': `bytes 0-${body.length - 1}/*` }
      for (const run of [1, 2]) {
        await fetch(`${other.url}/nexttest/`).then((answer) => answer.text())
        assert.equal((await fetch(`${other.url}/progress/${run}/`, { method: 'POST', headers, body })).status, 200)
      }
      await other.kill()
      again = await serve({ dataDir: other.dataDir })
      const seen = async (run: number) => (await again?.json('show', String(run))) as Run
      await until('the running one counts', async () => (await seen(1)).counts.error === 2)
      assert.deepEqual([(await seen(1)).state, (await seen(1)).counts], ['running', { info: 1, warning: 0, error: 2 }])
      await until('the other is lost', async () => (await seen(2)).verdict === 'lost')
      const lost = await seen(2)
      assert.deepEqual([lost.reason, lost.version, lost.counts], ['silent', 'zz', { info: 1, warning: 0, error: 2 }])
      assert.equal(await again.must('log', '2'), body)
    } finally {
      await again?.close()
      await other.close()
    }
  })

  test('what a run had sent stays counted when it is cancelled, by number or by system, also after a restart', async () => {
    const other = await serve()
    let again: RunningDaemon | undefined
    try {
      writeFileSync(join(other.dataDir, 'tests', 'long.test'), 'echo\n')
      await other.must('synctestnames')
      await other.must('addsystem', 'm', '127.0.0.1')
      await other.must('nexttest', 'm', 'long', 'long', 'long', 'long')
      const body = 'I: a\nW: w\nE: b\nV: zz\n'
      const send = (run: number, text: string, from = 0) =>
        fetch(`${other.url}/progress/${run}/`, {
          method: 'POST',
          headers: { 'content-range': `bytes ${from}-${from + text.length - 1}/*` },
          body: text,
        })
      for (const run of [1, 2, 3]) {
        await fetch(`${other.url}/nexttest/`).then((answer) => answer.text())
        if (run < 3) assert.equal((await send(run, body)).status, 200)
      }
      // Named twice and together with one that cannot be: nothing changes, and the counts of the page go on.
      assert.equal((await other.run(['cancel', '1', '1', '99'])).status, 1)
      const seen = async (from: RunningDaemon, run: number) => (await from.json('show', String(run))) as Run
      assert.deepEqual((await seen(other, 1)).counts, { info: 1, warning: 1, error: 1 })
      await other.must('cancel', '1', '1')
      await other.must('cancel', 'm')
      const counts = { info: 1, warning: 1, error: 1 }
      const check = async (from: RunningDaemon) => {
        for (const run of [1, 2]) {
          const now = await seen(from, run)
          assert.deepEqual([now.state, now.verdict, now.version, now.counts], ['cancelled', null, 'zz', counts])
          assert.equal(await from.must('log', String(run)), body)
        }
        assert.deepEqual((await seen(from, 3)).counts, { info: 0, warning: 0, error: 0 })
        assert.equal((await seen(from, 4)).state, 'cancelled')
      }
      await check(other)
      assert.equal((await send(1, 'E: late\n', body.length)).status, 409)
      await other.kill()
      again = await serve({ dataDir: other.dataDir })
      await check(again)
    } finally {
      await again?.close()
      await other.close()
    }
  })

  test('extend moves the deadline later, never earlier; a bad time is 400, a closed run 409', async () => {
    const [run = 0] = await request('smoke')
    await fetchRun()
    const extend = (query: string, method = 'POST') => get(`/extend/${run}/${query}`, { method })
    for (const bad of ['', '?for=', '?for=10', '?for=8d', '?for=0s', '?for=x'])
      assert.equal((await extend(bad)).status, 400, bad)
    assert.equal((await extend('?for=10m', 'GET')).status, 405)
    const near = Date.parse((await extend('?for=10m')).text)
    assert.ok(near - Date.now() > 23 * 3_600_000, 'the present deadline is later')
    const far = Date.parse((await extend('?for=7d')).text)
    assert.ok(far - Date.now() > 6.9 * 86_400_000)
    await upload(run, 'x\n')
    assert.equal((await extend('?for=10m')).status, 409)
  })
})

describe('commands', () => {
  test('suites, tags and selectors; what a suite expects and nobody ran is missing', async () => {
    await daemon.must('addsystem', `${system}-[01]`, '10.9.9.1')
    assert.deepEqual((await request('@all', 'tag:burnin')).length, 4)
    assert.equal((await daemon.run(['nexttest', system, '@nosuch'])).status, 1)
    await daemon.must('nexttest', system, '@all', '--version', `v${number}`)
    const missing = await results('--version', `v${number}`, '--verdict', 'missing')
    assert.deepEqual(missing.map((run) => [run.system, run.test, run.verdict]).sort(), [
      [system, 'disk', 'missing'],
      [system, 'smoke', 'missing'],
    ])
    await daemon.must('delsystem', `${system}-[01]`)
  })

  test('results filters; rerun prints the new id; waive marks; show knows it all', async () => {
    const [run = 0] = await request('smoke')
    await upload(run, 'E: x\n')
    assert.deepEqual(
      (await results(system, '--verdict', 'fail')).map(({ id }) => id),
      [run],
    )
    assert.deepEqual(await results(system, '--verdict', 'pass,warn'), [])
    assert.deepEqual((await results(system, '--since', '1h')).length, 1)
    assert.equal((await daemon.run(['results', '--since', 'x'])).status, 2)
    assert.equal((await daemon.run(['results', '--verdict', 'nosuch'])).status, 2)
    const again = (await daemon.must('rerun', String(run))).trim()
    assert.ok(Number(again) > run)
    assert.equal((await daemon.run(['waive', String(run)])).status, 2)
    await daemon.must('waive', String(run), '--why', 'known')
    assert.match(await daemon.must('show', String(run)), /^Waived: known$/m)
    assert.equal((await daemon.run(['waive', again, '--why', 'x'])).status, 1)
    assert.equal((await daemon.run(['show', '999999'])).status, 1)
    assert.equal((await daemon.run(['log', again])).status, 1)
  })

  test('-n 1, -n1, -n=1 and --limit 1 are one; what is no number is exit 2 and one line', async () => {
    await request('smoke', 'plain')
    const wanted = await daemon.must('results', system, '--limit', '1')
    assert.equal(wanted.split('\n').length, 2)
    for (const command of ['results', 'history']) {
      const lines = new Set<string>()
      for (const words of [['-n', '1'], ['-n1'], ['-n=1'], ['--limit', '1'], ['--limit=1']])
        lines.add(await daemon.must(command, system, ...words))
      assert.equal(lines.size, 1, command)
      for (const words of [['-nx'], ['-n0'], ['-n-1'], ['-n='], ['-n1x'], ['-n']]) {
        const { status, stdout, stderr } = await daemon.run([command, system, ...words])
        assert.deepEqual([status, stdout], [2, ''], `${command} ${words.join()}`)
        assert.match(stderr, /limit/)
      }
    }
  })

  test('rerun of a run that is named twice makes one', async () => {
    const [run = 0] = await request('smoke')
    const made = await daemon.must('rerun', String(run), String(run))
    assert.match(made, /^\d+\n$/)
    assert.equal((await results(system)).length, 2)
  })

  test('compare tells regressions and fixed; an unknown version is exit 1', async () => {
    const result = async (name: string, version: string, text: string) => {
      const [run = 0] = await request(name)
      await upload(run, `V: ${version}\n${text}\n`)
    }
    const [a, b] = [`a${number}`, `b${number}`]
    await result('smoke', a, 'I: x')
    await result('disk', a, 'E: x')
    await result('smoke', b, 'E: x')
    await result('disk', b, 'I: x')
    const { changes, counts } = JSON.parse(await daemon.must('compare', a, b, '--json')) as {
      changes: { kind: string; test: string }[]
      counts: Record<string, number>
    }
    assert.deepEqual(
      changes.map(({ kind, test: name }) => [kind, name]),
      [
        ['regression', 'smoke'],
        ['fixed', 'disk'],
      ],
    )
    assert.equal(counts['regression'], 1)
    assert.equal((await daemon.run(['compare', a, 'nosuch'])).status, 1)
    for (const page of [
      `/compare/${a}...${b}`,
      `/matrix?version=${b}`,
      `/compare/${a}...${b}?format=csv`,
      '/matrix?format=json',
    ]) {
      assert.equal((await get(page)).status, 200, page)
    }
    await daemon.must('keep', a)
    assert.equal((await daemon.run(['keep', 'nosuch'])).status, 1)
    assert.match((await get(`/badge/version/${b}.svg`)).text, /fail 1\/2/)
    assert.equal((await get('/badge/version/nosuch.svg')).status, 404)
  })

  test('nexttest --wait: progress on stderr, exit by the verdict, JUnit written; a time-out is 5 and the run stays', async () => {
    const junit = join(daemon.dataDir, 'junit.xml')
    const waiting = daemon.run(['nexttest', system, 'smoke', '--wait', '--junit', junit])
    let run = 0
    await until('the run is handed out', async () => {
      run = Number((await get('/nexttest/')).headers.get('x-pxemngr-run'))
      return run > 0
    })
    await upload(run, 'E: broken\n')
    const { status, stderr, stdout } = await waiting
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, /fail/)
    assert.match(readFileSync(junit, 'utf8'), /<failure message="fail: broken"/)
    const late = await daemon.run(['nexttest', system, 'smoke', '--wait', '--timeout', '1s', '--json'])
    assert.equal(late.status, 5)
    const { runs } = JSON.parse(late.stdout) as { runs: Run[] }
    assert.equal(runs[0]?.state, 'requested')
    assert.equal(late.stderr, `run ${runs[0]?.id} requested\ntimed out: run ${runs[0]?.id} stays\n`)
    assert.equal((await daemon.run(['nexttest', system, 'smoke', '--timeout', '1s'])).status, 2)
  })

  test('nexttest --wait: runs that vanish with their system were not run: exit 4, a line, an error in JUnit', async () => {
    const junit = join(daemon.dataDir, 'gone.xml')
    await daemon.must('addsystem', 'vanishing', '10.9.9.9')
    const waiting = daemon.run(['nexttest', 'vanishing', 'smoke', 'disk', '--wait', '--json', '--junit', junit])
    await until('its runs wait', async () => (await results('vanishing')).length === 2)
    await daemon.must('delsystem', 'vanishing')
    const { status, stderr, stdout } = await waiting
    assert.equal(status, 4)
    assert.match(stderr, /^run \d+ vanishing smoke: cancelled, gone: its system was deleted$/m)
    const { runs } = JSON.parse(stdout) as { runs: Run[] }
    assert.deepEqual(
      runs.map((run) => [run.system, run.test, run.state, run.verdict]),
      [
        ['vanishing', 'smoke', 'cancelled', null],
        ['vanishing', 'disk', 'cancelled', null],
      ],
    )
    const xml = readFileSync(junit, 'utf8')
    assert.match(xml, /<testsuites tests="2" failures="0" errors="2"/)
    assert.match(xml, /name="smoke"[\s\S]*<error message="cancelled: gone/)
  })

  test('nexttest --wait: a failed run that is waived while others run is no failure at the end', async () => {
    const waiting = daemon.run(['nexttest', system, 'smoke', 'disk', '--wait', '--json'])
    await until('both wait', async () => (await results(system)).length === 2)
    const failed = await fetchRun()
    await upload(failed, 'E: known trouble\n')
    await daemon.must('waive', String(failed), '--why', 'known')
    await upload(await fetchRun(), 'I: fine\n')
    const { status, stdout } = await waiting
    assert.equal(status, 0, stdout)
    const { runs } = JSON.parse(stdout) as { runs: (Run & { waived: boolean })[] }
    assert.deepEqual(
      runs.map(({ verdict, waived }) => [verdict, waived]),
      [
        ['fail', true],
        ['pass', false],
      ],
    )
  })

  test('nexttest --wait: an interrupt is 130, says which runs stay, and writes JUnit', async () => {
    const junit = join(daemon.dataDir, 'interrupted.xml')
    const words = ['nexttest', system, 'smoke', 'disk', '--wait', '--junit', junit, '--socket', daemon.ready.socket]
    const child = spawn(executable, words, { stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const ended = once(child, 'close')
    await until('it says what was requested', async () => /^runs \d+-\d+ requested$/m.test(stderr))
    child.kill('SIGINT')
    assert.deepEqual(await ended, [130, null])
    assert.match(stderr, /^interrupted: runs \d+-\d+ stay$/m)
    const xml = readFileSync(junit, 'utf8')
    assert.match(xml, /<testsuites tests="2" failures="0" errors="2"/)
    assert.match(xml, /message="unknown: interrupted"/)
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`nexttest --wait: ${signal} to the daemon is exit 3; JUnit has what is known, the runs stay`, async () => {
      const other = await serve()
      try {
        writeFileSync(join(other.dataDir, 'tests', 'smoke.test'), 'echo\n')
        await other.must('synctestnames')
        await other.must('addsystem', 'm', '127.0.0.1')
        const junit = join(other.dataDir, 'junit.xml')
        const waiting = other.run(['nexttest', 'm', 'smoke', 'smoke', '--wait', '--junit', junit])
        const states = async () => (await other.must('results', 'm')).split('\n').filter(Boolean).join()
        await until('both wait', async () => (await states()).split('requested').length === 3)
        const form = new FormData()
        form.append('file', new Blob(['E: broken\n']), 'out')
        assert.equal((await fetch(`${other.url}/upload/1/`, { method: 'POST', body: form })).status, 200)
        await until('one is done', async () => /fail/.test(await states()))
        if (signal === 'SIGTERM') await other.stop()
        else await other.kill()
        const { status, stderr } = await waiting
        assert.equal(status, 3)
        assert.match(stderr, /^runs 1-2 requested$/m)
        assert.match(stderr, /^run 1 m smoke: fail$/m)
        assert.match(stderr, /^the connection to the daemon broke: run 2 stays$/m)
        const xml = readFileSync(junit, 'utf8')
        assert.match(xml, /<testsuites tests="2" failures="1" errors="1"/)
        assert.match(xml, /<error message="unknown: the connection to the daemon broke"/)
      } finally {
        await other.close()
      }
    })
  }

  test('a version without a result is not listed, until it has one; a kept one stays', async () => {
    const listed = async () =>
      ((await daemon.json('versions')) as { versions: { name: string }[] }).versions.map(({ name }) => name)
    const pages = async (version: string) =>
      (await Promise.all(['/versions', '/matrix', '/'].map((path) => get(path)))).filter(({ text }) =>
        text.includes(version),
      ).length
    await daemon.must('nexttest', system, 'smoke', '@all', '--version', 'cancelled-1')
    assert.ok((await listed()).includes('cancelled-1'), 'it may still have one')
    await daemon.must('cancel', system)
    assert.ok(!(await listed()).includes('cancelled-1'))
    assert.equal(await pages('cancelled-1'), 0)
    assert.match(await daemon.must('results', '--version', 'cancelled-1', '--verdict', 'missing'), /smoke/)
    await request('smoke')
    await upload(await fetchRun(), 'V: back-1\nI: x\n')
    assert.ok((await listed()).includes('back-1'))
    assert.ok((await pages('back-1')) >= 2)
    await daemon.must('delsystem', system)
    assert.ok(!(await listed()).includes('back-1'))
    assert.equal(await pages('back-1'), 0)
    await daemon.must('keep', 'back-1')
    assert.ok((await listed()).includes('back-1'))
    await daemon.must('addsystem', system, '127.0.0.1')
  })

  test('a suite without a test is nothing to ask for: exit 1, one line, nothing requested', async () => {
    writeFileSync(join(daemon.dataDir, 'tests', 'empty.suite'), '# later\n')
    await daemon.must('synctestnames')
    for (const words of [['@empty'], ['@empty', '--wait'], ['smoke', '@empty']]) {
      const { status, stderr } = await daemon.run(['nexttest', system, ...words])
      assert.deepEqual([status, stderr], [1, 'Suite empty has no test: empty.suite names none\n'])
    }
    assert.deepEqual(await results(system), [])
  })

  test('a quarantined test cannot be asked for, with file and line; its requested runs wait', async () => {
    script('quiet', 'echo\n')
    await daemon.must('synctestnames')
    const [run = 0] = await request('quiet')
    script('quiet', '#!/bin/sh\n# pxemngr: timeout=5\n')
    const { status, stderr } = await daemon.run(['nexttest', system, 'quiet'])
    assert.equal(status, 1)
    assert.match(stderr, /quiet\.test:2: .*timeout/)
    assert.match((await get('/nexttest/')).text, /sleep/)
    assert.equal((await show(run)).state, 'requested')
    script('quiet', 'echo\n')
  })

  test('a waiting run whose test file is gone says so: show, its page, status', async () => {
    script('leaving', 'echo\n')
    await daemon.must('synctestnames')
    const [run = 0] = await request('leaving')
    assert.equal((await show(run)).reason, null)
    rmSync(join(daemon.dataDir, 'tests', 'leaving.test'))
    await daemon.must('synctestnames')
    assert.equal((await show(run)).reason, 'the test file leaving.test is missing')
    assert.match((await get(`/test/${run}/`)).text, /the test file leaving\.test is missing/)
    const { notices } = (await daemon.json('status')) as { notices: string[] }
    assert.deepEqual(notices, [`test leaving has no file leaving.test any more: run ${run} waits for it`])
    script('leaving', 'echo\n')
    await daemon.must('synctestnames')
    assert.equal((await show(run)).reason, null)
  })

  test('log -f follows what comes and ends with the run, without a line twice', async () => {
    const [run = 0] = await request('smoke')
    await fetchRun()
    await get(`/progress/${run}/`, { method: 'POST', body: 'one\n', headers: { 'content-range': 'bytes 0-3/*' } })
    const following = daemon.run(['log', String(run), '-f'])
    await new Promise((resolve) => setTimeout(resolve, 300))
    await get(`/progress/${run}/`, { method: 'POST', body: 'two\n', headers: { 'content-range': 'bytes 4-7/*' } })
    await upload(run, 'one\ntwo\nthree\n')
    const { status, stdout } = await following
    assert.deepEqual([status, stdout], [0, 'one\ntwo\nthree\n'])
  })

  test('log -f says where the upload is not what was shown, and shows the end', async () => {
    const head = 'first line\n'.repeat(20_000)
    for (const [shown, uploaded, said] of [
      [
        'one\ntwo\nthree',
        'one\ntwo and more\nend\n',
        /^one\ntwo\nthree\n--- [^\n]* line 2 [^\n]*---\ntwo and more\nend\n$/,
      ],
      ['one\ntwo\n', 'one\n', /^one\ntwo\n--- [^\n]* ends after line 1 ---\n$/],
      ['one\ntwo\n', 'o', /^one\ntwo\n--- [^\n]* line 1 [^\n]*---\no$/],
      [`${head}a\n`, `${head}b\nc\n`, /^(first line\n){20000}a\n--- [^\n]* line 20001 [^\n]*---\nb\nc\n$/],
    ] as const) {
      const [run = 0] = await request('smoke')
      await fetchRun()
      const range = { 'content-range': `bytes 0-${shown.length - 1}/*` }
      await get(`/progress/${run}/`, { method: 'POST', body: shown, headers: range })
      const following = daemon.run(['log', String(run), '-f'])
      await new Promise((resolve) => setTimeout(resolve, 1000))
      await upload(run, uploaded)
      const { status, stdout } = await following
      assert.equal(status, 0)
      assert.match(stdout, said)
      assert.equal(await daemon.must('log', String(run)), uploaded)
    }
  })

  test('webhooks: a secret once, unknown events and forbidden addresses refused at once', async () => {
    const secret = await daemon.must('webhook', 'add', 'http://192.0.2.1/', '--on', 'run.regressed,machine.sick')
    assert.match(secret, /^whsec_[A-Za-z0-9+/]+=*\n$/)
    assert.match(await daemon.must('webhook', 'list'), /\trun\.regressed,machine\.sick\thttp:\/\/192\.0\.2\.1\/\n$/)
    for (const [url, on] of [
      ['http://127.0.0.1/', 'run.fixed'],
      ['ftp://192.0.2.1/', 'run.fixed'],
      ['http://192.0.2.1/', 'run.nosuch'],
    ] as const) {
      const { status, stderr } = await daemon.run(['webhook', 'add', url, '--on', on])
      assert.deepEqual([status, stderr.split('\n').length], [1, 2], url)
    }
    assert.equal((await daemon.run(['webhook', 'add', 'http://192.0.2.1/'])).status, 2)
    const history = await daemon.must('history', '--json')
    assert.ok(!history.includes(secret.trim()), 'the secret is nowhere in the history')
    await daemon.must('webhook', 'remove', '1')
    assert.equal((await daemon.run(['webhook', 'remove', '1'])).status, 1)
  })
})

describe('over a restart', () => {
  test('kill -9 loses nothing that was answered: runs, results, logs, tokens', async () => {
    const [done = 0, sent = 0, waiting = 0] = await request('smoke', 'smoke', 'smoke')
    assert.equal(await fetchRun(), done)
    await upload(done, 'V: 9\nE: kept\n')
    const { headers } = await get('/nexttest/')
    await until('the second is sent', async () => (await show(sent)).state === 'sent')
    await daemon.kill()
    daemon = await serve({ dataDir: daemon.dataDir })
    assert.deepEqual(
      [(await show(done)).verdict, (await show(sent)).state, (await show(waiting)).state],
      ['fail', 'sent', 'requested'],
    )
    const { search } = new URL(headers.get('x-pxemngr-upload') ?? '')
    assert.equal((await upload(sent, 'I: after\n', 'file', search)).status, 200)
    assert.equal(await daemon.must('log', String(done)), 'V: 9\nE: kept\n')
  })
})
