/**
 * `GET /boot/<path>`: over HTTP what TFTP answers for that name: the computed tree for the caller, the TFTP root, then
 * the embedded loaders.
 *
 * Which part goes out is `range.ts`, how files are read `file-read.ts`. Files leave by the raw Node response; where there
 * is none (tests without a server) by a stream. Source: CONTRACT "What machines ask over HTTP", PROTOCOLS §5 (types).
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { partDetail } from '../domain/stage.ts'
import type { Log } from '../log.ts'
import type { NotOpened, OpenedFile } from '../tftp/jail.ts'
import type { Requester, Resolve } from '../tftp/resolution.ts'
import { baseUrl } from './caller.ts'
import { beginDownload, type Download, type DownloadEnd, type EndDownload, endWithResponse } from './download.ts'
import type { HttpApp, HttpContext } from './env.ts'
import { createFileReader, TooManyReads } from './file-read.ts'
import { type Part, selectPart } from './range.ts'

export interface BootFileOptions {
  readonly resolve: Resolve
  /** Read at each request, so that SIGHUP changes them. */
  readonly places: () => { readonly root: string; readonly linkTargets: readonly string[] }
  /** Bytes of an embedded loader by its upstream name. */
  readonly findLoader: (name: string) => Uint8Array | undefined
  readonly publicUrl: () => string | null
  readonly log: Log
  /** Each download when it is over, refused ones included. */
  readonly onDownload?: (download: Download) => void
  readonly nowMs?: () => number
}

const plainText = 'text/plain; charset=utf-8'
/** By extension; UEFI firmware asks for the first three (PROTOCOLS §5). */
const contentTypes: Readonly<Record<string, string>> = {
  efi: 'application/efi',
  img: 'application/vnd.efi-img',
  iso: 'application/vnd.efi-iso',
  ipxe: plainText,
  cfg: plainText,
  conf: plainText,
  txt: plainText,
  lst: plainText,
  gz: 'application/gzip',
  json: 'application/json',
}
/** A file changed so recently may change again within one time stamp: its ETag is a weak one. */
const youngMs = 2000
/** Programs that boot; everybody else only looks. */
const bootProgram = /^(iPXE|Syslinux|UefiHttpBoot|GRUB|U-Boot|PXELINUX)\b/i

export function mountBootFiles(app: HttpApp, options: BootFileOptions): void {
  const reader = createFileReader()
  const loaderTags = new Map<string, string>()
  const nowMs = options.nowMs ?? Date.now

  app.all('/boot/*', async (c) => {
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD') {
      return c.text(`${c.req.method} is not possible here: GET, HEAD`, 405, { allow: 'GET, HEAD', connection: 'close' })
    }
    const name = nameOf(c.req.path)
    if (name === undefined) return c.text('the path is not well encoded', 400)
    const from: Requester = {
      address: c.get('peer'),
      port: 0,
      local: c.get('local'),
      url: baseUrl(options.publicUrl(), c.req.header('host'), c.get('local'), c.get('localPort')),
      preview: !bootProgram.test(c.req.header('user-agent') ?? ''),
    }
    const end = beginDownload(c, from, options.onDownload, nowMs)
    const meaning = options.resolve(name, from)
    switch (meaning.kind) {
      case 'error':
        end({ outcome: 'refused', sizeBytes: null, sentBytes: 0, detail: meaning.text })
        return c.text(meaning.text, 404, { 'cache-control': 'no-store' })
      case 'bytes':
        return answerBytes(c, meaning.bytes, tagOf(meaning.bytes), plainText, end)
      case 'file':
        return answerPath(c, meaning.path, end)
      default:
        return meaning satisfies never
    }
  })

  async function answerPath(c: HttpContext, path: string, end: EndDownload): Promise<Response> {
    const { root, linkTargets } = options.places()
    let opened: OpenedFile | NotOpened
    try {
      opened = await reader.openInside(root, linkTargets, path)
    } catch (error) {
      if (!(error instanceof TooManyReads)) throw error
      end({ outcome: 'refused', sizeBytes: null, sentBytes: 0, detail: error.message })
      return c.text(error.message, 503, { 'retry-after': '1' })
    }
    if ('fd' in opened) return answerFile(c, path, opened, end)
    const loader = opened.why === 'missing' ? options.findLoader(path) : undefined
    if (!loader) {
      const outcome = opened.why === 'failed' ? 'failed' : 'refused'
      end({ outcome, sizeBytes: null, sentBytes: 0, detail: opened.detail })
      return c.text(`${path}: ${opened.detail}`, statusOf(opened), { 'cache-control': 'no-store' })
    }
    const tag = loaderTags.get(path) ?? tagOf(loader)
    loaderTags.set(path, tag)
    return answerBytes(c, loader, tag, typeOf(path), end)
  }

  async function answerFile(c: HttpContext, path: string, file: OpenedFile, end: EndDownload): Promise<Response> {
    let streamed = false
    let sentBytes = 0
    try {
      const tag = tagOf(file.identity)
      const etag = nowMs() - file.modifiedMs < youngMs ? `W/${tag}` : tag
      const part = selectPart(c.req.method, (header) => c.req.header(header), { ...file, etag })
      const headers = headersOf(part, typeOf(path), file.sizeBytes)
      const ended = endOf(part, file.sizeBytes)
      if (!hasBody(c, part)) {
        end(ended)
        return new Response(null, { status: part.status, headers })
      }
      const { outgoing } = c.env
      if (outgoing) {
        outgoing.writeHead(part.status, headers)
        await reader.send(file, part.start, part.end, outgoing, (bytes) => {
          sentBytes = bytes
        })
        end(sentBytes === part.end - part.start ? { ...ended, sentBytes } : { ...ended, outcome: 'aborted', sentBytes })
        return alreadySent()
      }
      streamed = true
      const chunks = Readable.from(reader.chunks(file.fd, part.start, part.end))
      chunks.once('close', () => void reader.close(file.fd))
      end({ ...ended, sentBytes: part.end - part.start })
      return new Response(Readable.toWeb(chunks) as ReadableStream, { status: part.status, headers })
    } catch (error) {
      if (!c.env.outgoing?.headersSent) throw error
      end({
        outcome: 'failed',
        sizeBytes: file.sizeBytes,
        sentBytes,
        detail: error instanceof Error ? error.message : String(error),
      })
      options.log.warn('a file was cut off', { path, peer: c.get('peer'), error })
      return alreadySent()
    } finally {
      if (!streamed) await reader.close(file.fd)
    }
  }
}

