/**
 * `GET /api/v1/events`: every record as it is applied, as server-sent events, without gap over broken connections.
 *
 *     retry: 2000
 *     id: 41                          where this stream begins
 *
 *     id: 42
 *     event: record
 *     data: {"seq":42,"at":"…","actor":{…},"events":[…]}
 *
 * With `?boots` there is also an event `boots`, without id, when boots have changed: they are no records. Its data tells
 * whose: `{"systems":[5],"addresses":["52:54:00:12:34:56","10.0.3.7"]}`, or `{}` where it may be anybody's.
 *
 * `Last-Event-ID` (or `?after=`) resumes behind that record from the journal; if more was missed than is worth sending,
 * an event `reset` says to read everything anew. A record is encoded once for all clients. A client that reads slower
 * than things happen is cut, and resumes. Source: HTML Standard §9.2 (server-sent events), CONTRACT "HTTP API".
 */
import type { Daemon } from '../commands/daemon.ts'
import { publicRecord } from '../commands/record.ts'
import { apiPrefix } from '../commands/wire.ts'
import { Refusal } from '../domain/errors.ts'
import type { JournalRecord } from '../domain/event.ts'
import type { BootsChanged } from '../store/boot-timeline.ts'
import type { HttpApp } from './env.ts'

export interface EventOptions {
  /** Streams at once; one more is refused (503). */
  readonly clientsMax?: number
  /** Bytes waiting for one client before it is cut: seconds of a busy server. */
  readonly bufferMaxBytes?: number
  /** Proxies cut connections that are silent for 30 to 60 s. */
  readonly heartbeatMs?: number
  /** Missed records that are sent one by one; beyond that reading anew is cheaper. */
  readonly replayMax?: number
}

export interface EventHub {
  readonly clients: number
  /** Ends every stream, so that the server can close. */
  close(): void
}

interface Client {
  /** Whether it is told of boots too. */
  readonly boots: boolean
  /** Whose boots have changed since it was told last; undefined: nobody's. */
  changed: Changed | undefined
  readonly queue: Uint8Array[]
  queuedBytes: number
  /** Records up to this one are not sent. */
  last: number
  /** While the journal is read, live records wait here in `held`. */
  held: { seq: number; bytes: Uint8Array }[] | null
  /** Set while the reader waits for bytes. */
  wake: (() => void) | undefined
  closed: boolean
  /** Breaks the connection, also where the socket takes no bytes any more. */
  cut(reason: string): void
}

export function mountEvents(app: HttpApp, daemon: Daemon, options: EventOptions = {}): EventHub {
  const { clientsMax = 1000, bufferMaxBytes = 1024 * 1024, heartbeatMs = 15_000, replayMax = 10_000 } = options
  const clients = new Set<Client>()
  let stopFollowing: (() => void)[] = []
  let heartbeat: NodeJS.Timeout | undefined
  let closed = false

  const drop = (client: Client) => {
    clients.delete(client)
    client.closed = true
    client.wake?.()
    if (clients.size > 0) return
    for (const stop of stopFollowing) stop()
    stopFollowing = []
    clearInterval(heartbeat)
  }
  const send = (client: Client, bytes: Uint8Array) => {
    // A bulk record alone may be larger: whoever keeps up gets it all the same.
    if (client.queuedBytes > 0 && client.queuedBytes + bytes.length > bufferMaxBytes) {
      drop(client)
      return client.cut('the client reads slower than things happen')
    }
    client.queue.push(bytes)
    client.queuedBytes += bytes.length
    client.wake?.()
  }
  const hold = (client: Client, record: { seq: number; bytes: Uint8Array }) => {
    client.held?.push(record)
    if ((client.held?.length ?? 0) <= replayMax) return
    drop(client)
    client.cut('the client reads slower than things happen')
  }
  const follow = (record: JournalRecord) => {
    const bytes = encodeRecord(record)
    for (const client of clients) {
      if (client.held) hold(client, { seq: record.seq, bytes })
      else if (record.seq > client.last) send(client, bytes)
    }
  }
  const tell = (changed: BootsChanged | undefined) => {
    for (const client of clients) {
      // Of whoever still catches up it waits in the queue: what it missed are records, and they say nothing of boots.
      if (!client.boots) continue
      client.changed = mergeChanged(client.changed, changed)
      client.wake?.()
    }
  }
  const join = (client: Client) => {
    clients.add(client)
    if (clients.size > 1) return
    stopFollowing = [daemon.store.onApplied(follow), daemon.onBoots(tell)]
    heartbeat = setInterval(() => {
      for (const each of clients) if (each.queue.length === 0) send(each, heartbeatBytes)
    }, heartbeatMs)
    heartbeat.unref()
  }
  /** What was missed, record by record, then what came meanwhile; the client is live when it has ended. */
  async function* replay(client: Client): AsyncGenerator<Uint8Array> {
    const missed = await daemon.store.history({ after: client.last, limit: replayMax + 1 })
    if (missed.length > replayMax) {
      client.last = daemon.store.seq
      yield encoder.encode(`id: ${client.last}\nevent: reset\ndata: {}\n\n`)
    } else {
      for (const record of missed) {
        if (record.seq <= client.last) continue
        client.last = record.seq
        yield encodeRecord(record)
      }
    }
    const held = client.held ?? []
    client.held = null
    for (const { seq, bytes } of held) if (seq > client.last) send(client, bytes)
  }

  app.get(`${apiPrefix}/events`, (c) => {
    const after = parseAfter(c.req.header('last-event-id') ?? c.req.query('after'), daemon.store.seq)
    if (closed) throw new Refusal('unavailable', 'the daemon is stopping')
    if (clients.size >= clientsMax) throw new Refusal('unavailable', `there are ${clientsMax} event streams already`)
    const client: Client = {
      boots: c.req.query('boots') !== undefined,
      changed: undefined,
      queue: [],
      queuedBytes: 0,
      last: after ?? daemon.store.seq,
      held: after === undefined ? null : [],
      wake: undefined,
      closed: false,
      cut: () => c.env.outgoing?.destroy(),
    }
    const past = after === undefined ? undefined : replay(client)
    join(client)
    const body = new ReadableStream<Uint8Array>(
      {
        start(controller) {
          // A destroyed response cancels this stream; without one (no server beneath) the stream itself has to fail.
          if (!c.env.outgoing) client.cut = (reason) => controller.error(new Error(reason))
          controller.enqueue(encoder.encode(`retry: ${retryMs}\nid: ${client.last}\n\n`))
        },
        async pull(controller) {
          try {
            await pull(client, past, controller)
          } catch (error) {
            drop(client)
            throw error
          }
        },
        cancel: () => drop(client),
      },
      { highWaterMark: 1 },
    )
    return new Response(body, {
      headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
    })
  })

  return {
    get clients() {
      return clients.size
    },
    close() {
      closed = true
      for (const client of [...clients]) drop(client)
    },
  }
}

