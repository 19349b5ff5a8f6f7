/**
 * The page of a run in a browser, over the built executable: kinds of lines by toggles, the next error, lines that come
 * while the test runs, and what differs from the last good run. Sources: WEB.md "Behaviour", RUNS "Machine URLs" (progress).
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launchBrowser, noBrowser } from '../harness/browser.ts'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { until } from '../harness/process.ts'

const untilMs = 30_000

describe('the page of a run', { skip: noBrowser }, () => {
  let daemon: RunningDaemon
  let browser: Browser

  before(async () => {
    daemon = await serve()
    writeFileSync(join(daemon.dataDir, 'tests', 'smoke.test'), 'echo one\n')
    await daemon.must('synctestnames')
    await daemon.must('addsystem', 'web01', '127.0.0.1')
    browser = await launchBrowser()
  })
  after(async () => {
    await browser?.close()
    await daemon?.close()
  })

  /** A run that has been handed out. */
  async function begin(): Promise<number> {
    const { runs } = (await daemon.json('nexttest', 'web01', 'smoke')) as { runs: { id: number }[] }
    const id = runs[0]?.id ?? 0
    const response = await fetch(`${daemon.url}/nexttest/`, { headers: { connection: 'close' } })
    await response.text()
    assert.equal(Number(response.headers.get('x-pxemngr-run')), id)
    await until(
      async () =>
        ((await daemon.json('show', String(id))) as { state: string }).state === 'requested' ? undefined : true,
      untilMs,
      () => `run ${id} was never sent`,
    )
    return id
  }

  async function progress(run: number, at: number, text: string): Promise<number> {
    const body = Buffer.from(text)
    const response = await fetch(`${daemon.url}/progress/${run}/`, {
      method: 'POST',
      headers: { 'content-range': `bytes ${at}-${at + body.length - 1}/*` },
      body,
    })
    assert.equal(response.status, 200, await response.text())
    return at + body.length
  }

  async function upload(run: number, text: string): Promise<void> {
    const form = new FormData()
    form.append('file', new Blob([text]), 'out.log')
    const response = await fetch(`${daemon.url}/upload/${run}/`, { method: 'POST', body: form })
    assert.equal(await response.text(), 'uploaded')
  }

  const shownLines = (page: Page) => page.locator('[data-log] li:visible span').allTextContents()
  const mixed = 'V: 4.2\nI: begins\nplain\nW: slow\nE: one\nmore\nE: two\nI: ends\n'

  for (const scripts of [true, false]) {
    test(`toggles with counts leave some kinds of lines, in the URL, ${scripts ? 'at once' : 'without scripts'}`, async () => {
      const run = await begin()
      await upload(run, mixed)
      await using context = await browser.newContext({ javaScriptEnabled: scripts })
      const page = await context.newPage()
      await page.goto(`${daemon.url}/test/${run}/`)
      const requests: string[] = []
      page.on('request', (request) => requests.push(request.url()))
      const toggle = (name: string) => page.locator('.toggles').getByRole('link', { name, exact: true })
      assert.equal((await shownLines(page)).length, 8)
      await toggle('2 errors').click()
      assert.deepEqual(await shownLines(page), ['E: one', 'E: two'])
      assert.equal(await toggle('2 errors').getAttribute('aria-current'), 'true')
      assert.match(page.url(), /\?show=E/)
      await toggle('1 warning').click()
      assert.deepEqual(await shownLines(page), ['W: slow', 'E: one', 'E: two'])
      assert.match(page.url(), /\?show=EW/)
      await toggle('1 version').click()
      await toggle('2 errors').click()
      await toggle('1 warning').click()
      assert.deepEqual(await shownLines(page), ['V: 4.2'])
      await page.goBack()
      assert.deepEqual(await shownLines(page), ['V: 4.2', 'W: slow'])
      await toggle('all lines').click()
      assert.equal((await shownLines(page)).length, 8)
      assert.doesNotMatch(page.url(), /show=/)
      assert.equal(requests.filter((url) => url.includes(`/test/${run}/`)).length > 0, !scripts)
      await page.goto(`${daemon.url}/test/${run}/?show=EI`)
      assert.deepEqual(await shownLines(page), ['I: begins', 'E: one', 'E: two', 'I: ends'])
      await page.getByRole('link', { name: 'first error: line 5' }).click()
      assert.equal(await page.locator('li:target span').textContent(), 'E: one')
    })
  }

  test('n goes from error to error, and on to those behind what is shown', async () => {
    const run = await begin()
    const filler = (count: number) => 'nothing\n'.repeat(count)
    await upload(run, `${filler(99)}E: first\n${filler(2400)}E: far\n${filler(2400)}E: last\n`)
    await using context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${daemon.url}/test/${run}/`)
    const focused = () => page.evaluate<string>('document.activeElement.closest("li")?.textContent ?? ""')
    await page.keyboard.press('n')
    assert.equal(await focused(), '100E: first')
    await page.keyboard.press('n')
    await page.waitForURL(/from=2481#L2501$/)
    assert.equal(await page.locator('li:target span').textContent(), 'E: far')
    await page.keyboard.press('n')
    await page.waitForURL(/from=4882#L4902$/)
    assert.equal(await page.locator('li:target span').textContent(), 'E: last')
  })

  test('lines of a running test appear as they come, and its verdict at the end, without a reload', async () => {
    const run = await begin()
    await using context = await browser.newContext()
    const page = await context.newPage()
    const complaints: string[] = []
    page.on('console', (message) => void (message.type() === 'error' && complaints.push(message.text())))
    page.on('pageerror', (error) => complaints.push(String(error)))
    await page.goto(`${daemon.url}/test/${run}/`)
    await page.evaluate('document.body.dataset.same = "yes"')
    await page.getByText('Nothing has come yet.').waitFor()

    let at = await progress(run, 0, 'I: begins\nE: <b>first</b>\nunfinish')
    await page.locator('#L2', { hasText: 'E: <b>first</b>' }).waitFor()
    assert.equal(await page.locator('#L3').count(), 0)
    await page.locator('.answer', { hasText: 'running' }).waitFor()
    at = await progress(run, at, 'ed\nW: \u202eslow\n')
    await page.locator('#L4').waitFor()
    assert.deepEqual(await shownLines(page), ['I: begins', 'E: <b>first</b>', 'unfinished', 'W: ‹U+202E›slow'])
    const counts = () => page.locator('.toggle [data-count]').allTextContents()
    assert.deepEqual(await counts(), ['1', '1', '1', '0'])

    // A kind chosen meanwhile holds for what comes, and the page joins in the middle after a reload.
    await page.locator('.toggles').getByRole('link', { name: '1 errors' }).click()
    at = await progress(run, at, 'plain\nE: second\n')
    await page.locator('#L6').waitFor()
    assert.deepEqual(await shownLines(page), ['E: <b>first</b>', 'E: second'])
    assert.deepEqual(await counts(), ['2', '1', '1', '0'])
    const other = await context.newPage()
    await other.goto(`${daemon.url}/test/${run}/`)
    assert.equal((await shownLines(other)).length, 6)
    await progress(run, at, 'V: 4.9\n')
    await other.locator('#L7').waitFor()
    assert.deepEqual((await shownLines(other)).slice(-2), ['E: second', 'V: 4.9'])

    await upload(run, `I: begins\nE: <b>first</b>\nunfinished\nE: second\nM: speed 12 MB/s\nV: 4.9\n`)
    await page.locator('.answer', { hasText: 'fail' }).waitFor()
    await page.locator('.facts a', { hasText: '4.9' }).waitFor()
    await page.locator('td', { hasText: 'MB/s' }).waitFor()
    await page.locator('#log', { hasText: 'B' }).waitFor()
    assert.deepEqual(await shownLines(page), ['E: <b>first</b>', 'E: second'])
    assert.match(await page.title(), /^✕/)
    assert.match((await page.locator('link[rel="icon"]').getAttribute('href')) ?? '', /favicon-fail/)
    assert.equal(await page.evaluate('document.body.dataset.same'), 'yes')
    assert.equal(await page.locator('main b').count(), 0)
    assert.deepEqual(complaints, [])
  })

  test('the tail is a stream of events that goes on behind a place and ends with the run', async () => {
    const run = await begin()
    const at = await progress(run, 0, 'I: one\nI: two\n')
    const stream = await fetch(`${daemon.url}/test/${run}/tail`, { headers: { 'last-event-id': '7:1' } })
    assert.equal(stream.headers.get('content-type'), 'text/event-stream')
    await progress(run, at, 'E: three\n')
    await daemon.must('cancel', String(run))
    const text = await stream.text()
    assert.match(text, /^retry: \d+\nid: 7:1\n\n/)
    assert.match(text, /id: 14:2\nevent: lines\ndata: \[\{"number":2,"kind":"info","text":"I: two"\}\]/)
    assert.match(text, /event: end\ndata: \{\}\n\n$/)
    for (const [path, status] of [
      [`/test/${run}/tail?after=x`, 400],
      ['/test/999999/tail', 404],
      [`/test/${run}/tail`, 200],
    ] as const) {
      const response = await fetch(daemon.url + path)
      assert.equal(response.status, status, path)
      await response.text()
    }
    assert.equal((await fetch(`${daemon.url}/test/${run}/tail`, { method: 'HEAD' })).status, 200)
    assert.equal((await fetch(`${daemon.url}/test/${run}/tail`, { method: 'POST' })).status, 405)
  })

  test('what differs from the last good run: log, script and settings', async () => {
    const good = await begin()
    await upload(good, 'V: 5.0\nI: the same\nI: fast\n')
    writeFileSync(join(daemon.dataDir, 'tests', 'smoke.test'), '# pxemngr: retries=0 grace=7m\necho two\n')
    const bad = await begin()
    await upload(bad, 'V: 5.1\nI: the same\nE: <i>slow</i>\n')
    await using context = await browser.newContext({ javaScriptEnabled: false })
    const page = await context.newPage()
    await page.goto(`${daemon.url}/test/${bad}/`)
    await page.getByRole('link', { name: 'What differs from the last good run' }).click()
    await page.waitForURL(new RegExp(`diff=${good}#diff$`))
    const section = page.locator('section[aria-labelledby="diff"]')
    const changed = async (kind: string) => (await section.locator(`li.${kind} span`).allTextContents()).join('\n')
    for (const text of ['I: fast', 'echo one', 'version: 5.0', 'grace: 5 min']) {
      assert.ok((await changed('removed')).includes(text), `${text} in ${await changed('removed')}`)
    }
    for (const text of ['E: <i>slow</i>', 'echo two', 'version: 5.1', 'grace: 7 min']) {
      assert.ok((await changed('added')).includes(text), `${text} in ${await changed('added')}`)
    }
    assert.ok((await section.locator('li.same span').allTextContents()).includes('I: the same'))
  })
})
