/**
 * The pages by `app.request()`: what they say, that text stays text, headers, files, forms. Browsers: tests/e2e/browser.
 * Source: WEB.md, CONTRACT "What people see over HTTP", issue "Machine URLs".
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Mac } from '../../src/domain/address.ts'
import { bootOf, fillSite, hostileNames, openSite, type Site } from '../harness/site.ts'

/** Text of the part with that `data-live` key, tags taken out. */
function said(html: string, key: string): string {
  const from = html.indexOf(`data-live="${key}"`)
  assert.ok(from > 0, `there is a part ${key}`)
  const end = html.indexOf('data-live="', from + 1)
  return textOf(html.slice(html.indexOf('>', from) + 1, end < 0 ? undefined : end))
}

function textOf(html: string): string {
  return html
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}

describe('an empty server', () => {
  let site: Site
  before(async () => {
    site = await openSite()
  })
  after(() => site.close())

  test('teaches the exact commands that put the first machine on the page', async () => {
    const { status, text } = await site.get('/')
    assert.equal(status, 200)
    assert.match(text, /No machine has a name yet\./)
    assert.match(text, /pxemngr addsystem web01 52:54:00:12:34:56/)
    assert.match(text, /pxemngr nextboot web01 local/)
    assert.match(text, /<title>Machines · pxemngr<\/title>/)
  })

  test('says what unknown machines get, and the line to type for one that asked', async () => {
    site.boots.push(bootOf({ mac: '52:54:00:aa:bb:cc', ip: '10.0.0.9' }, 41_000, ['pxelinux.0']))
    const { text } = await site.get('/')
    assert.match(said(text, 'default'), /They get no answer.*pxemngr nextboot default local/)
    assert.match(said(text, 'unknown'), /pxemngr addsystem NAME 52:54:00:aa:bb:cc/)
    await site.add('known', ['52:54:00:aa:bb:cc'])
    assert.doesNotMatch(said((await site.get('/')).text, 'unknown'), /52:54:00:aa:bb:cc/)
  })
})