const encoder = new TextEncoder()
const heartbeatBytes = encoder.encode(':\n\n')
/** How long a browser waits before it resumes. */
const retryMs = 2000

/** The next bytes for a client: of what it missed, then of what waits, else when there is something. */
async function pull(
  client: Client,
  past: AsyncGenerator<Uint8Array> | undefined,
  controller: ReadableStreamDefaultController<Uint8Array>,
): Promise<void> {
  const next = client.held && past ? await past.next() : undefined
  if (next && !next.done && !client.closed) return controller.enqueue(next.value)
  while (client.queue.length === 0 && !client.changed && !client.closed) {
    await new Promise<void>((resolve) => {
      client.wake = resolve
    })
    client.wake = undefined
  }
  if (client.changed) {
    client.queue.push(encodeChanged(client.changed))
    client.changed = undefined
  }
  if (client.queue.length === 0) return closeQuietly(controller)
  const bytes = Buffer.concat(client.queue)
  client.queue.length = 0
  client.queuedBytes = 0
  controller.enqueue(bytes)
}

/** A stream that was cut or cancelled meanwhile cannot be closed again. */
function closeQuietly(controller: ReadableStreamDefaultController<Uint8Array>): void {
  try {
    controller.close()
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
  }
}

/** `anybody`: more than is worth naming. */
type Changed = 'anybody' | { readonly systems: Set<number>; readonly addresses: Set<string> }

/** Of one event; beyond it a page of one machine that reads itself anew costs less than the list. */
const namedMax = 200

function mergeChanged(before: Changed | undefined, more: BootsChanged | undefined): Changed {
  if (before === 'anybody' || more === undefined) return 'anybody'
  const systems = new Set([...(before?.systems ?? []), ...more.systems])
  const addresses = new Set([...(before?.addresses ?? []), ...more.addresses])
  return systems.size + addresses.size > namedMax ? 'anybody' : { systems, addresses }
}

function encodeChanged(changed: Changed): Uint8Array {
  const named = changed === 'anybody' ? {} : { systems: [...changed.systems], addresses: [...changed.addresses] }
  return encoder.encode(`event: boots\ndata: ${JSON.stringify(named)}\n\n`)
}

function encodeRecord(record: JournalRecord): Uint8Array {
  return encoder.encode(`id: ${record.seq}\nevent: record\ndata: ${JSON.stringify(publicRecord(record))}\n\n`)
}

/** Sequence number to resume behind; undefined: from now on. One that is yet to come is from another journal: from 0. */
function parseAfter(text: string | undefined, seq: number): number | undefined {
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,15}$/.test(text)) throw new Refusal('usage', 'Last-Event-ID is the sequence number of a record')
  return Number(text) > seq ? 0 : Number(text)
}
