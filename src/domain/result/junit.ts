/**
 * JUnit XML → cases, read as it passes. Only what JUnit files are made of is read: elements, attributes, text, CDATA,
 * comments, processing instructions, the five entities and character references of XML.
 *
 * A document type declaration makes a file unreadable: with it come entities that grow (a billion laughs) or read files.
 * A tag, the depth and the number of attributes are bounded, so memory is too, however large the file. Sources: XML 1.0
 * §2–§4, RUNS "Results" (a DTD makes it unreadable).
 */
import { type CaseCounts, casesMax, type ResultCase } from '../run.ts'

export type JunitRead =
  | { readonly counts: CaseCounts; readonly cases: readonly ResultCase[] }
  | { readonly fault: string }

/** One tag with its attributes, in characters. */
const tagMax = 256 * 1024
/** Characters of an attribute's value that are looked at: more than is kept of any. */
const valueLooked = 4096
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

export interface JunitReader {
  /** The next bytes of the file. */
  push(bytes: Uint8Array): void
  /** There are no more. */
  finish(): JunitRead
}

/** What has no tags inside, by its first characters, with its end. */
const opaque = [
  ['<!--', '-->', 'a comment has no end'],
  ['<![CDATA[', ']]>', 'a CDATA section has no end'],
  ['<?', '?>', 'a processing instruction has no end'],
] as const
const opaqueStartMax = '<![CDATA['.length

