/**
 * `/boots`, `/boots/<id>` and `/setup` by `app.request()`: what they say, filter, order, CSV and JSON, hostile text, an
 * empty server, a trace that fails, thousands of systems. Source: WEB.md; browsers: tests/e2e/browser.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { accessRules, createRuleFinder } from '../../src/http/access.ts'
import { readBoots } from '../../src/http/pages/boots.ts'
import { bootOf, fillSite, hostileNames, openSite, type Site } from '../harness/site.ts'

function textOf(html: string): string {
  return html
    .replace(/^.*<main/s, '<main')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}

const rowsOf = (html: string) => [...html.matchAll(/<tr data-live="boot-(\d+)"/g)].map(([, id]) => Number(id))

describe('an empty server', () => {
  let site: Site
  before(async () => {
    site = await openSite()
  })
  after(() => site.close())

  test('/boots teaches what to look at, with the addresses of this server', async () => {
    const { status, text } = await site.get('/boots')
    assert.equal(status, 200)
    assert.match(textOf(text), /No machine has asked for anything yet\./)
    assert.match(
      textOf(text),
      /DHCP gives it next-server 192\.0\.2\.1 and the file name pxelinux\.0 \(BIOS\) or syslinux\.efi/,
    )
    assert.match(text, /href="\/setup#dhcp"/)
    assert.match(textOf(text), /pxemngr status --transfers/)
    assert.match(text, /aria-current="page">Boots/)
    assert.doesNotMatch(text, /<table/)
  })

  test('/setup says what DHCP has to say, and leads to the first machine', async () => {
    const { status, text } = await site.get('/setup')
    const said = textOf(text)
    assert.equal(status, 200)
    assert.match(said, /Machines boot from here when DHCP names 192\.0\.2\.1\./)
    for (const line of [
      'dhcp-boot=tag:efi64,tag:!ipxe,syslinux.efi,,192.0.2.1',
      'next-server 192.0.2.1;',
      'dhcp-boot=tag:ipxe,http://192.0.2.1:8000/ipxe/',
      'pxemngr addsystem web01 52:54:00:12:34:56',
      'wget -q -O- http://192.0.2.1:8000/localboot/',
    ]) {
      assert.ok(text.includes(line), line)
    }
    const kea = />("client-classes"[^<]*)/.exec(text.replaceAll('&quot;', '"').replaceAll('&#39;', "'"))?.[1]
    const classes = JSON.parse(`{${kea}}`) as { 'client-classes': { name: string }[] }
    assert.deepEqual(
      classes['client-classes'].map(({ name }) => name),
      ['ipxe', 'efi64', 'bios'],
    )
    assert.match(said, /Profiles 1 in \/var\/lib\/pxemngr\/profiles-dir/)
    assert.match(text, /aria-current="page">Setup/)
  })

  test('a TFTP port that no firmware asks, one that nobody reaches, and none at all are said first', async () => {
    const { listeners } = site.daemon
    const saidWith = async (tftp: string[]) => {
      Object.assign(site.daemon, { listeners: { ...listeners, tftp } })
      const [setup, boots] = [await site.get('/setup'), await site.get('/boots')]
      const line = /<p class="answer[^>]*>(.*?)<\/p>/s.exec(setup.text)?.[1]?.replace(/<[^>]*>/g, '') ?? ''
      assert.match(setup.text, /<title>✕ 1 · Setup/)
      assert.match(boots.text, /class="faulty"/)
      return line
    }
    assert.match(await saidWith(['0.0.0.0:6969']), /TFTP is on port 6969, and PXE firmware asks port 69 only/)
    assert.match(await saidWith(['127.0.0.1:69']), /TFTP listens on 127\.0\.0\.1:69, which no other machine reaches/)
    assert.match(await saidWith([]), /TFTP is off/)
    Object.assign(site.daemon, { listeners: { ...listeners, tftp: ['10.9.8.7:69', '127.0.0.1:69'] } })
    assert.match((await site.get('/setup')).text, /dhcp-boot=tag:efi64,tag:!ipxe,syslinux\.efi,,10\.9\.8\.7/)
    Object.assign(site.daemon, { listeners: { ...listeners, http: [] } })
    const without = await site.get('/setup')
    assert.match(without.text, /dhcp-boot=tag:efi64,syslinux\.efi,,192\.0\.2\.1/)
    assert.doesNotMatch(without.text, /ipxe\/|localboot/)
    Object.assign(site.daemon, { listeners })
  })
})

describe('boots of a lab', () => {
  let site: Site
  let id = 0
  before(async () => {
    site = await openSite()
    id = await fillSite(site, 400)
  })
  after(() => site.close())

  test('the first line counts machines whose last boot is stuck, and the title carries it', async () => {
    const { text } = await site.get('/boots')
    // web01 broke off two hours ago and has reported since: it is not among them.
    assert.match(
      textOf(text),
      /✕ 3 of \d+ machines that booted within a day are stuck, 1 is under way; 2 machines that no system has asked\./,
    )
    assert.match(text, /<title>✕ 3 · Boots · pxemngr<\/title>/)
    assert.match(text, /rel="icon"[^>]*favicon-fail/)
  })

  test('a row says who asked, what it got and why, how far it came and what that means', async () => {
    const { text } = await site.get('/boots?q=web01&sort=when')
    const rows = text.split('<tr data-live="boot-').slice(1).map(textOf)
    assert.equal(rows.length, 3)
    assert.match(rows[1] ?? '', /web01 52:54:00:12:34:56 10\.0\.9\.7 debian13-install by its MAC , set by ann/)
    assert.match(
      rows[1] ?? '',
      /✕ broke off ✓ loader \+0 ms ✓ configuration \+1\.4 s ✓ kernel \+2\.1 s debian\/initrd\.gz stopped after/,
    )
    assert.match(rows[2] ?? '', /✓ reported .* ✓ report \+3\.5 s/)
  })

  test('unknown machines have the line to copy that gives them a name', async () => {
    const { text } = await site.get('/boots')
    assert.match(text, /data-copy="pxemngr addsystem NAME 52:54:00:ff:00:01"/)
    const only = await site.get('/boots?outcome=unknown')
    assert.equal(rowsOf(only.text).length, 2)
    const all = await site.get('/boots?q=5254.00ff.0002')
    assert.equal(rowsOf(all.text).length, 1, 'a MAC in any spelling')
    assert.match(textOf(all.text), /1 boot of 52:54:00:ff:00:02, the latest: /)
    const none = await site.get('/boots?q=52:54:00:ff:ff:ff')
    assert.match(textOf(none.text), /No boot of 52:54:00:ff:ff:ff is kept\..* No boot fits\./)
  })

  test('one that default decides for is still unknown', async () => {
    await site.call('nextboot', { name: 'default', profile: 'rescue' })
    const system = site.store.queries.findSystem('default')?.id ?? 0
    const seq = site.store.queries.defaultNextBoot()?.seq ?? 0
    const decision = { by: 'default', instead: '', seq }
    const boot = bootOf(
      { mac: '52:54:00:ee:00:01', ip: '10.0.9.9', systemId: system, profile: 'rescue', decision },
      5000,
      ['pxelinux.0', 'pxelinux.cfg/default', 'linux', '/localboot/'],
    )
    site.boots.unshift(boot)
    assert.match((await site.get('/boots')).text, /addsystem NAME 52:54:00:ee:00:01/)
    assert.match((await site.get('/')).text, /addsystem NAME 52:54:00:ee:00:01/)
    const page = textOf((await site.get(`/boots/${boot.id}`)).text)
    assert.match(page, /Why no system has it, and default says so , set just now by ann \(record \d+\)/)
    site.boots.shift()
    await site.call('delsystem', { name: 'default' })
  })

  test('filter, order, groups and pages are in the URL; CSV and JSON hold exactly what is shown', async () => {
    const first = await site.get('/boots')
    assert.equal(rowsOf(first.text).length, 50)
    assert.match(first.text, /1–50 of 121 boots/)
    assert.equal(rowsOf((await site.get('/boots?page=99')).text).length, 21)
    const path = '/boots?q=rack2&outcome=arrived&group=profile&sort=machine'
    const shown = rowsOf((await site.get(path)).text)
    assert.ok(shown.length > 5)
    const { boots } = JSON.parse((await site.get(`${path}&format=json`)).text) as {
      boots: { id: number; machine: string; profile: string; verdict: string; reached: string }[]
    }
    assert.deepEqual(
      boots.map((boot) => boot.id),
      shown,
    )
    const profiles = boots.map(({ profile }) => profile)
    assert.deepEqual(profiles, [...profiles].sort())
    const local = boots
      .filter(({ profile }) => profile === 'local')
      .map(({ machine }) => Number(/\d+$/.exec(machine)?.[0]))
    assert.deepEqual(
      local,
      [...local].sort((a, b) => a - b),
      'node2 before node10',
    )
    const csv = await site.get(`${path}&format=csv`)
    assert.equal(csv.headers.get('content-type'), 'text/csv; charset=utf-8')
    assert.deepEqual(
      csv.text
        .trimEnd()
        .split('\r\n')
        .slice(1)
        .map((line) => Number(line.split(',')[0])),
      shown,
    )
    assert.equal((JSON.parse((await site.get('/boots?format=json&page=all')).text) as { boots: [] }).boots.length, 121)
    assert.equal((await site.get('/boots?format=xls')).status, 400)
    assert.equal((await site.get('/boots?sort=nonsense&group=x&outcome=y&page=-1')).status, 200)
    assert.match((await site.get('/boots?sort=-took')).text, /at-took" aria-sort="descending"/)
  })

  test('a boot has its page: request by request, and the other boots of its machine', async () => {
    const broken = site.boots.find(({ systemId, steps }) => systemId === id && steps.at(-1)?.['outcome'] === 'timeout')
    const { status, text } = await site.get(`/boots/${broken?.id}`)
    const said = textOf(text)
    assert.equal(status, 200)
    assert.match(said, /web01 began 2 h ago ✕ broke off/)
    assert.match(said, /Why its MAC is that of web01 , set .* by ann \(record \d+\)/)
    assert.match(said, /debian\/initrd\.gz ✕ timeout no ACK for block 6311 after 6 tries 5\.\d MiB 1\.\d s \+2\.8 s/)
    assert.match(said, /Other boots of this machine/)
    assert.match(text, new RegExp(`<a href="/system/${id}/">`))
    for (const path of ['/boots/999999', '/boots/0', '/boots/abc', '/boots/1e3']) {
      assert.equal((await site.get(path)).status, 404, path)
    }
  })

  test('the page of a machine leads to each of its boots', async () => {
    const { text } = await site.get(`/system/${id}/`)
    for (const boot of site.boots.filter(({ systemId }) => systemId === id)) {
      assert.ok(text.includes(`href="/boots/${boot.id}"`))
    }
  })

  test('a decision that could not be served, and a system that is gone, are said', async () => {
    const gone = bootOf(
      {
        mac: '52:54:00:dd:00:01',
        ip: '10.0.9.8',
        systemId: 987_654,
        profile: 'local',
        decision: { by: 'mac', instead: 'broken', seq: 1 },
      },
      60_000,
      ['pxelinux.0', 'pxelinux.cfg/01-52-54-00-dd-00-01'],
    )
    site.boots.unshift(gone)
    const said = textOf((await site.get(`/boots/${gone.id}`)).text)
    assert.match(
      said,
      /its MAC is that of a system deleted since \(record 1\) ✕ broken was decided and could not be served, so local/,
    )
    site.boots.shift()
  })

  test('text of machines stays text', async () => {
    for (const [at, name] of hostileNames.entries()) {
      const system = site.store.queries.findSystem(name)?.id ?? 0
      const boot = bootOf({ mac: `02:00:00:00:00:0${at}`, ip: '10.0.0.9', systemId: system, profile: name }, 60_000, [
        'pxelinux.0',
        name,
        `pxelinux.cfg/${name}`,
      ])
      site.boots.unshift(boot)
      const [list, one] = [await site.get('/boots'), await site.get(`/boots/${boot.id}`)]
      for (const { status, text } of [list, one]) {
        assert.equal(status, 200)
        assert.doesNotMatch(text, /<script>alert|<img src=x|<b>bold|\u202e/)
      }
      const csv = await site.get('/boots?format=csv')
      assert.equal(csv.text.trimEnd().split('\r\n').length, 51, 'a row is a line')
      site.boots.shift()
    }
  })

  test('a trace that fails is said, and the rest of the pages is there', async () => {
    site.trace = 'fails'
    const [list, one, csv] = [await site.get('/boots'), await site.get('/boots/1'), await site.get('/boots?format=csv')]
    site.trace = 'answers'
    assert.equal(list.status, 200)
    assert.match(textOf(list.text), /The record of boots does not answer just now\./)
    assert.doesNotMatch(list.text, /No machine has asked/)
    assert.equal(one.status, 503)
    assert.equal(csv.status, 503, 'an empty file would say that nothing has booted')
  })

  test('an open page learns when a silent boot will be over, and that it follows boots', async () => {
    const { text } = await site.get('/boots')
    const due = Number(/data-boots="" data-due="(\d+)"/.exec(text)?.[1])
    assert.ok(due > 1000 && due < 121_000, String(due))
    const system = site.store.queries.findSystem('web01')
    const { text: machine } = await site.get(`/system/${system?.id}/`)
    const own = /data-boots="([^"]+)"/.exec(machine)?.[1]?.split(' ') ?? []
    for (const each of [String(system?.id), '52:54:00:12:34:56', '10.0.9.7']) assert.ok(own.includes(each), each)
    const fragment = await site.get('/boots?fragment')
    assert.ok(Number(fragment.headers.get('x-page-due')) > 1000)
    assert.equal((await site.get('/setup?fragment')).headers.get('x-page-due'), null)
  })
})

describe('what the server has, on /setup', () => {
  let site: Site
  before(async () => {
    site = await openSite()
    await fillSite(site, 20)
    writeFileSync(join(site.testsDir, 'disk.test'), '# pxemngr: timeout=90m retries=2 tags=burnin\necho\n')
    writeFileSync(join(site.testsDir, 'soon.test'), '# pxemngr: timeout=soon\n')
    writeFileSync(join(site.testsDir, '<img src=x onerror=alert(1)>.test'), 'echo\n')
    writeFileSync(join(site.testsDir, 'smoke.suite'), 'disk\n')
    await site.daemon.tests.sync()
  })
  after(() => site.close())

  test('profiles with their faults and machines, tests and suites with what their heads say', async () => {
    await site.call('nextboot', { name: 'web01', profile: 'memtest' })
    site.files.delete('memtest')
    const { text } = await site.get('/setup')
    const said = textOf(text)
    assert.match(said, /broken ✕ fault line 1: bad 0/)
    assert.match(said, /memtest ✕ fault no file 1/)
    assert.match(said, /disk ✓ good up to 1 h 30 min, 2 retries, tags burnin/)
    assert.match(said, /soon ✕ fault .*soon\.test:1/)
    assert.match(said, /smoke suite ✓ good 1 test/)
    assert.doesNotMatch(text, /<img src=x/)
    site.files.set('memtest', 'default 0\n')
    const { profiles } = site.daemon
    Object.assign(site.daemon, {
      profiles: { ...profiles, refused: () => [{ name: 'away', why: 'away.prof: a link leads out' }] },
    })
    assert.match(textOf((await site.get('/setup')).text), /away ✕ fault away\.prof: a link leads out 0/)
    Object.assign(site.daemon, { profiles })
  })

  test('degradations, notices and sick machines are said in words', async () => {
    site.degraded.push('no space left on <b>/var</b>: make room')
    Object.assign(site.daemon, { notices: () => ['a torn tail was set aside'] })
    const { text } = await site.get('/setup')
    assert.match(text, /<title>✕ 1 · Setup/)
    assert.match(textOf(text), /The server has 1 fault\./)
    assert.match(text, /no space left on &lt;b&gt;\/var&lt;\/b&gt;: make room/)
    assert.match(textOf(text), /! notice a torn tail was set aside/)
    site.degraded.length = 0
  })

  test('filter and order are in the URL, and each table is there as CSV and JSON', async () => {
    const { text } = await site.get('/setup?q=b&sort=state')
    assert.ok(text.indexOf('>broken<') < text.indexOf('>debian13-install<'), 'what is broken comes first')
    assert.doesNotMatch(text, /<bdi>rescue</)
    const json = await site.get('/setup?q=b&sort=state&table=profiles&format=json')
    const { profiles } = JSON.parse(json.text) as { profiles: { name: string; fault: string | null }[] }
    assert.deepEqual(profiles[0], { name: 'broken', kind: 'profile', fault: 'line 1: bad', machines: 0, about: '' })
    const csv = await site.get('/setup?table=tests&format=csv')
    assert.equal(csv.text.split('\r\n')[0], 'name,kind,fault,machines,about')
    assert.equal(csv.text.trimEnd().split('\r\n').length, 5)
    assert.equal((await site.get('/setup?format=xml')).status, 400)
  })

  test('no secret is on it: no token, no key', async () => {
    const token = String((await site.call('token add', { name: 'zoe' })).body['token'])
    const { text } = await site.get('/setup')
    assert.ok(!text.includes(token))
    assert.doesNotMatch(text, /zoe|whsec_/)
  })

  test('reading them is reading like any other: a viewer may, and where nobody may a login is asked for', async () => {
    const findRule = createRuleFinder(accessRules)
    for (const path of ['/setup', '/boots', '/boots/1']) {
      const found = findRule('GET', path)
      assert.deepEqual('rule' in found && [found.rule.access, found.rule.plane], ['viewer', 'management'], path)
      assert.equal((await site.overTcp(path, { method: 'POST' })).status, 405, path)
    }
  })
})

test('of many profiles a table shows the first, says how many there are, and gives all as CSV', async (t) => {
  const site = await openSite()
  t.after(() => site.close())
  for (let at = 1; at <= 250; at += 1) site.files.set(`p${at}`, 'default 0\n')
  const { text } = await site.get('/setup')
  assert.equal(text.match(/<bdi>p\d+<\/bdi>/g)?.length, 199, 'and local')
  assert.match(textOf(text), /Profiles 251 in .*and 51 more, which the filter finds All rows: CSV JSON/)
  assert.match((await site.get('/setup?q=p250')).text, /<bdi>p250<\/bdi>/)
  assert.equal((await site.get('/setup?format=csv')).text.trimEnd().split('\r\n').length, 252)
})

test('5,000 systems and 1,000 boots: the pages stay quick', async (t) => {
  const site = await openSite()
  t.after(() => site.close())
  const hex = (at: number) => [16, 8, 0].map((by) => ((at >> by) & 255).toString(16).padStart(2, '0')).join(':')
  await site.store.commit({ who: 'ann', from: 'socket', surface: 'cli' }, (tx) => {
    for (let at = 1; at <= 5000; at += 1) {
      const system = tx.nextId('system')
      tx.emit({ type: 'system.added', system, name: `node${at}` })
      tx.emit({ type: 'address.added', system, address: { kind: 'mac', text: `02:00:00:${hex(at)}` as never } })
      tx.emit({ type: 'boot.decided', decision: tx.nextId('decision'), system, profile: 'local' })
    }
  })
  for (let at = 1; at <= 1000; at += 1) {
    const names = ['pxelinux.0', 'ldlinux.c32', 'pxelinux.cfg/default', 'linux', 'initrd.gz', '/localboot/']
    site.boots.push(
      bootOf({ mac: `02:00:00:${hex(at * 5)}`, ip: '10.0.0.1', systemId: at * 5, profile: 'local' }, at * 1000, names),
    )
  }
  const pageMs = 100
  const slack = 4
  for (const path of [
    '/boots',
    '/boots?sort=machine&group=prefix',
    '/boots?q=node99',
    '/setup',
    `/boots/${site.boots[0]?.id}`,
  ]) {
    const times: number[] = []
    for (let round = 0; round < 5; round += 1) {
      const began = performance.now()
      assert.equal((await site.get(path)).status, 200)
      times.push(performance.now() - began)
    }
    const median = times.sort((a, b) => a - b)[2] ?? Number.NaN
    t.diagnostic(`${path}: ${median.toFixed(1)} ms`)
    assert.ok(median < pageMs * slack, `${path} took ${median} ms`)
  }
  let turns = 0
  let done = false
  const count = () => {
    turns += 1
    if (!done) setImmediate(count)
  }
  setImmediate(count)
  await readBoots(site.daemon, { limit: 1000 }, Date.now())
  done = true
  assert.ok(turns >= 5, `others had ${turns} turns while a thousand boots were judged`)
  assert.match((await site.get('/boots')).text, /of the newest 1,000; older ones are on each machine’s page/)
})
