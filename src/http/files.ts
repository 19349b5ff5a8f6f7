/**
 * `GET /boot/<path>`: over HTTP what TFTP answers for that name: the computed tree for the caller, the TFTP root, then
 * the embedded loaders.
 *
 * Which part goes out is `range.ts`, how files are read `file-read.ts`. Files leave by the raw Node response; where there
 * is none (tests without a server) by a stream. Source: CONTRACT "What machines ask over HTTP", PROTOCOLS §5 (types).
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Log } from '../log.ts'
import type { NotOpened, OpenedFile } from '../tftp/jail.ts'
import type { Resolve } from '../tftp/resolution.ts'
import { baseUrl } from './caller.ts'
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
    const meaning = options.resolve(name, {
      address: c.get('peer'),
      port: 0,
      local: c.get('local'),
      url: baseUrl(options.publicUrl(), c.req.header('host'), c.get('local'), c.get('localPort')),
      preview: !bootProgram.test(c.req.header('user-agent') ?? ''),
    })
    switch (meaning.kind) {
      case 'error':
        return c.text(meaning.text, 404, { 'cache-control': 'no-store' })
      case 'bytes':
        return answerBytes(c, meaning.bytes, tagOf(meaning.bytes), plainText)
      case 'file':
        return answerPath(c, meaning.path)
      default:
        return meaning satisfies never
    }
  })

  async function answerPath(c: HttpContext, path: string): Promise<Response> {
    const { root, linkTargets } = options.places()
    let opened: OpenedFile | NotOpened
    try {
      opened = await reader.openInside(root, linkTargets, path)
    } catch (error) {
      if (!(error instanceof TooManyReads)) throw error
      return c.text(error.message, 503, { 'retry-after': '1' })
    }
    if ('fd' in opened) return answerFile(c, path, opened)
    const loader = opened.why === 'missing' ? options.findLoader(path) : undefined
    if (!loader) return c.text(`${path}: ${opened.detail}`, statusOf(opened), { 'cache-control': 'no-store' })
    const tag = loaderTags.get(path) ?? tagOf(loader)
    loaderTags.set(path, tag)
    return answerBytes(c, loader, tag, typeOf(path))
  }

  async function answerFile(c: HttpContext, path: string, file: OpenedFile): Promise<Response> {
    let streamed = false
    try {
      const tag = tagOf(file.identity)
      const etag = nowMs() - file.modifiedMs < youngMs ? `W/${tag}` : tag
      const part = selectPart(c.req.method, (header) => c.req.header(header), { ...file, etag })
      const headers = headersOf(part, typeOf(path), file.sizeBytes)
      if (!hasBody(c, part)) return new Response(null, { status: part.status, headers })
      const { outgoing } = c.env
      if (outgoing) {
        outgoing.writeHead(part.status, headers)
        await reader.send(file.fd, part.start, part.end, outgoing)
        return alreadySent()
      }
      streamed = true
      const chunks = Readable.from(reader.chunks(file.fd, part.start, part.end))
      chunks.once('close', () => void reader.close(file.fd))
      return new Response(Readable.toWeb(chunks) as ReadableStream, { status: part.status, headers })
    } catch (error) {
      if (!c.env.outgoing?.headersSent) throw error
      options.log.warn('a file was cut off', { path, peer: c.get('peer'), error })
      return alreadySent()
    } finally {
      if (!streamed) await reader.close(file.fd)
    }
  }
}

/** Bytes in memory: a computed answer, which has no time, or a loader. */
function answerBytes(c: HttpContext, bytes: Uint8Array, etag: string, type: string): Response {
  const file = { sizeBytes: bytes.length, etag, modifiedMs: undefined }
  const part = selectPart(c.req.method, (header) => c.req.header(header), file)
  const body = hasBody(c, part) ? Buffer.from(bytes.subarray(part.start, part.end)) : null
  return new Response(body, { status: part.status, headers: headersOf(part, type, bytes.length) })
}

function hasBody(c: HttpContext, part: Part): boolean {
  return c.req.method === 'GET' && part.end > part.start
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
