/**
 * The pages of runs by `app.request()`: lists that are chosen, ordered, grouped and paged by their URL, and give the same
 * as CSV and JSON; what 0.8's pages said; trends. Sources: WEB.md "Behaviour", COMPATIBILITY 4.6, CONTRACT "What people see".
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fillLab, type Lab } from '../harness/lab.ts'
import { emit, requested, uploaded } from '../harness/run-events.ts'
import { openSite, type Site } from '../harness/site.ts'

let site: Site
let lab: Lab

before(async () => {
  site = await openSite()
  lab = await fillLab(site, { versions: 5, systems: 16, tests: 9 })
})
after(() => site.close())

interface Row {
  readonly id: number
  readonly system: string
  readonly test: string
  readonly version: string | null
  readonly state: string
  readonly verdict: string | null
  readonly sent: string | null
  readonly done: string | null
  readonly errors: number
}

const page = async (path: string): Promise<string> => {
  const { status, text } = await site.get(path)
  assert.equal(status, 200, path)
  return text
}
const rows = async (path: string): Promise<Row[]> =>
  (JSON.parse(await page(`${path}${path.includes('?') ? '&' : '?'}format=json`)) as { runs: Row[] }).runs
/** Ids of the rows of the table, as they stand. */
const shown = (html: string): number[] =>
  [...html.matchAll(/<a class="whole" href="\/test\/(\d+)\/">/g)].map(([, id]) => Number(id))

