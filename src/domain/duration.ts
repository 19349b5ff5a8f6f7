/**
 * Durations as people write them: `90s`, `30m`, `2h`, `7d`, everywhere the same (configuration, `--expires`, `--since`).
 *
 * A bare number is refused: nobody remembers which unit it would have. Source: CONTRACT "Daemon" (values), RUNS "Times".
 */

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Longest duration that is accepted, 10,000 years: added to any date it stays a date. */
const durationMaxMs = 10_000 * 365 * 86_400_000

/** What `parseDuration` accepts, for messages. */
export const durationAllowed = 'a duration such as 90s, 30m, 2h or 7d'

/** `30m` → 1,800,000 ms; undefined for anything that is no whole number with one of the units s, m, h, d. */
export function parseDuration(text: string): number | undefined {
  const parts = /^(\d{1,15})([smhd])$/.exec(text)
  if (!parts) return undefined
  const ms = Number(parts[1]) * (unitMs[parts[2] ?? ''] ?? Number.NaN)
  return ms <= durationMaxMs ? ms : undefined
}

/** Largest first. */
export const durationUnits = [
  { name: 'd', ms: 86_400_000 },
  { name: 'h', ms: 3_600_000 },
  { name: 'min', ms: 60_000 },
  { name: 's', ms: 1000 },
] as const

/** `340 ms`, `1.2 s`, `2 min 5 s`, `3 h 20 min`, `1 d`: its two largest units, what is 0 left out. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const tenths = Math.round(ms / 100)
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`
  const at = durationUnits.findIndex((each) => Math.round(ms / 1000) * 1000 >= each.ms)
  const [first, second] = [durationUnits[at], durationUnits[at + 1]]
  if (!first || !second) return `${Math.round(ms / 1000)} s`
  const whole = Math.round(ms / second.ms)
  const perFirst = first.ms / second.ms
  const rest = whole % perFirst
  return `${Math.floor(whole / perFirst)} ${first.name}${rest === 0 ? '' : ` ${rest} ${second.name}`}`
}
