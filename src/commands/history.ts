/**
 * `history`: the journal for people, who changed what when, oldest first; `--follow` goes on as changes happen.
 *
 * Following subscribes before it reads what was, so that nothing falls between; a reader that falls too far behind is
 * cut off rather than waited for. Source: CONTRACT "Command line", DESIGN "State".
 */
import * as v from 'valibot'
import { concernsSystems } from '../domain/concern.ts'
import { Refusal } from '../domain/errors.ts'
import type { JournalRecord } from '../domain/event.ts'
import type { HistoryQuery } from '../store/store.ts'
import type { Daemon } from './daemon.ts'
import { defineCommand, linesType, type Output } from './definition.ts'
import { namesOf, viewRecord } from './record.ts'
import { type EntryView, entryView } from './schema.ts'
import { selectSystems } from './selection.ts'

/** Records shown unless told otherwise: a few screens. */
const limitDefault = 100
/** Most that one call may ask for: about 2 MB of JSON. */
const limitMax = 10_000
/** Records a follower may lag behind: a burst of a second, some MB at most. */
const lagMax = 10_000
/** How often a follower hears something, even if nothing happens: well before a silent connection is given up. */
const heartbeatMs = 30_000

const limit = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(limitMax))
const args = v.strictObject({
  name: v.exactOptional(v.string()),
  limit: v.exactOptional(limit),
  /** Only records after this sequence number. */
  after: v.exactOptional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  follow: v.exactOptional(v.boolean()),
})
type Args = v.InferOutput<typeof args>

export const history = defineCommand({
  name: 'history',
  summary: 'Show who changed what when',
  usage: 'pxemngr history [<system name>]',
  positionals: [{ key: 'name', usage: '<system name>', required: false, complete: ['system'] }],
  options: [
    { name: 'follow', short: 'f', summary: 'go on with what happens' },
    { name: 'limit', short: 'n', value: 'N', summary: `at most the latest N records (default ${limitDefault})` },
    { name: 'after', value: 'SEQ', summary: 'only records after this sequence number' },
  ],
  args,
  result: v.strictObject({ history: v.array(entryView) }),
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr history web01', text: 'everything that was decided and reported for web01' },
    { line: 'pxemngr history --follow', text: 'all changes as they happen, until Ctrl-C' },
  ],
  async prepare(typed) {
    return { ...typed, ...numbered(typed, 'limit'), ...numbered(typed, 'after') }
  },
  async run({ daemon }, wanted) {
    const query = queryOf(daemon, wanted)
    const records = await daemon.store.history(query)
    const names = namesOf(daemon.store.queries, records)
    return { history: records.map((record) => viewRecord(own(daemon, record, query.systems), names)) }
  },
  print(result, out) {
    for (const entry of result.history) printEntry(entry, out)
  },
  stream: {
    contentType: linesType,
    when: ({ follow }) => follow === true,
    async send({ daemon }, wanted, write, signal) {
      const query = queryOf(daemon, wanted)
      const encoder = new TextEncoder()
      for await (const records of followRecords(daemon, query, signal)) {
        const names = namesOf(daemon.store.queries, records)
        const entries = records.map((record) => viewRecord(own(daemon, record, query.systems), names))
        await write(encoder.encode(`${JSON.stringify({ history: entries })}\n`))
      }
    },
  },
})

function numbered(typed: Record<string, unknown>, key: string): Record<string, number> {
  const text = typed[key]
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? { [key]: Number(text) } : {}
}

function queryOf(daemon: Daemon, { name, limit: most, after }: Args): HistoryQuery {
  return {
    limit: most ?? limitDefault,
    ...(after === undefined ? {} : { after }),
    ...(name === undefined ? {} : { systems: selectSystems(daemon.store.queries, name).map(({ id }) => id) }),
  }
}

/** What was, then what happens, in lists without gap or repetition; ends with `signal`. */
async function* followRecords(
  daemon: Daemon,
  query: HistoryQuery,
  signal: AbortSignal,
): AsyncGenerator<readonly JournalRecord[]> {
  const { store } = daemon
  let fresh: JournalRecord[] = []
  let wake: () => void = () => {}
  const stop = store.onApplied((record) => {
    if (fresh.length <= lagMax) fresh.push(record)
    wake()
  })
  const abort = () => wake()
  signal.addEventListener('abort', abort)
  try {
    let last = store.seq
    const past = await store.history(query)
    yield past
    last = Math.max(last, past.at(-1)?.seq ?? 0)
    while (!signal.aborted) {
      if (fresh.length > lagMax) throw new Refusal('unavailable', 'the reader of the history fell too far behind')
      const batch = fresh.filter((record) => record.seq > last && concerns(daemon, record, query.systems))
      last = Math.max(last, fresh.at(-1)?.seq ?? 0)
      fresh = []
      if (batch.length > 0) yield batch
      if (fresh.length > 0 || signal.aborted) continue
      let silence: NodeJS.Timeout | undefined
      const silent = await new Promise<boolean>((resolve) => {
        wake = () => resolve(false)
        silence = setTimeout(() => resolve(true), heartbeatMs)
      })
      clearTimeout(silence)
      if (silent) yield []
    }
  } finally {
    stop()
    signal.removeEventListener('abort', abort)
  }
}

/** The record with what concerns the systems asked for: one record may change ten thousand. */
function own(daemon: Daemon, record: JournalRecord, systems: readonly number[] | undefined): JournalRecord {
  if (systems === undefined) return record
  const { systemOfRun } = daemon.store.queries
  return { ...record, events: record.events.filter((event) => concernsSystems([event], systems, systemOfRun)) }
}

function concerns(daemon: Daemon, { events }: JournalRecord, systems: readonly number[] | undefined): boolean {
  return systems === undefined || concernsSystems(events, systems, daemon.store.queries.systemOfRun)
}

function printEntry({ at, who, from, changes }: EntryView, out: Output): void {
  // A machine that another speaks for may have no address that is known.
  const by = from === '' ? who : `${who} (${from})`
  for (const change of changes) out.line(`${at} ${by} ${change}`)
}