describe('lists of runs', () => {
  const lists = () => ({
    version: `/tests/${lab.versions.length}/`,
    test: `/testname/${lab.test}/`,
    system: `/system/${lab.system}/`,
    queue: '/queue',
    search: '/search?q=fan',
  })
  const sorts = ['id', 'verdict', 'system', 'test', 'version', 'when', 'took', 'errors']
  const groups = ['none', 'system', 'prefix', 'test', 'version', 'verdict', 'state']

  test('page, CSV and JSON hold the same runs in the same order, however they are sorted, grouped and paged', async () => {
    for (const [name, path] of Object.entries(lists())) {
      const queries = [
        ...(name === 'system' ? sorts.flatMap((sort) => [`sort=${sort}`, `sort=-${sort}`]) : ['sort=-system']),
        ...(name === 'system' ? groups.map((group) => `group=${group}&sort=took`) : ['group=prefix&sort=took']),
        'page=2',
        'verdict=pass&sort=-errors&group=prefix',
      ]
      for (const query of queries) {
        const url = `${path}${path.includes('?') ? '&' : '?'}${query}`
        const html = await page(url)
        const json = await rows(url)
        const csv = (await page(`${url}&format=csv`)).trim().split('\r\n').slice(1)
        assert.deepEqual(
          json.map(({ id }) => id),
          shown(html),
          `${name} ${query}`,
        )
        assert.deepEqual(
          csv.map((line) => Number(line.split(',')[0])),
          shown(html),
          `${name} ${query}`,
        )
      }
      // What the page links as all is more than a page, in the same order.
      const all = await rows(`${path}${path.includes('?') ? '&' : '?'}page=all&sort=-when`)
      const first = await rows(`${path}${path.includes('?') ? '&' : '?'}sort=-when`)
      assert.deepEqual(all.slice(0, first.length), first)
      assert.ok(all.length >= first.length)
    }
  })

  test('each order is what it says: names as people count, verdicts worst first, versions as they came', async () => {
    const path = `/tests/${lab.versions.length}/?page=all`
    const names = (await rows(`${path}&sort=system`)).map(({ system }) => system)
    assert.deepEqual(names, [...names].sort(new Intl.Collator('en', { numeric: true }).compare))
    const verdicts = ['fail', 'lost', 'infra', 'warn', 'pass', 'skip']
    const places = (await rows(`${path}&sort=verdict`)).map(({ verdict }) => verdicts.indexOf(verdict ?? ''))
    assert.ok(new Set(places).size > 2)
    assert.deepEqual(
      places,
      [...places].sort((a, b) => a - b),
    )
    const errors = (await rows(`${path}&sort=-errors`)).map((run) => run.errors)
    assert.deepEqual(
      errors,
      [...errors].sort((a, b) => b - a),
    )
    const took = (await rows(`${path}&sort=took`)).flatMap(({ sent, done }) =>
      sent && done ? [Date.parse(done) - Date.parse(sent)] : [],
    )
    assert.deepEqual(
      took,
      [...took].sort((a, b) => a - b),
    )
    const versions = (await rows(`/system/${lab.system}/?page=all&sort=version`)).flatMap(
      ({ version }) => version ?? [],
    )
    assert.deepEqual([...new Set(versions)], lab.versions)
  })

  test('a filter takes words of all names, a verdict, a state; pages count what fits', async () => {
    const path = `/testname/${lab.test}/`
    const some = await rows(`${path}?q=RACK2+4.2&page=all`)
    assert.ok(some.length > 0)
    for (const run of some) assert.ok(run.system.includes('rack2') && run.version?.includes('4.2'), JSON.stringify(run))
    assert.deepEqual(
      new Set((await rows(`${path}?verdict=pass&page=all`)).map(({ verdict }) => verdict)),
      new Set(['pass']),
    )
    assert.deepEqual(new Set((await rows('/queue?verdict=running')).map(({ state }) => state)), new Set())
    assert.deepEqual(new Set((await rows('/queue?verdict=sent')).map(({ state }) => state)), new Set(['sent']))
    assert.deepEqual(await rows('/queue?verdict=pass'), [])
    const version = `/tests/${lab.versions.length}/`
    const html = await page(`${version}?q=rack`)
    const count = (await rows(`${version}?q=rack&page=all`)).length
    assert.match(html, new RegExp(`1–100 of ${count} runs`))
    assert.match(html, /rel="next" href="\/tests\/\d+\/\?q=rack&amp;page=2#runs"/)
    assert.match(await page(`${path}?q=nothing-has-this`), /No run fits\./)
    assert.equal((await rows(`${version}?page=999999`)).length, count % 100 || 100)
    assert.equal((await site.get(`${path}?format=xml`)).status, 400)
  })

  test('groups stand under their names with their counts, and a heading sorts within them', async () => {
    const html = await page(`/tests/${lab.versions.length}/?group=prefix`)
    const heads = [...html.matchAll(/<tr class="group"><th[^>]*><bdi>([^<]*)<\/bdi> <span class="quiet">(\d+)/g)]
    assert.deepEqual(heads[0]?.slice(1), [
      'rack1-node',
      String((await rows(`/tests/${lab.versions.length}/?q=rack1-node&page=all`)).length),
    ])
    assert.match(
      html,
      /<th scope="col" class="at-took" aria-sort="none"><a href="[^"]*group=prefix&amp;sort=-took#runs">Took/,
    )
    const queue = await page('/queue')
    assert.deepEqual(
      [...queue.matchAll(/<tr class="group"><th[^>]*><bdi>([^<]*)/g)].map(([, name]) => name),
      ['sent', 'waiting'],
    )
    const sorted = await page('/queue?sort=-id')
    assert.match(sorted, /aria-sort="descending"><a href="\/queue\?sort=id#runs">Run/)
  })

  test('what a suite expects and nobody has a result for is a filter of its own on the page of a version', async () => {
    const path = `/tests/${lab.versions.length}/?verdict=missing`
    const html = await page(path)
    assert.match(html, /<h2 id="missing">Missing <span class="quiet">\d+/)
    assert.match(html, /expected by release/)
    assert.deepEqual(shown(html), [])
    assert.deepEqual(await rows(path), [])
    assert.doesNotMatch(await page(`/tests/${lab.versions.length}/?verdict=pass`), /id="missing"/)
  })

  test('odd values in a URL are as if they were not there', async () => {
    const path = `/testname/${lab.test}/`
    const plain = await rows(path)
    for (const query of [
      'sort=nothing',
      'group=%00',
      'page=-1',
      'page=0',
      'verdict=constructor',
      'sort=--id',
      'verdict=done',
    ]) {
      assert.deepEqual(await rows(`${path}?${query}`), plain, query)
    }
    const html = await page(`${path}?q=%3Cimg%20src%3Dx%3E&verdict=%22%3E%3Cscript%3E`)
    assert.match(html, /value="&lt;img src=x&gt;"/)
    assert.doesNotMatch(html, /<img|<script>/)
  })
})

