/**
 * `npm test`: installs what the tests need, then runs everything and closes with `N passed, N failed, N skipped`.
 *
 *   npm test [-- FILE…]     only these test files, without the checks before them
 *
 * What needs a Debian package, root or a device that is not there is skipped by name; under CI=true a skip is a failure. For
 * an ordinary user, tests that mount or lay networks run in a user namespace where the machine allows it.
 * Runs on the machine's Node; the tests run on the pinned runtime, which is the one in the executable.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { build } from '../build.mjs'
import { namespaceWords, rootFiles } from './namespace.mjs'
import { install, projectDir, run, runtime } from './setup.mjs'

/** A hung test must not hang CI; the longest (real firmware) takes some minutes. */
const testTimeoutMs = 600_000

const say = (line) => process.stdout.write(`${line}\n`)
const chosen = process.argv.slice(2)
const totals = { passed: 0, failed: 0, skipped: 0 }

await install(say)
await installDebianPackages()
const steps = chosen.length > 0 ? [] : ['build', 'types', 'lint', 'unused']
const bin = (name) => join(projectDir, 'node_modules', '.bin', name)
const checks = {
  build: () => build({ say }),
  types: () => run(bin('tsc'), ['--pretty', 'false'], { cwd: projectDir }),
  lint: () => run(bin('biome'), ['ci', '--colors=off', '.'], { cwd: projectDir }),
  unused: () => run(runtime, [join(projectDir, 'node_modules/knip/bin/knip.js'), '--no-progress'], { cwd: projectDir }),
}
for (const step of steps) await check(step, checks[step])
const files = chosen.length > 0 ? chosen.map((file) => relative(projectDir, resolve(file))) : testFiles()
const namespace = await namespaceWords(run)
const inside = namespace ? files.filter((file) => rootFiles.includes(file)) : []
await runTests(files.filter((file) => !inside.includes(file)))
if (inside.length > 0) {
  if (inside.includes('tests/e2e/qemu.test.ts') && mayOpen('/dev/net/tun')) await fetchKernel()
  say('as root in a user namespace:')
  await runTests(inside, namespace)
}

const { passed, failed, skipped } = totals
const skipFails = process.env.CI === 'true' && skipped > 0
if (skipFails) say('a skipped test is a failure under CI=true')
process.exitCode = failed > 0 || skipFails || passed === 0 ? 1 : 0
say(`${passed} passed, ${failed} failed, ${skipped} skipped`)

async function check(name, what) {
  const started = Date.now()
  try {
    await what()
    totals.passed++
    say(`ok    ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
  } catch (error) {
    totals.failed++
    say(`FAIL  ${name}\n${error.message}`)
  }
}

/** Test files, the long ones of tests/e2e last. */
function testFiles() {
  const files = readdirSync(join(projectDir, 'tests'), { recursive: true })
    .map((name) => join('tests', String(name)))
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
  const isLong = (name) => name.startsWith(join('tests', 'e2e'))
  return [...files.filter((name) => !isLong(name)), ...files.filter(isLong)]
}

/** `prefix`: what to put in front of the command. */
async function runTests(files, prefix = []) {
  if (files.length === 0) return
  const summary = join(projectDir, 'dist', 'test-summary.json')
  mkdirSync(join(projectDir, 'dist'), { recursive: true })
  rmSync(summary, { force: true })
  const [program, ...args] = [
    ...prefix,
    runtime,
    '--test',
    '--test-concurrency=2',
    `--test-timeout=${testTimeoutMs}`,
    `--test-reporter=${join(projectDir, 'scripts/test-reporter.mjs')}`,
    '--test-reporter-destination=stdout',
    ...files,
  ]
  const status = await new Promise((resolve) => {
    const env = { ...process.env, TEST_SUMMARY: summary }
    const child = spawn(program, args, { cwd: projectDir, stdio: ['ignore', 'inherit', 'inherit'], env })
    child.on('error', () => resolve(1))
    child.on('close', (code) => resolve(code))
  })
  const counts = existsSync(summary) ? JSON.parse(readFileSync(summary, 'utf8')) : { passed: 0, failed: 0, skipped: 0 }
  for (const key of Object.keys(totals)) totals[key] += counts[key]
  if (status !== 0 && counts.failed === 0) {
    totals.failed++
    say(`FAIL  the test runner ended with status ${status}`)
  }
}

function mayOpen(device) {
  try {
    accessSync(device, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** The guests' kernel, before the tests are in a network of their own from which no package can be had. */
async function fetchKernel() {
  const program = "(await import('./tests/harness/kernel.ts')).getKernel()"
  try {
    await run(runtime, ['--input-type=module', '--eval', `await ${program}`], { cwd: projectDir })
  } catch (error) {
    say(`guests lack their kernel: ${error.message.split('\n').at(-1)}`)
  }
}

/** As root on Debian, what the tests need is installed; elsewhere the tests that lack it say so. */
async function installDebianPackages() {
  const { lacking } = await import('../tests/harness/debian.mjs')
  const missing = lacking()
  if (missing.length === 0) return
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    say(`not installed, and only root may install it; tests that need it are skipped: ${missing.join(' ')}`)
    return
  }
  say(`installing ${missing.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  try {
    await run('apt-get', ['-qq', 'update'], { env })
    await run('apt-get', ['-qq', '-y', '--no-install-recommends', 'install', ...missing], { env })
  } catch (error) {
    say(`tests that need these are skipped: ${missing.join(' ')}\n${error.message}`)
  }
}
