/**
 * `multipart/form-data` as a stream: parts are handed on as they come, in constant memory, whatever their size.
 *
 * Only what uploads need: names from Content-Disposition, no nested multiparts, no transfer encodings. A body that ends
 * before its closing delimiter is cut off, and said so. Sources: RFC 7578, RFC 2046 §5.1.
 */

export interface PartHead {
  /** `name` of the field; undefined if it has none. */
  readonly name: string | undefined
  /** Given by the client: data, never a path. undefined: a plain field. */
  readonly fileName: string | undefined
  readonly contentType: string
}

export interface PartSink {
  write(chunk: Uint8Array): Promise<void> | void
  end(): Promise<void> | void
}

/** The body is not what its Content-Type says, or not whole. */
export class MultipartFault extends Error {}

const headBytesMax = 16 * 1024
const boundaryMax = 200

/** The boundary of a Content-Type; undefined if it is no multipart/form-data with one. */
export function boundaryOf(contentType: string | undefined): string | undefined {
  const parts = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]+)"|([^\s;"]+))/i.exec(contentType ?? '')
  const boundary = parts?.[1] ?? parts?.[2]
  return boundary !== undefined && boundary.length <= boundaryMax ? boundary : undefined
}

/** Calls `begin` for each part; its bytes go to the sink, or nowhere. Rejects with `MultipartFault`. */
export async function readMultipart(
  source: AsyncIterable<Uint8Array>,
  boundary: string,
  begin: (head: PartHead) => Promise<PartSink | undefined>,
): Promise<void> {
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  // The first delimiter may stand at the very beginning, without a line before it.
  const lineBefore = Buffer.from('\r\n')
  let buffer: Buffer = lineBefore
  let state = 'preamble' as State
  let sink: PartSink | undefined
  /** Bytes before the part's first one: the empty line's end, which may also be the delimiter's of an empty part. */
  let skip = 0

  /** Takes from the buffer what can be taken now; false: more is needed. */
  const step = async (): Promise<boolean> => {
    switch (state) {
      case 'preamble':
      case 'body': {
        const at = buffer.indexOf(delimiter)
        const whole = at >= 0 ? at : Math.max(0, buffer.length - delimiter.length + 1)
        if (state === 'body') {
          const from = Math.min(skip, whole)
          skip -= from
          if (whole > from) await sink?.write(buffer.subarray(from, whole))
          if (at >= 0) await sink?.end()
        }
        buffer = buffer.subarray(at >= 0 ? at + delimiter.length : whole)
        if (at < 0) return false
        sink = undefined
        state = 'delimiter'
        return true
      }
      case 'delimiter': {
        if (buffer.length < 2) return false
        if (buffer[0] === 0x2d && buffer[1] === 0x2d) {
          state = 'end'
          return false
        }
        const line = buffer.indexOf('\r\n')
        if (line < 0) {
          if (buffer.length > headBytesMax) throw new MultipartFault('a delimiter has no end of line')
          return false
        }
        // Keeps the line end: a part without any header begins with an empty line at once.
        buffer = buffer.subarray(line)
        state = 'head'
        return true
      }
      case 'head': {
        const end = buffer.indexOf('\r\n\r\n')
        if (end > headBytesMax || (end < 0 && buffer.length > headBytesMax)) {
          throw new MultipartFault(`the head of a part is longer than ${headBytesMax} bytes`)
        }
        if (end < 0) return false
        sink = await begin(parseHead(buffer.subarray(0, end).toString('utf8')))
        buffer = buffer.subarray(end + 2)
        skip = 2
        state = 'body'
        return true
      }
      case 'end':
        return false
      default:
        return state satisfies never
    }
  }

  for await (const chunk of source) {
    if (state === 'end') continue // the epilogue
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const opening = delimiter.length - lineBefore.length
    if (buffer === lineBefore && bytes.subarray(0, opening).equals(delimiter.subarray(lineBefore.length))) {
      // As nearly all forms begin: nothing has to be put together.
      buffer = bytes.subarray(opening)
      state = 'delimiter'
    } else buffer = buffer.length === 0 ? bytes : Buffer.concat([buffer, bytes])
    while (await step());
  }
  if (state !== 'end') throw new MultipartFault('the upload was cut off: its last delimiter is missing')
}

type State = 'preamble' | 'delimiter' | 'head' | 'body' | 'end'

function parseHead(text: string): PartHead {
  const headers = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  const disposition = headers.get('content-disposition') ?? ''
  return {
    name: parameterOf(disposition, namePattern),
    fileName: parameterOf(disposition, fileNamePattern) ?? extendedOf(disposition),
    contentType: headers.get('content-type') ?? '',
  }
}

const namePattern = /;\s*name=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/i
const fileNamePattern = /;\s*filename=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/i

function parameterOf(text: string, pattern: RegExp): string | undefined {
  const found = pattern.exec(text)
  return found ? (found[1]?.replace(/\\(.)/g, '$1') ?? found[2]) : undefined
}

/** `filename*=utf-8''x%20y` (RFC 7578 §4.2 does not want it; some clients send it). */
function extendedOf(text: string): string | undefined {
  const found = /;\s*filename\*=utf-8''([^\s;]+)/i.exec(text)?.[1]
  try {
    return found === undefined ? undefined : decodeURIComponent(found)
  } catch {
    return found
  }
}
