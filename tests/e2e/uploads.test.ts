/**
 * Uploads under stress, through the built executable: limits, full and failing disks, connections that break, bodies in
 * every framing, the same upload twice and at once, kill -9. Sources: RUNS "Machine URLs" and "Commands" (`keep-free`),
 * CONTRACT "What machines ask over HTTP", DESIGN "State".
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { ask, call, readSmall } from '../harness/api.ts'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { type FailingDisk, failingDisk, noFaults } from '../harness/faults.ts'
import { mountTmpfs, noMounts } from '../harness/mount.ts'
import { until } from '../harness/process.ts'
import {
  boundary,
  formEnd,
  formOf,
  formPieces,
  logOf,
  openUpload,
  partEnd,
  partHead,
  type RawAnswer,
  sendUpload,
} from '../harness/upload-client.ts'

const MiB = 1024 * 1024
/** A busy machine does each of these in well under this. */
const patienceMs = 20_000
const mac = '52:54:00:00:00:01'
const configuration = `pxelinux.cfg/01-${mac.replaceAll(':', '-')}`

interface Run {
  readonly state: string
  readonly verdict: string | null
  readonly counts: { readonly info: number }
  readonly attachments: readonly { readonly name: string }[]
}

/** A daemon with one system, `node`, and the test `smoke`; `ask` requests runs of it. */
interface Site {
  daemon: RunningDaemon
  request(count: number): Promise<number[]>
  show(run: number): Promise<Run>
  /** Names in the results folder, the scripts apart. */
  files(): string[]
  log(run: number): Buffer
}

async function siteOf(daemon: RunningDaemon): Promise<Site> {
  const results = join(daemon.dataDir, 'results')
  writeFileSync(join(daemon.dataDir, 'tests', 'smoke.test'), 'echo\n')
  await daemon.must('synctestnames')
  await daemon.must('addsystem', 'node', mac, '127.0.0.1')
  await daemon.must('nextboot', 'node', 'local')
  return asSite(daemon, results)
}

function asSite(daemon: RunningDaemon, results: string): Site {
  return {
    daemon,
    async request(count) {
      const tests = Array.from({ length: count }, () => 'smoke')
      const { json, text } = await call(daemon.ready.socket, 'nexttest', { name: 'node', tests })
      assert.ok(json, text)
      return (json as { runs: { id: number }[] }).runs.map(({ id }) => id)
    },
    async show(run) {
      return (await call(daemon.ready.socket, 'show', { run })).json as Run
    },
    files: () => [
      ...readdirSync(results).filter((name) => name !== 'scripts' && name !== 'incoming'),
      ...(existsSync(join(results, 'incoming')) ? readdirSync(join(results, 'incoming')) : []),
    ],
    log: (run) => readFileSync(join(results, `${run}.log`)),
  }
}

async function openSite(t: TestContext, options: Parameters<typeof serve>[0]): Promise<Site> {
  const daemon = await serve(options)
  t.after(() => daemon.close())
  return siteOf(daemon)
}

const path = (run: number, query = ''): string => `/upload/${run}/${query}`
const send = (site: Site, run: number, content: string | Uint8Array): Promise<RawAnswer | undefined> =>
  sendUpload(site.daemon.url, path(run), [formOf(content)])

/** One clear line. */
function assertLine(answer: RawAnswer | undefined, status: number, what: RegExp): void {
  assert.equal(answer?.status, status, answer?.text)
  assert.match(answer?.text ?? '', what)
  assert.doesNotMatch(answer?.text ?? '', /\n/)
}

/** Nothing of the refused upload is there. */
async function assertUntouched(site: Site, run: number): Promise<void> {
  assert.ok(['requested', 'sent'].includes((await site.show(run)).state))
  await until(
    () => (site.files().some((name) => name.startsWith(`${run}.`)) ? undefined : true),
    patienceMs,
    () => `left behind: ${site.files()}`,
  )
}

