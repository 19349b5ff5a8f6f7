/**
 * The latest TFTP transfers (`status --transfers`), and each as a step of its machine's boot in the trace.
 *
 * A configuration's decision is known when it is computed, its transfer when it has ended: the two are joined here by the
 * request they belong to. Source: DESIGN "State" (trace), CONTRACT "Command line" (`status`).
 */
import { type Mac, parseMac } from '../domain/address.ts'
import { type Decision, localProfile } from '../domain/boot.ts'
import type { JournalRecord } from '../domain/event.ts'
import type { Download } from '../http/download.ts'
import type { Trace, TraceStep } from '../store/trace.ts'
import type { Requester, TransferRecord } from '../tftp/resolution.ts'

/** What `status --transfers` shows at most. */
const recentMax = 100

export interface TransferLog {
  /** `mac`: that of the configuration's name, if it is named after one. */
  configServed(decision: Decision, from: Requester, mac: Mac | undefined): void
  /** `from`: who asked, as `configServed` was told. */
  add(record: TransferRecord, from: Requester | undefined): void
  /** A machine was given its configuration over HTTP. `mac`: its own, where it says so itself. */
  httpStep(name: string, peer: string, decision: Decision, mac: Mac | undefined): void
  /** A download over HTTP is over. */
  downloaded(download: Download): void
  /** A machine's own report was kept. */
  reported(record: JournalRecord): void
  /** Newest first. */
  recent(): readonly TransferRecord[]
}

export function createTransferLog(trace: Trace): TransferLog {
  const ring: TransferRecord[] = []
  let next = 0
  return {
    configServed(decision, from, mac) {
      from.served = { decision, mac }
    },
    add(record, from) {
      ring[next] = record
      next = (next + 1) % recentMax
      const served = from?.served
      trace.step({
        at: record.startedMs,
        mac: served ? served.mac : macOfName(record.name),
        ip: record.client,
        kind: 'tftp',
        name: record.name,
        sizeBytes: record.sizeBytes,
        sentBytes: record.sentBytes,
        durationMs: record.durationMs,
        outcome: record.outcome,
        detail: record.detail,
        ...decided(served?.decision),
      })
    },
    httpStep(name, peer, decision, mac) {
      trace.step({
        at: Date.now(),
        mac,
        ip: peer,
        kind: 'http',
        name,
        sizeBytes: null,
        sentBytes: 0,
        durationMs: 0,
        outcome: 'done',
        detail: '',
        ...decided(decision),
      })
    },
    downloaded({ from, ...step }) {
      const { served } = from
      const { name, startedMs, sizeBytes, sentBytes, durationMs, outcome, detail } = step
      trace.step({
        ...{ at: startedMs, mac: served ? served.mac : macOfName(name), ip: from.address, kind: 'http', name },
        ...{ sizeBytes, sentBytes, durationMs, outcome, detail },
        ...decided(served?.decision),
        joins: from.preview,
      })
    },
    reported({ at, actor, events }) {
      if (actor.surface !== 'machine') return
      for (const event of events) {
        if (event.type !== 'boot.decided' && event.type !== 'report.remembered') continue
        trace.step({
          at: Date.parse(at),
          mac: parseMac(actor.who),
          ip: actor.from,
          kind: 'http',
          name: event.profile === localProfile ? '/localboot/' : `/nextboot/${event.profile}/`,
          sizeBytes: null,
          sentBytes: 0,
          durationMs: 0,
          outcome: 'done',
          detail: '',
          systemId: event.system ?? undefined,
        })
        return // one report, one step
      }
    },
    recent: () => [...ring.slice(next), ...ring.slice(0, next)].reverse(),
  }
}

/** What a step says of the decision behind it. */
function decided(decision: Decision | undefined): Pick<TraceStep, 'profile' | 'systemId' | 'decision'> {
  if (!decision) return {}
  const { profile, decided: meant, decidedBy, seq, system } = decision
  return { profile, systemId: system?.id, decision: { by: decidedBy, instead: meant === profile ? '' : meant, seq } }
}

/** MAC of a name that ends in one as PXELINUX asks for it, in whatever folder and spelling. */
export function macOfName(name: string): Mac | undefined {
  const mac = /(?:^|[/\\])(01(?:-[0-9a-f]{2}){6})$/i.exec(name)?.[1]
  return mac === undefined ? undefined : parseMac(mac)
}
