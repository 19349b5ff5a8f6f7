/**
 * Bodies of API calls: bytes → value, stricter than `JSON.parse`.
 *
 * Refused is what programs understand differently: keys given twice, `__proto__`, text that is no UTF-8, nesting without
 * end. Size is bounded while reading, before anything is parsed. Source: RFC 8259 §4 and §9, RFC 7493 (I-JSON) §2.
 */
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'

/** Deeper than any body of ours (3); `JSON.parse` itself recurses. */
const depthMax = 16

/** Reads all of `body`; refuses (`too-large`) as soon as it is over `maxBytes`. */
export async function readBody(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Uint8Array> {
  if (!body) return new Uint8Array()
  const reader = body.getReader()
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    sizeBytes += value.length
    if (sizeBytes > maxBytes) {
      await reader.cancel()
      throw new Refusal('too-large', `the body is larger than ${maxBytes} bytes`)
    }
    chunks.push(value)
  }
  return Buffer.concat(chunks, sizeBytes)
}

/** Parses a JSON object; refuses (`usage`) anything else. */
export function parseJsonObject(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new Refusal('usage', 'the body is not UTF-8 text', { cause: error })
  }
  checkStructure(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/[\u0000-\u001f\u007f]/g, ' ') : ''
    throw new Refusal('usage', `the body is not JSON: ${why}`, { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Refusal('usage', "the body is not a JSON object of the command's arguments")
  }
  return value as Record<string, unknown>
}

/** Depth and keys, in one pass over the text; what is malformed otherwise is left to `JSON.parse`. */
function checkStructure(text: string): void {
  /** Keys seen in each open object, null for each open array. */
  const open: (Set<string> | null)[] = []
  let at = 0
  while (at < text.length) {
    const char = text[at]
    if (char === '"') {
      const end = endOfString(text, at)
      const keys = open.at(-1)
      if (keys && isKey(text, end)) addKey(keys, text.slice(at, end))
      at = end
      continue
    }
    if (char === '{' || char === '[') {
      if (open.length >= depthMax) throw new Refusal('usage', `the body is nested deeper than ${depthMax} levels`)
      open.push(char === '{' ? new Set() : null)
    } else if (char === '}' || char === ']') open.pop()
    at += 1
  }
}

/** Position behind the closing quote of the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function isKey(text: string, end: number): boolean {
  let at = end
  while (text[at] === ' ' || text[at] === '\t' || text[at] === '\n' || text[at] === '\r') at += 1
  return text[at] === ':'
}

function addKey(keys: Set<string>, literal: string): void {
  let key: string
  try {
    key = JSON.parse(literal) as string
  } catch {
    // Malformed: `JSON.parse` of the whole will say where.
    return
  }
  if (key === '__proto__') throw new Refusal('usage', 'the body has the key "__proto__"')
  if (keys.has(key)) throw new Refusal('usage', `the body has the key ${quote(key)} twice`)
  keys.add(key)
}
