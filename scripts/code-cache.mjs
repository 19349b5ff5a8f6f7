/**
 * The code that V8 compiles of the bundles until a command is done and until the daemon is ready, as assets of the
 * executable (`src/evaluate.ts`): made by running them, since V8 compiles a function when it is first called.
 *
 * The runs are on the pinned runtime with the flags of the executable, on loopback and in a folder of their own. Half of
 * this file is imported by the build, which runs on the machine's Node; the other half is what it starts:
 * `code-cache.mjs BUNDLE ASSETS CACHE WORDS…`.
 */
import { spawn } from 'node:child_process'
import fs, { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import v8 from 'node:v8'

/** A start takes a second on a busy machine. */
const runTimeoutMs = 30_000

/**
 * @param {{ runtime: string, flags: string[], assets: Record<string, string>, dir: string }} options `assets`: name →
 * path; `dir`: where the caches are written
 * @returns {Promise<Record<string, string>>} asset name → path
 */
export async function makeCodeCaches({ runtime, flags, assets, dir }) {
  const work = mkdtempSync(join(tmpdir(), 'pxemngr-build-'))
  const list = join(work, 'assets.json')
  writeFileSync(list, JSON.stringify(assets))
  const config = join(work, 'pxemngr.toml')
  writeFileSync(config, '')
  const socket = join(work, 'socket')
  const folders = ['data-dir', 'profiles-dir', 'tftp-root', 'tests-dir', 'results-dir'].flatMap((key) => [
    `--${key}`,
    join(work, key),
  ])
  const serve = ['serve', '--socket', socket, ...folders, '--tftp', '127.0.0.1:0', '--http', '127.0.0.1:0']
  /** @type {Set<import('node:child_process').ChildProcess>} */
  const running = new Set()
  const start = (bundle, cache, words) => {
    const own = fileURLToPath(import.meta.url)
    // Settings of whoever builds, and of the machine, must not reach it.
    const env = { PATH: process.env.PATH ?? '', HOME: work, PXEMNGR_CONFIG: config }
    const child = spawn(runtime, [...flags, own, bundle, list, cache, ...words], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    return watch(child, () => running.delete(child))
  }
  /** A daemon from its ready line to its end, with what is done meanwhile. */
  const daemonWhile = async (cache, done) => {
    const daemon = start('daemon.cjs', cache, serve)
    await daemon.printed('pxemngr ready ')
    await done()
    daemon.stop()
    await daemon.ended
  }
  const command = (cache, ...words) => start('main.cjs', cache, [...words, '--socket', socket]).ended
  const caches = { 'main.cjs.cache': join(dir, 'main.cjs.cache'), 'daemon.cjs.cache': join(dir, 'daemon.cjs.cache') }
  try {
    mkdirSync(join(work, 'tftp-root'))
    await daemonWhile('', async () => {
      await command('', 'addsystem', 'web01', '52:54:00:12:34:56')
      await command(caches['main.cjs.cache'], 'nextboot', 'web01', 'local')
    })
    // With a journal to replay, as a daemon has from its second start on.
    await daemonWhile(caches['daemon.cjs.cache'], async () => {})
    for (const path of Object.values(caches)) if (!existsSync(path)) throw new Error(`no run left ${path}`)
    return caches
  } finally {
    for (const child of running) child.kill('SIGKILL')
    rmSync(work, { recursive: true, force: true })
  }
}

/** A child whose end, output and lateness are told. */
function watch(child, onEnd) {
  let out = ''
  let errors = ''
  let wake = () => {}
  child.stdout.on('data', (piece) => {
    out += piece
    wake()
  })
  child.stderr.on('data', (piece) => {
    errors += piece
  })
  const late = setTimeout(() => child.kill('SIGKILL'), runTimeoutMs)
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => {
      clearTimeout(late)
      onEnd()
      if (status === 0) resolve()
      else reject(new Error(`a run of it ended with ${signal ?? status}: ${errors.trim().slice(-500)}`))
    })
  })
  ended.catch(() => wake())
  return {
    ended,
    stop: () => child.kill('SIGTERM'),
    printed: (text) =>
      Promise.race([
        ended.then(() => Promise.reject(new Error(`it ended without ${text}`))),
        new Promise((resolve) => {
          wake = () => out.includes(text) && resolve()
          wake()
        }),
      ]),
  }
}

/** What the build starts: runs a bundle as the executable does, and keeps what is compiled when it is ready or done. */
async function runBundleOnce([name, assetsFile, cache, ...words]) {
  const { bundlePath, compileBundle, loadBuiltin, runBundle } = await import('../src/evaluate.ts')
  const assets = JSON.parse(readFileSync(assetsFile, 'utf8'))
  const bytesOf = (asset) => Uint8Array.from(readFileSync(assets[asset])).buffer
  const sea = {
    isSea: () => true,
    getAssetKeys: () => Object.keys(assets),
    getRawAsset: bytesOf,
    getAsset: (asset, encoding) => (encoding ? new TextDecoder(encoding).decode(bytesOf(asset)) : bytesOf(asset)),
  }
  const load = (module) => (module === 'node:sea' ? sea : loadBuiltin(module))
  const script = compileBundle(bundlePath(name), readFileSync(assets[name], 'utf8'))
  const keep = () => {
    if (cache !== '') writeFileSync(cache, script.createCachedData())
  }
  process.argv = [process.execPath, process.execPath, ...words]
  if (name === 'main.cjs') {
    process.once('exit', keep)
    runBundle(bundlePath(name), script, load)
    return
  }
  // A flag that is set while it runs would be expected of whoever takes the code, before anything has set it.
  v8.setFlagsFromString = () => {}
  const { writeSync } = fs
  fs.writeSync = (...given) => {
    if (String(given[1]).startsWith('pxemngr ready ')) keep()
    return writeSync(...given)
  }
  const { runLocal } = runBundle(bundlePath(name), script, load)
  process.exit(await runLocal('serve', { argv: words.slice(1) }))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await runBundleOnce(process.argv.slice(2))
