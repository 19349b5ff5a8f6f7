/**
 * The URLs by which a machine reports on a run: `/upload/<id>/`, `/progress/<id>/`, `/extend/<id>/`.
 *
 * Who may: the run's own system, loopback, an unrecognised caller in `trusted-networks`, or whoever has the token. What is
 * answered is on disk and in the journal. A result is read as it passes, so its size costs no memory. Sources: RUNS
 * "Machine URLs", CONTRACT "What machines ask over HTTP", COMPATIBILITY 4.4.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants } from 'node:os'
import { quote } from '../domain/address.ts'
import { durationAllowed, parseDuration } from '../domain/duration.ts'
import { Refusal } from '../domain/errors.ts'
import type { Actor } from '../domain/event.ts'
import { systemsBehind } from '../domain/report.ts'
import type { Sent } from '../runs/handout.ts'
import type { Lives } from '../runs/life.ts'
import type { ProgressReaders } from '../runs/progress.ts'
import type { ResultFolder } from '../runs/result-files.ts'
import type { SpaceGuard } from '../runs/space.ts'
import type { RunTokens } from '../runs/token.ts'
import type { Upload, Uploads } from '../runs/uploads.ts'
import type { RunRow } from '../store/run-rows.ts'
import { type Caller, identifyCaller, isListed, isLoopback } from './caller.ts'
import type { HttpApp, HttpContext } from './env.ts'
import { headersOf, type MachineAnswer, text } from './machine-plane.ts'
import type { MachineOptions } from './machines.ts'
import { boundaryOf, MultipartFault, type PartSink, readMultipart } from './multipart.ts'
import { type Asked, answerRawUpload, bodyOf, readAll } from './raw-upload.ts'
import { answerUnread } from './unread.ts'

export interface UploadUrlOptions extends Pick<MachineOptions, 'store' | 'callers' | 'trusted' | 'log' | 'onAnswered'> {
  readonly tokens: RunTokens
  readonly folder: ResultFolder
  readonly uploads: Uploads
  readonly progress: ProgressReaders
  readonly lives: Lives
  /** Of the files of an upload together, and of a log that comes as progress. Read at each request. Bytes. */
  readonly maxUpload: () => number
  readonly space: SpaceGuard
  /** Records a run as sent whose machine acts before the connection told. */
  readonly ensureSent: (run: number) => Sent
}

/** One piece of progress, and all that are being received: they are in memory. Bytes. */
const progressMax = 16 * 1024 * 1024
const progressHeldMax = 64 * 1024 * 1024
/** RUNS: at most 7d a call. */
const extendMaxMs = 7 * 86_400_000
/** Files beside the log. */
const attachmentsMax = 100
/** What a form has around its files, which do not count for it: heads and delimiters. Bytes. */
const formMax = 256 * 1024

export interface UploadUrls {
  /** For `createHttpServer`: answers an upload itself, as most of them come, and returns whether it did. */
  first(incoming: IncomingMessage, outgoing: ServerResponse): boolean
  mount(app: HttpApp): void
}

