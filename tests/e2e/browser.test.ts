/**
 * The pages in a real browser: accessible, within the width, alive, usable by keys, and whole without scripts.
 * Source: WEB.md "Look", "Behaviour", "Proof"; WCAG 2.2 AA by axe-core.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { launchBrowser, noBrowser } from '../harness/browser.ts'
import { fillLab, type Lab } from '../harness/lab.ts'
import { until } from '../harness/process.ts'
import { bootOf, fillSite, openSite, type Site, serveSite } from '../harness/site.ts'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
/** Runs in the page: what breaks a rule, with the first element that does. */
const audit = `axe.run(document, ${JSON.stringify({ runOnly: { type: 'tag', values: rules } })}).then(({ violations }) =>
  violations.map(({ id, nodes: [first] }) => id + ': ' + first.html + ' ' + first.failureSummary))`
const clipboard = 'navigator.clipboard.readText()'
const widths = [360, 900, 1600]
const themes = ['light', 'dark'] as const

describe('the pages in a browser', { skip: noBrowser }, () => {
  let site: Site
  let empty: Site
  let results: Site
  let lab: Lab
  let browser: Browser
  let url = ''
  let emptyUrl = ''
  let labUrl = ''
  let id = 0
  let token = ''
  let labToken = ''
  const closers: (() => Promise<void>)[] = []

  before(async () => {
    site = await openSite()
    empty = await openSite()
    id = await fillSite(site, 120)
    results = await openSite()
    lab = await fillLab(results, { versions: 4, systems: 12, tests: 25 })
    site.degraded.push('no space left on /var/lib/pxemngr: make room, writing goes on by itself')
    token = String((await site.call('token add', { name: 'ann' })).body['token'])
    labToken = String((await results.call('token add', { name: 'ann' })).body['token'])
    for (const [each, keep] of [
      [site, (text: string) => (url = text)],
      [empty, (text: string) => (emptyUrl = text)],
      [results, (text: string) => (labUrl = text)],
    ] as const) {
      const served = await serveSite(each)
      keep(served.url)
      closers.push(served.close)
    }
    browser = await launchBrowser()
  })
  after(async () => {
    await browser?.close()
    await Promise.all(closers.map((close) => close()))
    site?.close()
    empty?.close()
    results?.close()
  })

  /** Opens a page; the test fails for anything the browser complains of (policy, script, missing file). */
  async function open(path: string, options: BrowserContextOptions = {}): Promise<Page & AsyncDisposable> {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    const complaints: string[] = []
    page.on('console', (message) => {
      // A refusal's status is in the console too.
      if (message.type() === 'error' && !/status of 4\d\d/.test(message.text())) complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('dialog', (dialog) => {
      complaints.push(`a dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    await page.goto(path.startsWith('http') ? path : url + path, { waitUntil: 'load' })
    return Object.assign(page, {
      async [Symbol.asyncDispose]() {
        await context.close()
        assert.deepEqual(complaints, [])
      },
    })
  }

  async function login(page: Page, at = url, secret = token): Promise<void> {
    await page.goto(`${at}/login/`)
    await page.fill('#token', secret)
    await page.click('main button')
    await page.waitForURL(`${at}/`)
  }

  const paths = () => ({
    machines: '/',
    'hostile names': '/?q=02%3A00%3A00',
    'no match': '/?q=nothing-has-this',
    wall: '/?wall',
    empty: `${emptyUrl}/`,
    'a machine': `/system/${id}/`,
    'a machine with the longest name': `/system/${site.store.queries.findSystem('x'.repeat(255))?.id}/`,
    boots: '/boots',
    'boots, grouped and sorted': '/boots?group=outcome&sort=-took&q=rack1',
    'boots of no system': '/boots?outcome=unknown',
    'no boot fits': '/boots?q=nothing-has-this',
    'a boot that broke off': `/boots/${site.boots[1]?.id}`,
    'a boot of an unknown machine': `/boots/${site.boots[3]?.id}`,
    setup: '/setup',
    profiles: '/profiles',
    'a profile': '/profiles/debian13-install',
    'a profile that cannot be served': '/profiles/broken',
    'profiles of an empty server': `${emptyUrl}/profiles`,
    'no boots yet': `${emptyUrl}/boots`,
    'setup of an empty server': `${emptyUrl}/setup`,
    login: '/login/',
    'not found': '/system/999999/',
    ...labPaths(),
  })

  const labPaths = () => ({
    'a lab': `${labUrl}/`,
    versions: `${labUrl}/versions`,
    matrix: `${labUrl}/matrix`,
    'matrix of a version': `${labUrl}/matrix?version=${lab.versions.at(-1)}&group=prefix`,
    comparison: `${labUrl}/compare/${lab.versions.slice(-2).join('...')}`,
    'a version': `${labUrl}/tests/${lab.versions.length}/`,
    'a version, grouped and sorted': `${labUrl}/tests/${lab.versions.length}/?group=prefix&sort=-verdict&q=node01`,
    'a failed run beside its last good one': `${labUrl}/test/${lab.failingRun}/?diff=${lab.goodRun}`,
    'a failed run': `${labUrl}/test/${lab.failingRun}/?show=EW`,
    'a running run': `${labUrl}/test/${lab.runningRun}/`,
    'a tested machine': `${labUrl}/system/${lab.system}/`,
    'a test': `${labUrl}/testname/${lab.test}/`,
    queue: `${labUrl}/queue`,
    search: `${labUrl}/search?q=link`,
    'no versions yet': `${emptyUrl}/versions`,
    'no matrix yet': `${emptyUrl}/matrix`,
    'no queue': `${emptyUrl}/queue`,
  })

  for (const [what, least, startsOf] of [
    ['results', 100, () => ({ at: labUrl, starts: Object.values(labPaths()) })],
    ['machines, boots and setting up', 100, () => ({ at: url, starts: [`${url}/boots`, `${url}/setup`, `${url}/`] })],
    ['an empty server', 10, () => ({ at: emptyUrl, starts: [`${emptyUrl}/`] })],
  ] as const) {
    test(`every link of the pages of ${what} leads somewhere, without scripts too`, async () => {
      const { at, starts } = startsOf()
      const seen = await crawl(at, starts)
      assert.ok(seen.size >= least, `${seen.size} pages`)
    })
  }

  /** Follows the links below `at`, breadth first; each has to lead somewhere, and each anchor to a place of its page. */
  async function crawl(at: string, starts: readonly string[]): Promise<ReadonlySet<string>> {
    const seen = new Set<string>()
    const waiting = starts.filter((path) => path.startsWith(at))
    const crawledMax = 400
    for (let path = waiting.shift(); path !== undefined && seen.size < crawledMax; path = waiting.shift()) {
      if (seen.has(path)) continue
      seen.add(path)
      const response = await fetch(path)
      assert.ok(response.ok, `${path}: ${response.status}`)
      if (!response.headers.get('content-type')?.startsWith('text/html')) continue
      const text = await response.text()
      for (const [, href = ''] of text.matchAll(/<a [^>]*href="([^"#]+)[^"]*"/g)) {
        const next = new URL(href.replaceAll('&amp;', '&'), path)
        if (next.origin === at && !seen.has(next.href)) waiting.push(next.href)
      }
      for (const [, place = ''] of text.matchAll(/<a [^>]*href="#([^"]+)"/g)) {
        assert.ok(text.includes(`id="${place}"`), `${path}#${place}`)
      }
    }
    return seen
  }

  test('n walks through the errors of a log, and a link of a line leads to it', async () => {
    await using page = await open(`${labUrl}/test/${lab.failingRun}/`)
    await page.keyboard.press('n')
    const first = await page.evaluate<string>('document.activeElement.closest("li").className')
    assert.equal(first, 'line-error')
  })

  for (const theme of themes) {
    test(`every page is WCAG AA and no wider than the screen, ${theme}`, async () => {
      for (const width of widths) {
        await using page = await open('/', { viewport: { width, height: 800 }, colorScheme: theme, bypassCSP: true })
        const look = async (name: string) => {
          const wide = await page.evaluate<number>('document.documentElement.scrollWidth')
          assert.ok(wide <= width, `${name} is ${wide} px wide on a screen of ${width}`)
          await page.evaluate(axeSource)
          const found = await page.evaluate<string[]>(audit)
          assert.deepEqual(found, [], `${name} at ${width} px`)
        }
        for (const [name, path] of Object.entries(paths())) {
          await page.goto(path.startsWith('http') ? path : url + path)
          await look(name)
        }
        await login(page)
        await page.goto(`${url}/system/${id}/`)
        await look('a machine, logged in')
        await login(page, labUrl, labToken)
        for (const path of [
          `/system/${lab.sick}/`,
          `/test/${lab.failingRun}/`,
          `/test/${lab.runningRun}/`,
          '/tests/1/?q=node01',
        ]) {
          await page.goto(labUrl + path)
          await page.evaluate('for (const each of document.querySelectorAll("details")) each.open = true')
          await look(`${path}, logged in`)
        }
      }
    })
  }

  test('a change shows in place, without a jump, and new rows wait behind a bar', async () => {
    await using page = await open('/?q=rack1-node1')
    const row = page.locator(`[data-live="system-1"]`)
    await row.evaluate((element) => element.setAttribute('data-same', 'yes'))
    await page.mouse.wheel(0, 40)
    // Scrolling takes a moment; what moves after it is the page's doing.
    await until(
      async () => ((await page.evaluate<number>('scrollY')) === 40 ? true : undefined),
      5000,
      () => 'no scroll',
    )
    const top = await row.evaluate((element) => element.getBoundingClientRect().top)
    await site.call('nextboot', { name: 'rack1-node1', profile: 'memtest' })
    await row.getByText('memtest').waitFor()
    assert.equal(await row.getAttribute('data-same'), 'yes')
    assert.equal(await row.evaluate((element) => element.getBoundingClientRect().top), top)

    await site.add('rack1-node1-bis', ['52:54:00:00:88:01'])
    const bar = page.locator('#live a')
    await bar.getByText('1 new: show').waitFor()
    assert.equal(await page.getByText('rack1-node1-bis').count(), 0)
    await bar.click()
    await page.getByText('rack1-node1-bis').waitFor()
    await site.call('delsystem', { name: 'rack1-node1-bis' })
    await page.locator('#live').getByText('1 gone: show').waitFor()
  })

  test('boots show as they happen: a row changes in place, a new one waits behind a bar', async () => {
    const newest = bootOf({ mac: '52:54:00:ff:00:08', ip: '10.0.9.208' }, 500, ['pxelinux.0', 'ldlinux.c32'])
    site.boots.unshift(newest)
    await using page = await open('/boots')
    const row = page.locator(`[data-live="boot-${newest.id}"]`)
    await row.getByText('booting').waitFor()
    await row.evaluate((element) => element.setAttribute('data-same', 'yes'))
    const place = site.boots.indexOf(newest)
    const report = { ...newest.steps[1], name: '/localboot/', at: Date.now() }
    site.boots[place] = { ...newest, endedMs: Date.now(), steps: [...newest.steps, report] }
    site.booted()
    await row.getByText('reported').waitFor()
    assert.equal(await row.getAttribute('data-same'), 'yes')
    site.boots.unshift(bootOf({ mac: '52:54:00:ff:00:09', ip: '10.0.9.209' }, 500, ['pxelinux.0']))
    site.booted()
    await page.locator('#live a').getByText('1 new: show').click()
    await page.locator('[data-rows]').getByText('52:54:00:ff:00:09').waitFor()
  })

  test('the page of a machine reads itself anew for boots of its own, not for those of others', async () => {
    const own = await site.add('quiet', ['52:54:00:00:89:01'])
    await using page = await open(`/system/${own}/`)
    let reads = 0
    page.on('request', (request) => {
      if (request.url().includes('fragment')) reads += 1
    })
    site.booted({ systems: [own + 1], addresses: ['52:54:00:00:89:02', '10.0.9.9'] })
    // Longer than boots are gathered.
    await page.waitForTimeout(3000)
    assert.equal(reads, 0)
    for (const changed of [
      { systems: [own], addresses: [] },
      { systems: [], addresses: ['52:54:00:00:89:01'] },
      undefined,
    ]) {
      const before = reads
      site.booted(changed)
      await until(
        async () => (reads > before ? true : undefined),
        10_000,
        () => `${JSON.stringify(changed)} is not read`,
      )
    }
    await site.call('delsystem', { name: 'quiet' })
  })

  test('Setup: the lines for DHCP copy with a click, and open without scripts', async () => {
    await using page = await open('/setup', { permissions: ['clipboard-read', 'clipboard-write'] })
    await page.getByText('ISC dhcpd').click()
    await page.locator('pre code').nth(1).click()
    assert.match(await page.evaluate<string>(clipboard), /^option arch code 93.*filename "pxelinux\.0"; \}$/s)
    await using plain = await open('/setup', { javaScriptEnabled: false })
    await plain.getByText('Kea').click()
    await plain.getByText('"client-classes"').waitFor()
    await plain.getByRole('link', { name: 'Boots', exact: true }).first().click()
    await plain.selectOption('#boots-outcome', 'unknown')
    await plain.selectOption('#boots-group', 'outcome')
    await plain.getByRole('button', { name: 'Show' }).click()
    assert.match(plain.url(), /\/boots\?q=&outcome=unknown&group=outcome/)
    await plain.locator('[data-rows]').getByText('52:54:00:ff:00:02').waitFor()
    await plain.locator('.whole').first().click()
    await plain.getByText('Request by request').waitFor()
  })

  test('what is being typed survives a change of the machine', async () => {
    await using page = await open('/')
    await login(page)
    await page.goto(`${url}/system/${id}/`)
    await page.fill('#to', 'half-typed')
    await site.call('nextboot', { name: 'web01', profile: 'memtest' })
    await page.locator('[data-live="answer"]').getByText('memtest').waitFor()
    assert.equal(await page.inputValue('#to'), 'half-typed')
  })

  test('keys: / finds, j and k walk, Enter opens, ? lists, c copies', async () => {
    await using page = await open('/?q=rack1', { permissions: ['clipboard-read', 'clipboard-write'] })
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await page.keyboard.press('k')
    await page.keyboard.press('j')
    assert.match((await page.locator('tr.current').textContent()) ?? '', /rack1-node2/)
    await page.keyboard.press('c')
    await page.locator('tr.current [data-copied]').waitFor()
    assert.equal(await page.evaluate(clipboard), '52:54:00:00:02:01')
    await page.keyboard.press('?')
    const list = page.getByRole('dialog', { name: 'Keys' })
    await list.waitFor()
    await page.keyboard.press('Escape')
    // No key acts on the page as long as the list is open, and its end gives the focus back.
    await list.waitFor({ state: 'hidden' })
    await page.keyboard.press('/')
    assert.equal(await page.evaluate('document.activeElement.id'), 'q')
    await page.keyboard.type('j')
    assert.equal(await page.inputValue('#q'), 'j')
    await page.keyboard.press('Escape')
    await page.keyboard.press('k')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/system\/1\/$/)
  })

  test('a row of a comparison opens the run of the newer version', async () => {
    await using page = await open(`${labUrl}/compare/${lab.versions.slice(-2).join('...')}`)
    const newer = page.locator('#regression tbody tr').nth(1).locator('td').nth(2).locator('a')
    const href = (await newer.getAttribute('href')) ?? ''
    assert.match(href, /^\/test\/\d+\/$/)
    for (const key of ['j', 'j', 'Enter']) await page.keyboard.press(key)
    await page.waitForURL(labUrl + href)
  })

  test('a click anywhere on a row opens it, a click on an address copies it', async () => {
    await using page = await open('/?q=rack1-node3', { permissions: ['clipboard-read', 'clipboard-write'] })
    await page.locator('[data-live="system-3"] .address').click()
    assert.equal(await page.evaluate(clipboard), '52:54:00:00:03:01')
    assert.match(page.url(), /\?q=/)
    const cell = await page.locator('[data-live="system-3"] td[data-label="Next boot"]').boundingBox()
    assert.ok(cell)
    await page.mouse.click(cell.x + 2, cell.y + cell.height / 2)
    await page.waitForURL(/\/system\/3\/$/)
  })

  test('without scripts: log in, set a next boot, undo it, find, sort, page', async () => {
    await using page = await open('/', { javaScriptEnabled: false })
    await login(page)
    await page.goto(`${url}/system/${id}/`)
    await page.selectOption('#profile', 'rescue')
    await page.getByRole('button', { name: 'Set next boot' }).click()
    await page.getByText('The next boot is rescue').waitFor()
    assert.equal(site.store.queries.decisionsOf(id, 1)[0]?.profile, 'rescue')
    await page.getByRole('button', { name: /^Undo: back to/ }).click()
    await page.locator('.done').waitFor()
    assert.notEqual(site.store.queries.decisionsOf(id, 1)[0]?.profile, 'rescue')
    await page.fill('#q', 'rack2')
    await page.press('#q', 'Enter')
    await page.getByText('40 machines with').waitFor()
    await page.getByRole('columnheader', { name: 'Next boot' }).getByRole('link').click()
    assert.match(page.url(), /q=rack2&sort=next/)
    await page.goto(`${url}/`)
    await page.getByRole('link', { name: 'Next', exact: true }).click()
    await page.getByText(/101–\d+ of \d+/).waitFor()
    await page.goto(`${url}/`)
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByRole('link', { name: 'Log in' }).waitFor()
  })

  test('a filter acts while one types: the field stays, the URL goes with it, Enter and Back work as before', async () => {
    await using page = await open('/setup')
    await page.goto(`${url}/boots`)
    const field = page.locator('#boots-q')
    await field.evaluate((element) => element.setAttribute('data-same', 'yes'))
    const all = await page.locator('[data-rows] .whole').count()
    await field.pressSequentially('52:54:00:ff', { delay: 20 })
    await page.waitForURL(/\/boots\?q=52%3A54%3A00%3Aff/)
    await until(
      async () => ((await page.locator('[data-rows] .whole').count()) < all ? true : undefined),
      5000,
      () => 'all rows are still there',
    )
    assert.equal(await field.getAttribute('data-same'), 'yes')
    assert.equal(await page.evaluate('document.activeElement.id'), 'boots-q')
    await page.selectOption('#boots-outcome', 'unknown')
    await page.waitForURL(/outcome=unknown/)
    assert.match(page.url(), /q=52%3A54%3A00%3Aff/)
    await page.getByRole('link', { name: 'All', exact: true }).waitFor()
    await page.locator('[role="status"].hidden', { hasText: /^\d+ rows?$/ }).waitFor({ state: 'attached' })
    await field.fill('nothing-has-this')
    await page.getByText('No boot fits.').waitFor()
    await field.fill('52:54:00:ff')
    await page.locator('[data-rows]').getByText('52:54:00:ff:00:02').waitFor()
    await page.goBack()
    assert.equal(page.url(), `${url}/setup`)
  })

  test('a filter that was taken back before the server answered does not come after all', async () => {
    await using page = await open('/boots')
    const all = await page.locator('[data-rows] .whole').count()
    const { promise: gate, resolve: answer } = Promise.withResolvers<void>()
    await page.route(/q=nothing-has-this/, async (route) => {
      await gate
      await route.continue().catch(() => undefined)
    })
    const asked = page.waitForRequest(/q=nothing-has-this/)
    await page.fill('#boots-q', 'nothing-has-this')
    await asked
    await page.fill('#boots-q', '')
    await page.waitForTimeout(500)
    answer()
    await page.waitForTimeout(500)
    assert.deepEqual([page.url(), await page.locator('[data-rows] .whole').count()], [`${url}/boots`, all])
  })

  test('the field above filters the machines in place, keeps their order, and asks for another page elsewhere', async () => {
    await using page = await open('/?sort=-name&page=2')
    await page.keyboard.press('/')
    await page.keyboard.type('rack2-node1')
    await page.waitForURL((to) => to.search === '?sort=-name&q=rack2-node1')
    await page.getByText('11 machines with').waitFor()
    assert.equal(await page.locator('tbody .whole').first().textContent(), 'rack2-node19')
    assert.equal(await page.evaluate('document.activeElement.id'), 'q')
    await page.keyboard.press('Escape')
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/system\/\d+\/$/)
    const at = page.url()
    await page.fill('#q', 'rack1-node3')
    await page.waitForTimeout(600)
    assert.equal(page.url(), at)
    await page.press('#q', 'Enter')
    await page.waitForURL(`${url}/?q=rack1-node3`)
  })

  test('the lists of runs and of profiles, the matrix and a comparison filter while one types; what else was typed stays', async () => {
    await using page = await open(`${labUrl}/matrix`)
    await page.fill('#matrix-q', 'node03')
    await page.waitForURL(/\/matrix\?q=node03$/)
    await until(
      async () => ((await page.locator('.grid tbody tr').count()) === 1 ? true : undefined),
      5000,
      () => 'the grid is as it was',
    )
    assert.match((await page.getByRole('link', { name: 'Group by name' }).getAttribute('href')) ?? '', /q=node03/)
    await page.goto(`${url}/profiles`)
    await page.fill('#profiles-q', 'resc')
    await page.waitForURL(/\/profiles\?q=resc$/)
    assert.equal(await page.locator('[data-rows] tbody tr').count(), 1)
    await page.goto(`${labUrl}/compare/${lab.versions.slice(-2).join('...')}`)
    const at = page.url()
    await page.fill('#compare-q', 'no-such-name')
    await page.waitForURL(`${at}?q=no-such-name`)
    await login(page, labUrl, labToken)
    await page.goto(`${labUrl}/system/${lab.system}/`)
    await page.fill('#to', 'half-typed')
    await page.fill('#runs-q', 'boot-time')
    await page.waitForURL(/\?q=boot-time&group=none/)
    await until(
      async () => {
        const names = await page.locator('.runs td.at-test').allTextContents()
        return names.length > 0 && names.every((name) => name === 'boot-time') ? true : undefined
      },
      5000,
      () => 'the runs are as they were',
    )
    assert.equal(await page.inputValue('#to'), 'half-typed')
    assert.equal(await page.evaluate('document.activeElement.id'), 'runs-q')
  })

  test('a login leads back to the page from which one came', async () => {
    await using page = await open(`/system/${id}/?sort=id`)
    await page.getByRole('link', { name: 'Log in' }).click()
    await page.fill('#token', token)
    await page.click('main button')
    await page.waitForURL(`${url}/system/${id}/?sort=id`)
  })

  test('text that would be markup does nothing', async () => {
    for (const path of ['/?q=02%3A00%3A00', '/?q=%3Cscript%3Ealert(1)%3C/script%3E']) {
      await using page = await open(path)
      assert.equal(await page.locator('main img, main script').count(), 0)
    }
  })
})
