/**
 * Installs what package-lock.json pins, if it is not installed yet, and names the runtime that comes with it.
 *
 * Runs on the Node of the machine (20 or later), before anything is installed: built-ins only. A stamp inside
 * node_modules says for which lock file it was made.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const projectDir = dirname(dirname(fileURLToPath(import.meta.url)))

/** The Node 24 that comes as an npm package: it runs the build and the tests, and is what the executable embeds. */
export const runtime = join(projectDir, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')

const stampFile = join(projectDir, 'node_modules', '.pxemngr-installed')
/** Lines of the installer that are kept to be shown if it fails. */
const linesKept = 40

/**
 * @param {(line: string) => void} say progress, one line
 */
export async function install(say) {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new Error(`pxemngr builds on Linux x64 and arm64; this is ${process.platform} ${process.arch}`)
  }
  const hash = createHash('sha256')
    .update(readFileSync(join(projectDir, 'package-lock.json')))
    .digest('hex')
  const installed = existsSync(stampFile) && existsSync(runtime) && readFileSync(stampFile, 'utf8') === hash
  if (installed) return
  say('installing what package-lock.json pins (about half a minute the first time)')
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: projectDir })
  if (!existsSync(runtime)) {
    throw new Error(`npm did not install node-linux-${process.arch}: the registry has to offer it (see package.json)`)
  }
  writeFileSync(stampFile, hash)
}

/**
 * Runs a program quietly; what it printed is shown only if it fails.
 *
 * @param {string} file
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @returns {Promise<string>} its standard output
 */
export function run(file, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    const printed = []
    let out = ''
    child.stdout?.on('data', (chunk) => {
      out += chunk
      printed.push(String(chunk))
    })
    child.stderr?.on('data', (chunk) => printed.push(String(chunk)))
    child.on('error', reject)
    child.on('close', (status, signal) => {
      if (status === 0) resolve(out)
      else {
        const tail = printed.join('').trimEnd().split('\n').slice(-linesKept).join('\n')
        reject(new Error(`${[file, ...args].join(' ')}: ${signal ?? `exit status ${status}`}\n${tail}`))
      }
    })
  })
}
