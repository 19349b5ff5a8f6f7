/**
 * The pages of results through the built executable: three versions of a small lab that were really handed out and
 * uploaded, and what matrix, comparison, versions, search, queue, badges and exports say of them; then retention, whose dry
 * run says what the real one does. Sources: WEB.md, RUNS "Results" and "Commands" (`expire`), COMPATIBILITY 4.6.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { until } from '../harness/process.ts'

const macs = { 'rackA-1': '52:54:00:00:00:01', 'rackA-2': '52:54:00:00:00:02', 'rackB-1': '52:54:00:00:00:11' } as const
type Name = keyof typeof macs

let daemon: RunningDaemon
before(async () => {
  daemon = await serve()
  for (const name of ['smoke', 'burn']) writeFileSync(join(daemon.dataDir, 'tests', `${name}.test`), 'echo\n')
  writeFileSync(join(daemon.dataDir, 'tests', 'release.suite'), 'smoke\nburn\n')
  await daemon.must('synctestnames')
  for (const [name, mac] of Object.entries(macs)) await daemon.must('addsystem', name, mac)
  await result('rackA-1', 'smoke', '4.1', 'M: boot 12 s')
  await result('rackA-1', 'burn', '4.1', 'E: fan stopped')
  await result('rackA-2', 'smoke', '4.1', 'I: ok')
  await result('rackA-1', 'smoke', '4.2', 'E: link came up at x4\nM: boot 14 s')
  await result('rackA-1', 'burn', '4.2', 'W: hot')
  await daemon.must('nexttest', 'rackB-1', '@release', '--version', '4.2')
})
after(() => daemon?.close())

/** A test that was asked for, handed out and uploaded. */
async function result(system: Name, name: string, version: string, text: string): Promise<void> {
  await daemon.must('nexttest', system, name, '--version', version)
  const asked = await fetch(`${daemon.url}/nexttest/${macs[system]}/`, { headers: { connection: 'close' } })
  await asked.text()
  const form = new FormData()
  form.append('file', new Blob([`V: ${version}\n${text}\n`]), 'out.log')
  const run = asked.headers.get('x-pxemngr-run')
  const answer = await fetch(`${daemon.url}/upload/${run}/`, { method: 'POST', body: form })
  assert.equal(await answer.text(), 'uploaded')
}

async function get(path: string): Promise<string> {
  const answer = await fetch(`${daemon.url}${path}`)
  const text = await answer.text()
  assert.equal(answer.status, 200, `${path}: ${text}`)
  // Between a count and its word no line may end; here a blank is a blank.
  return text.replaceAll('\u00a0', ' ')
}
const csv = async (path: string): Promise<string[]> =>
  (await get(`${path}${path.includes('?') ? '&' : '?'}format=csv`)).trim().split('\r\n').slice(1)

