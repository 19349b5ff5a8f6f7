/**
 * What the pages say where there is little: no machine, one, two. A sentence that counts has to be one that people say.
 * Source: WEB.md "Voice and layout".
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { noneOf, queueWords, sentence, share } from '../../src/http/pages/words.ts'
import { bootOf, openSite, type Site } from '../harness/site.ts'

describe('pages with few data', () => {
  let site: Site
  beforeEach(async () => {
    site = await openSite()
  })
  afterEach(() => site.close())

  /** The text of the page, tags and doubled spaces left out. */
  const said = async (path: string): Promise<string> =>
    (await site.get(path)).text
      .replace(/^.*<main[^>]*>/s, '')
      .replace(/<[^>]*>/g, '')
      .replace(/\s+/g, ' ')

  test('one machine is not one of many', async () => {
    const id = await site.add('node1', ['52:54:00:12:34:56'])
    const undecided = await said('/')
    assert.match(undecided, /The one machine does not need you\. What it boots next is not decided yet\./)
    assert.match(undecided, / 1 machine These rows/)
    await site.add('node1', [], 'local')
    assert.match(await said('/'), /It boots local next\./)
    const boot = { mac: '52:54:00:12:34:56', ip: '10.0.0.5', systemId: id, profile: 'local' }
    site.boots.push(bootOf(boot, 300_000, ['pxelinux.0', 'pxelinux.cfg/01-52-54-00-12-34-56']))
    assert.match(await said('/boots'), /The one machine that booted within a day is not stuck\./)
    site.boots.unshift(bootOf(boot, 1000, ['pxelinux.0']))
    assert.match(await said('/boots'), /The one machine that booted within a day is under way\./)
    site.boots.unshift(bootOf(boot, 200_000, ['pxelinux.0', 'vmlinuz'], 'no ACK'))
    assert.match(await said('/'), /The one machine failed to boot\./)
    assert.match(await said('/boots'), /The one machine that booted within a day is stuck\./)
  })

  test('two machines are both or neither', async () => {
    const ids = [await site.add('a', ['52:54:00:00:00:01'], 'local'), await site.add('b', ['52:54:00:00:00:02'])]
    assert.match(await said('/'), /Neither of the 2 machines needs you\. They boot next: 1 local, 1 nothing yet\./)
    await site.add('b', [], 'local')
    assert.match(await said('/'), /Both boot local next\./)
    await site.add('c', ['52:54:00:00:00:03'], 'local')
    assert.match(await said('/'), /None of 3 machines needs you\. All 3 boot local next\./)
    await site.call('delsystem', { name: 'c' })
    for (const [at, systemId] of ids.entries()) {
      site.boots.push(bootOf({ ip: `10.0.0.${at}`, systemId }, 200_000, ['vmlinuz'], 'no ACK'))
    }
    assert.match(await said('/'), /Both machines failed to boot\./)
    assert.match(await said('/boots'), /Both machines that booted within a day are stuck/)
  })

  test('where there is no test and no result, the page says how there will be', async () => {
    assert.match(await said('/'), /What DHCP has to say is at Setup\./)
    const queue = await said('/queue')
    assert.match(queue, /Nothing runs, and nothing waits\./)
    assert.match(queue, /wget -qO- http:\/\/\S+\/script\/run\.sh \| sh -s -- http:\/\//)
    assert.match(await said('/profiles'), /The one profile can be served\./)
    assert.match(queue, /A test is a script NAME\.test in \S*tests-dir\./)
    const matrix = (await site.get('/matrix')).text
    assert.doesNotMatch(matrix, /✓|matrix-q/)
  })

  test('counts as the subject of a sentence', () => {
    assert.deepEqual(
      [share(1, 1, 'machine'), share(2, 2, 'machine'), share(1200, 1200, 'machine'), share(1, 2, 'machine')],
      ['the one machine', 'both machines', 'all 1,200 machines', '1 of 2 machines'],
    )
    assert.deepEqual([noneOf(2, 'machine'), noneOf(3, 'machine')], ['neither of the 2 machines', 'none of 3 machines'])
    assert.deepEqual(
      [queueWords(0, 0), queueWords(1, 5), queueWords(0, 1), queueWords(2, 0)],
      ['nothing runs, and nothing waits', '1 test runs, 5 wait', 'no test runs, 1 waits', '2 tests run, none waits'],
    )
    assert.equal(sentence('none waits'), 'None waits')
  })

  test('a page that is not there, or needs a token, says where to go on', async () => {
    assert.match((await site.get('/test/9/')).text, /<a href="\/">All machines<\/a> <a href="\/search">Search<\/a>/)
    const form = { method: 'POST', headers: { accept: 'text/html', origin: 'http://127.0.0.1' }, body: 'profile=local' }
    const refused = await site.overTcp('/system/1/nextboot', form)
    assert.equal(refused.status, 401)
    assert.match(refused.text, /<a href="\/login\/\?next=%2Fsystem%2F1%2F">Log in<\/a>/)
  })
})
