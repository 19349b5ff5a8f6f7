/**
 * What the daemon answered, read whole or line by line, with a limit on what is kept in memory.
 * Source: CONTRACT "HTTP API" (results, RFC 9457 problem documents).
 */
import { Refusal, type RefusalKind, refusalKinds } from '../domain/errors.ts'
import type { Answer } from './client.ts'
import { oneLine } from './print.ts'

/** 100,000 systems with their history take about 100 MB; V8 holds no string over 512 MiB. */
const resultBytesMax = 256 * 2 ** 20
/** One line of a stream is one record: a bulk record of 10,000 systems takes a few MB. */
const lineBytesMax = 64 * 2 ** 20

/** The whole body as text. Refuses (`unavailable`) what is larger than any result. */
export async function readAll(body: AsyncIterable<Uint8Array>, max: number = resultBytesMax): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of body) {
    size += piece.length
    if (size > max) throw new Refusal('unavailable', `the daemon's answer is larger than ${max} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

/** Its lines without the line feed, as they come; empty ones (signs of life) are left out. */
export async function* readLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  let pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of body) {
    let from = 0
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, from)) {
      const line = Buffer.concat([...pieces, piece.subarray(from, end)]).toString('utf8')
      from = end + 1
      pieces = []
      size = 0
      if (line.trim() !== '') yield line
    }
    pieces.push(piece.subarray(from))
    size += piece.length - from
    if (size > lineBytesMax)
      throw new Refusal('unavailable', `the daemon sent a line larger than ${lineBytesMax} bytes`)
  }
  const rest = Buffer.concat(pieces).toString('utf8')
  if (rest.trim() !== '') yield rest
}

/** Refuses (`unavailable`) what is no JSON object. */
export function parseJson(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Answered below: what is no JSON is no object either.
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Refusal(
    'unavailable',
    `the daemon's answer is no JSON object: ${oneLine(JSON.stringify(text.slice(0, 80)))}`,
  )
}

/** The refusal that an answer other than 200 says; without a problem document its status is all there is to say. */
export async function readRefusal(answer: Answer): Promise<Refusal> {
  const plain = new Refusal('unavailable', `the daemon answered ${answer.status} ${oneLine(answer.reason)}`.trim())
  if (answer.contentType !== 'application/problem+json') return plain
  const { detail, code, hint } = parseJson(await readAll(answer.body))
  if (typeof detail !== 'string') return plain
  const known = typeof code === 'string' && Object.hasOwn(refusalKinds, code)
  return new Refusal(known ? (code as RefusalKind) : kindOf(answer.status), detail, {
    hint: typeof hint === 'string' ? hint : undefined,
  })
}

/** For a code that only a later version knows. */
function kindOf(status: number): RefusalKind {
  const kinds = Object.keys(refusalKinds) as RefusalKind[]
  return kinds.find((kind) => kind !== 'usage' && refusalKinds[kind].http === status) ?? 'unavailable'
}