/** … and the run takes its upload still. */
async function assertOpen(site: Site, run: number): Promise<void> {
  await assertUntouched(site, run)
  assert.equal((await send(site, run, 'I: again\n'))?.text, 'uploaded')
  assert.deepEqual([(await site.show(run)).verdict, site.log(run).toString()], ['pass', 'I: again\n'])
}

async function stillBoots(site: Site): Promise<void> {
  assert.match(JSON.stringify(await readSmall(site.daemon.tftpPort, configuration)), /localboot/i)
}

test('uploads that an older version left beside the logs are removed at start', async () => {
  const first = await siteOf(await serve())
  const { dataDir } = first.daemon
  let again: RunningDaemon | undefined
  try {
    const [run = 0] = await first.request(1)
    assert.equal((await send(first, run, 'I: kept\n'))?.text, 'uploaded')
    await first.daemon.stop()
    const left = [join(dataDir, 'results', `${run}.0123456789ab.tmp`), join(dataDir, 'results', '99.0123456789ab.tmp')]
    for (const folder of left) {
      mkdirSync(folder)
      writeFileSync(join(folder, 'log'), 'half')
    }
    again = await serve({ dataDir })
    await until(
      () => (left.some((folder) => existsSync(folder)) ? undefined : true),
      10_000,
      () => `${left.join()} are still there`,
    )
    assert.equal(await again.must('log', String(run)), 'I: kept\n')
    assert.match(again.log(), /older version left/)
  } finally {
    await again?.close()
    await first.daemon.close()
  }
})

