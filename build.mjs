/**
 * Builds the one executable: esbuild bundles the sources, pkg puts them with their assets into a Node runtime.
 *
 *   npm run build [-- --target linux-x64|linux-arm64]
 *
 * Result: dist/pxemngr (dist/pxemngr-arm64 when built for another machine than this one). Nothing is rebuilt that has
 * not changed: a stamp beside the executable covers sources, assets, lock file, commit and this file. Runs on the
 * machine's Node; pkg needs Node 22 or later and so runs on the pinned runtime (`--pack`).
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { clientHalfPlugin } from './scripts/client-half.mjs'
import { makeCodeCaches } from './scripts/code-cache.mjs'
import { copyrightsDir, getLoaders, loadersDir, loadersList } from './scripts/loaders.mjs'
import { install, projectDir, run, runtime } from './scripts/setup.mjs'

const require = createRequire(import.meta.url)
const distDir = join(projectDir, 'dist')
const bundleDir = join(distDir, 'bundle')

/**
 * Bundles: entry → source, and how large each may become (bytes). The client's start time depends on `boot`, which the
 * runtime evaluates, and `main`.
 */
const bundles = {
  boot: { source: 'src/boot.ts', budgetBytes: 4_000 },
  main: { source: 'src/main.ts', budgetBytes: 140_000 },
  daemon: { source: 'src/daemon.ts', budgetBytes: 900_000 },
  'tftp-worker': { source: 'src/tftp/worker.ts', budgetBytes: 80_000 },
  'trace-worker': { source: 'src/store/trace-worker.ts', budgetBytes: 120_000 },
  snapshot: { source: 'src/store/snapshot-program.ts', budgetBytes: 200_000 },
}

/** The packages that may be inside. Anything else in a bundle is a mistake that fails the build. */
const packagesAllowed = new Set([
  '@hono/node-server',
  '@valibot/to-json-schema',
  'cac',
  'eta',
  'hono',
  'smol-toml',
  'sql.js',
  'tftp2',
  'valibot',
])

const targets = ['linux-x64', 'linux-arm64']

/**
 * A young heap of 4 MB: large pages leave megabytes behind them, which the default of 16 keeps resident for long.
 * One thread that compiles and collects garbage beside the others: each has an allocator's arena of its own, and what
 * compiling SQLite took at the start stays resident in every one of them.
 */
const runtimeFlags = ['--max-semi-space-size=4', '--v8-pool-size=1']

/**
 * @param {{ target?: string, say?: (line: string) => void }} options
 * @returns {Promise<string>} path of the executable
 */
