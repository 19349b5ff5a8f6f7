/**
 * Shapes that several commands share: what a system, a token and a journal entry look like in JSON.
 *
 * Fields are added here, never changed: the JSON output is a contract. Source: CONTRACT "HTTP API".
 */
import * as v from 'valibot'

/** Arguments or result of a command that has none. */
export const nothing = v.strictObject({})

/** RFC 3339 UTC with `Z`. */
export const time = v.pipe(v.string(), v.isoTimestamp())
export const id = v.pipe(v.number(), v.integer(), v.minValue(1))
export const roleWords = ['viewer', 'operator', 'admin'] as const
export const role = v.picklist(roleWords)

export const addressView = v.strictObject({
  /** Canonical spelling. */
  address: v.string(),
  kind: v.picklist(['mac', 'ip4', 'prefix4']),
  /** A MAC's IP address: from the neighbour table, else the one it last booted from; null if neither is known. */
  ip: v.exactOptional(v.nullable(v.string())),
})

export const decisionView = v.strictObject({ at: time, profile: v.string(), by: v.string() })

/** A system; `history` is newest first and begins with the decision that `next` comes from. */
export const systemView = v.strictObject({
  id,
  name: v.string(),
  addresses: v.array(addressView),
  next: v.nullable(v.string()),
  sick: v.nullable(v.string()),
  history: v.array(decisionView),
})
export type SystemView = v.InferOutput<typeof systemView>

export const systemsView = v.strictObject({ systems: v.array(systemView) })

export const entryView = v.strictObject({
  seq: id,
  at: time,
  who: v.string(),
  from: v.string(),
  surface: v.picklist(['cli', 'api', 'web', 'machine', 'daemon']),
  /** What changed, one line each, in words. */
  changes: v.array(v.string()),
})
export type EntryView = v.InferOutput<typeof entryView>
