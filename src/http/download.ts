/**
 * One download below `/boot/` as it is recorded when it is over: what `TransferRecord` is for TFTP.
 *
 * Not here: what is sent (`files.ts`), and what becomes of the record (the boot timeline, the machine's signs of life). A
 * HEAD is no download. Source: DESIGN "Boot" (a boot: requests in order, bytes, times, how it ended).
 */
import type { Requester } from '../tftp/resolution.ts'
import type { HttpContext } from './env.ts'

/** Words as TFTP's: `aborted`: the peer went away; `refused`: there was nothing to send; `failed`: the file broke off. */
export interface DownloadEnd {
  readonly outcome: 'done' | 'aborted' | 'refused' | 'failed'
  /** Of the whole file; null where nothing was found. */
  readonly sizeBytes: number | null
  /** Bytes that the kernel took. */
  readonly sentBytes: number
  /** What was refused, what failed; which part was asked for. */
  readonly detail: string
}

export interface Download extends DownloadEnd {
  /** As `resolve` got it. */
  readonly from: Requester
  /** Path of the URL, decoded: `/boot/debian/vmlinuz`. */
  readonly name: string
  /** ms since the epoch */
  readonly startedMs: number
  readonly durationMs: number
}

/** To be called once, when the answer is over. */
export type EndDownload = (end: DownloadEnd) => void

export function beginDownload(
  c: HttpContext,
  from: Requester,
  onDownload: ((download: Download) => void) | undefined,
  nowMs: () => number,
): EndDownload {
  if (!onDownload || c.req.method === 'HEAD') return ignore
  const startedMs = nowMs()
  const { path } = c.req
  return (end) => {
    const durationMs = Math.max(0, nowMs() - startedMs)
    onDownload({ ...end, from, name: decodeURIComponent(path), startedMs, durationMs })
  }
}

/** As `EndDownload`, when what the adapter sends has gone out or the connection broke before; at once without a server. */
export function endWithResponse(c: HttpContext, end: EndDownload, ended: DownloadEnd): void {
  const { outgoing } = c.env
  if (end === ignore) return
  if (!outgoing) end(ended)
  outgoing?.once('close', () => {
    end(outgoing.writableFinished ? ended : { ...ended, outcome: 'aborted', sentBytes: 0 })
  })
}

function ignore(): void {}