describe('limits', () => {
  let site: Site
  before(async () => {
    site = await siteOf(await serve({ flags: ['--max-upload', '1MiB'] }))
  })
  after(() => site.daemon.close())

  for (const [framing, length] of [
    ['that is announced', 40 * MiB],
    ['that comes in chunks, without end', undefined],
  ] as const) {
    test(`413: an upload larger than max-upload ${framing} is answered while it is still being sent`, async () => {
      const [run = 0] = await site.request(1)
      const request = length === undefined ? {} : { length }
      const answer = await sendUpload(site.daemon.url, path(run), formPieces(logOf(40 * MiB)), request)
      assertLine(answer, 413, /larger than 1048576 bytes \(max-upload\)/)
      assert.equal(answer?.headers.get('connection'), 'close')
      await assertOpen(site, run)
    })
  }

  test('a file just as large as max-upload is taken, whatever stands around it; one byte more is not', async () => {
    const whole = Buffer.concat([...logOf(MiB)])
    for (const length of [formOf(whole).length, undefined]) {
      const [run = 0] = await site.request(1)
      const request = length === undefined ? {} : { length }
      assert.equal((await sendUpload(site.daemon.url, path(run), [formOf(whole)], request))?.status, 200)
      assert.ok(site.log(run).equals(whole))
      const [other = 0] = await site.request(1)
      const more = formOf(Buffer.concat([whole, Buffer.from('x')]))
      const refused = await sendUpload(
        site.daemon.url,
        path(other),
        [more],
        length === undefined ? {} : { length: length + 1 },
      )
      assertLine(refused, 413, /larger than 1048576 bytes \(max-upload\)/)
      await assertUntouched(site, other)
    }
  })

  test('a log and its attachments count together, fields that are no files too', async () => {
    const half = Buffer.concat([...logOf(MiB / 2)])
    const form = (second: Uint8Array, fileName?: string) =>
      Buffer.concat([
        ...[Buffer.from(partHead('file', 'out.log')), half, Buffer.from(`${partEnd}${partHead('more', fileName)}`)],
        ...[second, Buffer.from(`${partEnd}${formEnd}`)],
      ])
    for (const fileName of ['dump.bin', undefined]) {
      const [run = 0] = await site.request(1)
      const good = form(Buffer.alloc(MiB / 2, 1), fileName)
      assert.equal((await sendUpload(site.daemon.url, path(run), [good], { length: good.length }))?.status, 200)
      const [other = 0] = await site.request(1)
      const bad = form(Buffer.alloc(MiB / 2 + 1, 1), fileName)
      assertLine(await sendUpload(site.daemon.url, path(other), [bad], { length: bad.length }), 413, /max-upload/)
      await assertUntouched(site, other)
    }
  })

  test('a form that is all head or epilogue has a limit of its own', async () => {
    const [run = 0] = await site.request(1)
    const endless = function* () {
      yield formOf('I: x\n')
      for (let at = 0; at < 40; at++) yield Buffer.alloc(MiB, 0x20)
    }
    assertLine(await sendUpload(site.daemon.url, path(run), endless(), {}), 413, /form around the files/)
    await assertUntouched(site, run)
  })

  test('Expect: 100-continue, as curl sends it: told to go on only where the upload is taken', async () => {
    const [run = 0] = await site.request(1)
    const expect = { expect: '100-continue' }
    for (const [where, length, status] of [
      [path(run), 2 * MiB, 413],
      [path(999_999), 100, 404],
      [path(run, '?token=wrong'), 100, 403],
    ] as const) {
      const refused = await openUpload(site.daemon.url, where, { length, headers: expect })
      assert.equal((await refused.answer)?.status, status)
      assert.deepEqual(refused.interim, [])
      refused.destroy()
    }
    const body = formOf('I: x\n')
    const taken = await openUpload(site.daemon.url, path(run), { length: body.length, headers: expect })
    await taken.heard()
    assert.deepEqual(taken.interim, [100])
    await taken.write(body)
    assert.equal((await taken.answer)?.text, 'uploaded')
    taken.destroy()
    // Other URLs are told as ever.
    const api = await openUpload(`http://${site.daemon.ready.http[0]}`, '/api/v1/status', {
      length: 2,
      headers: { ...expect, 'content-type': 'application/json' },
    })
    await api.heard()
    await api.write('{}')
    assert.equal((await api.answer)?.status, 200)
    api.destroy()
  })

  test('curl itself: a small and a large upload, with and without Expect', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'pxemngr-uploads-'))
    try {
      for (const [size, header, status] of [
        [10, [], 200],
        [1_040_000, [], 200],
        [1_040_000, ['-H', 'Expect: 100-continue'], 200],
        [30 * MiB, [], 413],
        [30 * MiB, ['-H', 'Expect:'], 413],
        [30 * MiB, ['-H', 'Transfer-Encoding: chunked', '-H', 'Expect:'], 413],
      ] as const) {
        const [run = 0] = await site.request(1)
        const file = join(dir, 'out')
        writeFileSync(file, Buffer.concat([...logOf(size)]))
        const words = ['-s', '-S', '-w', '\n%{http_code}', '-F', `file=@${file}`, ...header]
        const curl = spawn('curl', [...words, `${site.daemon.url}${path(run)}`])
        let out = ''
        curl.stdout.on('data', (part) => {
          out += part
        })
        const code = await new Promise((resolve) => curl.on('close', resolve))
        assert.deepEqual([code, out.split('\n').at(-1)], [0, String(status)], `${size} ${header}: ${out}`)
      }
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })

  test('415: a compressed body is not taken, so that a gzip bomb has nothing to unpack', async () => {
    const [run = 0] = await site.request(1)
    const request = { headers: { 'content-encoding': 'gzip' } }
    assertLine(await sendUpload(site.daemon.url, path(run), [formOf('x')], request), 415, /gzip/)
    await assertOpen(site, run)
  })

  test('more than 100 files are 400; a head of a part without end is 400', async () => {
    const [run = 0] = await site.request(1)
    const files = Array.from({ length: 101 }, (_, n) => `${partHead('a', `${n}`)}x${partEnd}`)
    assertLine(await sendUpload(site.daemon.url, path(run), [...files, formEnd]), 400, /more than 100 files/)
    const head = [`--${boundary}\r\nX: `, ...logOf(MiB / 2)]
    assertLine(await sendUpload(site.daemon.url, path(run), head), 400, /head of a part/)
    await assertOpen(site, run)
  })
})

