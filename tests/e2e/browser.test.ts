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
import { fillSite, openSite, type Site, serveSite } from '../harness/site.ts'

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

  test('every link of the pages of results leads somewhere, without scripts too', async () => {
    const seen = new Set<string>()
    const waiting = Object.values(labPaths()).filter((path) => path.startsWith(labUrl))
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
        if (next.origin === labUrl && !seen.has(next.href)) waiting.push(next.href)
      }
    }
    assert.ok(seen.size > 100, `${seen.size} pages`)
  })

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
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('/')
    assert.equal(await page.evaluate('document.activeElement.id'), 'q')
    await page.keyboard.type('j')
    assert.equal(await page.inputValue('#q'), 'j')
    await page.keyboard.press('Escape')
    await page.keyboard.press('k')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/system\/1\/$/)
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
    await page.getByText('40 machines').waitFor()
    await page.getByRole('link', { name: 'Next boot' }).click()
    assert.match(page.url(), /q=rack2&sort=next/)
    await page.goto(`${url}/`)
    await page.getByRole('link', { name: 'Next', exact: true }).click()
    await page.getByText(/101–\d+ of \d+/).waitFor()
    await page.goto(`${url}/`)
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByRole('link', { name: 'Log in' }).waitFor()
  })

  test('text that would be markup does nothing', async () => {
    for (const path of ['/?q=02%3A00%3A00', '/?q=%3Cscript%3Ealert(1)%3C/script%3E']) {
      await using page = await open(path)
      assert.equal(await page.locator('main img, main script').count(), 0)
    }
  })
})