describe('400 machines', () => {
  let site: Site
  let id = 0
  before(async () => {
    site = await openSite()
    id = await fillSite(site, 400)
  })
  after(() => site.close())

  test('the first line counts what needs a person, and the title carries it', async () => {
    const { text } = await site.get('/')
    assert.match(said(text, 'answer'), /2 of 409 machines failed to boot\./)
    assert.match(text, /<title>✕ 2 · Machines · pxemngr<\/title>/)
    assert.match(text, /rel="icon"[^>]*favicon-fail/)
    site.degraded.push('no space left: make room')
    assert.match(said((await site.get('/')).text, 'answer'), /failed to boot, and the server has 1 fault\./)
    assert.match((await site.get('/')).text, /no space left: make room/)
    site.degraded.length = 0
  })

  test('a page has 100 rows, in the order of people: node2 before node10', async () => {
    const { text } = await site.get('/')
    assert.equal([...text.matchAll(/<tr data-live="system-/g)].length, 100)
    assert.match(text, /1–100 of 409/)
    assert.ok(text.indexOf('rack1-node2<') < text.indexOf('rack1-node10<'))
    const last = await site.get('/?page=5')
    assert.equal([...last.text.matchAll(/<tr data-live="system-/g)].length, 9)
    assert.match((await site.get('/?page=999')).text, /401–409 of 409/)
  })

  test('the filter takes several words and a MAC in any spelling', async () => {
    assert.match((await site.get('/?q=5254.0012.3456')).text, /2 machines<\/b> with/)
    assert.match((await site.get('/?q=RACK1-+debian13')).text, /5 machines<\/b> with/)
    const none = await site.get('/?q=%3Cb%3Enothing')
    assert.match(none.text, /No machine has “<bdi>&lt;b&gt;nothing<\/bdi>”/)
    assert.match(none.text, /value="&lt;b&gt;nothing"/)
  })

  test('order is in the URL and said to screen readers', async () => {
    const { text } = await site.get('/?sort=-next')
    assert.match(text, /aria-sort="descending"><a href="\/\?sort=next">Next boot/)
    assert.ok(text.indexOf('ubuntu-26.04') < 0 || text.indexOf('>rescue<') > 0)
    assert.match(textOf(text.slice(text.indexOf('<tbody>'))).slice(0, 200), /rescue/)
  })

  test('CSV and JSON hold exactly the rows that are shown', async () => {
    const shown = [...(await site.get('/?q=rack2&sort=since')).text.matchAll(/<tr data-live="system-(\d+)"/g)]
    const json = await site.get('/?q=rack2&sort=since&format=json')
    const { systems } = JSON.parse(json.text) as { systems: { id: number }[] }
    assert.deepEqual(
      systems.map((system) => String(system.id)),
      shown.map(([, row]) => row),
    )
    const csv = await site.get('/?q=rack2&sort=since&format=csv')
    assert.equal(csv.headers.get('content-type'), 'text/csv; charset=utf-8')
    assert.equal(csv.text.split('\r\n').length, systems.length + 2)
    assert.equal((JSON.parse((await site.get('/?format=json&page=all')).text) as { systems: [] }).systems.length, 409)
    assert.equal((await site.get('/?format=xls')).status, 400)
  })

  test('machines are grouped by name or next boot, whole over the pages, the same as CSV and JSON', async () => {
    const idsOf = (text: string) => [...text.matchAll(/<tr data-live="system-(\d+)"/g)].map(([, id]) => Number(id))
    const headsOf = (text: string) =>
      [...text.matchAll(/<tr class="group"><th[^>]*><bdi>([^<]*)<\/bdi> <span class="quiet">([^<]*)</g)].map(
        (found) => [found[1], Number(found[2]?.replace(/\D/g, ''))],
      )
    for (const query of ['group=prefix', 'group=next&sort=-since', 'group=prefix&q=rack2&page=2']) {
      const { text } = await site.get(`/?${query}`)
      const json = JSON.parse((await site.get(`/?${query}&format=json`)).text) as { systems: { id: number }[] }
      assert.deepEqual(
        json.systems.map(({ id }) => id),
        idsOf(text),
        query,
      )
    }
    const all = JSON.parse((await site.get('/?group=next&format=json&page=all')).text) as {
      systems: { next: string | null }[]
    }
    const order = all.systems.map(({ next }) => next ?? '')
    assert.deepEqual(
      order.filter((next, at) => next !== order[at - 1]),
      [...new Set(order)],
      'each group is in one piece',
    )
    const [head] = headsOf((await site.get('/?group=next')).text)
    const first = order[0] === '' ? 'nothing yet' : order[0]
    assert.deepEqual(head, [first, order.filter((next) => next === order[0]).length], 'counted on all pages')
    assert.deepEqual(headsOf((await site.get('/')).text), [])
    assert.deepEqual(headsOf((await site.get('/?group=evil')).text), [])
  })

  test('hostile names are text, and what cannot be seen is written out', async () => {
    const { text } = await site.get('/?q=02%3A00%3A00')
    assert.doesNotMatch(text, /<script>alert|<img src=x|<b>bold/)
    assert.match(text, /&lt;script&gt;alert\(1\)/)
    assert.match(text, /‹U\+202E›gnp\.exe‹U\+202C›/)
    assert.doesNotMatch(text, /\u202e/)
    assert.match(text, /#\{7\*7\} \{\{7\*7\}\} &lt;%= 7\*7 %&gt;/)
    for (const name of hostileNames) {
      const system = site.store.queries.findSystem(name)
      const page = await site.get(`/system/${system?.id}/`)
      assert.equal(page.status, 200)
      assert.doesNotMatch(page.text, /<script>alert|<img src=x|<b>bold|\u202e/)
    }
  })

  test('a change is on the page at once: added, renamed, decided, removed', async () => {
    const added = await site.add('zz-new', ['52:54:00:00:99:99'], 'rescue')
    assert.match((await site.get('/?q=zz-new')).text, /1 machine<\/b>/)
    await site.call('renamesystem', { name: 'zz-new', to: 'zz-other' })
    await site.call('nextboot', { name: 'zz-other', profile: 'memtest' })
    const row = said((await site.get('/?q=zz-other')).text, `system-${added}`)
    assert.match(row, /zz-other 52:54:00:00:99:99 memtest just now by ann/)
    await site.call('delsystem', { name: 'zz-other' })
    assert.match((await site.get('/?q=zz-other')).text, /No machine has/)
  })

  test('a machine says what it boots and why, step by step', async () => {
    const { text } = await site.get(`/system/${id}/`)
    assert.match(said(text, 'answer'), /It boots debian13-install , set .* by ann/)
    assert.match(
      said(text, 'why'),
      /52:54:00:12:34:56 is web01 \(latest among web01, web01-alias\): debian13-install, set by ann/,
    )
    assert.match(said(text, 'why'), /also web01-alias/)
    assert.equal(said(text, 'decisions').match(/socket, command line/g)?.length, 7)
    assert.match(said(text, 'boots'), /✕ broke off/)
    assert.match(said(text, 'boots'), /no ACK for block 6311 after 6 tries/)
    assert.match(text, /<title>web01 · debian13-install · pxemngr<\/title>/)
  })

  test('a profile that cannot be served is said on the page of the machine', async () => {
    const broken = await site.add('unlucky', ['52:54:00:00:77:01'], 'broken')
    const { text } = await site.get(`/system/${broken}/`)
    assert.match(said(text, 'answer'), /It boots local , because the profile that was decided cannot be served\./)
    assert.match(said(text, 'why'), /profile broken cannot be served \(line 1: bad\): local instead/)
    await site.call('delsystem', { name: 'unlucky' })
  })

  test('a trace that fails takes nothing else from the pages', async () => {
    site.trace = 'fails'
    const all = await site.get('/')
    const one = await site.get(`/system/${id}/`)
    site.trace = 'answers'
    assert.equal(all.status, 200)
    assert.match(all.text, /None of 409 machines needs you\./)
    assert.match(all.text, /the record of boots does not answer/)
    assert.match(one.text, /The record of boots does not answer just now\./)
  })

  test('nothing is inline and the policy allows nothing else', async () => {
    for (const path of ['/', `/system/${id}/`, '/login/', '/system/999999/']) {
      const { text, headers } = await site.get(path)
      assert.doesNotMatch(text, /<style|<[^>]*\sstyle=|<script(?! src="\/assets\/)|<[^>]*\son\w+=/i, path)
      const policy = headers.get('content-security-policy') ?? ''
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'/)
      assert.doesNotMatch(policy, /unsafe/)
      assert.match(policy, /frame-ancestors 'none'/)
      assert.equal(headers.get('x-content-type-options'), 'nosniff')
      assert.equal(headers.get('referrer-policy'), 'same-origin')
      assert.ok(headers.get('permissions-policy'))
      assert.equal(headers.get('cache-control'), 'no-store')
    }
  })

  test('assets are kept for good under the hash of their content, and asked again are 304', async () => {
    const { text } = await site.get('/')
    const urls = [...text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, url]) => url ?? '')
    assert.equal(urls.length, 3)
    for (const url of urls) {
      const { status, headers } = await site.get(url)
      assert.equal(status, 200)
      assert.match(headers.get('cache-control') ?? '', /max-age=31536000, immutable/)
      const etag = headers.get('etag') ?? ''
      const again = await site.overTcp(url, { headers: { 'if-none-match': `W/${etag}` } })
      assert.equal(again.status, 304)
      assert.equal(again.text, '')
    }
    assert.equal((await site.get('/assets/style.0000000000000000.css')).status, 404)
    assert.equal((await site.get('/assets/..%2flayout.eta')).status, 404)
  })

  test('an unknown id is a page for people and a problem document for programs', async () => {
    for (const path of ['/system/999999/', '/system/0/', '/system/abc/', '/system/1e3/', '/no/such/page']) {
      const { status, headers, text } = await site.get(path)
      assert.equal(status, 404, path)
      assert.match(headers.get('content-type') ?? '', /text\/html/)
      assert.match(text, /<h1>Not found<\/h1>/)
    }
    const program = await site.overTcp('/system/999999/')
    assert.equal(program.headers.get('content-type'), 'application/problem+json')
  })

  test('a page without its rows stays under 60 KB with its assets, as it goes over the wire', async () => {
    const { text } = await site.get('/?q=nothing-has-this')
    const urls = [...text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, url]) => url ?? '')
    let sizeBytes = Buffer.byteLength(text)
    for (const url of urls) sizeBytes += Buffer.byteLength((await site.get(url)).text)
    assert.ok(sizeBytes < 60_000, `${sizeBytes} bytes`)
  })
})

test('a machine that starts the same again and again without a report needs a person, and its page says so', async (t) => {
  const site = await openSite()
  t.after(() => site.close())
  site.files.set('install', 'default 0\n')
  await site.daemon.profiles.sync()
  const id = await site.add('again', ['52:54:00:00:00:77'], 'install')
  const seq = site.store.queries.nextBootOf('52:54:00:00:00:77' as Mac)?.seq ?? 0
  const given = {
    ip: '10.0.0.77',
    systemId: id,
    profile: 'install',
    decision: { by: 'mac', instead: '', seq },
  } as const
  const start = (minutes: number) => bootOf(given, minutes * 60_000, ['pxelinux.cfg/01-52-54-00-00-00-77', 'deb/linux'])
  site.boots.push(start(20), start(50))
  assert.ok(!(await site.get('/')).text.includes('never reported'))
  site.boots.push(start(80))
  const { text } = await site.get('/')
  assert.match(said(text, 'needs'), /started 3 times again .* It has started install 3 times in 1 h and never reported/)
  assert.match(text, /<title>✕ 1 · /)
  const page = (await site.get(`/system/${id}/`)).text
  assert.match(said(page, 'loop'), /started 3 times It has started install 3 times in 1 h .* nextboot again local/)
})