describe('connections', () => {
  let site: Site
  before(async () => {
    site = await siteOf(await serve())
  })
  after(() => site.daemon.close())

  for (const how of ['destroy', 'reset'] as const) {
    for (const length of [undefined, 20 * MiB]) {
      test(`an upload whose connection ends (${how}, ${length ? 'Content-Length' : 'chunked'}) changes nothing`, async () => {
        const [run = 0] = await site.request(1)
        const upload = await openUpload(site.daemon.url, path(run), length === undefined ? {} : { length })
        await upload.write(partHead('file', 'out'))
        for (const piece of logOf(3 * MiB)) await upload.write(piece)
        await until(
          () => (site.files().some((name) => name.startsWith(`${run}.`)) ? true : undefined),
          patienceMs,
          () => 'the upload did not begin',
        )
        upload[how]()
        await assertOpen(site, run)
      })
    }
  }

  test('cut after the last delimiter’s first byte, or half-closed in the middle, it is no upload', async () => {
    const [run = 0] = await site.request(1)
    const body = formOf('I: x\n')
    // Two dashes and a line end short, then all sorts of places.
    for (const cut of [body.length - 4, body.length - 10, body.length - boundary.length - 8, 30, 1]) {
      const upload = await openUpload(site.daemon.url, path(run))
      await upload.write(body.subarray(0, cut))
      await upload.finish()
      assertLine(await upload.answer, 400, /cut off|missing|empty/)
      upload.destroy()
    }
    const half = await openUpload(site.daemon.url, path(run), { length: body.length })
    await half.write(body.subarray(0, 60))
    half.socket.end()
    assert.notEqual((await half.answer)?.status, 200)
    half.destroy()
    await assertOpen(site, run)
  })

  test('a trickle is as good as a flood: byte by byte, in every framing', async () => {
    const runs = await site.request(2)
    const body = formOf('I: slow\nE: slower\n')
    for (const [at, length] of [undefined, body.length].entries()) {
      const run = runs[at] ?? 0
      const upload = await openUpload(site.daemon.url, path(run), length === undefined ? {} : { length })
      upload.socket.setNoDelay(true)
      for (const byte of body) {
        await upload.write(Buffer.from([byte]))
        if (byte === 10) await new Promise((resolve) => setTimeout(resolve, 5))
      }
      await upload.finish()
      assert.equal((await upload.answer)?.text, 'uploaded')
      upload.destroy()
      assert.equal(site.log(run).toString(), 'I: slow\nE: slower\n')
    }
  })

  test('a Content-Length that is too small or too large is no upload; what follows on the connection is no request', async () => {
    const [run = 0] = await site.request(1)
    const body = formOf('I: x\n')
    const small = await openUpload(site.daemon.url, path(run), { length: body.length - 20 })
    await small.write(body)
    assert.equal((await small.answer)?.status, 400)
    small.destroy()
    const large = await openUpload(site.daemon.url, path(run), { length: body.length + 20 })
    await large.write(body)
    large.socket.end()
    assert.notEqual((await large.answer)?.status, 200)
    large.destroy()
    const both = await openUpload(site.daemon.url, path(run), {
      length: body.length,
      headers: { 'transfer-encoding': 'chunked' },
    })
    await both.write(body)
    assert.equal((await both.answer)?.status, 400, 'two framings at once are a smuggled request')
    both.destroy()
    const chunks = await openUpload(site.daemon.url, path(run))
    await chunks.write(body.subarray(0, 60))
    chunks.socket.write('no chunk size\r\n')
    assert.notEqual((await chunks.answer)?.status, 200)
    chunks.destroy()
    await assertOpen(site, run)
  })

  test('the same upload twice: the second counts, the first is kept aside, in one line of history each', async () => {
    const [run = 0] = await site.request(1)
    for (let time = 0; time < 3; time++) assert.equal((await send(site, run, 'I: same\n'))?.text, 'uploaded')
    assert.deepEqual((await site.show(run)).counts.info, 1)
    const own = site.files().filter((name) => name.startsWith(`${run}.`))
    assert.deepEqual(own.sort(), [`${run}.1.log`, `${run}.2.log`, `${run}.log`])
  })

  test('ten at once for one run: every one is answered, the counts are those of the log that is there', async () => {
    const [run = 0] = await site.request(1)
    const contents = Array.from({ length: 10 }, (_, n) => `${'I: x\n'.repeat(n + 1)}`)
    const answers = await Promise.all(contents.map((content) => send(site, run, content)))
    assert.deepEqual(
      answers.map((answer) => answer?.text),
      contents.map(() => 'uploaded'),
    )
    const own = site.files().filter((name) => name.startsWith(`${run}.`))
    const there = own.map((name) => readFileSync(join(site.daemon.dataDir, 'results', name), 'utf8'))
    assert.deepEqual(there.sort(), [...contents].sort())
    assert.equal((await site.show(run)).counts.info, site.log(run).toString().split('\n').length - 1)
  })

  test('file names are data: whatever an attachment is called, it is stored by number and shown as it came', async () => {
    const [run = 0] = await site.request(1)
    const before = readdirSync(site.daemon.dataDir)
    const names = [
      '../../../../tmp/pxemngr-evil',
      '/etc/passwd',
      '..\\..\\windows',
      '.',
      '..',
      'a/b',
      'nul\u0001byte',
      'x'.repeat(5000),
      '%2e%2e%2fx',
      'ü<script>',
      `../${run}.log`,
    ]
    const parts = names.map((name) => `${partHead('a', name.replaceAll('\\', '\\\\'))}secret${partEnd}`)
    const log = `${partHead('file', '../../../evil.log')}I: x\n${partEnd}`
    assert.equal((await sendUpload(site.daemon.url, path(run), [log, ...parts, formEnd]))?.text, 'uploaded')
    const results = join(site.daemon.dataDir, 'results')
    assert.deepEqual(readdirSync(join(results, `${run}.files`)).sort(), names.map((_, n) => String(n)).sort())
    assert.equal(site.log(run).toString(), 'I: x\n')
    const shown = (await site.show(run)).attachments.map((each) => (typeof each === 'string' ? each : each.name))
    assert.deepEqual(
      shown,
      names.map((name) => name.slice(0, 255)),
    )
    assert.deepEqual(readdirSync(site.daemon.dataDir), before)
    assert.ok(!readdirSync(tmpdir()).includes('pxemngr-evil'))
    assert.equal((await ask({ url: site.daemon.url }, `/test/${run}/`)).status, 200)
  })

  const own = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address
  test('a run of another machine is 403, whatever else is right; its token opens it, a wrong one closes it', {
    skip: own === undefined ? 'needs an IPv4 address beside loopback' : false,
  }, async (t) => {
    const daemon = await serve({ http: '0.0.0.0:0', flags: ['--trusted-networks', 'off'] })
    t.after(() => daemon.close())
    const other = await siteOf(daemon)
    const url = `http://${own}:${new URL(daemon.url).port}`
    await daemon.must('addsystem', 'self', own ?? '')
    const [run = 0] = await other.request(1)
    const form = [formOf('I: forged\n')]
    assertLine(await sendUpload(url, path(run), form), 403, /may not report on run/)
    assertLine(
      await sendUpload(url, `/progress/${run}/`, ['x'], { headers: { 'content-range': 'bytes 0-0/*' } }),
      403,
      /./,
    )
    const handed = await ask({ url: daemon.url }, '/nexttest/')
    const { search } = new URL(String(handed.headers['x-pxemngr-upload']))
    for (const wrong of ['?token=', '?token=x', `${search}x`, '?token=%00'])
      assertLine(await sendUpload(url, path(run, wrong), form), 403, /token/)
    const [second = 0] = await other.request(1)
    assertLine(await sendUpload(url, path(second, search), form), 403, /token/)
    assert.equal((await other.show(run)).state === 'done', false)
    assert.equal((await sendUpload(url, path(run, search), form))?.text, 'uploaded')
  })
})