export async function build({ target = `linux-${process.arch}`, say = () => {} } = {}) {
  if (!targets.includes(target)) throw new Error(`--target ${target}: allowed are ${targets.join(', ')}`)
  await install(say)
  const arch = target.slice('linux-'.length)
  const executable = join(distDir, arch === process.arch ? 'pxemngr' : `pxemngr-${arch}`)
  const stampFile = `${executable}.stamp`
  const loaders = await getLoaders(say)
  const stamp = stampOf(target, loaders.have)
  if (existsSync(executable) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return executable
  for (const { name, why } of loaders.missing) say(`going on without ${name}: ${why}`)

  say('bundling')
  rmSync(bundleDir, { recursive: true, force: true })
  mkdirSync(bundleDir, { recursive: true })
  const used = await bundle()
  writeFileSync(join(distDir, 'NOTICES'), notices(used, loaders.have))
  await run(runtime, [join(projectDir, 'scripts', 'empty-state.mjs'), join(bundleDir, 'empty.sqlite')])

  say(`packing ${basename(executable)} for ${target}`)
  rmSync(stampFile, { force: true })
  const order = join(distDir, 'pack.json')
  const unfinished = join(distDir, `.${basename(executable)}.new`)
  const list = assets(loaders.have)
  // Compiled code is for the machine that compiled it.
  if (arch === process.arch) Object.assign(list, await codeCaches(list, say))
  writeFileSync(order, JSON.stringify({ arch, output: unfinished, assets: list }))
  if (arch !== process.arch) await foreignRuntime(arch, say)
  await run(runtime, [join(projectDir, 'build.mjs'), '--pack', order], {
    env: { ...process.env, HOME: join(projectDir, '.cache', 'pkg-home') },
  })
  if (arch === process.arch) {
    const printed = await run(unfinished, ['--version'])
    if (!printed.startsWith(`pxemngr ${packageJson().version} `)) throw new Error(`the executable says ${printed}`)
  }
  renameSync(unfinished, executable)
  rmSync(order)
  writeFileSync(stampFile, stamp)
  return executable
}

function packageJson() {
  return JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8'))
}

/** Short commit, with `+` if the tree has other changes; `unknown` outside a checkout. */
function commit() {
  try {
    const git = (...args) =>
      execFileSync('git', ['-C', projectDir, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim()
    const changed = git('status', '--porcelain', '--untracked-files=no') !== ''
    return git('rev-parse', '--short=12', 'HEAD') + (changed ? '+' : '')
  } catch {
    return 'unknown'
  }
}

function filesBelow(...folders) {
  return folders
    .flatMap((folder) => {
      const dir = join(projectDir, folder)
      if (!existsSync(dir)) return []
      return readdirSync(dir, { recursive: true }).map((name) => join(folder, String(name)))
    })
    .filter((name) => statSync(join(projectDir, name)).isFile())
    .sort()
}

function stampOf(target, loaders) {
  const hash = createHash('sha256')
  const own = ['build.mjs', 'scripts/client-half.mjs', 'scripts/code-cache.mjs', 'scripts/empty-state.mjs']
  const files = [...filesBelow('src', 'templates', 'profiles'), 'package.json', 'package-lock.json', ...own]
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(projectDir, file)))
      .update('\0')
  return hash.update([target, commit(), loadersList(), ...loaders].join('\0')).digest('hex')
}

/** Bundles every entry, checks packages and budgets; returns the names of the packages that are inside. */
async function bundle() {
  const { build: esbuild } = await import('esbuild')
  const used = new Set()
  const version = { BUILD_VERSION: JSON.stringify(packageJson().version), BUILD_COMMIT: JSON.stringify(commit()) }
  for (const [name, { source, budgetBytes }] of Object.entries(bundles)) {
    const { metafile } = await esbuild({
      entryPoints: [join(projectDir, source)],
      outfile: join(bundleDir, `${name}.cjs`),
      absWorkingDir: projectDir,
      bundle: true,
      platform: 'node',
      format: 'cjs',
      target: 'node24',
      minifyWhitespace: true,
      minifySyntax: true,
      // Names are for stack traces; in the client they would cost start time. Not `keepNames`, which names each closure
      // anew whenever it is made: a sixth of a small read.
      minifyIdentifiers: name === 'main',
      plugins: name === 'main' ? [clientHalfPlugin] : [],
      legalComments: 'none',
      // A bundle is a script (`src/evaluate.ts`): what it loads later it requires then.
      supported: { 'dynamic-import': false },
      // Read by `src/source-maps.ts`, where a stack is asked for.
      sourcemap: name === 'daemon' ? 'external' : false,
      sourcesContent: false,
      define: { ...version, 'import.meta.dirname': '""', 'import.meta.url': '""' },
      metafile: true,
      logLevel: 'silent',
    })
    let sizeBytes = 0
    for (const [input, { bytesInOutput }] of Object.entries(metafile.outputs[`dist/bundle/${name}.cjs`].inputs)) {
      sizeBytes += bytesInOutput
      const inPackage = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1]
      if (!inPackage) continue
      if (!packagesAllowed.has(inPackage))
        throw new Error(`${name}.cjs would contain ${inPackage}, which is not allowed`)
      used.add(inPackage)
    }
    if (sizeBytes > budgetBytes) throw new Error(`${name}.cjs is ${sizeBytes} bytes, its budget is ${budgetBytes}`)
  }
  return [...used].sort()
}

/** Asset name → absolute path. */
function assets(loaders) {
  const list = {
    'sql-wasm.wasm': join(projectDir, 'node_modules/sql.js/dist/sql-wasm.wasm'),
    NOTICES: join(distDir, 'NOTICES'),
  }
  for (const name of Object.keys(bundles)) if (name !== 'boot') list[`${name}.cjs`] = join(bundleDir, `${name}.cjs`)
  list['empty.sqlite'] = join(bundleDir, 'empty.sqlite')
  list['daemon.cjs.map'] = join(bundleDir, 'daemon.cjs.map')
  for (const file of filesBelow('templates', 'profiles')) list[file] = join(projectDir, file)
  for (const name of loaders) list[`loaders/${name}`] = join(loadersDir, name)
  return list
}

/** The code that V8 has compiled of the bundles: asset name → absolute path. Without it a start takes longer, no more. */
async function codeCaches(list, say) {
  try {
    return await makeCodeCaches({ runtime, flags: runtimeFlags, assets: list, dir: bundleDir })
  } catch (error) {
    say(`going on without compiled code: ${error.message}`)
    return {}
  }
}