export function createJunitReader(): JunitReader {
  const decode = createDecoder()
  /** What has not been read yet: less than a tag. */
  let text = ''
  /** Inside of something opaque. */
  let inside: (typeof opaque)[number] | undefined
  let fault: string | undefined
  const counts = { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 }
  const failing: ResultCase[] = []
  const others: ResultCase[] = []
  const open: { readonly name: string; readonly title: string | undefined }[] = []
  let current: OpenCase | undefined
  let roots = 0
  /** The first suite that counts failures or errors in its attributes. */
  let claim: { readonly name: string; readonly note: string } | undefined

  const add = (found: OpenCase): void => {
    counts.total += 1
    counts[found.outcome] += 1
    const target = found.outcome === 'fail' ? failing : others
    if (target.length < casesMax) target.push({ ...found, name: own(found.name), note: own(found.note) })
  }

  const close = (name: string): void => {
    if (name !== 'testcase' || !current) return
    add(current)
    current = undefined
  }

  /** Names of the suites around, outermost first. */
  const suiteNames = (): readonly string[] =>
    open.filter((each) => each.name === 'testsuite').flatMap(({ title }) => title ?? [])

  /** A suite that failed by itself (its set-up, say) is a case of its own: no case says so. */
  const addSuite = (name: string, note: string): void =>
    add({ name: name.slice(0, nameLength) || 'suite', durationMs: null, outcome: 'fail', note })

  const begin = (element: Element): void => {
    const { name, attributes } = element
    switch (name) {
      case 'testcase': {
        const own = attributes.get('name') ?? ''
        const parents = attributes.has('classname') ? [attributes.get('classname') ?? ''] : suiteNames()
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
      case 'error': {
        const note = (attributes.get('message') ?? attributes.get('type') ?? name).slice(0, nameLength)
        if (!current) {
          if (isSuite(open.at(-1)?.name)) addSuite(suiteNames().join(' > '), note)
          return
        }
        current.outcome = 'fail'
        current.note ||= note
        return
      }
      case 'testsuite':
      case 'testsuites': {
        const counted = ['failures', 'errors'].filter((key) => Number(attributes.get(key)) > 0)
        if (counted.length === 0) return
        const title = attributes.get('name') ?? ''
        const note = counted.map((key) => `${key}="${attributes.get(key)?.slice(0, 20)}"`).join(', ')
        claim ??= { name: own([...suiteNames(), title].filter((part) => part !== '').join(' > ')), note }
        return
      }
      case 'skipped':
        if (!current || current.outcome === 'fail') return
        current.outcome = 'skip'
        current.note = (attributes.get('message') ?? '').slice(0, nameLength)
        return
      default: // properties, system-out …
    }
  }

  const readElement = (tag: Tag): string | undefined => {
    if (tag.kind === 'end') {
      const opened = open.pop()
      if (opened?.name !== tag.name) return `</${tag.name.slice(0, 40)}> closes nothing`
      close(tag.name)
      return undefined
    }
    if (open.length === 0) {
      roots += 1
      if (roots > 1 || !isSuite(tag.name)) return `it is no JUnit file: it begins with <${tag.name.slice(0, 40)}>`
    }
    begin(tag)
    if (tag.kind === 'empty') close(tag.name)
    else
      open.push({
        name: own(tag.name),
        title: tag.attributes.has('name') ? own((tag.attributes.get('name') ?? '').slice(0, nameLength)) : undefined,
      })
    return open.length > depthMax ? `its elements are nested deeper than ${depthMax}` : undefined
  }

  /** Reads what begins at `at`: where it ends, what is wrong with it, or undefined where more is needed. */
  const readNext = (at: number, isLast: boolean): number | string | undefined => {
    if (inside) {
      const [, end, unended] = inside
      const found = text.indexOf(end, at)
      if (found < 0) return isLast ? unended : undefined
      inside = undefined
      return found + end.length
    }
    const next = text.indexOf('<', at)
    if (next < 0) return text.length
    const found = opaque.find(([start]) => text.startsWith(start, next))
    if (found) {
      inside = found
      return next + found[0].length
    }
    if (text.startsWith('<!', next)) {
      if (text.length - next < opaqueStartMax && !isLast) return undefined
      return 'it has a document type declaration (DTD)'
    }
    const tag = readTag(text.slice(next, next + tagMax))
    if (typeof tag !== 'string') return readElement(tag) ?? next + tag.length
    return text.length - next < tagMax && !isLast ? undefined : tag
  }

  const read = (more: string, isLast: boolean): void => {
    text += more
    // Whatever is not complete ends with this.
    if (!isLast && text.length < tagMax && !more.includes('>')) return
    let at = 0
    while (at < text.length && fault === undefined) {
      const end = readNext(at, isLast)
      if (typeof end === 'string') fault = end
      else if (end === undefined) break
      else at = end
    }
    // The end of something opaque may be cut in two.
    text = fault === undefined ? text.slice(inside ? Math.max(at, text.length - 2) : at) : ''
  }

  return {
    push(bytes) {
      if (fault === undefined) read(decode(bytes, false), false)
    },
    finish() {
      if (fault === undefined) read(decode(new Uint8Array(), true), true)
      if (fault === undefined && roots === 0) fault = 'it is no XML'
      if (fault === undefined && open.length > 0) fault = `<${open.at(-1)?.name.slice(0, 40)}> has no end`
      if (fault === undefined && claim && counts.fail === 0) addSuite(claim.name, `it says ${claim.note}, no case does`)
      return fault === undefined ? { counts, cases: [...failing, ...others].slice(0, casesMax) } : { fault }
    },
  }
}

const isSuite = (name: string | undefined): boolean => name === 'testsuite' || name === 'testsuites'

/** A copy: part of a longer text would keep that in memory as long as it lives. */
function own(text: string): string {
  return ` ${text}`.slice(1)
}

/** UTF-16 by its byte order mark, else UTF-8, and from where that fails Latin-1; without the mark. */
function createDecoder(): (bytes: Uint8Array, isLast: boolean) => string {
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const latin1 = new TextDecoder('latin1')
  let isUtf8 = true
  let wide: InstanceType<typeof TextDecoder> | undefined
  let isFirst = true
  /** The beginning of a character, or of the file. */
  let begun = new Uint8Array()
  return (bytes, isLast) => {
    const joined = new Uint8Array(begun.length + bytes.length)
    joined.set(begun)
    joined.set(bytes, begun.length)
    if (isFirst && joined.length < 2 && !isLast) {
      begun = joined
      return ''
    }
    const mark = isFirst ? (joined[0] ?? 0) * 256 + (joined[1] ?? 0) : 0
    if (mark === 0xfffe || mark === 0xfeff) {
      wide = new TextDecoder(mark === 0xfffe ? 'utf-16le' : 'utf-16be')
      isFirst = false
      begun = new Uint8Array()
    }
    if (wide) return wide.decode(joined, { stream: !isLast })
    const end = isUtf8 && !isLast ? joined.length - begunBytes(joined) : joined.length
    begun = joined.slice(end)
    let text: string
    try {
      text = (isUtf8 ? utf8 : latin1).decode(joined.subarray(0, end))
    } catch {
      isUtf8 = false
      begun = new Uint8Array()
      text = latin1.decode(joined)
    }
    if (text === '') return text
    const plain = isFirst ? text.replace(/^\ufeff/, '') : text
    isFirst = false
    return plain
  }
}

/** How many bytes at the end begin a character of UTF-8 that is not whole. */
function begunBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0xc0) === 0x80) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > back ? back : 0
  }
  return 0
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