/** Once it is said: the free space is asked for anew each second. */
async function untilDegraded(site: Site, what: RegExp): Promise<void> {
  await until(
    async () => {
      const { degraded } = (await call(site.daemon.ready.socket, 'status', {})).json as { degraded: string[] }
      return degraded.some((line) => what.test(line)) ? true : undefined
    },
    patienceMs,
    () => `status does not say ${what}`,
  )
}

describe('full disks', () => {
  test('keep-free: 507 before the body where it would not fit, in its middle where that shows only then; status says so', {
    skip: noMounts,
  }, async (t) => {
    const mount = mountTmpfs(t, '64m')
    const dataDir = join(mount, 'data')
    mkdirSync(dataDir)
    const site = await openSite(t, { dataDir, flags: ['--keep-free', '32MiB'] })
    const [run = 0] = await site.request(1)
    const expected = { length: 40 * MiB, headers: { expect: '100-continue' } }
    const announced = await openUpload(site.daemon.url, path(run), expected)
    assertLine(await announced.answer, 507, /bytes free, and keep-free keeps 33554432/)
    assert.deepEqual(announced.interim, [])
    announced.destroy()
    // The free space on the way: never below the bound by more than what is on its way into the file.
    const upload = await openUpload(site.daemon.url, path(run))
    await upload.write(partHead('file', 'x'))
    let least = Number.POSITIVE_INFINITY
    for (const piece of logOf(100 * MiB)) {
      if (!(await upload.write(piece))) break
      const { bavail, bsize } = statfsSync(mount)
      least = Math.min(least, bavail * bsize)
    }
    assertLine(await upload.answer, 507, /keep-free/)
    upload.destroy()
    assert.ok(least > 31 * MiB, `${least} bytes were free`)
    await stillBoots(site)
    await assertOpen(site, run)

    const [next = 0] = await site.request(1)
    const filler = join(mount, 'filler')
    writeFileSync(filler, Buffer.alloc(40 * MiB))
    await untilDegraded(site, /keep-free/)
    assert.equal((await site.daemon.run(['status'])).status, 1)
    assertLine(await send(site, next, 'I: x\n'), 507, /keep-free/)
    const range = { 'content-range': 'bytes 0-1/*' }
    const handed = await ask({ url: site.daemon.url }, '/nexttest/')
    assert.equal(handed.headers['x-pxemngr-run'], String(next), 'tests are handed out as ever')
    const progress = await ask({ url: site.daemon.url }, `/progress/${next}/`, {
      method: 'POST',
      headers: range,
      body: 'I:',
    })
    assert.equal(progress.status, 507)
    await stillBoots(site)
    rmSync(filler)
    await until(
      async () => ((await send(site, next, 'I: room\n'))?.status === 200 ? true : undefined),
      patienceMs,
      () => 'uploads are still refused',
    )
  })

  test('a disk that is full in the middle of an upload: 507, nothing left, the run open, boots and reports go on', {
    skip: noMounts,
  }, async (t) => {
    const mount = mountTmpfs(t, '40m')
    const dataDir = join(mount, 'data')
    mkdirSync(dataDir)
    const site = await openSite(t, { dataDir })
    const [run = 0] = await site.request(1)
    assertLine(await sendUpload(site.daemon.url, path(run), formPieces(logOf(100 * MiB))), 507, /bytes free/)
    // Filled by somebody else while the upload comes.
    const upload = await openUpload(site.daemon.url, path(run))
    await upload.write(partHead('file', 'x'))
    for (const piece of logOf(MiB)) await upload.write(piece)
    const filler = join(mount, 'filler')
    assert.throws(() => {
      for (;;) appendFileSync(filler, Buffer.alloc(4096))
    }, /ENOSPC/)
    for (const piece of logOf(20 * MiB)) if (!(await upload.write(piece))) break
    assertLine(await upload.answer, 507, /no space left|bytes free/)
    upload.destroy()
    await stillBoots(site)
    const report = await ask({ url: site.daemon.url }, '/localboot/')
    assert.equal(report.status, 200)
    await untilDegraded(site, /keep-free/)
    await assertUntouched(site, run)
    rmSync(filler)
    await until(
      async () => ((await send(site, run, 'I: room\n'))?.status === 200 ? true : undefined),
      patienceMs,
      () => 'uploads are still refused',
    )
  })
})

