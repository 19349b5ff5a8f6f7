/**
 * The event stream: every record once and in order, also over broken connections; slow clients are cut.
 * Sources: CONTRACT "HTTP API", HTML Standard §9.2.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { afterEach, test } from 'node:test'
import type { EventOptions } from '../../src/http/events.ts'
import { listenerOf } from '../../src/http/management.ts'
import { createHttpServer } from '../../src/http/server.ts'
import type { BootsChanged } from '../../src/store/boot-timeline.ts'
import { type Management, openManagement } from '../harness/management.ts'

let m: Management
afterEach(() => m.shut())
const open = async (events: EventOptions = {}) => {
  m = await openManagement({ events })
}

interface Event {
  readonly id?: string
  readonly event?: string
  readonly data?: string
  readonly retry?: string
}

interface Reader {
  next(): Promise<Event | undefined>
  close(): Promise<void>
}

async function read(path = '/api/v1/events', headers: Record<string, string> = {}): Promise<Reader> {
  const response = await m.app.request(path, { headers }, { surface: 'tcp', peer: '192.0.2.7' })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  assert.ok(reader)
  let text = ''
  return {
    async next() {
      while (!text.includes('\n\n')) {
        const { done, value } = await reader.read()
        if (done) return undefined
        text += value
      }
      const end = text.indexOf('\n\n')
      const lines = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      return Object.fromEntries(lines.map((line) => line.split(/: ?(.*)/s).slice(0, 2)))
    },
    close: () => reader.cancel(),
  }
}

const add = (at: number) => m.call('addsystem', { name: 'web01', addresses: [`10.0.${at >> 8}.${at & 255}`] })
const clients = async () => /^pxemngr_event_streams (\d+)$/m.exec((await m.overTcp('/metrics')).text)?.[1]

/** That a client has gone is heard a moment later. */
const until = async (count: string) => {
  while ((await clients()) !== count) await new Promise((resolve) => setImmediate(resolve))
}

test('a stream begins with where it stands and gives every record from then on, as JSON', async () => {
  await open()
  await add(1)
  const stream = await read()
  assert.deepEqual(await stream.next(), { retry: '2000', id: String(m.store.seq) })
  await add(2)
  const event = await stream.next()
  assert.equal(event?.event, 'record')
  assert.equal(event?.id, String(m.store.seq))
  const record = JSON.parse(event?.data ?? '')
  assert.deepEqual(record, m.store.records.at(-1))
  await stream.close()
})

test('the hash of a token is in no event', async () => {
  await open()
  const stream = await read()
  await stream.next()
  await m.call('token add', { name: 'ci' })
  const { data } = (await stream.next()) ?? {}
  assert.match(data ?? '', /"type":"token.added"/)
  assert.doesNotMatch(data ?? '', /hash|[0-9a-f]{64}/)
  await stream.close()
})

test('Last-Event-ID resumes behind that record, without gap or repetition while records keep coming', async () => {
  await open()
  for (let at = 1; at <= 20; at += 1) await add(at)
  const from = m.store.seq - 10
  const stream = await read('/api/v1/events', { 'last-event-id': String(from) })
  const adding = Promise.all(Array.from({ length: 20 }, (_, at) => add(100 + at)))
  assert.equal((await stream.next())?.id, String(from))
  for (let seq = from + 1; seq <= from + 30; seq += 1) assert.equal((await stream.next())?.id, String(seq))
  await adding
  await stream.close()
  const query = await read(`/api/v1/events?after=${m.store.seq - 1}`)
  await query.next()
  assert.equal((await query.next())?.id, String(m.store.seq))
  await query.close()
})

test('who missed more than is worth sending is told to read anew', async () => {
  await open({ replayMax: 5 })
  for (let at = 1; at <= 20; at += 1) await add(at)
  const stream = await read('/api/v1/events', { 'last-event-id': '3' })
  await stream.next()
  assert.deepEqual(await stream.next(), { id: String(m.store.seq), event: 'reset', data: '{}' })
  await add(30)
  assert.equal((await stream.next())?.id, String(m.store.seq))
  await stream.close()
})

test('an id from another journal starts at its beginning; one that is no number is refused', async () => {
  await open()
  const stream = await read('/api/v1/events', { 'last-event-id': '999999' })
  assert.equal((await stream.next())?.id, '0')
  assert.equal((await stream.next())?.id, '1')
  await stream.close()
  for (const wrong of ['-1', 'x', '1.5', '9'.repeat(20)]) {
    assert.equal((await m.overTcp('/api/v1/events', { headers: { 'last-event-id': wrong } })).status, 400, wrong)
  }
})

test('a silent stream is kept alive by comments', async () => {
  await open({ heartbeatMs: 5 })
  const stream = await read()
  await stream.next()
  assert.deepEqual(await stream.next(), { '': '' })
  await stream.close()
})

test('more clients than allowed are refused, and a client that leaves makes room', async () => {
  await open({ clientsMax: 2 })
  const streams = [await read(), await read()]
  assert.equal((await m.overTcp('/api/v1/events')).status, 503)
  await streams[0]?.close()
  await until('1')
  const third = await read()
  assert.equal(await clients(), '2')
  for (const stream of [streams[1], third]) await stream?.close()
  await until('0')
})

