/**
 * What README.md and ARCHITECTURE.md name exists, and what a user or a program can type or ask is in README.md. Each name
 * in backticks is looked up by its kind: a command line, a flag, a variable, a URL, a file, else a word of the sources.
 *
 * Not here: whether the sentences are true. Source: STYLE "ARCHITECTURE.md and the documents".
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { globalOptions, parseArguments } from '../src/cli/arguments.ts'
import { forms } from '../src/cli/program.ts'
import { fields, keys, variableName } from '../src/config/keys.ts'
import { type AccessRule, accessRules, createRuleFinder } from '../src/http/access.ts'
import { profileSuffix } from '../src/profiles/folder.ts'
import { suiteSuffix, testSuffix } from '../src/runs/test-files.ts'
import { dataFolder } from '../src/store/folder.ts'
import { type Placed, projectDir, readDocument } from './harness/document.ts'

const readme = readDocument('README.md')
const architecture = readDocument('ARCHITECTURE.md')
const documents = [readme, architecture]
const spans = documents.flatMap((document) => document.spans)

/** Folders of the clone that are made, not written. */
const made = ['node_modules', 'dist', 'var', '.git']
const files = readdirSync(projectDir, { withFileTypes: true }).flatMap((entry) => {
  if (!entry.isDirectory()) return [entry.name]
  if (made.includes(entry.name)) return []
  return readdirSync(join(projectDir, entry.name), { recursive: true }).map((name) => join(entry.name, String(name)))
})
const read = (name: string): string => readFileSync(join(projectDir, name), 'utf8')
/** Everything that is built or run, without the tests: where a word that a document names has to occur. */
const sources = files
  .filter((name) => /^(src|templates|profiles|scripts)\/|^(build\.mjs|package\.json)$/.test(name) && !/\.c$/.test(name))
  .filter((name) => statSync(join(projectDir, name)).isFile())
  .map(read)
  .join('\n')

const npmScripts = Object.keys((JSON.parse(read('package.json')) as { scripts: object }).scripts)
const keyNames = fields.map((field) => keys[field].name)
const flags = new Set([
  ...[...globalOptions, ...forms.flatMap((form) => form.options)].map(({ name }) => `--${name}`),
  ...['config', 'check', ...keyNames].map((name) => `--${name}`),
])
const variables = ['CONFIG', 'URL', 'TOKEN', 'SOCKET'].map((name) => `PXEMNGR_${name}`)
for (const name of keyNames) variables.push(variableName(name))

const findRule = createRuleFinder(accessRules)

