/**
 * How the pages put numbers, times, names and addresses: words for people, the exact value beside them.
 *
 * Text that a machine or a person gave is data: what cannot be seen or would turn the line around is written out. HTML
 * escaping is the templates' (Eta), not done here. Source: WEB.md "Voice and layout", "Behaviour".
 */
import { durationUnits } from '../../domain/duration.ts'
import { unseen } from '../../domain/visible.ts'

export { formatDuration } from '../../domain/duration.ts'
export { formatBytes } from '../../domain/size.ts'
export { visible } from '../../domain/visible.ts'

/** A point in time as a page shows it: exact, and how long ago. */
export interface Moment {
  /** RFC 3339 UTC, for `<time datetime>`. */
  readonly at: string
  /** `2026-11-23 09:05:12 UTC` */
  readonly exact: string
  /** `41 s ago`; `in 3 h` for what is yet to come (a clock that was set back). */
  readonly age: string
}

/** Differences below this are clock jitter, not future. */
const jitterMs = 2000

/** `at`: RFC 3339 or ms since the epoch; undefined where it is neither. */
export function moment(at: string | number, nowMs: number): Moment | undefined {
  const ms = typeof at === 'number' ? at : Date.parse(at)
  // The range of Date; beyond it `toISOString` throws.
  if (!(Math.abs(ms) <= 8.64e15)) return undefined
  const iso = new Date(ms).toISOString()
  const pastMs = nowMs - ms
  const age =
    pastMs < -jitterMs ? `in ${formatSpan(-pastMs)}` : pastMs < 1000 ? 'just now' : `${formatSpan(pastMs)} ago`
  return { at: iso, exact: `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`, age }
}

/** Its largest unit, whole: `41 s`, `7 min`, `3 h`, `12 d`. */
function formatSpan(ms: number): string {
  const unit = durationUnits.find((each) => ms >= each.ms) ?? durationUnits[3]
  return `${Math.max(1, Math.floor(ms / unit.ms))} ${unit.name}`
}

/** `10,000`. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `1 machine`, `412 machines`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}

/** How many of all, as the subject of a sentence: `1 of 40 machines`, `both machines`, `all 12 machines`, `the one machine`. */
export function share(count: number, total: number, noun: string): string {
  if (count < total) return `${formatCount(count)} of ${plural(total, noun)}`
  return total === 1 ? `the one ${noun}` : `${total === 2 ? 'both' : `all ${formatCount(total)}`} ${noun}s`
}

/** None of them, as the subject of a verb in the singular; for more than one: `neither of the 2 machines`. */
export function noneOf(total: number, noun: string): string {
  return total === 2 ? `neither of the 2 ${noun}s` : `none of ${plural(total, noun)}`
}

/** What runs and what waits: `1 test runs, 5 wait`. */
export function queueWords(running: number, waiting: number): string {
  if (running + waiting === 0) return 'nothing runs, and nothing waits'
  const runs = running === 0 ? 'no test runs' : plural(running, 'test runs', 'tests run')
  return `${runs}, ${waiting === 0 ? 'none waits' : plural(waiting, 'waits', 'wait')}`
}

/** As the beginning of a sentence. */
export function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`
}

/** A word of a command line that is to be pasted into a shell; what cannot be seen as bash's `$'\u202e'`. */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text
  if (text.search(unseen) < 0) return `'${text.replaceAll("'", "'\\''")}'`
  const escaped = text
    .replace(/[\\']/g, '\\$&')
    .replace(unseen, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `$'${escaped}'`
}

/** The words of a command as a line to paste. */
export function commandLine(...words: readonly string[]): string {
  return words.map(shellWord).join(' ')
}
