/**
 * How a run ends, the one place: its result or its closing, the retry that follows, what that makes of the machine, and
 * who is told. Called inside a decision, so that all of it is one record.
 *
 * Source: RUNS "Life of a run" (retries), "Verdicts" (sick), "Commands" (webhooks: regressed and fixed compare with the
 * previous conclusive run of that system and test, retried attempts apart).
 */
import type { KeptProgress, KeptResult, WebhookKind } from '../domain/run.ts'
import { isRetried, type Verdict, verdicts } from '../domain/verdict.ts'
import type { RunRow } from '../store/run-rows.ts'
import type { Transaction } from '../store/store.ts'

export type Ending =
  | { readonly kind: 'uploaded'; readonly result: KeptResult }
  | {
      readonly kind: 'closed'
      readonly verdict: 'lost' | 'infra'
      readonly reason: string
      readonly progress?: KeptProgress | undefined
    }

/** In a row, these make a system sick (RUNS). */
const sickAfter = 3

/** `retries`: of the test, where the run was never sent and so does not say. */
export function concludeRun(tx: Transaction, run: RunRow, ending: Ending, retries = run.retries ?? 0): void {
  const verdict = ending.kind === 'uploaded' ? ending.result.verdict : ending.verdict
  if (ending.kind === 'uploaded') {
    const late = run.state === 'done' && (run.late || !run.uploaded)
    const before = tx.getDetail(run.id).reason ?? ''
    tx.emit({ type: 'run.uploaded', run: run.id, late, result: ending.result })
    // What a person looked at was that result; one that ends otherwise nobody has seen.
    if (run.waived && (verdict !== run.verdict || ending.result.reason !== before)) {
      tx.emit({ type: 'run.waived', run: run.id, why: null })
    }
  } else {
    const { reason, progress } = ending
    const closed = { type: 'run.closed', run: run.id, verdict: ending.verdict, reason } as const
    tx.emit(progress ? { ...closed, progress } : closed)
  }
  const isLast = tx.lastAttempt(run.group) === run.id
  const retried = isLast && run.state !== 'done' && isRetried(verdict) && run.attempt <= retries
  if (retried) {
    tx.emit({
      type: 'run.requested',
      run: tx.nextId('run'),
      system: run.system.id,
      test: run.test.id,
      attempt: run.attempt + 1,
      group: run.group,
      version: run.version?.name ?? null,
    })
  }
  judgeMachine(tx, run, verdict)
  if (!retried && isLast) tellOutcome(tx, run, verdict)
}

function judgeMachine(tx: Transaction, run: RunRow, verdict: Verdict): void {
  const { system } = run
  const sick = tx.sickOf(system.id) !== undefined
  if (verdict !== 'lost' && verdict !== 'infra') {
    if (sick) tx.emit({ type: 'system.released', system: system.id })
    return
  }
  if (sick) return
  const last = tx.lastDoneOf(system.id, sickAfter)
  if (last.length < sickAfter || !last.every((each) => each.verdict === 'lost' || each.verdict === 'infra')) return
  const reason = `${sickAfter} runs in a row without a result: ${last.map((each) => `${each.test.name} ${each.verdict}`).join(', ')}`
  tx.emit({ type: 'system.sick', system: system.id, reason })
  queueWebhooks(tx, 'machine.sick', { system: system.name, reason })
}

function tellOutcome(tx: Transaction, run: RunRow, verdict: Verdict): void {
  const { outcome } = verdicts[verdict]
  if (outcome === 'inconclusive') return
  // A second upload with the same outcome is no news.
  if (run.state === 'done' && run.verdict !== null && verdicts[run.verdict].outcome === outcome) return
  if (tx.listWebhooks().length === 0) return
  const before = tx.previousRun(run, ['pass', 'warn', 'fail'])
  if (!before?.verdict || verdicts[before.verdict].outcome === outcome) return
  const now = tx.getRun(run.id) ?? run
  queueWebhooks(tx, outcome === 'fail' ? 'run.regressed' : 'run.fixed', {
    run: run.id,
    system: run.system.name,
    test: run.test.name,
    version: now.version?.name ?? null,
    verdict,
    reason: tx.getDetail(run.id).reason,
    before: { run: before.id, version: before.version?.name ?? null, verdict: before.verdict },
  })
}

function queueWebhooks(tx: Transaction, kind: WebhookKind, data: object): void {
  for (const webhook of tx.listWebhooks()) {
    if (!webhook.on.includes(kind)) continue
    const body = JSON.stringify({ type: kind, timestamp: tx.at, data })
    tx.emit({ type: 'webhook.queued', delivery: tx.nextId('delivery'), webhook: webhook.id, body })
  }
}