describe('as the pages of 0.8', () => {
  test('4.6: a run is followed by (N errors) when it has a result, else by the letter of its status', async () => {
    const html = await page(`/testname/${lab.test}/`)
    const running = html.slice(html.indexOf(`href="/test/${lab.runningRun}/"`))
    assert.match(running, /<span class="old">\(S\)<\/span>/)
    assert.match(await page('/queue?verdict=requested'), /<span class="old">\(R\)<\/span>/)
    const failed = await page(`/tests/${lab.versions.length}/?verdict=fail`)
    assert.match(failed, /<span class="old">\(2 errors\)<\/span>/)
    assert.match(await page(`/tests/${lab.versions.length}/?verdict=pass`), /<span class="old">\(0 errors\)<\/span>/)
    assert.match(await page('/search?q=rebooted'), /<span class="old">\(E\)<\/span>/)
  })

  test('4.6: headings are those of 0.8, lists are newest first, a run without a version has None', async () => {
    assert.match(
      await page(`/tests/${lab.versions.length}/`),
      new RegExp(`Test reports for version ${lab.versions.at(-1)}`),
    )
    const machine = await page(`/system/${lab.system}/`)
    assert.match(machine, /Last 10 PXE requests/)
    const ids = shown(machine)
    assert.deepEqual(
      ids,
      [...ids].sort((a, b) => b - a),
    )
    assert.match(await page('/queue'), /<span class="quiet">None<\/span>/)
  })

  test('4.6: systems and tests are by name, versions newest first, tests only those whose file is there', async () => {
    const names = [...(await page('/')).matchAll(/<tr data-live="system-\d+">\s*<th[^>]*><a[^>]*><bdi>([^<]*)/g)].map(
      ([, name]) => name ?? '',
    )
    assert.deepEqual(names, [...names].sort(new Intl.Collator('en', { numeric: true }).compare))
    const tests = async () =>
      [...(await page('/')).matchAll(/<li><a href="\/testname\/\d+\/"><bdi>([^<]*)/g)].map(([, name]) => name ?? '')
    const before = await tests()
    assert.deepEqual(
      before,
      [...before].sort((a, b) => a.localeCompare(b)),
    )
    rmSync(join(site.testsDir, 'wait.test'))
    await site.daemon.tests.sync()
    assert.deepEqual(
      await tests(),
      before.filter((name) => name !== 'wait'),
    )
    const versions = [...(await page('/versions')).matchAll(/<a class="whole" href="\/tests\/\d+\/"><bdi>([^<]*)/g)]
    assert.deepEqual(
      versions.map(([, name]) => name),
      [...lab.versions].reverse(),
    )
  })
})

