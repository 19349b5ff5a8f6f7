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
import { createResultReader, type ResultReader, type ResultSummary } from '../domain/result/reader.ts'
import type { KeptResult } from '../domain/run.ts'
import type { Log } from '../log.ts'
import type { Store } from '../store/store.ts'
import { concludeRun } from './conclude.ts'
import type { ProgressReaders } from './progress.ts'
import type { Incoming, ResultFolder } from './result-files.ts'

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
  /** On disk and in the journal when it resolves. Refuses (`refused`) a cancelled or expired run; the log is then kept aside. */
  keep(actor: Actor): Promise<void>
  /** Nothing of it stays; without effect once it is kept. */
  discard(): Promise<void>
}

export interface Uploads {
  begin(run: number): Promise<Upload>
  /** One at a time for each run. */
  alone<T>(run: number, work: () => Promise<T>): Promise<T>
}

export interface UploadsOptions {
  readonly store: Store
  readonly folder: ResultFolder
  readonly progress: ProgressReaders
  readonly log: Log
  /** Retries of a test, for a run that was uploaded without having been sent. */
  readonly retriesOf: (test: string) => number
}

/** A JUnit attachment is read whole, in memory. */
const junitMax = 16 * 1024 * 1024
const attachmentNameMax = 255

export function createUploads({ store, folder, progress, log, retriesOf }: UploadsOptions): Uploads {
  const busy = new Map<number, Promise<unknown>>()

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
    const incoming = await folder.receive(run)
    const attachments: { name: string; file: Incoming; junit: Uint8Array[] | undefined }[] = []
    let reader: ResultReader | undefined
    let isSettled = false

    const summarize = (): ResultSummary => {
      const whole = reader ?? createResultReader()
      for (const { name, junit, file } of attachments) {
        if (junit && file.sizeBytes <= junitMax) whole.addJunit(name, Buffer.concat(junit))
        else if (isJunit(name)) whole.addFault(`${name}: larger than ${junitMax} bytes`)
      }
      return whole.summary()
    }

    const keep = async (actor: Actor): Promise<void> => {
      const summary = summarize()
      isSettled = true
      const state = store.queries.getRun(run)?.state
      if (state === 'cancelled' || state === 'expired') {
        await incoming.keepAside()
        throw new Refusal('refused', `run ${run} is ${state}: its result is kept aside`)
      }
      const kept = await incoming.keep(summary.caseList)
      try {
        await store.commit(
          actor,
          (tx) => {
            const row = tx.getRun(run)
            if (!row) throw new Refusal('not-found', `there is no run ${run} any more`)
            if (row.state === 'cancelled' || row.state === 'expired') {
              throw new Refusal('refused', `run ${run} is ${row.state}: its result is not taken`)
            }
            const result = resultOf(
              summary,
              attachments.map(({ name, file }) => ({ name, sizeBytes: file.sizeBytes })),
            )
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
    }

    return {
      get hasFile() {
        return reader !== undefined
      },
      get sizeBytes() {
        return incoming.log.sizeBytes
      },
      async beginLog() {
        if (reader) await incoming.restart()
        const fresh = createResultReader()
        reader = fresh
        return sinkOf(incoming.log, (chunk) => fresh.push(chunk))
      },
      async beginAttachment(fileName) {
        const name = fileName.slice(0, attachmentNameMax)
        const file = await incoming.attach()
        const junit: Uint8Array[] | undefined = isJunit(name) ? [] : undefined
        attachments.push({ name, file, junit })
        return sinkOf(file, (chunk) => {
          if (junit && file.sizeBytes <= junitMax) junit.push(new Uint8Array(chunk))
        })
      },
      keep: (actor) => alone(run, () => keep(actor)),
      async discard() {
        if (!isSettled) await incoming.discard()
        isSettled = true
      },
    }
  }

  return { begin, alone }
}

function sinkOf(file: Incoming, read: (chunk: Uint8Array) => void): PartSink {
  return {
    async write(chunk) {
      await file.write(chunk)
      read(chunk)
    },
    end() {},
  }
}

function isJunit(name: string): boolean {
  return /\.xml$/i.test(name)
}

function resultOf(summary: ResultSummary, attachments: KeptResult['attachments']): KeptResult {
  const { verdict, reason, counts, lines, version, exit, cases, measurements, notes, sizeBytes } = summary
  return { verdict, reason, counts, lines, version, exit, cases, measurements, notes, attachments, sizeBytes }
}