/** Bytes in memory: a computed answer, which has no time, or a loader. */
function answerBytes(c: HttpContext, bytes: Uint8Array, etag: string, type: string, end: EndDownload): Response {
  const file = { sizeBytes: bytes.length, etag, modifiedMs: undefined }
  const part = selectPart(c.req.method, (header) => c.req.header(header), file)
  const sentBytes = hasBody(c, part) ? part.end - part.start : 0
  endWithResponse(c, end, { ...endOf(part, bytes.length), sentBytes })
  const body = sentBytes > 0 ? Buffer.from(bytes.subarray(part.start, part.end)) : null
  return new Response(body, { status: part.status, headers: headersOf(part, type, bytes.length) })
}

function hasBody(c: HttpContext, part: Part): boolean {
  return c.req.method === 'GET' && part.end > part.start
}

/** How the download ends if all goes well. */
function endOf(part: Part, sizeBytes: number): DownloadEnd {
  const refused = part.status === 416
  const detail: Readonly<Record<number, string>> = {
    206: partDetail,
    304: 'not changed since the last time',
    416: `not within the ${sizeBytes} bytes of the file`,
  }
  return { outcome: refused ? 'refused' : 'done', sizeBytes, sentBytes: 0, detail: detail[part.status] ?? '' }
}

function headersOf(part: Part, type: string, sizeBytes: number): Record<string, string> {
  const headers: Record<string, string> = { ...part.headers, 'cache-control': 'no-cache' }
  if (part.status === 304) return headers
  if (part.status !== 416) headers['content-type'] = type
  headers['content-length'] = String(part.status === 416 ? 0 : part.status === 206 ? part.end - part.start : sizeBytes)
  return headers
}

/** Tells the adapter of the Node server that the response has gone out by itself. */
function alreadySent(): Response {
  return new Response(null, { headers: { 'x-hono-already-sent': 'true' } })
}

/** What stands behind `/boot/`, decoded; undefined where it is badly encoded. */
function nameOf(path: string): string | undefined {
  try {
    return decodeURIComponent(path.slice('/boot/'.length))
  } catch {
    return undefined
  }
}

function typeOf(path: string): string {
  const extension = /\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase() ?? ''
  return (Object.hasOwn(contentTypes, extension) && contentTypes[extension]) || 'application/octet-stream'
}

/** Quoted; a hash, so that neither inode numbers nor contents show. */
function tagOf(content: string | Uint8Array): string {
  return `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`
}

function statusOf({ why }: NotOpened): 404 | 403 | 500 {
  return why === 'denied' ? 403 : why === 'failed' ? 500 : 404
}