/** `/api/v1/{a,b}/` → both, without last slash, query and host; what stands for something stays as it is. */
function pathsOf(text: string): string[] {
  const path = text.replace(/^https?:\/\/[^/]+/, '').replace(/[?#].*$/, '')
  const group = /^(.*)\{([^}]+)\}(.*)$/.exec(path)
  const all = group ? (group[2] ?? '').split(',').map((one) => `${group[1]}${one}${group[3]}`) : [path]
  return all.map((one) => (one.length > 1 ? one.replace(/\/$/, '') : one))
}

/** A URL in backticks: `GET /x/`, `/x/`, `http://SERVER:8000/x/`; undefined: no URL of this server. */
function urlOf(text: string): { method: string | undefined; paths: string[] } | undefined {
  const found = /^(?:(GET|POST|HEAD) )?((?:http:\/\/[^\s/]+)?\/\S*)$/.exec(text)
  const [, method, url] = found ?? []
  return url === undefined ? undefined : { method, paths: pathsOf(url) }
}

function rulesOf({ method, paths }: { method: string | undefined; paths: string[] }): AccessRule[] {
  return paths.flatMap((path) =>
    (method === undefined ? ['GET', 'POST'] : [method]).flatMap((each) => {
      if (path === '/api/v1/<command>') return []
      const found = findRule(each, path)
      return 'rule' in found ? [found.rule] : []
    }),
  )
}

/** A command line as a shell would split it, far enough for examples: quotes, comments, redirections. */
function wordsOf(line: string): string[] {
  const bare = line.replace(/\s#.*$/, '').replace(/\s[|>].*$/, '')
  return [...bare.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? '')
}

/** Why `pxemngr <words>` is not to be typed so; undefined: it is, or it is a command's bare name. */
function commandFault(words: readonly string[]): string | undefined {
  if (words[0] === '<command>') return undefined
  if (forms.some(({ name }) => name === words.join(' ') || name.startsWith(`${words.join(' ')} `))) return undefined
  try {
    const parsed = parseArguments(words, forms)
    if (parsed.kind !== 'serve') return undefined
    const unknown = parsed.argv.find((word) => word.startsWith('--') && !flags.has(word))
    return unknown === undefined ? undefined : `serve has no flag ${unknown}`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The command lines of the documents: whole spans and lines of blocks that begin with it, and those inside a line. */
function commandLines(): { at: string; words: string[] }[] {
  const inCode = documents.flatMap(({ code }) => code)
  return [...spans, ...inCode].flatMap(({ at, text }) => {
    const found = /(?:^|[$(=/ ])pxemngr ([a-z<].*)$/.exec(text.replace(/\)$/, ''))
    return found ? [{ at, words: wordsOf(found[1] ?? '') }] : []
  })
}

/** Files that a name may mean: as it is, below another folder, without its ending, or a folder. */
function isFile(text: string): boolean {
  const name = text.replace(/\/$/, '')
  const matches = (file: string): boolean => {
    const bare = file.replace(/\.ts$/, '')
    return [file, bare].some((one) => one === name || one.endsWith(`/${name}`)) || `/${file}`.includes(`/${name}/`)
  }
  return files.some(matches)
}

/** Folders and files of a data directory, as the program names them. */
const dataNames = new Set([
  ...(['profilesDir', 'testsDir', 'resultsDir', 'tftpRoot'] as const).map((field) =>
    keys[field].fallback({ uid: 0, env: {} }, { dataDir: '' }),
  ),
  ...Object.values(dataFolder('')),
])

const dataEndings = [profileSuffix, testSuffix, suiteSuffix, '.jsonl', '.log']

/** What a user has in the data directory (`tests/NAME.suite`: an ending the program knows), or a path of the sources. */
function isUserPath(text: string): boolean {
  const path = text.replace(/^(\.|~|<data-dir>)\//, '').replace(/\/$/, '')
  const [folder = '', file = ''] = path.split('/')
  const ending = file.replace(/^(NAME|<[^>]+>|\*)/, '')
  if (dataNames.has(folder) && (file === '' || (ending !== file && dataEndings.includes(ending)))) return true
  return sources.includes(path.replace(/<[^>]+>$/, ''))
}

/** Words of other programs, of protocols and of examples that the sources have no reason to hold. */
const foreign = new Set([
  ...['PXE-E53', 'PXE-E32: TFTP open timeout', 'iPXE', 'sqlite3', 'tail -f', 'kill -9', 'fs.watch', 'instanceof'],
  ...[
    'wget',
    'node -e 0',
    'npm ci',
    'npm install',
    '$(curl …)',
    'dist/pxemngr',
    '4GiB',
    '<%= … %>',
    '-F "attachment=@report.xml"',
  ],
])

/**
 * A word or phrase of the sources; a phrase may end in what stands for something. `Store.commit`: a type and its member;
 * `log.id`: a variable; `http = "…"`: a key; `M: boot 12.5 s`: a letter that results know.
 */
function isKnownWord(text: string): boolean {
  if (foreign.has(text) || keyNames.includes(text.split(' ')[0] ?? '')) return true
  const [, type, member] = /^([A-Z]\w+)\.(\w+)$/.exec(text) ?? []
  if (type !== undefined) return new RegExp(`(interface|class) ${type}\\b[^]*?\\b${member}[(<]`).test(sources)
  const [, outer, inner] = /^([a-z]+)\.([a-z]+)$/.exec(text) ?? []
  if (outer !== undefined) return sources.includes(text) || sources.includes(`${outer}: { readonly ${inner}`)
  if (/^[A-Z]: /.test(text)) return read('src/domain/result/reader.ts').includes(`\`${text.slice(0, 1)}:\``)
  // Names of HTTP headers are lower case in the sources (RFC 9110 section 5.1: case is no difference).
  if (text.startsWith('X-')) return sources.includes(`'${text.toLowerCase()}'`)
  if (/^[\w-]+$/.test(text)) return new RegExp(`\\b${text}\\b`).test(sources)
  const phrase = text.replace(/ \S*[\d…]\S*$| (local|NAME)$/, ' ')
  return sources.includes(phrase.split(' ').length > 2 ? phrase : text)
}

/** Whether the name in backticks exists. */
function exists(text: string): boolean {
  if (/^(source <\()?pxemngr /.test(text)) return true // the test of command lines
  if (forms.some(({ name }) => name === text)) return true
  const npm = /^npm (?:run )?([a-z]+)(?: -- .*)?$/.exec(text)
  if (npm && npmScripts.includes(npm[1] ?? '')) return true
  const script = /^node (\S+\.mjs)(?: (--\S+))?$/.exec(text)
  if (script) return files.includes(script[1] ?? '') && read(script[1] ?? '').includes(script[2] ?? '')
  if (text.startsWith('--')) return wordsOf(text).every((word) => !word.startsWith('--') || flags.has(word))
  if (text.startsWith('PXEMNGR_')) return variables.includes(text)
  if (/^(curl|wget) /.test(text))
    return rulesOf(urlOf(text.split(' ').at(-1) ?? '') ?? { method: '', paths: [] }).length > 0
  const url = urlOf(text)
  if (url && (url.paths.includes('/api/v1/<command>') || rulesOf(url).length > 0)) return true
  if (isFile(text.replace('<name>.ts', 'status.ts').replace('commands/x', 'commands'))) return true
  if (text.includes('/') && isUserPath(text)) return true
  return isKnownWord(text)
}

const show = (list: readonly Placed[]): string[] => list.map(({ at, text }) => `${at}: ${text}`)

test('each command line in the documents is one that the command line takes', () => {
  const faults = commandLines().flatMap(({ at, words }) => {
    const why = commandFault(words)
    return why === undefined ? [] : [`${at}: pxemngr ${words.join(' ')}: ${why}`]
  })
  assert.deepEqual(faults, [])
  assert.ok(commandLines().length > 50, 'the command lines were found')
})

test('each link leads to a heading or a file', () => {
  for (const document of documents) {
    const dead = document.links.filter(({ text }) => {
      if (text.startsWith('#')) return !document.anchors.has(text.slice(1))
      return !/^https?:/.test(text) && !files.includes(text.replace(/^\.\//, ''))
    })
    assert.deepEqual(show(dead), [])
  }
})

test('each name in backticks exists: file, folder, command, flag, key, variable, URL, word of the sources', () => {
  assert.deepEqual(show(spans.filter(({ text }) => !exists(text))), [])
})

test('a name that does not exist is found: the check is not blind', () => {
  const gone = [
    ...['src/tftp/gone.ts', 'gone.ts', 'store/gone', '--gone', 'PXEMNGR_GONE', 'GET /gone/', '/gone/', 'npm run gone'],
    ...['decideGone', 'POST /localboots/', 'src/gone/', 'gone/*.prof', 'GET /api/v1/{systems,gone}', 'token gone'],
  ]
  // One of several URLs is enough to know the span as a URL; each of them is counted in the test of URLs.
  assert.deepEqual(
    gone.filter((text) => exists(text)),
    ['GET /api/v1/{systems,gone}'],
  )
  assert.ok(commandFault(['gone']) && commandFault(['nextboot', 'a', 'b', 'c']) && commandFault(['status', '--gone']))
})

test('every command is in README.md', () => {
  const named = [
    ...commandLines()
      .filter(({ at }) => at.startsWith('README.md'))
      .map(({ words }) => words.join(' ')),
    ...readme.spans.map(({ text }) => text),
  ]
  const lacking = forms.filter(({ name }) => !named.some((text) => text === name || text.startsWith(`${name} `)))
  assert.deepEqual(
    lacking.map(({ name }) => name),
    [],
  )
})

test('the table of keys in README.md is that of the program: each key, its default, its meaning, in order', () => {
  const plain = (text: string): string => text.replaceAll('\\', '')
  const rows = readme.rows('Configuration').map((row) => row.map(plain))
  assert.deepEqual(
    rows,
    fields.map((field) => [`\`${keys[field].name}\``, keys[field].defaultText, keys[field].help]),
  )
})

test('every URL is in README.md: those of machines, pages and programs; a form belongs to its page', () => {
  const urls = readme.spans.flatMap(({ text }) => urlOf(text) ?? [])
  const named = new Set(urls.flatMap(rulesOf))
  const isForm = ({ method, path }: AccessRule): boolean =>
    method === 'POST' && accessRules.some((rule) => rule.method === 'GET' && path.startsWith(`${rule.path}/`))
  const isCommand = ({ method, path }: AccessRule): boolean => method === 'POST' && path.startsWith('/api/v1/')
  const lacking = accessRules.filter((rule) => !named.has(rule) && !isForm(rule) && !isCommand(rule))
  assert.deepEqual(
    lacking.map(({ method, path }) => `${method} ${path}`),
    [],
  )
  const wrong = urls.flatMap(({ method, paths }) =>
    paths.filter(
      (path) =>
        path.startsWith('/api/v1/') && path !== '/api/v1/<command>' && rulesOf({ method, paths: [path] }).length === 0,
    ),
  )
  assert.deepEqual(wrong, [])
})

test('every folder of src is in the map of ARCHITECTURE.md, and no other', () => {
  const folders = new Set(files.flatMap((name) => /^(src\/[^/]+)\//.exec(name)?.[1] ?? []))
  const mapped = architecture.rows('Map').flatMap(([cell = '']) => cell.match(/src\/[^`]+/)?.[0] ?? [])
  const isFolder = (name: string): boolean => !name.endsWith('.ts')
  assert.deepEqual(mapped.filter((name) => isFolder(name) && name.split('/').length === 2).sort(), [...folders].sort())
})

test('the unit of README.md names data directory and socket: its account has no home to find defaults in', () => {
  const unit = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(read('README.md'))?.[1] ?? ''
  const flagsOf = unit('ExecStart').split(' ').slice(2)
  assert.equal(unit('DynamicUser'), 'yes')
  const data = join('/var/lib', unit('StateDirectory'))
  // Where the commands look for it, whoever types them.
  const socket = join('/run', unit('RuntimeDirectory'), 'pxemngr.sock')
  assert.deepEqual(flagsOf, ['--data-dir', data, '--socket', socket])
})
