/**
 * An upload from its first byte to its record: written to the results folder while it is read, kept with its verdict in
 * one step, or gone as if it had never come.
 *
 * Uploads of one run come one after the other. Not here: HTTP (`http/uploads.ts`), what a result says
 * (`domain/result`), what follows from it (`conclude.ts`). Source: RUNS "Life of a run" (late, cancelled), CONTRACT "What
 * machines ask over HTTP" (a second upload replaces the first).
 */
import { Refusal } from '../domain/errors.ts'
import type { Actor } from '../domain/event.ts'
import { createJunitReader, type JunitRead } from '../domain/result/junit.ts'
import { createResultReader, type ResultReader } from '../domain/result/reader.ts'
import type { KeptResult } from '../domain/run.ts'
import type { Log } from '../log.ts'
import type { Store } from '../store/store.ts'
import { concludeRun } from './conclude.ts'
import type { Sent } from './handout.ts'
import type { Alone } from './incoming.ts'
import type { ProgressReaders } from './progress.ts'
import type { ResultFolder } from './result-files.ts'
import { readInTurns, type Turns } from './turns.ts'
import type { IncomingFile } from './upload-files.ts'

/** Where a part's bytes go. */
export interface PartSink {
  write(chunk: Uint8Array): Promise<void> | void
  end(): Promise<void> | void
}

export interface Upload {
  readonly hasFile: boolean
  readonly sizeBytes: number
  beginLog(): Promise<PartSink>
  beginAttachment(fileName: string, contentType: string): Promise<PartSink>
  /**
   * On disk and in the journal when it resolves. Refuses (`refused`) a cancelled or expired run; the log is then kept aside.
   * `ensureSent` records the run as sent where it is not yet, in the same sync.
   */
  keep(actor: Actor, ensureSent: () => Sent): Promise<void>
  /** Nothing of it stays; without effect once it is kept. */
  discard(): Promise<void>
}

export interface Uploads {
  begin(run: number): Promise<Upload>
  readonly alone: Alone
}

export interface UploadsOptions {
  readonly store: Store
  readonly folder: ResultFolder
  readonly progress: ProgressReaders
  readonly log: Log
  /** Retries of a test, for a run that was uploaded without having been sent. */
  readonly retriesOf: (test: string) => number
  readonly turns: Turns
}

/** Uploads under way at once; each holds a connection, a file or two and some 100 KB. */
const uploadsMax = 1000
const attachmentNameMax = 255

export function createUploads({ store, folder, progress, log, retriesOf, turns }: UploadsOptions): Uploads {
  const busy = new Map<number, Promise<unknown>>()
  let underWay = 0

  const alone = <T>(run: number, work: () => Promise<T>): Promise<T> => {
    const before = busy.get(run) ?? Promise.resolve()
    const mine = before.catch(() => undefined).then(work)
    const settled = mine
      .catch(() => undefined)
      .finally(() => {
        if (busy.get(run) === settled) busy.delete(run)
      })
    busy.set(run, settled)
    return mine
  }

  const begin = async (run: number): Promise<Upload> => {
    if (underWay >= uploadsMax) {
      throw new Refusal('unavailable', `${uploadsMax} uploads are under way already: try again later`)
    }
    underWay += 1
    let isSettled = false
    const settled = (): boolean => {
      if (isSettled) return false
      isSettled = true
      underWay -= 1
      return true
    }
    const incoming = folder.receive(run)
    const attachments: { readonly name: string; readonly file: IncomingFile }[] = []
    const junits: { readonly name: string; readonly read: JunitRead }[] = []
    let reader: ResultReader | undefined
    let logs = 0

    const keep = async (actor: Actor, ensureSent: () => Sent, whole: ResultReader): Promise<void> => {
      const before = store.queries.getRun(run)
      if (before?.state === 'cancelled' || before?.state === 'expired') {
        await incoming.keepAside()
        throw new Refusal('refused', `run ${run} is ${before.state}: its result is kept aside`)
      }
      const {
        verdict,
        reason,
        counts,
        lines,
        version,
        exit,
        cases,
        caseList,
        measurements,
        notes: said,
        sizeBytes,
      } = whole.summary()
      // As in 0.8 the last one wins.
      const notes = logs > 1 ? [`${logs} files came in the field "file": only the last one is kept`, ...said] : said
      const result: KeptResult = {
        ...{ verdict, reason, counts, lines, version, exit, cases, measurements, notes, sizeBytes },
        attachments: attachments.map(({ name, file }) => ({ name, sizeBytes: file.sizeBytes })),
      }
      const kept = await incoming.keep(caseList, store.seq, !before?.uploaded)
      try {
        const sent = ensureSent()
        if (sent.isAsked) sent.kept.catch(() => undefined)
        else await sent.kept
        await store.commit(
          actor,
          (tx) => {
            const row = tx.getRun(run)
            if (!row) throw new Refusal('not-found', `there is no run ${run} any more`)
            if (row.state === 'cancelled' || row.state === 'expired') {
              throw new Refusal('refused', `run ${run} is ${row.state}: its result is not taken`)
            }
            concludeRun(tx, row, { kind: 'uploaded', result }, row.retries ?? retriesOf(row.test.name))
          },
          { plane: 'machine' },
        )
      } catch (error) {
        await kept
          .undo()
          .catch((second: unknown) => log.error('an upload could not be taken back', { run, error: second }))
        throw error
      }
      progress.forget(run)
      await kept.settle().catch((error: unknown) => log.warn('a temporary folder could not be removed', { run, error }))
    }

    return {
      get hasFile() {
        return reader !== undefined
      },
      get sizeBytes() {
        return incoming.log.sizeBytes
      },
      async beginLog() {
        logs += 1
        if (reader) await incoming.restart()
        const fresh = createResultReader()
        reader = fresh
        return {
          async write(chunk) {
            await incoming.log.write(chunk)
            await readInTurns(turns, chunk, fresh.push)
          },
          end() {},
        }
      },
      async beginAttachment(fileName) {
        const file = await incoming.attach()
        const name = fileName.slice(0, attachmentNameMax)
        attachments.push({ name, file })
        const junit = /\.xml$/i.test(name) ? createJunitReader() : undefined
        return {
          async write(chunk) {
            await file.write(chunk)
            if (junit) await readInTurns(turns, chunk, junit.push)
          },
          async end() {
            await file.finish()
            if (junit) junits.push({ name, read: junit.finish() })
          },
        }
      },
      async keep(actor, ensureSent) {
        const whole = reader ?? createResultReader()
        for (const { name, read } of junits) whole.addJunit(name, read)
        try {
          await alone(run, () => keep(actor, ensureSent, whole))
        } finally {
          settled()
        }
      },
      async discard() {
        if (settled()) await incoming.discard()
      },
    }
  }

  return { begin, alone }
}
