/**
 * A journal record for people (`history`) and for programs (events): words for what changed, and no secret.
 *
 * The only thing held back is the hash of a token: of no use to anybody, and nobody's business. Source: DESIGN "State".
 */
import type { Event, JournalRecord } from '../domain/event.ts'
import type { Queries } from '../store/store.ts'
import type { EntryView } from './schema.ts'

/** The record as programs get it (`/api/v1/events`). */
export function publicRecord(record: JournalRecord): Record<string, unknown> {
  const events = record.events.map((event) => {
    switch (event.type) {
      case 'token.added': {
        const { hash: _, ...rest } = event
        return rest
      }
      case 'secret.made':
        return { type: event.type }
      case 'webhook.added': {
        const { secret: _, ...rest } = event
        return rest
      }
      default:
        return event
    }
  })
  return { seq: record.seq, at: record.at, actor: record.actor, events }
}

/** Names that ids of past records stand for; later records of the same list know what was removed meanwhile. */
export interface Names {
  /** As it was called when the record `seq` was written. */
  system(id: number, seq: number): string
  profile(id: number): string
  token(id: number): string
  test(id: number): string
  version(id: number): string
}

/** Names as of now, with those of systems that `records` (oldest first) remove, and of before they were renamed there. */
export function namesOf(queries: Queries, records: readonly JournalRecord[]): Names {
  const removed = new Map<number, string>()
  const renamed = new Map<number, { readonly seq: number; readonly was: string }[]>()
  for (const { seq, events } of records) {
    for (const event of events) {
      if (event.type === 'system.removed') removed.set(event.system, event.name)
      if (event.type !== 'system.renamed') continue
      renamed.set(event.system, [...(renamed.get(event.system) ?? []), { seq, was: event.was }])
    }
  }
  const before = (id: number, seq: number) => renamed.get(id)?.find((each) => each.seq > seq)?.was
  return {
    system: (id, seq) => before(id, seq) ?? removed.get(id) ?? queries.getSystem(id)?.name ?? `system ${id}`,
    profile: (id) => queries.listProfiles().find((profile) => profile.id === id)?.name ?? `profile ${id}`,
    token: (id) => queries.listTokens().find((token) => token.id === id)?.name ?? `token ${id}`,
    test: (id) => queries.getTest(id)?.name ?? `test ${id}`,
    version: (id) => queries.getVersion(id)?.name ?? `version ${id}`,
  }
}

export function viewRecord(record: JournalRecord, names: Names): EntryView {
  const { who, from, surface } = record.actor
  const then = { ...names, system: (id: number) => names.system(id, record.seq) }
  const changes = record.events.map((event) => describeEvent(event, then))
  return { seq: record.seq, at: record.at, who, from, surface, changes }
}

function describeEvent(event: Event, names: Omit<Names, 'system'> & { system(id: number): string }): string {
  switch (event.type) {
    case 'system.added':
      return `${event.name}: added`
    case 'system.renamed':
      return `${event.was}: renamed to ${event.name}`
    case 'system.removed':
      return `${event.name}: removed`
    case 'address.added':
      return `${names.system(event.system)}: has ${event.address.text}`
    case 'address.removed':
      return `${names.system(event.system)}: lost ${event.address.text}`
    case 'boot.decided':
      return `${names.system(event.system)}: next boot ${event.profile}`
    case 'report.remembered': {
      const through = event.system === null ? 'no system' : names.system(event.system)
      return `${event.mac ?? event.ip ?? 'a machine'} (${through}): next boot ${event.profile}`
    }
    case 'boot.address':
      return `${event.mac}: booted from ${event.ip}`
    case 'profile.registered':
      return `profile ${event.name}: registered`
    case 'profile.missing':
      return `profile ${names.profile(event.profile)}: file gone`
    case 'profile.returned':
      return `profile ${names.profile(event.profile)}: file back`
    case 'token.added':
      return `token ${event.name}: added (${event.role}${event.expires === null ? '' : `, until ${event.expires}`})`
    case 'token.revoked':
      return `token ${names.token(event.token)}: revoked`
    case 'snapshot.made':
      return `snapshot made at record ${event.seq}`
    case 'daemon.stopped':
      return 'daemon stopped'
    case 'record.lost':
      return event.effect === 'lost'
        ? `a record was lost: ${event.reason}`
        : `a record is kept by its snapshot only: ${event.reason}`
    case 'test.registered':
      return `test ${event.name}: registered`
    case 'test.missing':
      return `test ${names.test(event.test)}: file gone`
    case 'test.returned':
      return `test ${names.test(event.test)}: file back`
    case 'secret.made':
      return 'key of the run tokens made'
    case 'run.requested': {
      const attempt = event.attempt > 1 ? `, attempt ${event.attempt}` : ''
      return `${names.system(event.system)}: run ${event.run} of ${names.test(event.test)} requested${attempt}`
    }
    case 'run.sent':
      return `run ${event.run}: sent to ${event.mac ?? event.ip ?? 'its machine'}`
    case 'run.running':
      return `run ${event.run}: running`
    case 'run.extended':
      return `run ${event.run}: deadline ${event.deadline}`
    case 'run.closed':
      return `run ${event.run}: ${event.verdict} (${event.reason})`
    case 'run.uploaded':
      return `run ${event.run}: ${event.result.verdict}${event.late ? ' (late)' : ''}`
    case 'run.cancelled':
      return `run ${event.run}: cancelled`
    case 'run.expired':
      return `run ${event.run}: expired`
    case 'run.waived':
      return event.why === null
        ? `run ${event.run}: waived no longer, another result came`
        : `run ${event.run}: waived (${event.why})`
    case 'log.removed':
      return `run ${event.run}: log removed`
    case 'run.removed':
      return `run ${event.run}: removed`
    case 'version.kept':
      return `version ${names.version(event.version)}: kept`
    case 'suite.given':
      return `${names.system(event.system)}: suite ${event.suite} for version ${event.version}`
    case 'system.sick':
      return `${names.system(event.system)}: sick (${event.reason})`
    case 'system.released':
      return `${names.system(event.system)}: no longer sick`
    case 'webhook.added':
      return `webhook ${event.webhook}: ${event.url} on ${event.on.join(', ')}`
    case 'webhook.removed':
      return `webhook ${event.webhook}: removed`
    case 'webhook.queued':
      return `webhook ${event.webhook}: message ${event.delivery} queued`
    case 'webhook.settled':
      return `webhook message ${event.delivery}: ${event.ok ? 'delivered' : 'given up'}${event.detail === '' ? '' : ` (${event.detail})`}`
    default:
      return event satisfies never
  }
}
