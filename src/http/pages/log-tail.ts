/**
 * `GET /test/<id>/tail`: the lines of a running test's log as they come, as server-sent events, until the run is done.
 *
 *     id: 1234:41                     bytes and lines before what comes next
 *     event: lines
 *     data: [{"number":42,"kind":"error","text":"E: gave up"}]
 *
 *     event: end
 *     data: {}
 *
 * `Last-Event-ID` (or `?after=`) goes on behind that place. Only whole lines are sent; what an upload put in place of the
 * log is for the page to fetch when `end` has come. Sources: HTML Standard §9.2, RUNS "Machine URLs" (progress).
 */
import type { Daemon } from '../../commands/daemon.ts'
import type { Stream } from '../../commands/definition.ts'
import { runChanged } from '../../commands/log.ts'
import { Refusal } from '../../domain/errors.ts'
import { runStates } from '../../domain/verdict.ts'
import { createLineSplitter, type LogLine, type LogPosition, lineOf } from './log-view.ts'

/** Tails at once; one more is refused (503), and its page shows what there was. */
const tailsMax = 500
/** Lines of one event. */
const linesPerEvent = 500
/** Proxies cut connections that are silent for 30 to 60 s. */
const heartbeatMs = 15_000
/** How long a browser waits before it asks again. */
const retryMs = 2000

export function parsePosition(text: string | undefined): LogPosition {
  if (text === undefined || text === '') return { offset: 0, lines: 0 }
  const [, offset, lines] = /^(\d{1,15}):(\d{1,15})$/.exec(text) ?? []
  if (offset === undefined || lines === undefined)
    throw new Refusal('usage', 'after= is BYTES:LINES, as an event had it')
  return { offset: Number(offset), lines: Number(lines) }
}

export function formatPosition({ offset, lines }: LogPosition): string {
  return `${offset}:${lines}`
}

interface TailArgs {
  readonly run: number
  readonly after: LogPosition
}

/** `nowMs`: only for heartbeats. */
export function createTail(nowMs: () => number): Stream<TailArgs> {
  let tails = 0
  return {
    contentType: 'text/event-stream',
    async send({ daemon }, { run, after }, write, signal) {
      if (tails >= tailsMax) throw new Refusal('unavailable', `there are ${tailsMax} logs being followed already`)
      tails += 1
      const encoder = new TextEncoder()
      let sentMs = nowMs()
      const event = async (text: string): Promise<void> => {
        sentMs = nowMs()
        await write(encoder.encode(`${text}\n\n`))
      }
      try {
        await event(`retry: ${retryMs}\nid: ${formatPosition(after)}`)
        let lines: LogLine[] = []
        const splitter = createLineSplitter((bytes, number) => lines.push(lineOf(bytes, number)), after)
        let read = after.offset
        while (!signal.aborted && isOpen(daemon, run)) {
          for await (const chunk of grown(daemon, run, read)) {
            read += chunk.length
            splitter.push(chunk)
            if (lines.length === 0) continue
            const id = formatPosition(splitter.position)
            for (let at = 0; at < lines.length; at += linesPerEvent) {
              const part = lines.slice(at, at + linesPerEvent)
              // Only behind the last part is a place to go on from.
              const place = at + linesPerEvent < lines.length ? '' : `id: ${id}\n`
              await event(`${place}event: lines\ndata: ${JSON.stringify(part)}`)
            }
            lines = []
          }
          if (nowMs() - sentMs > heartbeatMs) await event(':')
          await runChanged(daemon, run, signal)
        }
        if (!signal.aborted) await event('event: end\ndata: {}')
      } finally {
        tails -= 1
      }
    },
  }
}

function isOpen(daemon: Daemon, run: number): boolean {
  const row = daemon.store.queries.getRun(run)
  return row !== undefined && runStates[row.state].open
}

/** What the log has from `start` on; nothing where there is none yet, or an upload has just taken its place. */
async function* grown(daemon: Daemon, run: number, start: number): AsyncGenerator<Uint8Array> {
  const file = await daemon.results.openLog(run)
  if (!file) return
  try {
    if (!file.final && file.sizeBytes > start) yield* file.chunks(start, file.sizeBytes)
  } finally {
    await file.close()
  }
}
