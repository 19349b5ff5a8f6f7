/**
 * A run: one hand-out of a test to a system, from its request to its verdict. The facts about it (`RunEvent`), as they
 * lie in the journal, and what is kept of an uploaded result (`KeptResult`).
 *
 * What the words mean is `verdict.ts`; what the events do to the database `store/apply-runs.ts`; when they are emitted is
 * `src/runs`. Old meanings never change. Source: CONTRACT's RUNS.
 */
import type { Mac } from './address.ts'
import type { Verdict } from './verdict.ts'

/** Of a result as the database keeps it: counts are exact, everything else is bounded (`result.ts`). */
export interface KeptResult {
  readonly verdict: Verdict
  /** Why the verdict, one line of words; empty for a plain pass. */
  readonly reason: string
  readonly counts: { readonly info: number; readonly warning: number; readonly error: number }
  /** The first few of each kind; `line` counts from 1 in the file. */
  readonly lines: readonly KeptLine[]
  /** From the last `V: ` line; null: none. */
  readonly version: string | null
  /** From `X: `; null: none. */
  readonly exit: number | null
  readonly cases: CaseCounts
  readonly measurements: readonly { readonly name: string; readonly value: number; readonly unit: string }[]
  /** What a reader should know: cuts, what could not be read. */
  readonly notes: readonly string[]
  readonly attachments: readonly { readonly name: string; readonly sizeBytes: number }[]
  readonly sizeBytes: number
}

/** What had come as progress when a run was closed or cancelled without a result. */
export type KeptProgress = Pick<KeptResult, 'counts' | 'lines' | 'version'>

export interface KeptLine {
  readonly kind: 'I' | 'W' | 'E'
  readonly text: string
  readonly line: number
}

export interface CaseCounts {
  readonly total: number
  readonly pass: number
  readonly fail: number
  readonly skip: number
  readonly todo: number
}

/** One case of TAP, KTAP or JUnit; kept beside the log, not in the database. */
export interface ResultCase {
  /** `parent > child` */
  readonly name: string
  readonly outcome: 'pass' | 'fail' | 'skip' | 'todo'
  /** Why it was skipped, or what the failure says; '' if nothing. */
  readonly note: string
  readonly durationMs: number | null
}

/** Cases of a result that are kept, failing ones first (RUNS "Results"). */
export const casesMax = 1000

export type WebhookKind = 'run.regressed' | 'run.fixed' | 'machine.sick'

export type RunEvent =
  /** A `.test` file has been seen, is gone, is back. */
  | { readonly type: 'test.registered'; readonly test: number; readonly name: string }
  | { readonly type: 'test.missing'; readonly test: number }
  | { readonly type: 'test.returned'; readonly test: number }
  /** The key from which run tokens follow (base64, 32 bytes), made once; never shown. */
  | { readonly type: 'secret.made'; readonly secret: string }
  /** `group`: id of the first attempt; `version`: as asked for, or null. */
  | {
      readonly type: 'run.requested'
      readonly run: number
      readonly system: number
      readonly test: number
      readonly attempt: number
      readonly group: number
      readonly version: string | null
    }
  /**
   * The script has been delivered whole, to the machine `mac` at `ip`. `hash`: hex SHA-256 of the test file. `boot`: when
   * the boot that asked began (RFC 3339), null if it was not seen. Times in ms; closed as lost at timeout + grace.
   */
  | {
      readonly type: 'run.sent'
      readonly run: number
      readonly hash: string
      readonly mac: Mac | null
      readonly ip: string | null
      readonly boot: string | null
      readonly timeoutMs: number
      readonly graceMs: number
      readonly retries: number
    }
  /** It sent progress, or asked for more time. */
  | { readonly type: 'run.running'; readonly run: number }
  /** `deadline`: RFC 3339. */
  | { readonly type: 'run.extended'; readonly run: number; readonly deadline: string }
  /** Closed without a result; `progress` where some had come, absent in older journals. */
  | {
      readonly type: 'run.closed'
      readonly run: number
      readonly verdict: 'lost' | 'infra'
      readonly reason: string
      readonly progress?: KeptProgress
    }
  /** `late`: after it had been closed. A second upload of a done run replaces the first. */
  | { readonly type: 'run.uploaded'; readonly run: number; readonly late: boolean; readonly result: KeptResult }
  /** `progress` where some had come, absent in older journals. */
  | { readonly type: 'run.cancelled'; readonly run: number; readonly progress?: KeptProgress }
  | { readonly type: 'run.expired'; readonly run: number }
  /** `why` null: no longer, since another result came than the one that was looked at. */
  | { readonly type: 'run.waived'; readonly run: number; readonly why: string | null }
  /** By retention: the raw log is gone; the whole row is gone. */
  | { readonly type: 'log.removed'; readonly run: number }
  | { readonly type: 'run.removed'; readonly run: number }
  | { readonly type: 'version.kept'; readonly version: number }
  /** The suite was given to the system for that version: `tests` (ids) are expected to have a result. */
  | {
      readonly type: 'suite.given'
      readonly system: number
      readonly version: string
      readonly suite: string
      readonly tests: readonly number[]
    }
  | { readonly type: 'system.sick'; readonly system: number; readonly reason: string }
  | { readonly type: 'system.released'; readonly system: number }
  /** `secret`: `whsec_…`, shown once. */
  | {
      readonly type: 'webhook.added'
      readonly webhook: number
      readonly url: string
      readonly on: readonly WebhookKind[]
      readonly secret: string
    }
  | { readonly type: 'webhook.removed'; readonly webhook: number }
  /** A message to deliver; `body` is what is sent, `delivery` its id over all retries. */
  | {
      readonly type: 'webhook.queued'
      readonly delivery: number
      readonly webhook: number
      readonly body: string
    }
  /** It arrived, or was given up (`ok` false). */
  | { readonly type: 'webhook.settled'; readonly delivery: number; readonly ok: boolean; readonly detail: string }
