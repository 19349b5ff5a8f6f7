/**
 * Every control of the pages, used in a browser by somebody who logged in with a token, with and without scripts; what it
 * did is asked of the command line of the built executable. Sources: WEB.md "Behaviour" (Changes), CONTRACT "HTTP API"
 * (one definition, three surfaces), RUNS "Commands".
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { launchBrowser, noBrowser } from '../harness/browser.ts'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { until } from '../harness/process.ts'

/** A busy machine closes a run of one second in well under this. */
const untilMs = 30_000

interface Run {
  readonly id: number
  readonly test: string
  readonly state: string
  readonly verdict: string | null
  readonly version: string | null
  readonly waived: boolean
}

describe('the controls of the pages, as the command line sees them', { skip: noBrowser }, () => {
  let daemon: RunningDaemon
  let browser: Browser
  let system = 0
  const tokens = { operator: '', viewer: '' }

  before(async () => {
    daemon = await serve()
    for (const [name, text] of Object.entries({
      smoke: '# pxemngr: tags=quick\necho\n',
      disk: '# pxemngr: tags=quick\necho\n',
      short: '# pxemngr: timeout=1s grace=0s\necho\n',
      broken: '# pxemngr: timeout=soon\necho\n',
    })) {
      writeFileSync(join(daemon.dataDir, 'tests', `${name}.test`), text)
    }
    writeFileSync(join(daemon.dataDir, 'tests', 'release.suite'), 'smoke\ndisk\n')
    writeFileSync(join(daemon.dataDir, 'profiles', 'rescue.prof'), 'default rescue\n')
    await daemon.must('synctestnames')
    await daemon.must('syncbootnames')
    await daemon.must('addsystem', 'web01', '127.0.0.1')
    system = ((await daemon.json('dpysystem', 'web01')) as { id: number }).id
    for (const role of ['operator', 'viewer'] as const) {
      tokens[role] = (await daemon.must('token', 'add', role, '--role', role)).trim()
    }
    browser = await launchBrowser()
  })
  after(async () => {
    await browser?.close()
    await daemon?.close()
  })

  const show = async (run: number) => JSON.parse(await daemon.must('show', String(run), '--json')) as Run
  const results = async () => (JSON.parse(await daemon.must('results', 'web01', '--json')) as { runs: Run[] }).runs

  async function logIn(context: BrowserContext, token: string): Promise<Page> {
    const page = await context.newPage()
    await page.goto(`${daemon.url}/login/`)
    await page.fill('#token', token)
    await page.click('main button')
    await page.waitForURL(`${daemon.url}/`)
    return page
  }

  /** Hands the oldest waiting run out to this machine, and resolves once it is recorded as sent. */
  async function fetchRun(): Promise<number> {
    const response = await fetch(`${daemon.url}/nexttest/`, { headers: { connection: 'close' } })
    await response.text()
    const run = Number(response.headers.get('x-pxemngr-run'))
    await until(
      async () => (run > 0 && (await show(run)).state !== 'requested' ? true : undefined),
      untilMs,
      () => `run ${run} was never sent`,
    )
    return run
  }

  async function upload(run: number, text: string): Promise<void> {
    const form = new FormData()
    form.append('file', new Blob([text]), 'out.log')
    const response = await fetch(`${daemon.url}/upload/${run}/`, { method: 'POST', body: form })
    assert.equal(await response.text(), 'uploaded')
  }

  for (const scripts of [true, false]) {
    const how = scripts ? 'with scripts' : 'without scripts'

    test(`nexttest, undo, cancel, rerun, waive, keep: ${how}`, async () => {
      await using context = await browser.newContext({ javaScriptEnabled: scripts })
      const page = await logIn(context, tokens.operator)
      const machine = `${daemon.url}/system/${system}/`

      // A test for a version.
      await page.goto(machine)
      assert.ok(await page.locator('#test option', { hasText: 'broken (quarantined)' }).isDisabled())
      await page.selectOption('#test', 'smoke')
      await page.fill('#test-version', scripts ? '4.2' : '4.3')
      await page.getByRole('button', { name: 'Ask for it' }).click()
      await page.locator('.done').getByText('waits for this machine to ask').waitFor()
      const [asked] = await results()
      assert.ok(asked)
      assert.deepEqual([asked.test, asked.state, asked.version], ['smoke', 'requested', scripts ? '4.2' : '4.3'])

      // A suite, taken back at once.
      await page.selectOption('#test', '@release')
      await page.getByRole('button', { name: 'Ask for it' }).click()
      await page.locator('.done').getByText('2 runs').waitFor()
      await page.getByRole('button', { name: 'Undo: take it back' }).click()
      await page.locator('.done').getByText('is cancelled').waitFor()
      const [second, first] = await results()
      assert.deepEqual([first?.state, second?.state], ['cancelled', 'cancelled'])
      assert.equal((await show(asked.id)).state, 'requested')

      // All of a tag; everything that is open cancelled.
      await page.selectOption('#test', 'tag:quick')
      await page.getByRole('button', { name: 'Ask for it' }).click()
      await page.getByRole('button', { name: 'Cancel 3 runs' }).click()
      await page.locator('.done').getByText('is cancelled').waitFor()
      assert.equal((await show(asked.id)).state, 'cancelled')

      // One run again; the new one cancelled on its page; again, failed, waived, kept.
      await page.goto(`${daemon.url}/test/${asked.id}/`)
      await page.getByRole('button', { name: 'Run it again' }).click()
      await page.waitForURL((url) => url.pathname !== `/test/${asked.id}/`)
      const rerun = Number(/\/test\/(\d+)\//.exec(page.url())?.[1])
      assert.equal((await show(rerun)).state, 'requested')
      await page.getByRole('button', { name: 'Cancel this run' }).click()
      await page.getByRole('button', { name: 'Run it again' }).click()
      await page.waitForURL((url) => url.pathname !== `/test/${rerun}/`)
      assert.equal((await show(rerun)).state, 'cancelled')
      const run = await fetchRun()
      await upload(run, `V: ${scripts ? '4.2' : '4.3'}\nE: link came up at x4\n`)
      await page.goto(`${daemon.url}/test/${run}/`)
      await page.fill('#why', 'known: <b>ticket</b> 4711')
      await page.getByRole('button', { name: 'Waive', exact: true }).click()
      await page.getByText('waived: known: <b>ticket</b> 4711').waitFor()
      assert.equal((await show(run)).waived, true)
      await page.getByRole('button', { name: 'Keep version' }).click()
      await page.locator('.facts .tag', { hasText: 'kept' }).waitFor()
      assert.match(await daemon.must('versions', '--json'), new RegExp(`"${scripts ? '4.2' : '4.3'}"[^}]*"kept":true`))
      assert.equal(await page.getByRole('button', { name: 'Keep version' }).count(), 0)
    })

    test(`nextboot and its undo, a sick machine released: ${how}`, async () => {
      await using context = await browser.newContext({ javaScriptEnabled: scripts })
      const page = await logIn(context, tokens.operator)
      await daemon.must('nextboot', 'web01', 'local')
      await page.goto(`${daemon.url}/system/${system}/`)
      await page.selectOption('#profile', 'rescue')
      await page.getByRole('button', { name: 'Set next boot' }).click()
      await page.locator('.done').getByText('The next boot is rescue').waitFor()
      const next = async () => (await daemon.json('dpysystem', 'web01')) as { next: string; sick: string | null }
      assert.equal((await next()).next, 'rescue')
      await page.getByRole('button', { name: 'Undo: back to local' }).click()
      await page.locator('.done').getByText('The next boot is local').waitFor()
      assert.equal((await next()).next, 'local')

      await daemon.must('nexttest', 'web01', 'short', 'short', 'short')
      for (let each = 0; each < 3; each++) await fetchRun()
      await until(
        async () => ((await next()).sick ? true : undefined),
        untilMs,
        () => 'web01 never became sick',
      )
      await page.goto(`${daemon.url}/system/${system}/`)
      await page.getByRole('button', { name: 'Release' }).click()
      await page.locator('.done').getByText('no longer marked as sick').waitFor()
      assert.equal((await next()).sick, null)
      assert.equal(await page.getByRole('button', { name: 'Release' }).count(), 0)
    })
  }

  test('a viewer and somebody without a login see no control, and a version is kept from its own page', async () => {
    const run = (await results()).find(({ verdict }) => verdict === 'fail')?.id ?? 0
    const version = (
      JSON.parse(await daemon.must('versions', '--json')) as { versions: { id: number; name: string }[] }
    ).versions[0]
    const paths = [`/system/${system}/`, `/test/${run}/`, `/tests/${version?.id}/`, '/queue']
    await using context = await browser.newContext()
    for (const page of [await context.newPage(), await logIn(context, tokens.viewer)]) {
      for (const path of paths) {
        await page.goto(daemon.url + path)
        assert.equal(await page.locator('main form[method="post"]').count(), 0, path)
      }
    }
    await using own = await browser.newContext({ javaScriptEnabled: false })
    const page = await logIn(own, tokens.operator)
    await daemon.must('nexttest', 'web01', 'smoke', '--version', 'x <i>1</i>')
    const [asked] = await results()
    await page.goto(`${daemon.url}/test/${asked?.id}/`)
    await page.locator('.facts a', { hasText: 'x <i>1</i>' }).click()
    await page.getByRole('button', { name: 'Keep this version' }).click()
    await page.locator('main .tag', { hasText: 'kept' }).waitFor()
    assert.match(await daemon.must('versions', '--json'), /"x <i>1<\/i>"[^}]*"kept":true/)
  })
})