describe('what broke, where, since when', () => {
  test('/ has the newest versions as stacked bars with their regressions, and what runs now', async () => {
    const page = await get('/')
    assert.match(page, /aria-label="1 fail, 1 warn, 2 missing"/)
    assert.match(page, /href="\/compare\/4\.1\.\.\.4\.2">1 regressed</)
    assert.match(page, /<a href="\/queue">[^<]*2 wait/)
  })

  test('the matrix: worst verdict, counts, a border for what is new, missing apart from no result, flips, groups', async () => {
    const page = await get('/matrix?group=prefix')
    assert.match(page, /<td class="cell fail new"><a [^>]*title="1 fail, 1 warn, 1 new">/)
    assert.match(page, /<td class="cell missing"><a [^>]*title="2 missing">/)
    assert.match(page, /<td class="cell none"><span class="hidden">no result/)
    assert.match(page, /<td class="spark"><svg [^>]*>.*?<td class="number quiet">\d+ %/)
    assert.match(page, /<bdi>rackA<\/bdi> <span class="quiet">2<[\s\S]*<bdi>rackB<\/bdi> <span class="quiet">1</)
    assert.deepEqual(await csv('/matrix?q=rackA-1'), ['rackA-1,fail,fail'])
    assert.match(await get('/matrix?version=4.2'), /Tests by machines/)
  })

  test('a comparison is the same on the page, of the command and over the API', async () => {
    const words = (await daemon.must('compare', '4.1', '4.2')).trim().split('\n')
    const kinds = words.map((line) => line.split('\t').slice(0, 3).join(','))
    assert.deepEqual(kinds, ['regression,rackA-1,smoke', 'fixed,rackA-1,burn', 'disappeared,rackA-2,smoke'])
    assert.deepEqual(
      (await csv('/compare/4.1...4.2')).map((line) => line.split(',').slice(0, 3).join(',')),
      kinds,
    )
    assert.match(await get('/compare/4.1...4.2'), /href="\/test\/4\/\?diff=1#diff">diff</)
  })

  test('/versions is filtered, ordered and grouped by its URL, also as CSV', async () => {
    const names = async (query: string) => (await csv(`/versions?${query}`)).map((line) => line.split(',')[1])
    assert.deepEqual(await names(''), ['4.2', '4.1'])
    assert.deepEqual(await names('sort=name'), ['4.1', '4.2'])
    assert.deepEqual(await names('q=4.1'), ['4.1'])
    assert.match(await get('/versions?group=prefix'), /<tr class="group">/)
  })

  test('search finds systems, tests, versions, profiles and error lines; the queue has ages', async () => {
    assert.match(await get('/search?q=rackb'), /href="\/system\/3\/"><bdi>rackB-1</)
    assert.match(await get('/search?q=burn'), /href="\/testname\/\d+\/"><bdi>burn</)
    assert.match(await get('/search?q=4.2'), /href="\/tests\/2\/"><bdi>4\.2</)
    assert.match(await get('/search?q=local'), /href="\/profiles\/local"/)
    assert.deepEqual((await csv('/search?q=came+up')).length, 1)
    assert.match(await get('/queue'), /2 wait[\s\S]*<time datetime=/)
  })

  test('pages of machine and test: since when it fails, flaky score, charts of verdict, duration and measurement', async () => {
    const machine = await get('/system/1/')
    assert.match(machine, /data-label="Failing since"><a href="\/test\/4\/"><bdi>4\.2</)
    assert.match(machine, /<figcaption><bdi>smoke: boot<\/bdi> <b>14 s</)
    const name = /href="\/testname\/(\d+)\/"><bdi>smoke</.exec(await get('/'))?.[1]
    assert.match(await get(`/testname/${name}/`), /Flaky score \d+ %[\s\S]*<figcaption><bdi>Duration</)
  })

  test('badges of system, test and version carry the worst verdict; what does not exist is 404', async () => {
    for (const path of ['system/rackA-1', 'test/smoke', 'version/4.2']) {
      assert.match(await get(`/badge/${path}.svg`), /^<svg [\s\S]*fail/, path)
    }
    for (const path of ['system/nosuch.svg', 'version/4.2.png', 'color/red.svg'])
      assert.equal((await fetch(`${daemon.url}/badge/${path}`)).status, 404, path)
  })

  test('/ names what runs now; a list of runs as CSV and JSON has its marks and how long each took', async () => {
    assert.doesNotMatch(await get('/'), /Runs now/)
    await daemon.must('nexttest', 'rackA-2', 'burn')
    const asked = await fetch(`${daemon.url}/nexttest/${macs['rackA-2']}/`, { headers: { connection: 'close' } })
    await asked.text()
    const run = asked.headers.get('x-pxemngr-run')
    const named = new RegExp(
      `Runs now</h2>\\s*<ul[^>]*><li><a href="/test/${run}/"><bdi>burn</bdi></a> on <a[^>]*><bdi>rackA-2<`,
    )
    const seen = async () => (named.test(await get('/')) ? true : undefined)
    await until(seen, 20_000, () => 'it is not named')

    await daemon.must('waive', '2', '--why', 'known')
    const { runs } = JSON.parse(await get('/system/1/?format=json')) as { runs: Record<string, unknown>[] }
    const waived = runs.find(({ id }) => id === 2)
    assert.deepEqual([waived?.['waived'], waived?.['late'], waived?.['flaky']], [true, false, false])
    assert.ok(Number(waived?.['took_ms']) >= 0)
    const line = (await csv('/system/1/')).find((each) => each.startsWith('2,'))
    assert.match(line ?? '', /,\d+,0,0,1$/)
  })
})

test('retention: the dry run changes nothing and says what the real one removes; a kept version stays', async () => {
  const own = await serve({ flags: ['--keep-logs', '1s', '--keep-results', '2s'] })
  try {
    writeFileSync(join(own.dataDir, 'tests', 'smoke.test'), 'echo\n')
    await own.must('synctestnames')
    await own.must('addsystem', 'one', macs['rackA-1'])
    for (const version of ['1', '2']) {
      await own.must('nexttest', 'one', 'smoke', '--version', version)
      const asked = await fetch(`${own.url}/nexttest/${macs['rackA-1']}/`, { headers: { connection: 'close' } })
      await asked.text()
      const form = new FormData()
      form.append('file', new Blob([`V: ${version}\n`]), 'out.log')
      await (await fetch(`${own.url}/upload/${version}/`, { method: 'POST', body: form })).text()
    }
    await own.must('keep', '2')
    const due = async () => (/\b1\b/.test(await own.must('expire', '--dry-run')) ? true : undefined)
    await until(due, 20_000, () => 'nothing is ever due')
    await new Promise((resolve) => setTimeout(resolve, 2500))
    const said = await own.must('expire', '--dry-run')
    const runs = async () => ((await own.json('results')) as { runs: { id: number }[] }).runs.map(({ id }) => id)
    assert.deepEqual(await runs(), [2, 1], 'a dry run removes nothing')
    assert.equal(await own.must('expire'), said, 'it does what the dry run said')
    assert.deepEqual(await runs(), [2], 'a kept version stays')
    assert.match(await own.must('log', '2'), /^V: 2$/m)
  } finally {
    await own.close()
  }
})