describe('failing disks', { skip: noFaults }, () => {
  let site: Site
  let disk: FailingDisk
  let dataDir: string
  before(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'pxemngr-uploads-'))
    disk = failingDisk(dataDir)
    site = await siteOf(await serve({ dataDir, env: disk.env }))
  })
  after(async () => {
    await site.daemon.close()
    disk.close()
    rmSync(dataDir, { recursive: true, force: true })
  })

  for (const [orders, status] of [
    [['write ENOSPC', 'match .tmp/'], 507],
    [['write EDQUOT', 'match .tmp/'], 507],
    [['short 7', 'match .tmp/'], 507],
    [['sync ENOSPC', 'match .tmp/'], 507],
    [['write EIO', 'match .tmp/'], 503],
    [['sync EIO', 'match .tmp/'], 503],
    [['write EROFS', 'match .tmp/'], 503],
    [['write ENOSPC', 'match replaces'], 507],
    [['write ENOSPC', 'match cases'], 507],
    [['sync EIO', 'match /journal/'], 503],
    [['write ENOSPC', 'match /journal/'], 503],
  ] as const) {
    test(`${orders.join(', ')}: ${status}, a result before it stays, the machine can try again`, async () => {
      // The journal takes changes again a while after it failed.
      const [first = 0, run = 0] = await until(
        () => site.request(2).catch(() => undefined),
        2 * patienceMs,
        () => 'changes are still refused',
      )
      const whole = `I: before\n1..1\nok 1 - a\n`
      const attached = [
        `${partHead('file', 'x')}${whole}${partEnd}`,
        `${partHead('a', 'b.txt')}attached${partEnd}`,
        formEnd,
      ]
      assert.equal((await sendUpload(site.daemon.url, path(first), attached))?.status, 200)
      const before = site.files().sort()
      disk.order(...orders)
      // Only what replaces files has to write down which: a first upload is done without.
      const concerned = orders[1] === 'match replaces' ? [first] : [first, run]
      for (const each of concerned) {
        const answer = await sendUpload(site.daemon.url, path(each), [
          attached[0]?.replace('before', 'after') ?? '',
          formEnd,
        ])
        assertLine(answer, status, /space|cannot be written|journal|disk|full/i)
      }
      await stillBoots(site)
      disk.order()
      assert.deepEqual(site.files().sort(), before)
      assert.equal(site.log(first).toString(), whole)
      assert.deepEqual((await site.show(first)).attachments.length, 1)
      await until(
        async () => ((await send(site, run, 'I: again\n'))?.status === 200 ? true : undefined),
        2 * patienceMs,
        () => 'the upload is still refused',
      )
      assert.equal((await send(site, first, 'I: again\n'))?.status, 200)
    })
  }

  for (const [orders, status] of [
    [['write ENOSPC', 'match /incoming/'], 507],
    [['write EDQUOT', 'match /incoming/'], 507],
    // libuv itself goes on after a short write: only one that takes nothing at all is seen.
    [['short 0', 'match /incoming/'], 507],
    [['sync ENOSPC', 'match /incoming/'], 507],
    [['write EIO', 'match /incoming/'], 503],
    [['sync EIO', 'match /incoming/'], 503],
    [['sync EIO', 'match results'], 503],
    [['sync EIO', 'match /journal/'], 503],
  ] as const) {
    test(`a first, small log, ${orders.join(', ')}: ${status}, nothing of it stays, the machine can try again`, async () => {
      const [run = 0] = await until(
        () => site.request(1).catch(() => undefined),
        2 * patienceMs,
        () => 'changes are still refused',
      )
      const before = site.files().sort()
      disk.order(...orders)
      assertLine(await send(site, run, 'I: small\n'), status, /space|cannot be written|journal|disk|full/i)
      await stillBoots(site)
      disk.order()
      assert.deepEqual(site.files().sort(), before)
      await until(
        async () => ((await send(site, run, 'I: again\n'))?.status === 200 ? true : undefined),
        2 * patienceMs,
        () => 'the upload is still refused',
      )
      assert.equal(site.log(run).toString(), 'I: again\n')
      assert.deepEqual(site.files().sort(), [...before, `${run}.log`].sort())
    })
  }
})

