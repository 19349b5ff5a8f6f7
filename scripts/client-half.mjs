/**
 * The client's half of a command's definition: how it is typed, prepared and printed.
 *
 * A definition (`src/commands`) is one object, of which the daemon alone needs what checks and runs a call. This plugin of
 * esbuild leaves that out of the client's bundle, and with it goes whatever nothing else needs: half of the code, and all
 * the schemas that each command typed would build first. It works on esbuild's own print of a file, where each property of
 * the definition begins a line of its own, two spaces in; anything that it does not expect fails the build.
 */
import { readFile } from 'node:fs/promises'

/** What only the daemon reads; the names are those of `Command` and `Stream` in `src/commands/definition.ts`. */
const daemonOnly = new Set(['args', 'result', 'role', 'changes', 'run'])
const daemonOnlyInStream = new Set(['send', 'contentType'])
const forClient = new Set([
  'name',
  'summary',
  'about',
  'usage',
  'positionals',
  'options',
  'examples',
  'savesFile',
  'clientOnly',
  'prepare',
  'keep',
  'cutOff',
  'print',
  'exitStatus',
  'stream',
])
const forClientInStream = new Set(['when'])

const begins = /^(?:export )?const \w+ = defineCommand\(\{$/
const ends = '});'
/** Building a schema has no effect but the schema: one that nobody reads may go. */
const schemaCall = /(?<![\w.$'"`])v\.(?!(?:assert|is|parse|safeParse)\b)\w+\(/g

/**
 * @param {string} code a module as esbuild prints it
 * @returns {string} the same without what the daemon alone needs; throws for a definition that it cannot read
 */
export function clientHalf(code) {
  const kept = []
  let inside = false
  /** Property of the definition, and of its `stream`, that the line belongs to. */
  let property = ''
  let inner = ''
  let names = new Set()
  for (const line of code.split('\n')) {
    if (!inside) {
      kept.push(line.replaceAll(schemaCall, '/* @__PURE__ */ $&'))
      inside = begins.test(line)
      names = new Set()
      continue
    }
    if (line === ends) {
      if (!names.has('run')) throw new Error('a definition without a `run` of its own')
      kept.push(line)
      inside = false
      continue
    }
    const outer = nameAt(2, line)
    if (outer !== undefined) {
      if (!forClient.has(outer) && !daemonOnly.has(outer)) throw new Error(`${outer} in a definition`)
      if (names.has(outer)) throw new Error(`${outer} twice in a definition`)
      names.add(outer)
      property = outer
      inner = ''
    } else if (property === 'stream' && line.startsWith('    ')) {
      inner = nameAt(4, line) ?? inner
      if (!forClientInStream.has(inner) && !daemonOnlyInStream.has(inner)) throw new Error(`${inner} in a stream`)
    } else if (/^ {2}\S/.test(line)) inner = ''
    if (!daemonOnly.has(property) && !daemonOnlyInStream.has(inner)) kept.push(line)
  }
  if (inside) throw new Error('a definition without an end')
  return kept.join('\n')
}

/**
 * Name of the property that begins at this depth; undefined for the lines that go on with one or close it, among which
 * are the further lines of a text with line breaks, which begin anywhere.
 */
function nameAt(depth, line) {
  if (!line.startsWith(' '.repeat(depth)) || /^[\s\])}]/.test(line.slice(depth))) return undefined
  const name = /^(?:async )?(\w+)(?:[:(,]|$)/.exec(line.slice(depth))?.[1]
  if (name === undefined) throw new Error(`${JSON.stringify(line.trim())} in a definition`)
  return name
}

/** @type {import('esbuild').Plugin} */
export const clientHalfPlugin = {
  name: 'client-half',
  setup({ onLoad, esbuild }) {
    onLoad({ filter: /\/src\/commands\/[\w-]+\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8')
      const { code } = await esbuild.transform(source, { loader: 'ts', target: 'node24', sourcefile: path })
      const asked = source.match(/\bdefineCommand\(\{/g)?.length ?? 0
      const found = code.split('\n').filter((line) => begins.test(line)).length
      try {
        if (found !== asked) throw new Error(`${asked} definitions, of which ${found} can be read`)
        return { contents: clientHalf(code), loader: 'js' }
      } catch (error) {
        return { errors: [{ text: `${path}: ${error.message}` }] }
      }
    })
  },
}
