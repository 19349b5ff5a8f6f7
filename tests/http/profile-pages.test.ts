/** The pages of profiles by `app.request()`: what they say, and that the text of files stays text. Source: WEB.md. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { readProfileBoot } from '../../src/http/pages/profile-boot.ts'
import { bootOf, fillSite, hostileNames, openSite, type Site } from '../harness/site.ts'

function textOf(html: string): string {
  return html
    .replace(/<[^>]*>/g, ' ')
    .replaceAll('&amp;', '&')
    .replace(/\s+/g, ' ')
    .trim()
}

describe('the profiles', () => {
  let site: Site
  before(async () => {
    site = await openSite()
    await fillSite(site, 40)
  })
  after(() => site.close())

  test('the first line counts those that cannot be served and whom it concerns; each has a page', async () => {
    await site.add('hit', ['52:54:00:00:77:01'], 'broken')
    const { status, text } = await site.get('/profiles')
    assert.equal(status, 200)
    assert.match(textOf(text), /✕ 1 of 6 profiles cannot be served: 1 machine boots local instead\./)
    assert.match(text, /<title>✕ 1 · Profiles · pxemngr<\/title>/)
    assert.match(textOf(text), /rescue ✓ good the kernel rescue\/linux 5/)
    for (const name of ['rescue', 'broken', 'local']) {
      assert.ok(text.includes(`href="/profiles/${name}"`), name)
      assert.equal((await site.get(`/profiles/${name}`)).status, 200)
    }
    await site.call('delsystem', { name: 'hit' })
  })

  test('filter, order, CSV and JSON are in the URL and are the same rows', async () => {
    const json = async (query: string) =>
      (JSON.parse((await site.get(`/profiles?format=json${query}`)).text) as { profiles: { name: string }[] }).profiles
    assert.deepEqual(
      (await json('&q=res')).map(({ name }) => name),
      ['rescue'],
    )
    assert.equal((await json('&sort=-machines'))[0]?.name, 'local')
    assert.equal((await json('&sort=state'))[0]?.name, 'broken')
    assert.deepEqual(Object.keys((await json(''))[0] ?? {}), ['name', 'fault', 'boots', 'machines', 'about'])
    const csv = (await site.get('/profiles?format=csv&q=res')).text
    assert.equal(csv, 'name,fault,boots,machines,about\r\nrescue,,the kernel rescue/linux,5,\r\n')
    assert.match(textOf((await site.get('/profiles?q=nothing')).text), /None has these words\./)
    assert.equal((await site.overTcp('/profiles?format=xml')).status, 400)
  })

  test('a profile says what it boots, marks that entry and the lines that nobody understands', async () => {
    const { text } = await site.get('/profiles/rescue')
    assert.match(textOf(text), /5 machines boot it next\. It boots the kernel rescue\/linux\./)
    assert.match(text, /<li id="L4" class="line-error">/)
    assert.match(textOf(text), /line 4 .*TIMEUOT/)
    assert.match(textOf(text), /✕ missing rescue\/linux is not there/)
    site.bootFiles.set('rescue/linux', 2048)
    assert.match(textOf((await site.get('/profiles/rescue')).text), /✓ there rescue\/linux 2\.0 KiB/)
    const marked = [...text.matchAll(/id="L(\d+)" class="line-chosen"/g)].map(([, line]) => Number(line))
    assert.deepEqual(marked, [6, 7, 8, 9])
    assert.match(textOf(text), /Command line initrd=rescue\/initrd\.gz auto=true/)
    const machine = site.store.queries.findSystem('rack1-node5')
    assert.ok(text.includes(`href="/system/${machine?.id}/"`), 'machines that boot it next are linked')
  })

  test('one that cannot be served says why, with its text and who gets local instead', async () => {
    await site.add('hit', ['52:54:00:00:77:01'], 'broken')
    const { text } = await site.get('/profiles/broken')
    assert.match(text, /<title>✕ broken · Profile · pxemngr<\/title>/)
    assert.match(textOf(text), /It cannot be served: 1 machine boots local instead\. line 1: bad/)
    await site.call('delsystem', { name: 'hit' })
    assert.match(textOf((await site.get('/profiles/broken')).text), /It cannot be served; no machine is to boot it\./)
  })

  test('one without a file that a machine is told to boot has a page; a name that nobody uses has none', async () => {
    site.files.set('short', 'DEFAULT x\nLABEL x\n LOCALBOOT 0\n')
    await site.daemon.profiles.sync()
    await site.add('left', ['52:54:00:00:77:02'], 'short')
    assert.match(textOf((await site.get('/profiles/short')).text), /1 machine boots it next\. It boots its own disk\./)
    site.files.delete('short')
    const { status, text } = await site.get('/profiles/short')
    assert.equal(status, 200)
    assert.match(textOf(text), /It cannot be served: 1 machine boots local instead\. it has no file/)
    await site.call('delsystem', { name: 'left' })
    for (const name of ['short', 'nosuch', '%2e%2e%2fx', '__proto__', '%ff', 'a'.repeat(300)]) {
      assert.ok([400, 404].includes((await site.get(`/profiles/${name}`)).status), name)
    }
  })

  test('default is said, and its last boots are there and no others', async () => {
    await site.call('nextboot', { name: 'default', profile: 'memtest' })
    site.boots.unshift(bootOf({ mac: '52:54:00:00:77:09', ip: '10.0.9.9', profile: 'memtest' }, 1000, ['pxelinux.0']))
    const { text } = await site.get('/profiles/memtest')
    assert.match(textOf(text), /Machines that no system has boot it next\. It boots the kernel memtest\/linux\./)
    assert.equal([...text.matchAll(/<a href="\/boots\/\d+">/g)].length, 1)
    assert.match(text, new RegExp(`href="/boots/${site.boots[0]?.id}"`))
    site.trace = 'fails'
    assert.match(textOf((await site.get('/profiles/memtest')).text), /The record of boots does not answer just now\./)
    site.trace = 'answers'
  })

  test('search and Setup lead to it', async () => {
    for (const path of ['/search?q=rescue', '/setup', '/profiles']) {
      assert.ok((await site.get(path)).text.includes('href="/profiles/rescue"'), path)
    }
    const { text } = await site.get('/profiles/rescue')
    assert.match(
      text,
      /<a href="\/setup" aria-current="true">Setup<\/a><a class="below" href="\/profiles" aria-current="page">/,
    )
  })

  test('names and text that would be markup stay text', async () => {
    for (const name of hostileNames.filter((each) => !each.includes('/') && each.length < 255)) {
      site.files.set(name, `# <script>alert(1)</script>\nLABEL <img src=x>\n  KERNEL "><b>bold \u202egnp\n`)
    }
    await site.daemon.profiles.sync()
    const list = await site.get('/profiles')
    for (const name of hostileNames.filter((each) => site.files.has(each))) {
      const href = `/profiles/${encodeURIComponent(name)}`
      assert.ok(list.text.includes(`href="${href.replaceAll("'", '&#39;')}"`), name)
      const one = await site.get(href)
      assert.equal(one.status, 200, name)
      for (const { text } of [list, one]) assert.doesNotMatch(text, /<script>alert|<img src=x|<b>bold|\u202e/)
    }
  })
})

test('an empty server has one profile, and teaches how another comes to be', async () => {
  const site = await openSite()
  const { text } = await site.get('/profiles')
  assert.match(textOf(text), /Each \*\.prof file in this folder is a profile.*pxemngr nextboot NAME PROFILE/)
  assert.equal((await site.get('/profiles/local')).status, 200)
  site.close()
})

test('what boots is what PXELINUX chooses; what it does not say is not made up', () => {
  assert.deepEqual(readProfileBoot(''), {
    what: undefined,
    facts: [],
    lines: undefined,
    files: [],
    remarks: [],
    notes: [],
  })
  const own = 'label a\nkernel <%= mac %>/linux\ninitrd <%= url %>/boot/initrd,http://other/x\n'
  assert.deepEqual(
    readProfileBoot(own).files.map(({ path }) => path),
    [undefined, 'initrd', undefined],
  )
  const command = readProfileBoot('DEFAULT vmlinuz root=/dev/sda1\n')
  assert.deepEqual([command.what, command.lines], ['the kernel vmlinuz', undefined], 'a command line is no entry')
  const last = readProfileBoot('LABEL a\n KERNEL a\nLABEL b\n MENU DEFAULT\n LOCALBOOT 0\n\n')
  assert.deepEqual([last.what, last.lines], ['the kernel a', { first: 1, last: 2 }])
  const template = readProfileBoot(
    '<% if (it.mac) {\n it.x() %>\nDEFAULT a\n<% } %>\nLABEL a\n KERNEL <%= system %>/linux\n NOSUCH\n<% if (\nKERNEL b',
  )
  assert.deepEqual([template.what, template.notes.map(({ line }) => line)], ['the kernel <%=system%>/linux', [7]])
  const script = readProfileBoot('<% const base = url %>#!ipxe\nkernel <%= base %>/boot/linux quiet || shell\nboot\n')
  assert.deepEqual([script.what, script.facts, script.notes], ['what its iPXE script says', [], []])
  const included = readProfileBoot('INCLUDE other.cfg\nLABEL a\n COM32 chain.c32\n')
  assert.deepEqual([included.what, included.notes[0]?.line], ['chain.c32', 1])
})
