/**
 * Gets the boot loaders that go into the executable out of Debian's packages: without root, without the machine's own
 * package lists, checked against the SHA-256 in loaders.json, kept in .cache/loaders so that a second build needs no
 * network. `node scripts/loaders.mjs --update` writes loaders.json anew from what Debian offers now.
 *
 * Where a loader cannot be had (no apt, no network, another version), the build says so and goes on without it.
 */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { openDebian } from './debian-download.mjs'
import { projectDir, run } from './setup.mjs'

const listFile = join(projectDir, 'scripts', 'loaders.json')
const cacheDir = join(projectDir, '.cache', 'loaders')
/** Where the loaders lie, by the names they have upstream. */
export const loadersDir = join(cacheDir, 'files')
/** The copyright files of their packages, `<package>.copyright`. */
export const copyrightsDir = join(cacheDir, 'copyrights')

const hashOf = (file) => createHash('sha256').update(readFileSync(file)).digest('hex')

/** Text of the list, without reading a loader: part of what the build's stamp covers. */
export function loadersList() {
  return readFileSync(listFile, 'utf8')
}

/**
 * Brings the loaders of the list into `.cache/loaders`.
 *
 * @param {(line: string) => void} say
 * @returns {Promise<{ have: string[], missing: { name: string, why: string }[] }>}
 */
export async function getLoaders(say) {
  const { packages } = JSON.parse(loadersList())
  const wanted = packages.flatMap((pack) => pack.files.map((file) => ({ ...file, pack })))
  const isHere = ({ name, sha256, pack }) => {
    const file = join(loadersDir, name)
    return existsSync(file) && existsSync(join(copyrightsDir, `${pack.copyright}.copyright`)) && hashOf(file) === sha256
  }
  const absent = wanted.filter((file) => !isHere(file))
  let failure = ''
  if (absent.length > 0) {
    const names = [...new Set(absent.flatMap(({ pack }) => [pack.name, pack.copyright]))]
    say(`getting boot loaders from Debian: ${names.join(' ')}`)
    try {
      await unpack(names, (root, name) =>
        keep(
          root,
          packages.find((pack) => pack.name === name),
        ),
      )
    } catch (error) {
      failure = error.message.split('\n').at(-1)
    }
  }
  const missing = wanted
    .filter((file) => !isHere(file))
    .map(({ name, pack }) => ({ name, why: failure || `Debian's ${pack.name} is no longer version ${pack.version}` }))
  for (const { name } of missing) rmSync(join(loadersDir, name), { force: true })
  return { have: wanted.filter(isHere).map((file) => file.name), missing }
}

function keep(root, pack) {
  mkdirSync(loadersDir, { recursive: true })
  mkdirSync(copyrightsDir, { recursive: true })
  for (const { name, path, sha256 } of pack.files) {
    const from = join(root, path)
    if (existsSync(from) && hashOf(from) === sha256) copyFileSync(from, join(loadersDir, name))
  }
  if (pack.copyright === pack.name) {
    copyFileSync(join(root, 'usr/share/doc', pack.name, 'copyright'), join(copyrightsDir, `${pack.name}.copyright`))
  }
}

/** Unpacks each package and hands over the folder, its name and version; cleans up after itself. */
async function unpack(names, use) {
  mkdirSync(cacheDir, { recursive: true })
  const work = mkdtempSync(join(cacheDir, 'apt-'))
  try {
    const runIn = ([program, ...words], cwd) => run(program, words, { cwd })
    const debian = await openDebian(work, runIn, { architecture: 'amd64' })
    const unpacked = []
    await debian.unpack(names, (name, version) => {
      const root = join(work, 'root', name)
      unpacked.push({ root, name, version })
      return root
    })
    for (const { root, name, version } of unpacked) use(root, name, version)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function update() {
  const list = JSON.parse(loadersList())
  await unpack(
    list.packages.map((pack) => pack.name),
    (root, name, version) => {
      const pack = list.packages.find((entry) => entry.name === name)
      pack.version = version
      for (const file of pack.files) file.sha256 = hashOf(join(root, file.path))
    },
  )
  writeFileSync(listFile, `${JSON.stringify(list, null, 2)}\n`)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const say = (line) => process.stderr.write(`${line}\n`)
  if (process.argv.includes('--update')) await update()
  const { have, missing } = await getLoaders(say)
  say(`have ${have.join(' ')}`)
  for (const { name, why } of missing) say(`without ${name}: ${why}`)
}