/** The licences of all that is inside. */
function notices(packages, loaders) {
  const rule = '='.repeat(78)
  const part = (title, text) => `${rule}\n${title}\n${rule}\n\n${text.trim()}\n`
  const licenceOf = (dir) => {
    const name = readdirSync(dir).find((entry) => /^licen[cs]e/i.test(entry))
    return name ? readFileSync(join(dir, name), 'utf8') : undefined
  }
  const parts = [part('pxemngr: Apache License 2.0', readFileSync(join(projectDir, 'LICENSE'), 'utf8'))]
  for (const name of packages) {
    const dir = join(projectDir, 'node_modules', name)
    const { version, license } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
    parts.push(part(`${name} ${version}: ${license}`, licenceOf(dir) ?? `${license} licence, as its package states.`))
  }
  parts.push(part('SQLite (inside sql.js)', 'SQLite is in the public domain: https://www.sqlite.org/copyright.html'))
  parts.push(part('Node.js', licenceOf(dirname(dirname(runtime))) ?? ''))
  const { packages: debian } = JSON.parse(loadersList())
  for (const pack of debian) {
    const inside = pack.files.map((file) => file.name).filter((name) => loaders.includes(name))
    if (inside.length === 0) continue
    const source = [
      `Boot loaders ${inside.join(', ')}, unchanged, from Debian's package ${pack.name} ${pack.version}.`,
      `They are separate programs under their own licences, given below. Their complete source is Debian's source`,
      `package ${pack.source}, version ${pack.version}: on Debian \`apt-get source ${pack.source}=${pack.version}\`,`,
      `elsewhere https://snapshot.debian.org/package/${pack.source}/.`,
    ].join('\n')
    const copyright = readFileSync(join(copyrightsDir, `${pack.copyright}.copyright`), 'utf8')
    parts.push(part(`${inside.join(', ')} (${pack.source})`, `${source}\n\n${copyright}`))
  }
  return parts.join('\n')
}

/** Puts the runtime of another architecture where pkg looks for it: it must be of the version that makes the blob. */
async function foreignRuntime(arch, say) {
  const name = `node-linux-${arch}`
  const version = packageJson().optionalDependencies[name]
  const home = join(projectDir, '.cache', 'pkg-home')
  const label = `node-v${version}-linux-${arch}`
  const seeded = join(home, '.pkg-cache', 'sea', label, 'bin', 'node')
  if (!existsSync(seeded)) {
    say(`getting ${name} ${version}`)
    const work = join(projectDir, '.cache', 'runtime')
    rmSync(work, { recursive: true, force: true })
    mkdirSync(work, { recursive: true })
    await run('npm', ['pack', '--silent', '--pack-destination', work, `${name}@${version}`], { cwd: projectDir })
    const archive = join(work, `${name}-${version}.tgz`)
    const lock = JSON.parse(readFileSync(join(projectDir, 'package-lock.json'), 'utf8'))
    const wanted = lock.packages[`node_modules/${name}`].integrity
    const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`
    if (found !== wanted) throw new Error(`${name}@${version} is ${found}, package-lock.json says ${wanted}`)
    await run('tar', ['-xzf', archive, '-C', work, 'package/bin/node'])
    mkdirSync(dirname(seeded), { recursive: true })
    renameSync(join(work, 'package/bin/node'), seeded)
    rmSync(work, { recursive: true })
  }
  for (const mark of [`${label}.tar.gz`, `${label}.tar.gz.ok`, `${label}/bin/node.ok`]) {
    writeFileSync(join(home, '.pkg-cache', 'sea', mark), '')
  }
  const own = join(home, '.pkg-cache', 'sea', `node-v${version}-linux-${process.arch}`)
  mkdirSync(join(own, 'bin'), { recursive: true })
  for (const mark of [`${own}.tar.gz`, `${own}.tar.gz.ok`, join(own, 'bin/node.ok')]) writeFileSync(mark, '')
  if (!existsSync(join(own, 'bin/node'))) symlinkSync(runtime, join(own, 'bin/node'))
}

/** Second half, on the pinned runtime: pkg's own packer, called as a function because its command line lacks assets. */
async function pack(orderFile) {
  const { arch, output, assets: list } = JSON.parse(readFileSync(orderFile, 'utf8'))
  const native = arch === process.arch
  const version = process.versions.node
  await require('pkg/lib-es5/sea.js').default(join(bundleDir, 'boot.cjs'), {
    targets: [{ nodeRange: `node${version}`, platform: 'linux', arch, output }],
    signature: false,
    ...(native ? { nodePath: process.execPath } : {}),
    seaConfig: { assets: list, useCodeCache: native, execArgvExtension: 'none', execArgv: runtimeFlags },
  })
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const args = process.argv.slice(2)
  if (args[0] === '--pack') await pack(args[1])
  else {
    const say = (line) => process.stderr.write(`${line}\n`)
    try {
      if (args.length > 0 && !(args[0] === '--target' && args.length === 2)) {
        throw new Error(`usage: npm run build [-- --target ${targets.join('|')}]`)
      }
      const executable = await build({ ...(args[1] ? { target: args[1] } : {}), say })
      say(`${executable.slice(projectDir.length + 1)} is ready`)
    } catch (error) {
      say(`build: ${error.message}`)
      process.exitCode = 1
    }
  }
}
