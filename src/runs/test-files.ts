/**
 * The test folder's files: `*.test` and `*.suite`, read as they are at the request, with their settings and faults.
 *
 * What was read is kept as long as inode, size and times stay the same (as `profiles/folder.ts`, whose readers are used).
 * A file that cannot be read, is no UTF-8, does not compile, has a bad setting, or is a link out of the folder that
 * `link-targets` does not allow disables itself: `fault` says why, with file and line. What names mean to the state is `test-registry.ts`. Source: CONTRACT "What machines ask over HTTP" (test
 * templates), RUNS "Times", "Results" (suites).
 */
import { type BigIntStats, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { SuiteEntry, TestTimes } from '../commands/daemon.ts'
import { nameFault } from '../domain/name.ts'
import { isTestSelector } from '../domain/selector.ts'
import { parseSuite } from '../domain/suite.ts'
import { parseTestSettings, type TestSettings } from '../domain/test-settings.ts'
import { atLine, isFile, profileNames, readSmallFile, sameFile } from '../profiles/folder.ts'
import { createLinks, type Links } from '../profiles/offered.ts'
import { compileTemplate, type Template, TemplateFault } from '../profiles/template.ts'

export const testSuffix = '.test'
export const suiteSuffix = '.suite'
export const waitTest = 'wait'

/** What the configuration says where a test says nothing, ms. */
export interface DefaultTimes {
  readonly timeoutMs: number
  readonly bootMs: number
}

/** RUNS "Times". */
const graceMs = 300_000

/** What a test template sees, as variables of its own. */
export interface TestVariables {
  readonly testname: string
  readonly system: string
  /** null for `wait`. */
  readonly log: { readonly id: number } | null
  readonly url: string
  readonly upload_url: string
  readonly extend_url: string
  readonly progress_url: string
  readonly mac: string
  readonly ip: string
  readonly profile: string
}

export interface OpenedTest {
  /** Bytes of the file, for its hash: the same object as long as the file is the same. */
  readonly bytes: Uint8Array
  readonly text: string
  readonly settings: TestSettings
  readonly times: TestTimes
  /** The script, or why it cannot be made, with file and line. */
  render(variables: TestVariables): { readonly text: string } | { readonly fault: string }
}

type Content<T> = { readonly value: T } | { readonly fault: string }

export interface TestFiles {
  /** The test as it is now, or why there is none. */
  open(name: string): OpenedTest | { readonly fault: string }
  /** Undefined if it can be handed out. Its template may still fail for a machine (`render-faults.ts`). */
  fault(name: string): string | undefined
  times(name: string): TestTimes | undefined
  names(): string[]
  /** Files that are there and may be no tests, for their names: nobody could ask for them. */
  refused(): { readonly name: string; readonly why: string }[]
  suiteNames(): string[]
  suite(name: string): readonly SuiteEntry[] | { readonly fault: string } | undefined
}

interface Parsed {
  readonly bytes: Uint8Array
  readonly text: string
  readonly template: Template | undefined
  readonly settings: TestSettings
}

/** `linkTargets`: folders that links out of `dir` may lead to. */
export function createTestFiles(
  dir: string,
  defaults: () => DefaultTimes,
  linkTargets: () => readonly string[] = () => noTargets,
): TestFiles {
  const links = createLinks(dir, 'test', linkTargets)
  // Joined once, not at each request: a name has no slash.
  const prefix = join(dir, '/')
  const pathOf = (name: string) => `${prefix}${name}${testSuffix}`
  const suitePath = (name: string) => join(dir, `${name}${suiteSuffix}`)
  const tests = keptFiles(parseTest, links, linkTargets)
  const parse = (path: string, bytes: Uint8Array): Content<readonly SuiteEntry[]> => {
    const parsed = parseSuite(Buffer.from(bytes).toString('utf8'))
    return 'line' in parsed ? { fault: `${path}:${parsed.line}: ${parsed.text}` } : { value: parsed }
  }
  const suites = keptFiles(parse, links, linkTargets)

  const load = (name: string): Content<Parsed> =>
    nameFault(name) === undefined && !isTestSelector(name)
      ? tests(pathOf(name))
      : { fault: `there is no test ${JSON.stringify(name)}` }
  const present = (suffix: string) =>
    profileNames(readdirSync(dir, { encoding: 'buffer' }), suffix).filter((name) =>
      isFile(join(dir, `${name}${suffix}`)),
    )

  const timesOf = ({ timeoutMs, graceMs: grace, bootMs, retries, tags }: TestSettings): TestTimes => {
    const given = defaults()
    return {
      timeoutMs: timeoutMs ?? given.timeoutMs,
      graceMs: grace ?? graceMs,
      bootMs: bootMs ?? given.bootMs,
      retries,
      tags,
    }
  }
  const fault = (name: string): string | undefined => {
    const content = load(name)
    return 'fault' in content ? content.fault : undefined
  }
  return {
    open(name) {
      const content = load(name)
      if ('fault' in content) return content
      const { bytes, text, template, settings } = content.value
      return {
        bytes,
        text,
        settings,
        times: timesOf(settings),
        render(variables) {
          if (!template) return { text }
          try {
            return { text: template.render({ ...variables }) }
          } catch (error) {
            if (!(error instanceof TemplateFault)) throw error
            return { fault: atLine(pathOf(name), error) }
          }
        },
      }
    },
    fault,
    times(name) {
      const content = load(name)
      return 'fault' in content ? undefined : timesOf(content.value.settings)
    },
    names: () => present(testSuffix).filter((name) => !isTestSelector(name)),
    refused: () =>
      present(testSuffix)
        .filter(isTestSelector)
        .map((name) => ({ name, why: `${pathOf(name)}: ${notAskable}` })),
    suiteNames: () => present(suiteSuffix),
    suite(name) {
      if (nameFault(name) !== undefined || !isFile(suitePath(name))) return undefined
      const content = suites(suitePath(name))
      if ('fault' in content) return content
      const unknown = content.value.find((each) => isTestSelector(each.name) || !isFile(pathOf(each.name)))
      if (!unknown) return content.value
      const line = 'line' in unknown ? `:${String(unknown.line)}` : ''
      return { fault: `${suitePath(name)}${line}: there is no test ${JSON.stringify(unknown.name)}` }
    },
  }
}

const notAskable =
  'this can be the name of no test: nexttest takes @name for a suite and tag:name for all tests with a tag; rename the file'

function parseTest(path: string, bytes: Uint8Array): Content<Parsed> {
  const text = Buffer.from(bytes).toString('utf8')
  if (!Buffer.from(text, 'utf8').equals(bytes)) return { fault: `${path} is not valid UTF-8` }
  const settings = parseTestSettings(text)
  if ('line' in settings) return { fault: `${path}:${settings.line}: ${settings.text}` }
  try {
    const template = text.includes('<%') ? compileTemplate(text) : undefined
    return { value: { bytes, text, template, settings } }
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error
    return { fault: atLine(path, error) }
  }
}

/** How long after a change two writes could share one time stamp. */
const youngNs = 2_000_000_000n

const noTargets: readonly string[] = []

interface Kept<T> {
  readonly stat: BigIntStats
  readonly content: Content<T>
  readonly bytes: Uint8Array
  /** Those of the configuration with which it was read. */
  readonly linkTargets: readonly string[]
}

/** Reads and parses a file, again only after it changed. */
function keptFiles<T>(
  parse: (path: string, bytes: Uint8Array) => Content<T>,
  links: Links,
  linkTargets: () => readonly string[],
): (path: string) => Content<T> {
  const kept = new Map<string, Kept<T>>()
  return (path) => {
    let stat: BigIntStats | undefined
    try {
      stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    } catch (error) {
      kept.delete(path)
      return { fault: `${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}` }
    }
    if (!stat) {
      kept.delete(path)
      return { fault: `no file ${path}` }
    }
    const before = kept.get(path)
    const isOld = BigInt(Date.now()) * 1_000_000n - stat.mtimeNs > youngNs
    const targets = linkTargets()
    if (before && sameFile(before.stat, stat) && isOld && before.linkTargets === targets) return before.content
    const bytes = readSmallFile(path, stat, (fd) => links.outside(path, fd))
    if (typeof bytes === 'string') {
      kept.delete(path)
      return { fault: bytes }
    }
    // The same bytes keep what was parsed, so that a fault of a rendering stays with it.
    const content = before && Buffer.compare(before.bytes, bytes) === 0 ? before.content : parse(path, bytes)
    kept.set(path, { stat, content, bytes, linkTargets: targets })
    return content
  }
}
