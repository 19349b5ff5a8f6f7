/**
 * JUnit XML → cases. Only what JUnit files are made of is read: elements, attributes, text, CDATA, comments, processing
 * instructions, the five entities and character references of XML.
 *
 * A document type declaration makes a file unreadable: with it come entities that grow (a billion laughs) or read files.
 * Size, depth and number of attributes are bounded. Sources: XML 1.0 §2–§4, RUNS "Results" (a DTD makes it unreadable).
 */
import { type CaseCounts, casesMax, type ResultCase } from '../run.ts'

export type JunitRead =
  | { readonly counts: CaseCounts; readonly cases: readonly ResultCase[] }
  | { readonly fault: string }

/** Larger is no report of tests. */
export const junitBytesMax = 16 * 1024 * 1024
/** One tag with its attributes, in characters. */
const tagMax = 1024 * 1024
/** Characters of an attribute's value that are looked at: more than is kept of any. */
const valueLooked = 4096
/** Tags, and bytes decoded, between two places where whoever reads may pause. */
const tagsEach = 200
const bytesEach = 1024 * 1024
const depthMax = 100
const attributesMax = 200
const nameLength = 300

interface Element {
  readonly name: string
  readonly attributes: ReadonlyMap<string, string>
}

interface OpenCase {
  readonly name: string
  readonly durationMs: number | null
  outcome: ResultCase['outcome']
  note: string
}

/** Reads in steps, for large files take a while; returns what was found. */
export function* readJunit(bytes: Uint8Array): Generator<void, JunitRead> {
  if (bytes.length > junitBytesMax) return { fault: `larger than ${junitBytesMax} bytes` }
  const text = yield* decode(bytes)
  let tags = 0
  const counts = { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 }
  const failing: ResultCase[] = []
  const others: ResultCase[] = []
  const open: Element[] = []
  let current: OpenCase | undefined
  let roots = 0

  const close = (name: string): void => {
    if (name !== 'testcase' || !current) return
    counts.total += 1
    counts[current.outcome] += 1
    const target = current.outcome === 'fail' ? failing : others
    if (target.length < casesMax) target.push({ ...current })
    current = undefined
  }

  const begin = (element: Element): void => {
    const { name, attributes } = element
    switch (name) {
      case 'testcase': {
        const own = attributes.get('name') ?? ''
        const suites = open
          .filter((each) => each.name === 'testsuite')
          .flatMap((each) => each.attributes.get('name') ?? [])
        const parents = attributes.has('classname') ? [attributes.get('classname') ?? ''] : suites
        const seconds = Number(attributes.get('time') ?? 'x')
        current = {
          name:
            [...parents, own]
              .filter((part) => part !== '')
              .join(' > ')
              .slice(0, nameLength) || 'case',
          durationMs: Number.isFinite(seconds) && seconds >= 0 ? Math.round(seconds * 1000) : null,
          outcome: 'pass',
          note: '',
        }
        return
      }
      case 'failure':
      case 'error':
        if (!current) return
        current.outcome = 'fail'
        current.note ||= (attributes.get('message') ?? attributes.get('type') ?? name).slice(0, nameLength)
        return
      case 'skipped':
        if (!current || current.outcome === 'fail') return
        current.outcome = 'skip'
        current.note = (attributes.get('message') ?? '').slice(0, nameLength)
        return
      default: // properties, system-out …
    }
  }

  for (let at = 0; at < text.length; ) {
    const next = text.indexOf('<', at)
    if (next < 0) break
    if (text.startsWith('<!--', next)) {
      const end = text.indexOf('-->', next + 4)
      if (end < 0) return { fault: 'a comment has no end' }
      at = end + 3
      continue
    }
    if (text.startsWith('<![CDATA[', next)) {
      const end = text.indexOf(']]>', next + 9)
      if (end < 0) return { fault: 'a CDATA section has no end' }
      at = end + 3
      continue
    }
    if (text.startsWith('<?', next)) {
      const end = text.indexOf('?>', next + 2)
      if (end < 0) return { fault: 'a processing instruction has no end' }
      at = end + 2
      continue
    }
    if (text.startsWith('<!', next)) return { fault: 'it has a document type declaration (DTD)' }
    tags += 1
    if (tags % tagsEach === 0) yield
    const tag = readTag(text.slice(next, next + tagMax))
    if (typeof tag === 'string') return { fault: tag }
    at = next + tag.length
    if (tag.kind === 'end') {
      const opened = open.pop()
      if (opened?.name !== tag.name) return { fault: `</${tag.name.slice(0, 40)}> closes nothing` }
      close(tag.name)
      continue
    }
    if (open.length === 0) {
      roots += 1
      if (roots > 1 || !/^testsuites?$/.test(tag.name))
        return { fault: `it is no JUnit file: it begins with <${tag.name.slice(0, 40)}>` }
    }
    begin(tag)
    if (tag.kind === 'empty') close(tag.name)
    else open.push(tag)
    if (open.length > depthMax) return { fault: `its elements are nested deeper than ${depthMax}` }
  }
  if (roots === 0) return { fault: 'it is no XML' }
  if (open.length > 0) return { fault: `<${open.at(-1)?.name.slice(0, 40)}> has no end` }
  return { counts, cases: [...failing, ...others].slice(0, casesMax) }
}

/** UTF-8, and where that fails Latin-1, as `text.ts`; without a byte order mark. */
function* decode(bytes: Uint8Array): Generator<void, string> {
  for (const decoder of [new TextDecoder('utf-8', { fatal: true }), new TextDecoder('latin1')]) {
    try {
      let text = ''
      for (let at = 0; at < bytes.length; at += bytesEach) {
        text += decoder.decode(bytes.subarray(at, at + bytesEach), { stream: true })
        yield
      }
      return text + decoder.decode()
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
    }
  }
  return ''
}

/** `length`: characters from its `<` to behind its `>`. */
type Tag = Element & { readonly kind: 'start' | 'empty' | 'end'; readonly length: number }

const namePattern = /[A-Za-z_:\u0080-\uffff][\w:.\-\u0080-\uffff]{0,200}/y
const attributePattern = /\s+([A-Za-z_:\u0080-\uffff][\w:.\-\u0080-\uffff]{0,200})\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y
const tagEnd = /\s*(\/?)>/y

/** The tag that `text` begins with, or what is wrong with it. */
function readTag(text: string): Tag | string {
  const isEnd = text[1] === '/'
  namePattern.lastIndex = isEnd ? 2 : 1
  const name = namePattern.exec(text)?.[0]
  if (name === undefined) return 'a < begins no element'
  const attributes = new Map<string, string>()
  let from = (isEnd ? 2 : 1) + name.length
  for (;;) {
    attributePattern.lastIndex = from
    const found = isEnd ? null : attributePattern.exec(text)
    if (!found) break
    if (attributes.size >= attributesMax) return `<${name.slice(0, 40)}> has more than ${attributesMax} attributes`
    attributes.set(found[1] ?? '', decodeEntities((found[2] ?? found[3] ?? '').slice(0, valueLooked)))
    from = attributePattern.lastIndex
  }
  tagEnd.lastIndex = from
  const end = tagEnd.exec(text)
  if (!end) return `<${name.slice(0, 40)} … is not closed${text.length < tagMax ? '' : ` in ${tagMax} characters`}`
  const kind = isEnd ? 'end' : end[1] === '/' ? 'empty' : 'start'
  return { kind, name, attributes, length: tagEnd.lastIndex }
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w{1,10}));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name] ?? whole
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}