/** Rounds of the kill test, and how many machines upload at once in each. */
const killRounds = 20
const machines = 8

test('kill -9 at random instants under uploads: what was answered is there whole, nothing is half there, no file is left over', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'pxemngr-uploads-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const results = join(dataDir, 'results')
  /** What was sent for each run, by content: lines, attachments, and whether it was answered. */
  const sent = new Map<number, Map<string, { lines: number; attached: number; answered: boolean }>>()
  const open: number[] = []
  let answered = 0
  let number = 0

  const check = async (site: Site, round: number): Promise<void> => {
    const names = site.files()
    assert.deepEqual(
      names.filter((name) => name.includes('.tmp') || name.endsWith('.part')),
      [],
      `round ${round}: left over`,
    )
    // What was replaced is kept aside, numbered.
    for (const name of names) assert.match(name, /^\d+(\.\d+)?\.(log|files|cases\.json)$/)
    for (const name of names.filter((each) => each.endsWith('.log'))) {
      const known = sent.get(Number.parseInt(name, 10))
      if (known)
        assert.ok(known.has(readFileSync(join(results, name), 'latin1')), `round ${round}: ${name} is half there`)
    }
    for (const [run, contents] of sent) {
      const shown = await site.show(run)
      const isAnswered = [...contents.values()].some((content) => content.answered)
      if (isAnswered) assert.equal(shown.state, 'done', `round ${round}: run ${run} was answered`)
      assert.equal(names.includes(`${run}.log`), shown.state === 'done', `round ${round}: run ${run} is ${shown.state}`)
      if (shown.state !== 'done') continue
      const content = contents.get(site.log(run).toString('latin1'))
      assert.ok(content)
      assert.equal(shown.counts.info, content.lines, `round ${round}: run ${run} has the counts of another upload`)
      assert.equal(shown.attachments.length, content.attached)
      const there = names.includes(`${run}.files`) ? readdirSync(join(results, `${run}.files`)).length : 0
      assert.equal(there, content.attached, `round ${round}: attachments of run ${run}`)
    }
  }

  for (let round = 0; round <= killRounds; round++) {
    const daemon = await serve({ dataDir })
    try {
      const site = round === 0 ? await siteOf(daemon) : asSite(daemon, results)
      await check(site, round)
      if (round === killRounds) break
      sent.clear() // what was checked stays as it is: later rounds look at their own
      open.splice(0, Number.POSITIVE_INFINITY, ...(await site.request(60)))
      let running = true
      const machine = async (): Promise<void> => {
        while (running) {
          number += 1
          // Some runs are uploaded again, and by two machines at once.
          const run = (number % 3 === 0 ? open[0] : open.shift()) ?? 0
          const lines = 1 + Math.floor(Math.random() * (number % 10 === 0 ? 40_000 : 200))
          const text = `I: line of ${number}\n`.repeat(lines)
          const attached = number % 2
          const content = { lines, attached, answered: false }
          const own = sent.get(run) ?? new Map<string, typeof content>()
          sent.set(run, own.set(text, content))
          const parts = [partHead('file', 'x'), text, partEnd]
          if (attached === 1) parts.push(`${partHead('a', 'b')}attached ${number}${partEnd}`)
          const answer = await sendUpload(daemon.url, path(run), [...parts, formEnd]).catch(() => undefined)
          if (answer === undefined) return
          assert.equal(answer.text, 'uploaded')
          content.answered = true
          answered += 1
          if (open.length === 0) return
        }
      }
      const load = Array.from({ length: machines }, machine)
      const enough = answered + Math.floor(Math.random() * 20)
      await until(
        () => (answered >= enough ? true : undefined),
        patienceMs,
        () => 'no upload is answered',
        2,
      )
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20))
      running = false
      await daemon.kill()
      await Promise.all(load)
    } finally {
      await daemon.close()
    }
  }
  assert.ok(answered > killRounds, `only ${answered} uploads were answered in all rounds`)
})