/** `/upload/`, `/progress/` and `/extend/`: who may report on a run, and what is done with it. */
export function createUploadUrls(options: UploadUrlOptions): UploadUrls {
  const { store, folder, lives } = options
  /** Bytes of progress being received. */
  let held = 0

  const answer = (c: HttpContext, { status, body, headers = {} }: MachineAnswer): Response => {
    const all = headersOf({ status, body, headers })
    if (status >= 400) all['connection'] = 'close'
    const { incoming } = c.env
    if (status >= 400 && c.req.method === 'POST' && incoming)
      return answerUnread(incoming, String(body), { status, headers: all })
    return new Response(c.req.method === 'HEAD' ? null : String(body), { status, headers: all })
  }

  /** The run, if this caller may report on it; else what to answer. */
  async function authorize(c: Asked): Promise<RunRow | MachineAnswer> {
    const id = c.req.param('id') ?? ''
    const run = /^[1-9]\d{0,14}$/.test(id) ? store.queries.getRun(Number(id)) : undefined
    if (!run) return text(404, `there is no run ${id.slice(0, 40)}`)
    const token = c.req.query('token')
    if (token !== undefined) {
      return options.tokens.matches(run.id, token) ? run : text(403, `the token is not that of run ${run.id}`)
    }
    const caller: Caller = await identifyCaller(c.get('peer'), options.callers)
    if (c.get('surface') === 'socket' || isLoopback(caller.peer)) return run
    const systems = systemsBehind(caller, store.queries)
    if (systems.some(({ id: system }) => system === run.system.id)) return run
    if (systems.length === 0 && isListed(caller.peer, options.trusted())) return run
    return text(403, `${caller.peer} may not report on run ${run.id} of ${run.system.name}`)
  }

  const sign = async (c: Asked, run: RunRow, what: string): Promise<void> => {
    const caller = await identifyCaller(c.get('peer'), options.callers)
    const mac =
      caller.macs[0] ?? ((store.queries.machineOf(run.id)?.mac ?? undefined) as Caller['macs'][number] | undefined)
    lives.sign({ mac, ip: caller.peer }, what, Date.now())
  }

  const answerUpload = async (c: Asked): Promise<MachineAnswer> => {
    const run = await authorize(c)
    return 'status' in run ? run : upload(c, run)
  }

  async function upload(c: Asked, run: RunRow): Promise<MachineAnswer> {
    const boundary = boundaryOf(c.req.header('content-type'))
    if (boundary === undefined)
      return text(400, 'the body has to be multipart/form-data with a file in the field "file"')
    const encoding = c.req.header('content-encoding')
    if (encoding !== undefined && encoding !== 'identity')
      return text(415, `the body is sent as ${quote(encoding)}: only identity is read`, {
        'accept-encoding': 'identity',
      })
    const announced = Number(c.req.header('content-length') ?? 0)
    const max = options.maxUpload()
    if (announced > max + formMax) return text(413, tooLarge(max))
    const full = options.space.fault(announced)
    if (full !== undefined) return text(507, full)
    let incoming: Upload | undefined
    try {
      incoming = await options.uploads.begin(run.id)
      await receive(c, incoming, boundary, max)
      if (!incoming.hasFile) {
        await incoming.discard()
        return text(400, 'the file in the field "file" is missing: curl -F "file=@result" …')
      }
      if (incoming.sizeBytes === 0) {
        await incoming.discard()
        return text(400, 'the file in the field "file" is empty')
      }
      const actor: Actor = { who: run.system.name, from: c.get('peer'), surface: 'machine' }
      try {
        await incoming.keep(actor, () => options.ensureSent(run.id))
      } finally {
        await sign(c, run, '/upload/')
      }
      return text(200, 'uploaded')
    } catch (error) {
      await incoming?.discard().catch((second: unknown) => {
        options.log.error('an upload that failed could not be removed', { run: run.id, error: second })
      })
      return faultAnswer(error, c, run)
    }
  }

  async function receive(c: Asked, incoming: Upload, boundary: string, max: number): Promise<void> {
    const { space } = options
    /** Of the whole form, and of what stands in its parts. */
    let received = 0
    let content = 0
    let files = 0
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const chunk of bodyOf(c)) {
        // All but the last chunk has been read as a form by now.
        if (received - content > formMax)
          throw new Refusal('too-large', `the form around the files is larger than ${formMax} bytes`)
        received += chunk.length
        const full = space.fault(chunk.length)
        if (full !== undefined) throw new Refusal('disk-full', full)
        yield chunk
        space.written(chunk.length)
      }
    }
    const counting = (sink: PartSink | undefined): PartSink => ({
      write(bytes) {
        content += bytes.length
        if (content > max) throw new Refusal('too-large', tooLarge(max))
        return sink?.write(bytes)
      },
      end: () => sink?.end(),
    })
    await readMultipart(counted(), boundary, async ({ name, fileName, contentType }) => {
      if (fileName === undefined) return counting(undefined)
      files += 1
      if (files > attachmentsMax) throw new Refusal('invalid', `there are more than ${attachmentsMax} files`)
      return counting(await (name === 'file' ? incoming.beginLog() : incoming.beginAttachment(fileName, contentType)))
    })
  }

  function faultAnswer(error: unknown, c: Asked, run: RunRow): MachineAnswer {
    if (error instanceof MultipartFault) return text(400, error.message)
    if (error instanceof Refusal) return text(error.status, error.message)
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const errno = error instanceof Error && 'errno' in error ? error.errno : undefined
    if (code === 'ENOSPC' || errno === -constants.errno.EDQUOT)
      return text(507, 'no space left on the disk of the results')
    if (code === 'EROFS' || code === 'EIO') {
      options.log.error('the results folder cannot be written', { run: run.id, error })
      return text(503, `the results folder cannot be written (${code}): try again later`)
    }
    if (code === 'ECONNRESET' || c.env.incoming?.complete === false) return text(400, 'the upload was cut off')
    options.log.error('an upload failed', { run: run.id, error })
    return text(500, 'the server failed: its log says why')
  }

  const progressUrl = async (c: HttpContext): Promise<Response> => {
    const { method } = c.req
    if (method !== 'POST' && method !== 'GET' && method !== 'HEAD') {
      return answer(c, text(405, `${method} is not possible here: GET, POST`, { allow: 'GET, HEAD, POST' }))
    }
    const run = await authorize(c)
    if ('status' in run) return answer(c, run)
    if (method !== 'POST') {
      const closed = closedBy(run)
      const headers = closed === undefined ? {} : { 'x-pxemngr-closed': closed }
      return answer(c, text(200, String(await folder.progressBytes(run.id)), headers))
    }
    try {
      return answer(c, await progress(c, run))
    } catch (error) {
      return answer(c, faultAnswer(error, c, run))
    }
  }

  async function progress(c: HttpContext, run: RunRow): Promise<MachineAnswer> {
    const range = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(c.req.header('content-range') ?? '')
    if (!range) return text(400, 'the header Content-Range has to be bytes <first>-<last>/*')
    const [first, last, total] = [Number(range[1]), Number(range[2]), range[3] === '*' ? Number.NaN : Number(range[3])]
    if (last < first || last >= total) return text(400, `Content-Range: bytes ${first}-${last}/${range[3]} is no range`)
    if (last - first + 1 > progressMax) return text(413, `a piece of progress has at most ${progressMax} bytes`)
    if (last >= options.maxUpload())
      return text(413, `the log is larger than ${options.maxUpload()} bytes (max-upload)`)
    if (held + last - first + 1 > progressHeldMax)
      return text(503, 'too much progress is being received: try again later', { 'retry-after': '2' })
    held += last - first + 1
    try {
      return await appendProgress(c, run, first, last)
    } finally {
      held -= last - first + 1
    }
  }

  async function appendProgress(c: HttpContext, run: RunRow, first: number, last: number): Promise<MachineAnswer> {
    const bytes = await readAll(bodyOf(c), last - first + 1)
    if (bytes.length !== last - first + 1) {
      return text(400, `the body has ${bytes.length} bytes, Content-Range says ${last - first + 1}`)
    }
    const full = options.space.fault(bytes.length)
    if (full !== undefined) return text(507, full)
    await options.ensureSent(run.id).kept
    return options.uploads.alone(run.id, async () => {
      const closed = closedAnswer(run.id)
      if (closed) return closed
      const have = await folder.progressBytes(run.id)
      if (first > have) {
        return text(416, `the piece begins at ${first}, ${have} bytes are here`, { 'content-range': `bytes */${have}` })
      }
      const known = await folder.readProgress(run.id, first, Math.min(have, last + 1))
      if (Buffer.compare(known, bytes.subarray(0, known.length)) !== 0) {
        return text(409, `bytes ${first} to ${first + known.length - 1} are here already, and others`)
      }
      const fresh = bytes.subarray(known.length)
      if (fresh.length > 0) {
        await options.progress.append(run.id, have, fresh)
        options.space.written(fresh.length)
      }
      await getGoing(c, run)
      await sign(c, run, '/progress/')
      return text(200, String(Math.max(have, last + 1)))
    })
  }

  function closedAnswer(run: number): MachineAnswer | undefined {
    const state = store.queries.getRun(run)?.state
    if (state === 'sent' || state === 'running') return undefined
    if (state === 'requested') return text(409, `run ${run} has not been sent to a machine yet`)
    return text(409, `run ${run} is ${state ?? 'gone'}`)
  }

  /** The first sign of work makes it running. */
  async function getGoing(
    c: HttpContext,
    run: RunRow,
    deadline?: (now: RunRow, at: string) => string,
  ): Promise<string> {
    if (deadline === undefined && store.queries.getRun(run.id)?.state === 'running') return ''
    const actor: Actor = { who: run.system.name, from: c.get('peer'), surface: 'machine' }
    return store.commit(
      actor,
      (tx) => {
        const now = tx.getRun(run.id)
        if (!now || (now.state !== 'sent' && now.state !== 'running')) {
          throw new Refusal('refused', `run ${run.id} is ${now?.state ?? 'gone'}`)
        }
        if (now.state === 'sent') tx.emit({ type: 'run.running', run: run.id })
        if (!deadline) return ''
        const until = deadline(now, tx.at)
        if (Date.parse(until) > (now.deadlineMs ?? 0)) tx.emit({ type: 'run.extended', run: run.id, deadline: until })
        return until
      },
      { plane: 'machine' },
    )
  }

  const extendUrl = async (c: HttpContext): Promise<Response> => {
    if (c.req.method !== 'POST')
      return answer(c, text(405, `${c.req.method} is not possible here: POST`, { allow: 'POST' }))
    const run = await authorize(c)
    if ('status' in run) return answer(c, run)
    const given = c.req.query('for')
    const ms = parseDuration(given ?? '')
    if (ms === undefined || ms === 0 || ms > extendMaxMs) {
      return answer(
        c,
        text(400, `for=${quote(given ?? '')} is not allowed: ${durationAllowed}, more than 0, at most 7d`),
      )
    }
    await options.ensureSent(run.id).kept
    const closed = closedAnswer(run.id)
    if (closed) return answer(c, closed)
    try {
      const deadline = await getGoing(c, run, (now, at) =>
        new Date(Math.max(now.deadlineMs ?? 0, Date.parse(at) + ms)).toISOString(),
      )
      await sign(c, run, '/extend/')
      return answer(c, text(200, deadline))
    } catch (error) {
      return answer(c, faultAnswer(error, c, run))
    }
  }

  return {
    first: (incoming, outgoing) => answerRawUpload(incoming, outgoing, answerUpload, options),
    mount(app) {
      app.all('/upload/:id', async (c) => {
        if (c.req.method === 'POST') return answer(c, await answerUpload(c))
        return answer(c, text(405, `${c.req.method} is not possible here: POST`, { allow: 'POST' }))
      })
      app.all('/progress/:id', progressUrl)
      app.all('/extend/:id', extendUrl)
    },
  }
}

function tooLarge(max: number): string {
  return `the upload is larger than ${max} bytes (max-upload)`
}

/** Why a run takes no more progress, for the loop of its machine: `uploaded`, `lost`, `cancelled` …; undefined while it does. */
function closedBy({ state, verdict, uploaded }: RunRow): string | undefined {
  if (state === 'done') return uploaded ? 'uploaded' : (verdict ?? state)
  return state === 'cancelled' || state === 'expired' ? state : undefined
}
