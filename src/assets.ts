/**
 * The files inside the executable, and how its other programs (worker threads, child processes) are started.
 *
 * In the executable they are assets of Node's single executable application (`node:sea`); when the sources run directly
 * (unit tests) the same names are read from the project's folders. Asset bytes are read-only memory: never written to.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { getAssetKeys, getRawAsset, isSea } from 'node:sea'
import { pathToFileURL } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { bundlePath, evaluateBundle } from './evaluate.ts'
import { mapStacks } from './source-maps.ts'

const inExecutable = isSea()
/** Top folder of the project; only meaningful where the sources run directly. */
const projectDir = inExecutable ? '' : join(import.meta.dirname, '..')

/** Programs beside the main one: asset name → source they are bundled from. */
export const programs = {
  'tftp-worker': 'src/tftp/worker.ts',
  'trace-worker': 'src/store/trace-worker.ts',
  snapshot: 'src/store/snapshot-program.ts',
} as const

export type Program = keyof typeof programs

/** Whether there is a program of that name. */
export function isProgram(name: string): name is Program {
  return Object.hasOwn(programs, name)
}

/** Folders whose files are assets under the same names, and where single assets lie when the sources run directly. */
const folders: Readonly<Record<string, string>> = {
  templates: 'templates',
  profiles: 'profiles',
  loaders: '.cache/loaders/files',
}
const files: Readonly<Record<string, string>> = {
  'sql-wasm.wasm': 'node_modules/sql.js/dist/sql-wasm.wasm',
  NOTICES: 'dist/NOTICES',
}

/** Bytes of an asset such as `profiles/local.prof`; undefined if there is none of that name. */
export function findAsset(name: string): Uint8Array | undefined {
  if (inExecutable) {
    return getAssetKeys().includes(name) ? new Uint8Array(getRawAsset(name)) : undefined
  }
  const path = sourcePath(name)
  return path && existsSync(path) ? readFileSync(path) : undefined
}

function sourcePath(name: string): string | undefined {
  const single = files[name]
  if (single) return join(projectDir, single)
  const [top, ...rest] = name.split('/')
  const folder = top === undefined ? undefined : folders[top]
  return folder && rest.length > 0 ? join(projectDir, folder, ...rest) : undefined
}

/** As `findAsset`; a missing asset is a fault of the build. */
export function getAsset(name: string): Uint8Array {
  const bytes = findAsset(name)
  if (!bytes) throw new Error(`the executable lacks its asset ${name}`)
  return bytes
}

/** Text of an asset, UTF-8. */
export function getAssetText(name: string): string {
  return new TextDecoder().decode(getAsset(name))
}

/** Names of the assets below a folder such as `loaders`, without the folder, sorted. */
export function listAssets(folder: string): string[] {
  const prefix = `${folder}/`
  if (inExecutable) {
    return getAssetKeys()
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length))
      .sort()
  }
  const dir = join(projectDir, folders[folder] ?? folder)
  if (!existsSync(dir)) return []
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort()
}

/** Starts one of the programs as a worker thread. */
export function startWorker(program: Program, options: WorkerOptions = {}): Worker {
  if (inExecutable) return new Worker(getAssetText(`${program}.cjs`), { ...options, eval: true })
  return new Worker(pathToFileURL(join(projectDir, programs[program])), options)
}

/**
 * Starts one of the programs as a child process of its own (`process.execPath`), so that its memory goes away with it.
 * It finds `args` in `process.argv.slice(2)`.
 */
export function startProcess(program: Program, args: readonly string[], options: SpawnOptions): ChildProcess {
  if (inExecutable) return spawn(process.execPath, [`@${program}`, ...args], options)
  return spawn(process.execPath, [join(projectDir, programs[program]), ...args], options)
}

/** Evaluates a bundle of the executable (`daemon.cjs`) and returns its exports. Stacks name its sources if it has a map. */
export function evaluateAsset(name: string): unknown {
  if (getAssetKeys().includes(`${name}.map`)) mapStacks(bundlePath(name), () => getAssetText(`${name}.map`))
  return evaluateBundle(name)
}
