/**
 * Evaluating a bundle of the executable, with the code that the build has compiled of it.
 *
 * Compiling is a fifth of what the main thread does until the daemon is ready. So the build runs each bundle once and keeps
 * what V8 had compiled by then as the asset `<bundle>.cache` (`scripts/code-cache.mjs`). V8 takes it only for the same
 * version, flags and source; otherwise it compiles as ever, and nothing but time is lost. Source: Node, `vm.Script`
 * (`cachedData`).
 */
import { getAsset, getAssetKeys, getRawAsset } from 'node:sea'
import { Script } from 'node:vm'

/** What became of the compiled code of a bundle: V8 took it, would not have it, or there is none. */
type CodeCache = 'used' | 'rejected' | 'none'

/** What modules of CommonJS are given, as Node itself does it. */
const prefix = '(function (exports, require, module, __filename, __dirname) { '
const suffix = '\n})'

/** By bundle; of the whole process, since bundles share no memory of their own. */
const codeCaches: Record<string, CodeCache> = caches()

function caches(): Record<string, CodeCache> {
  const shared = globalThis as { [key: symbol]: Record<string, CodeCache> | undefined }
  const key = Symbol.for('pxemngr.codeCaches')
  shared[key] ??= {}
  return shared[key]
}

/** What became of the compiled code of the bundles that this process has evaluated. */
export function usedCodeCaches(): Readonly<Record<string, CodeCache>> {
  return codeCaches
}

/** A bundle as a script that yields its function; positions in it are those of the bundle. */
export function compileBundle(path: string, code: string, cachedData?: Uint8Array): Script {
  return new Script(prefix + code + suffix, {
    filename: path,
    columnOffset: -prefix.length,
    ...(cachedData ? { cachedData } : {}),
  })
}

/** Evaluates a compiled bundle; its exports. `load`: what it requires, which is nothing but modules of Node. */
export function runBundle(path: string, script: Script, load = loadBuiltin): unknown {
  const module = { exports: {} as unknown }
  const evaluate = script.runInThisContext() as (...given: unknown[]) => void
  evaluate.call(module.exports, module.exports, load, module, path, path.slice(0, path.lastIndexOf('/')))
  return module.exports
}

/** A module of Node; throws for any other. */
export function loadBuiltin(name: string): unknown {
  const found = process.getBuiltinModule(name)
  if (found === undefined) throw new Error(`a bundle asks for ${name}, which is no module of Node`)
  return found
}

/** Path of a bundle in stacks. */
export function bundlePath(name: string): string {
  return `/pxemngr/${name}`
}

/** Evaluates a bundle of the executable, such as `daemon.cjs`; its exports. */
export function evaluateBundle(name: string): unknown {
  const path = bundlePath(name)
  const cache = `${name}.cache`
  const cachedData = getAssetKeys().includes(cache) ? new Uint8Array(getRawAsset(cache)) : undefined
  const script = compileBundle(path, getAsset(name, 'utf8'), cachedData)
  codeCaches[name] = cachedData === undefined ? 'none' : script.cachedDataRejected ? 'rejected' : 'used'
  return runBundle(path, script)
}