describe('trends', () => {
  test('a test and a machine have charts of verdicts, duration and measurements over versions, with their numbers', async () => {
    for (const path of [`/testname/${lab.test}/`, `/system/${lab.system}/`]) {
      const html = await page(path)
      const titles = [...html.matchAll(/<figcaption><bdi>([^<]*)<\/bdi> <b>([^<]*)/g)].map(([, title]) => title)
      assert.deepEqual(titles.slice(0, 2), ['Verdicts', 'Duration'], path)
      assert.match(titles[2] ?? '', /duration$/)
      assert.match(html, new RegExp(`from ${lab.versions[0]} to ${lab.versions.at(-1)}`))
      const table = html.slice(html.indexOf('The same as numbers'))
      for (const version of lab.versions) assert.ok(table.includes(`<bdi>${version}</bdi>`))
      assert.match(table, /\d+(\.\d+)? s/)
      assert.doesNotMatch(html, /NaN|Infinity|undefined/)
    }
  })

  test('a filter draws only what is listed', async () => {
    const html = await page(`/testname/${lab.test}/?q=rack1-node02`)
    const verdicts = /<bdi>Verdicts<\/bdi> <b>([^<]*)/.exec(html)?.[1]
    assert.match(verdicts ?? '', /^1 \w+$/)
  })

  test('a machine says of each test since when it fails and how flaky it is, the failing ones first', async () => {
    const failing = site.store.queries.getRun(lab.failingRun)
    const html = await page(`/system/${failing?.system.id}/`)
    const table = html.slice(html.indexOf('class="rows plain tested"'))
    const first = table.slice(table.indexOf('<tbody'), table.indexOf('</tr>', table.indexOf('<tbody')))
    assert.match(first, /verdict fail/)
    assert.match(first, new RegExp(`data-label="Failing since"><a href="/test/\\d+/"><bdi>${failing?.version?.name}`))
    assert.match(first, /\d+ %/)
    assert.match(html, /1 of 9 tests fails/)
  })
})

describe('versions that hurt', () => {
  let run = 90_000
  const give = async (test: number, verdict: 'pass' | 'fail' | 'infra', version: string) => {
    run += 1
    await emit(site.store, requested(run, lab.system, test), uploaded(run, verdict, version))
  }

  test('versions with dots are compared, whichever way the dots lie', async () => {
    const names = ['1.', '2', '1.0...2.0', '..x', '1']
    for (const name of names) await give(lab.test, 'pass', name)
    for (const a of names) {
      for (const b of names.filter((each) => each !== a)) {
        const compared = JSON.parse(
          await page(`/compare/${encodeURIComponent(a)}...${encodeURIComponent(b)}?format=json`),
        )
        assert.equal(`${compared.a}...${compared.b}`, `${a}...${b}`)
      }
    }
    const page404 = await site.get('/compare/1.0...nosuch')
    assert.deepEqual([page404.status, /Version 1\.0 not defined/.test(page404.text)], [404, true])
    assert.equal((await site.get('/compare/nothing')).status, 404)
    const link = await site.get(`/compare?a=${encodeURIComponent('1.0...2.0')}&b=2`)
    assert.equal((await site.get(link.headers.get('location') ?? '')).status, 200)
  })

  test('a version that fails, or is worse than the one before, has no good sign', async () => {
    const sign = (html: string) => /<p class="answer[^>]*>\s*<span class="glyph"[^>]*>([^<]*)</.exec(html)?.[1]
    await give(lab.test, 'pass', 'sign-1')
    assert.equal(sign(await page('/versions')), '✓')
    await give(lab.test, 'pass', 'sign-2')
    await give(lab.test + 1, 'fail', 'sign-2')
    assert.match(await page('/versions'), /sign-2: 1\sfail, 1\spass; 0 regressions since sign-1/)
    assert.equal(sign(await page('/versions')), '✕')
    const worse = await page('/compare/sign-1...sign-2')
    assert.deepEqual([sign(worse), /0 regressions, 1 new failure, 0 fixed/.test(worse)], ['✕', true])
    assert.equal(sign(await page('/compare/sign-2...sign-1')), '✓')
    await give(lab.test, 'infra', 'sign-3')
    assert.equal(sign(await page('/versions')), '⚡')
  })
})

test('the lines that were kept stay on the page of a run whose log retention took', async () => {
  rmSync(join(site.resultsDir, `${lab.failingRun}.log`))
  const html = await page(`/test/${lab.failingRun}/`)
  assert.match(html, /The lines that were kept/)
  assert.match(html, /class="line-error"><a href="#L\d+">\d+<\/a><span>E: gave up/)
})