test('a client that reads nothing is cut when its buffer is full; the others hear everything', async () => {
  await open({ bufferMaxBytes: 4096 })
  const slow = await read()
  const good = await read()
  await good.next()
  for (let at = 1; at <= 60; at += 1) {
    await add(at)
    assert.equal((await good.next())?.id, String(m.store.seq))
  }
  assert.equal(await clients(), '1')
  await assert.rejects(async () => {
    while (await slow.next()) {
      // Whatever was under way before the cut.
    }
  }, /slower/)
  await good.close()
})

test('many clients hear every record', async () => {
  await open()
  const streams = await Promise.all(Array.from({ length: 300 }, () => read()))
  for (const stream of streams) await stream.next()
  await add(1)
  for (const stream of streams) assert.equal((await stream.next())?.id, String(m.store.seq))
  for (const stream of streams) await stream.close()
  await until('0')
})

test('anonymous = none needs a token for events too', async () => {
  m = await openManagement({ anonymous: () => 'none' })
  assert.equal((await m.overTcp('/api/v1/events')).status, 401)
})

test('over a real connection: a client that stops reading is cut, close ends every stream', async (t) => {
  await open({ bufferMaxBytes: 64 * 1024 })
  const server = createHttpServer(listenerOf(m.app, 'tcp'), 'tcp').listen(0, '127.0.0.1')
  t.after(() => server.closeAllConnections())
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const stuck = connect(port, '127.0.0.1', () => stuck.write('GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n'))
  stuck.on('error', () => {})
  await once(stuck, 'data')
  stuck.pause()
  const reader = request({ port, host: '127.0.0.1', path: '/api/v1/events' }).end()
  const [response] = (await once(reader, 'response')) as [NodeJS.ReadableStream]
  let heard = ''
  response.on('data', (chunk) => {
    heard = (heard + String(chunk)).slice(-4096)
  })
  const ended = once(response, 'end')
  // Records of 100 kB: the kernel's buffers, some MB, and the stream's own are full after a few hundred at most.
  const actor = { who: 'test', from: 'daemon', surface: 'daemon' } as const
  for (let round = 0; round < 400 && (await clients()) === '2'; round += 1) {
    const name = `${round}${'x'.repeat(100_000)}`
    await m.store.commit(actor, (tx) => tx.emit({ type: 'profile.registered', profile: tx.nextId('profile'), name }))
  }
  assert.equal(await clients(), '1')
  await m.call('addsystem', { name: 'last', addresses: ['10.0.0.1'] })
  while (!heard.includes(`id: ${m.store.seq}\n`)) await once(response, 'data')
  m.close()
  await ended
  stuck.destroy()
})

test('whoever asks for boots is told that some have changed, once until it has read, and nobody else is', async () => {
  const listeners = new Set<() => void>()
  m = await openManagement({})
  Object.assign(m.daemon, {
    onBoots(listener: () => void) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  })
  const [told, other] = [await read('/api/v1/events?boots'), await read()]
  for (const each of [told, other]) await each.next() // where it begins
  const resumed = await read(`/api/v1/events?boots&after=${m.store.seq}`)
  for (let at = 0; at < 5; at += 1) for (const listener of listeners) listener()
  await resumed.next()
  assert.deepEqual(await resumed.next(), { event: 'boots', data: '{}' }, 'also while it catches up')
  await resumed.close()
  await add(1)
  assert.deepEqual(await told.next(), { event: 'boots', data: '{}' })
  const { id, event } = (await told.next()) ?? {}
  assert.equal(event, 'record', 'five changes of boots are one event')
  assert.deepEqual(await other.next().then((each) => [each?.id, each?.event]), [id, 'record'])
  await told.close()
  await other.close()
  assert.equal(listeners.size, 0, 'nobody follows: nobody is called')
})

test('the event says whose boots changed since the last, and nobody in particular where they are too many', async () => {
  let tell: (changed: BootsChanged | undefined) => void = () => assert.fail('nobody listens')
  m = await openManagement({})
  Object.assign(m.daemon, {
    onBoots(listener: typeof tell) {
      tell = listener
      return () => {}
    },
  })
  const stream = await read('/api/v1/events?boots')
  await stream.next()
  tell({ systems: [5], addresses: ['52:54:00:12:34:56', '10.0.3.7'] })
  tell({ systems: [5, 6], addresses: ['10.0.3.8'] })
  const { event, data } = (await stream.next()) ?? {}
  assert.equal(event, 'boots')
  assert.deepEqual(JSON.parse(data ?? ''), {
    systems: [5, 6],
    addresses: ['52:54:00:12:34:56', '10.0.3.7', '10.0.3.8'],
  })
  tell({ systems: [7], addresses: [] })
  assert.deepEqual((await stream.next())?.data, '{"systems":[7],"addresses":[]}', 'what was told is not told again')
  tell({ systems: [7], addresses: [] })
  tell(undefined)
  tell({ systems: [8], addresses: [] })
  assert.equal((await stream.next())?.data, '{}')
  tell({ systems: Array.from({ length: 500 }, (_, at) => at), addresses: [] })
  assert.equal((await stream.next())?.data, '{}')
  await stream.close()
})
