/**
 * Takes pictures of every page with data that hurts: `npm run screenshots [-- folder [page…]]` (default folder
 * `.cache/screenshots`, default all pages). `-- --readme` takes those that README.md shows, into `scripts/screenshots/`.
 *
 * Each page at 360, 900 and 1,600 px, light and dark, over the real application without sockets to machines
 * (tests/harness/site.ts). To be looked at, not only taken: what does the eye fall on first, and is it what matters?
 */
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'
import { projectDir, run, runtime } from './setup.mjs'

// The application is TypeScript, which only the pinned runtime reads as it is.
if (existsSync(runtime) && realpathSync(process.execPath) !== realpathSync(runtime)) {
  await run(runtime, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exit()
}

// The sources alone do not know their version; the build puts it in.
globalThis.BUILD_VERSION = JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8')).version

const widths = [360, 900, 1600]
const themes = ['light', 'dark']
const chromiumFlags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run']

const { fillSite, openSite, serveSite } = await import(pathToFileURL(join(projectDir, 'tests/harness/site.ts')).href)
const { fillLab } = await import(pathToFileURL(join(projectDir, 'tests/harness/lab.ts')).href)
const { findProgram } = await import(pathToFileURL(join(projectDir, 'tests/harness/debian.mjs')).href)
const [given, ...wanted] = process.argv.slice(2)
const forReadme = given === '--readme'
const folder = forReadme
  ? join(projectDir, 'scripts', 'screenshots')
  : (given ?? join(projectDir, '.cache', 'screenshots'))
mkdirSync(folder, { recursive: true })

const executablePath = findProgram('chromium')
if (!executablePath) throw new Error('screenshots need chromium: apt install chromium')

const full = await openSite()
const lab = await openSite()
const empty = await openSite()
const [fullServer, emptyServer, labServer] = [await serveSite(full), await serveSite(empty), await serveSite(lab)]
const shown = await fillLab(lab, { versions: 12, systems: 40, tests: 25 })
const [before, newest] = shown.versions.slice(-2)
const id = await fillSite(full, 400)
full.degraded.push(
  'profile broken cannot be served (broken.prof:3: unexpected end of template): machines set to it boot local; correct the file',
  'writes refused since 2026-11-23T09:05:12Z: no space left on /var/lib/pxemngr: make room, writing goes on by itself',
)
const token = await full.call('token add', { name: 'ann' })
const hostile = full.store.queries.listSystems().find(({ name }) => name.startsWith('xxxx'))?.id

const pages = [
  ['machines', fullServer.url, '/'],
  ['machines-hostile', fullServer.url, '/?q=02%3A00'],
  ['machines-none', fullServer.url, '/?q=nothing-has-this'],
  ['machines-wall', fullServer.url, '/?wall'],
  ['machines-empty', emptyServer.url, '/'],
  ['system', fullServer.url, `/system/${id}/`],
  ['system-hostile', fullServer.url, `/system/${hostile}/`],
  ['boots', fullServer.url, '/boots'],
  ['boots-grouped', fullServer.url, '/boots?group=outcome&sort=machine'],
  ['boots-empty', emptyServer.url, '/boots'],
  ['boot', fullServer.url, `/boots/${full.boots[1].id}`],
  ['boot-unknown', fullServer.url, `/boots/${full.boots[3].id}`],
  ['profiles', fullServer.url, '/profiles'],
  ['profile', fullServer.url, '/profiles/debian13-install'],
  ['profile-broken', fullServer.url, '/profiles/broken'],
  ['setup', fullServer.url, '/setup'],
  ['setup-empty', emptyServer.url, '/setup'],
  ['lab-machines', labServer.url, '/'],
  ['lab-versions', labServer.url, '/versions'],
  ['lab-matrix', labServer.url, '/matrix'],
  ['lab-matrix-version', labServer.url, `/matrix?version=${newest}`],
  ['lab-matrix-wall', labServer.url, '/matrix?wall'],
  ['lab-compare', labServer.url, `/compare/${before}...${newest}`],
  ['lab-version', labServer.url, `/tests/${shown.versions.length}/`],
  ['lab-run', labServer.url, `/test/${shown.failingRun}/`],
  ['lab-run-running', labServer.url, `/test/${shown.runningRun}/`],
  ['lab-run-diff', labServer.url, `/test/${shown.failingRun}/?diff=${shown.goodRun}`],
  ['lab-version-grouped', labServer.url, `/tests/${shown.versions.length}/?group=verdict&sort=system`],
  ['lab-system', labServer.url, `/system/${shown.system}/`],
  ['lab-test', labServer.url, `/testname/${shown.test}/`],
  ['lab-queue', labServer.url, '/queue'],
  ['lab-search', labServer.url, '/search?q=link'],
  ['results-empty', emptyServer.url, '/versions'],
  ['matrix-empty', emptyServer.url, '/matrix'],
  ['queue-empty', emptyServer.url, '/queue'],
  ['login', fullServer.url, '/login/'],
  ['not-found', fullServer.url, '/system/999999/'],
  ['system-forms', fullServer.url, `/system/${id}/`, true],
]

/** For README.md: file, path, theme, height. */
const readmePages = [
  ['matrix', '/matrix', 'light', 760],
  ['run', `/test/${shown.failingRun}/?show=EW&diff=${shown.goodRun}`, 'light', 1080],
  ['test', `/testname/${shown.flaky}/`, 'dark', 760],
]
const readmeWidth = 1200

async function takeReadme(browser) {
  for (const [name, path, colorScheme, height] of readmePages) {
    const context = await browser.newContext({ viewport: { width: readmeWidth, height }, colorScheme })
    const page = await context.newPage()
    await page.goto(labServer.url + path, { waitUntil: 'load' })
    // Twice: glyphs of a second font may come after the first picture.
    await page.screenshot()
    await page.screenshot({ path: join(folder, `${name}.png`) })
    await context.close()
  }
}

async function takeAll(browser) {
  for (const theme of themes) {
    for (const width of widths) {
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme })
      const page = await context.newPage()
      for (const [name, url, path, login] of pages) {
        if (wanted.length > 0 && !wanted.includes(name)) continue
        if (login) {
          await page.goto(`${url}/login/`)
          await page.fill('#token', String(token.body.token))
          await page.click('main button')
        }
        await page.goto(url + path, { waitUntil: 'load' })
        await page.screenshot({ path: join(folder, `${name}-${width}-${theme}.png`), fullPage: !name.endsWith('wall') })
      }
      await context.close()
    }
  }
}

const browser = await chromium.launch({ executablePath, args: chromiumFlags })
try {
  await (forReadme ? takeReadme(browser) : takeAll(browser))
} finally {
  await browser.close()
  await Promise.all([fullServer.close(), emptyServer.close(), labServer.close()])
  full.close()
  empty.close()
  lab.close()
}
process.stdout.write(`${folder}\n`)