test('a machine’s history goes on from what was read: its own changes, a long record cut, a rename seen', async () => {
  const path = `/system/${lab.system}/`
  const history = async () => {
    const html = await page(path)
    return html.slice(html.indexOf('data-live="journal"'))
  }
  const first = await history()
  assert.match(first, /and \d+ more changes/)
  assert.doesNotMatch(first, /rack1-node02/)
  await site.call('nextboot', { name: 'rack1-node01', profile: 'local' })
  await site.call('nextboot', { name: 'rack1-node02', profile: 'local' })
  const second = await history()
  assert.match(second, /<tbody>\s*<tr><th scope="row"><bdi>next boot local<\/bdi>/)
  assert.equal(second.match(/<tr>/g)?.length, Math.min(31, (first.match(/<tr>/g)?.length ?? 0) + 1))
  await site.call('renamesystem', { name: 'rack1-node01', to: 'renamed' })
  const third = await history()
  assert.match(third, /<tbody>\s*<tr><th scope="row"><bdi>rack1-node01: renamed to renamed<\/bdi>/)
  assert.doesNotMatch(third, /<bdi>rack1-node01: next boot/)
  const withoutAges = (html: string) => html.replace(/>[^<]*<\/time>/g, '')
  assert.equal(withoutAges(await history()), withoutAges(third))
})

test('a machine is found by its MAC in any spelling, and its boots with it; one that nobody has too', async () => {
  const found = await page('/search?q=5254.00AA.0003')
  assert.match(
    found,
    new RegExp(`<a href="/system/${lab.sick}/"><bdi>[^<]*</bdi></a> <span class="quiet"><bdi>has 52:54:00:aa:00:03`),
  )
  assert.match(found, /href="\/boots\?q=52%3A54%3A00%3Aaa%3A00%3A03"/)
  const none = await page('/search?q=52-54-00-aa-ff-ff')
  assert.match(none, /No system has 52:54:00:aa:ff:ff\./)
  assert.match(none, /href="\/boots\?q=52%3A54%3A00%3Aaa%3Aff%3Aff"/)
})

test('a comparison is ordered by machine or test within each kind; CSV and JSON are in the same order', async () => {
  const [a, b] = [lab.versions[0] ?? '', lab.versions.at(-1) ?? '']
  type Changes = { readonly changes: readonly { kind: string; system: string; test: string }[] }
  for (const query of ['', 'sort=-system', 'sort=test', 'sort=-test&q=rack1']) {
    const url = `/compare/${a}...${b}?${query}`
    const { changes } = JSON.parse(await page(`${url}&format=json`)) as Changes
    const rows = changes.map(({ kind, system, test }) => [kind, system, test].join(','))
    assert.ok(rows.length > 2, query)
    const csv = (await page(`${url}&format=csv`)).trim().split('\r\n').slice(1)
    assert.deepEqual(
      csv.map((line) => line.split(',').slice(0, 3).join(',')),
      rows,
      query,
    )
    const shown = [
      ...(await page(url)).matchAll(
        /<tr><th scope="row"><a[^>]*><bdi>([^<]*)<.*?data-label="Test"><a[^>]*><bdi>([^<]*)</g,
      ),
    ]
    assert.deepEqual(
      shown.map(([, system, test]) => `${system},${test}`),
      rows.map((row) => row.slice(row.indexOf(',') + 1)),
      query,
    )
  }
  const names = async (sort: string, key: 'system' | 'test') =>
    (JSON.parse(await page(`/compare/${a}...${b}?sort=${sort}&format=json`)) as Changes).changes
      .filter(({ kind }, _, [first]) => kind === first?.kind)
      .map((change) => change[key])
  const collator = new Intl.Collator('en', { numeric: true })
  for (const key of ['system', 'test'] as const) {
    const up = await names(key, key)
    assert.deepEqual(up, [...up].sort(collator.compare))
    assert.deepEqual(await names(`-${key}`, key), [...up].reverse())
  }
})

describe('the list of versions', () => {
  const names = (html: string): string[] =>
    [...html.matchAll(/<a class="whole" href="\/tests\/\d+\/"><bdi>([^<]*)/g)].map(([, name]) => name ?? '')
  const versions = async (url: string) =>
    (
      JSON.parse(await page(`${url}${url.includes('?') ? '&' : '?'}format=json`)) as {
        versions: { name: string; before?: string; regressions: number; fixed: number }[]
      }
    ).versions

  test('filter, order and groups are in the URL; CSV and JSON hold exactly what is shown', async () => {
    for (const query of [
      '',
      'q=4.1',
      'sort=name',
      'sort=-name',
      'sort=when',
      'sort=-regressions',
      'group=prefix&sort=-fixed',
    ]) {
      const url = query === '' ? '/versions' : `/versions?${query}`
      const shown = names(await page(url))
      assert.ok(shown.length > 0, query)
      assert.deepEqual(
        (await versions(url)).map(({ name }) => name),
        shown,
        query,
      )
      const csv = (await page(`${url}${query === '' ? '?' : '&'}format=csv`)).trim().split('\r\n').slice(1)
      assert.deepEqual(
        csv.map((line) => line.split(',')[1]),
        shown,
        query,
      )
    }
    const count = (query: string) =>
      versions(`/versions?${query}`).then((found) => found.map(({ regressions }) => regressions))
    const most = await count('sort=-regressions')
    assert.deepEqual(
      most,
      [...most].sort((a, b) => b - a),
    )
    assert.deepEqual(
      await count('sort=regressions'),
      [...most].sort((a, b) => a - b),
    )
    const byName = names(await page('/versions?sort=name'))
    assert.deepEqual(names(await page('/versions?sort=-name')), [...byName].reverse())
    assert.deepEqual(names(await page('/versions?sort=when')), names(await page('/versions')).reverse())
  })

  test('a version is compared with the one before it, also where that is filtered out', async () => {
    const all = await versions('/versions')
    const [one] = all.filter(({ before }) => before !== undefined && !before.includes(lab.versions.at(-1) ?? ''))
    assert.ok(one)
    const [alone, ...others] = await versions(`/versions?q=${encodeURIComponent(one.name)}`)
    assert.deepEqual([alone?.name, alone?.before, others], [one.name, one.before, []])
  })

  test('groups stand under their names with their counts; what nothing has is said, odd values are as none', async () => {
    const html = await page('/versions?group=prefix&q=4.1-rc')
    const inIt = names(html).length
    assert.match(html, new RegExp(`<tr class="group"><th[^>]*><bdi>4\\.1-rc</bdi> <span class="quiet">${inIt}</span>`))
    assert.match(await page('/versions?q=no-such-version'), /No version has that name/)
    assert.deepEqual(names(await page('/versions?sort=evil&group=x&from=-1')), names(await page('/versions')))
    assert.equal((await site.get('/versions?format=xls')).status, 400)
  })
})

test('versions whose names have dots of their own are compared', async () => {
  await site.store.commit({ who: 'ann', from: 'socket', surface: 'cli' }, (tx) => {
    for (const version of ['5...1', '5...']) {
      tx.emit({ type: 'suite.given', system: lab.system, version, suite: 'release', tests: [] })
      // Nothing is left of them: they are known as long as they are kept.
      tx.emit({ type: 'version.kept', version: tx.findVersion(version)?.id ?? 0 })
    }
  })
  for (const pair of ['5...1...5...', `${lab.versions[0]}...5...1`, '5......5...1']) {
    assert.match(await page(`/compare/${pair}`), /<h1 class="hidden">Compare/, pair)
  }
  for (const pair of ['4', '4...', '5...2', '...', '.'.repeat(8000)])
    assert.equal((await site.get(`/compare/${pair}`)).status, 404, pair)
})

test('the queue and the versions hang on a wall too: without controls, following what happens', async () => {
  for (const path of ['/queue?wall', '/versions?wall', '/boots?wall', `/tests/${lab.versions.length}/?wall`]) {
    const html = await page(path)
    assert.match(html, /<body [^>]*class="[^"]* wall" data-seq=/, path)
    assert.doesNotMatch(html, /<nav class="rail"|role="search"/, path)
  }
  assert.doesNotMatch(await page('/search?q=link'), /class="[^"]* wall"/)
})
