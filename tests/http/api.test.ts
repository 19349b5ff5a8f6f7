/**
 * The API as programs meet it: one definition on socket and TCP, strict bodies, problem documents, GET that reads only.
 * Source: CONTRACT "HTTP API"; RFC 9457.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { commands } from '../../src/commands/index.ts'
import { commandPath } from '../../src/commands/wire.ts'
import { accessRules, createRuleFinder } from '../../src/http/access.ts'
import { type Answer, type Management, openManagement, post } from '../harness/management.ts'

let m: Management
beforeEach(async () => {
  m = await openManagement()
})
afterEach(() => m.shut())

const json = { 'content-type': 'application/json' }

function assertProblem(answer: Answer, status: number, code: string, detail: RegExp): void {
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.headers.get('content-type'), 'application/problem+json')
  const { hint, ...problem } = answer.body
  assert.deepEqual(Object.keys(problem).sort(), ['code', 'detail', 'status', 'title', 'type'])
  assert.match(String(hint ?? 'none'), /^[^\u0000-\u001f\u007f]+$/, 'one line too')
  assert.equal(answer.body['status'], status)
  assert.equal(answer.body['code'], code)
  assert.match(String(answer.body['detail']), detail)
  assert.doesNotMatch(String(answer.body['detail']), /[\u0000-\u001f\u007f]/, 'one line')
}

test('every route that is mounted has a row in the table of access, and every row a route', () => {
  const find = createRuleFinder(accessRules)
  const routes = m.app.routes.filter(({ path }) => path !== '/*')
  assert.ok(routes.length > commands.length)
  for (const { method, path } of routes) {
    const found = find(method === 'ALL' ? 'GET' : method, path)
    assert.ok('rule' in found && found.rule.path === path, `${method} ${path} has a rule of its own`)
  }
  for (const command of commands) {
    const found = find('POST', commandPath(command))
    assert.ok('rule' in found && found.rule.access === command.role, command.name)
  }
  for (const rule of accessRules) {
    if (rule.access === 'open') assert.ok(rule.plane === 'machine' || !rule.path.startsWith('/api/'), rule.path)
  }
})

test('a handler that no row of the table allows is never reached', async () => {
  let reached = false
  const own = await openManagement({
    mounts: [
      (app) => {
        app.all('/secret', (c) => {
          reached = true
          return c.text('secret')
        })
      },
    ],
  })
  for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
    assert.equal((await own.overTcp('/secret', { method })).status, 404, method)
  }
  assert.equal(reached, false)
  await own.shut()
})

test('every command is called by POST on its path; GET is 405 and changes nothing', async () => {
  const { seq } = m.store
  for (const command of commands) {
    const answer = await m.overTcp(commandPath(command), { method: 'PUT', body: '{}', headers: json })
    assertProblem(answer, 405, 'method-not-allowed', /PUT is not possible here/)
    const got = await m.overTcp(commandPath(command))
    assert.ok(got.status === 405 || got.status === 200, `${command.name} ${got.status}`)
  }
  assert.equal(m.store.seq, seq)
})

test('a silent command answers {}, a refusal is a problem document whose detail is the line', async () => {
  const done = await m.call('addsystem', { name: 'web01', addresses: ['10.0.0.1'] })
  assert.equal(done.status, 200)
  assert.deepEqual(done.body, {})
  assertProblem(await m.call('delsystem', { name: 'nosuch' }), 404, 'not-found', /^System nosuch not defined$/)
  assertProblem(await m.call('addsystem', { name: 'x', addresses: ['00:11'] }), 400, 'invalid', /is no address/)
})

test('the trailing slash of an API path is optional', async () => {
  assert.equal((await m.overTcp('/api/v1/status/')).status, 200)
})

test('arguments are held against the schema: unknown, missing and wrong ones are named', async () => {
  const refused = async (name: string, args: unknown, detail: RegExp) =>
    assertProblem(await m.call(name, args), 400, 'usage', detail)
  await refused('delsystem', {}, /^delsystem: the argument "name" is missing$/)
  await refused('delsystem', { name: 'a', force: true }, /^delsystem: there is no argument "force"$/)
  await refused('delsystem', { name: 7 }, /^delsystem: "name" is 7, allowed is a text$/)
  await refused('delsystem', { name: null }, /^delsystem: "name" is null, allowed is a text$/)
  await refused('addsystem', { name: 'a', addresses: '10.0.0.1' }, /"addresses" is "10\.0\.0\.1", allowed is a list$/)
  await refused('addsystem', { name: 'a', addresses: [] }, /"addresses" is empty, allowed is a length of 1 or more$/)
  await refused('show', { run: 2.5 }, /^show: "run" is 2\.5, allowed is a whole number$/)
  await refused('show', { run: 0 }, /^show: "run" is 0, allowed is 1 or more$/)
  await refused('show', { run: [1] }, /^show: "run" is a list, allowed is a number$/)
  await refused('history', { limit: '99999999999' }, /"limit" is "99999999999", allowed is a number$/)
  await refused('history', { limit: 10_001 }, /"limit" is 10001, allowed is 10000 or less$/)
  await refused('addsystem', { name: 'a', addresses: [1] }, /"addresses\[0\]" is 1/)
  await refused('addsystem', { systems: [{ name: 'a' }] }, /the argument "systems\[0\]\.addresses" is missing$/)
  await refused('addsystem', { systems: [], name: 'a' }, /^addsystem: there is no argument "name"$/)
  await refused('addsystem', {}, /the argument "name" is missing/)
  await refused('token add', { name: 'a', role: 'root' }, /"role" is "root", allowed is "viewer", "operator", "admin"$/)
  await refused('syncsystems', { constructor: 1 }, /there is no argument "constructor"/)
  await refused('status', { toString: 1 }, /there is no argument "toString"/)
  assert.equal(m.store.queries.countSystems(), 0)
})

test('hostile bodies are refused in one line: no JSON, arrays, depth, keys given twice, __proto__, bad UTF-8', async () => {
  const send = (body: string | Uint8Array<ArrayBuffer>) => m.call('delsystem', {}, { body })
  const deep = `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`
  for (const [body, detail] of [
    [' ', /^the body is not JSON/],
    ['{"name":', /^the body is not JSON/],
    ['{"name":"a"} x', /^the body is not JSON/],
    ['[]', /not a JSON object/],
    ['null', /not a JSON object/],
    ['"name"', /not a JSON object/],
    [deep, /nested deeper than 16/],
    ['['.repeat(100_000), /nested deeper than 16/],
    ['{"name":"a","name":"b"}', /the key "name" twice/],
    ['{"name":"a","na\\u006de":"b"}', /the key "name" twice/],
    ['{"__proto__":{"admin":true},"name":"a"}', /the key "__proto__"/],
    ['{"\\u005f_proto__":1}', /the key "__proto__"/],
    ['{"name":"a\n"}', /^the body is not JSON/],
    [new Uint8Array([0x7b, 0xff, 0x7d]), /not UTF-8/],
  ] as const) {
    assertProblem(await send(body), 400, 'usage', detail)
  }
  assert.equal(({} as Record<string, unknown>)['admin'], undefined)
  assertProblem(await send('{"a":"{\\"b\\":[","name":"{{"}'), 400, 'usage', /there is no argument "a"/)
})

test('no body is no argument', async () => {
  assert.equal((await m.call('syncbootnames', {}, { body: '' })).status, 200)
  assertProblem(await m.call('delsystem', {}, { body: '' }), 400, 'usage', /the argument "name" is missing/)
})

test('with a login a body has to be application/json; a token or the socket may call it anything (curl -d, fetch)', async () => {
  const { body } = await m.call('token add', { name: 'ann' })
  const form = new URLSearchParams({ token: String(body['token']) })
  const login = await m.overTcp('/login/', { method: 'POST', body: form, redirect: 'manual' })
  const cookie = (login.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  assert.match(cookie, /^pxemngr-session=/)
  const bearer = { authorization: `Bearer ${String(body['token'])}` }
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'multipart/form-data',
    '',
  ]) {
    const headers = { 'content-type': type }
    const change = { method: 'POST', body: '{}' }
    const answer = await m.overTcp('/api/v1/syncbootnames', {
      ...change,
      headers: { ...headers, cookie, host: 'boot' },
    })
    assertProblem(answer, 415, 'unsupported-media-type', /has to be application\/json/)
    const byToken = await m.overTcp('/api/v1/syncbootnames', { ...change, headers: { ...headers, ...bearer } })
    assert.equal(byToken.status, 200, type)
    assert.equal((await m.call('status', {}, { headers })).status, 200, type)
  }
  for (const type of ['application/json', 'Application/JSON; charset=utf-8', 'application/json;charset=UTF-8']) {
    assert.equal((await m.call('status', {}, { headers: { 'content-type': type } })).status, 200, type)
  }
})

test('a body over 16 MiB is refused, by its length before it is read, else while it is read', async () => {
  const announced = await m.call('status', {}, { headers: { 'content-length': String(100 * 1024 * 1024) } })
  assertProblem(announced, 413, 'too-large', /larger than 16777216 bytes/)
  let sent = 0
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 65_536
      if (sent > 100 * 1024 * 1024) controller.close()
      else controller.enqueue(new Uint8Array(65_536).fill(0x20))
    },
  })
  const streamed = await m.call('status', {}, { body, duplex: 'half' } as RequestInit)
  assertProblem(streamed, 413, 'too-large', /larger than/)
  assert.ok(sent < 18 * 1024 * 1024, `${sent} bytes were read`)
})

test('reading by GET gives what the reading command gives', async () => {
  await m.call('addsystem', { name: 'web01', addresses: ['52:54:00:12:34:56'] })
  await m.call('nextboot', { name: 'web01', profile: 'local' })
  const get = async (path: string) => (await m.overTcp(`/api/v1/${path}`)).body
  assert.deepEqual(await get('systems'), (await m.call('dpysystem', {})).body)
  assert.deepEqual(await get('profiles'), (await m.call('profiles', {})).body)
  assert.deepEqual(await get('history?name=web01&limit=1'), (await m.call('history', { name: 'web01', limit: 1 })).body)
  assert.deepEqual((await get('status?transfers=true'))['transfers'], [])
  assert.deepEqual(await get('boots?limit=5'), { boots: [] })
})

test('boots are those of the trace, of one system where asked', async () => {
  const asked: unknown[] = []
  m.daemon.boots = async (query) => {
    asked.push(query)
    const steps = [{ at: Date.parse('2026-11-23T08:00:00.5Z'), kind: 'tftp', durationMs: 3 }]
    return [{ mac: '52:54:00:12:34:56', startedMs: 0, endedMs: 1500, steps }]
  }
  await m.call('addsystem', { name: 'web01', addresses: ['10.0.0.1'] })
  const times = { started: '1970-01-01T00:00:00.000Z', ended: '1970-01-01T00:00:01.500Z' }
  const steps = [{ at: '2026-11-23T08:00:00.500Z', kind: 'tftp', durationMs: 3 }]
  assert.deepEqual((await m.overTcp('/api/v1/boots?name=web01')).body, {
    boots: [{ mac: '52:54:00:12:34:56', ...times, steps }],
  })
  assert.deepEqual(asked, [{ system: 1, limit: 100 }])
  assertProblem(await m.overTcp('/api/v1/boots?name=nosuch'), 404, 'not-found', /System nosuch not defined/)
})

test('query parameters are as strict as bodies', async () => {
  for (const query of [
    'systems?x=1',
    'history?limit=0',
    'history?limit=-1',
    'history?limit=1e3',
    'history?limit=1&limit=2',
    'history?follow=true',
    'status?transfers=yes',
    'boots?limit=100000',
  ]) {
    assertProblem(await m.overTcp(`/api/v1/${query}`), 400, 'usage', /./)
  }
})

test('HEAD answers like GET without a body and changes nothing', async () => {
  const { seq } = m.store
  const head = await m.overTcp('/api/v1/status', { method: 'HEAD' })
  assert.equal(head.status, 200)
  assert.equal(head.text, '')
  assert.equal(m.store.seq, seq)
})

test('S4: what fails inside is 500 without a word about the inside, and logged once with its cause', async () => {
  m.store.commit = async () => {
    throw new Error('secret /var/lib path')
  }
  const answer = await m.call('addsystem', { name: 'a', addresses: ['10.0.0.1'] })
  assertProblem(answer, 500, 'internal', /its log says why/)
  assert.doesNotMatch(answer.text, /secret|\.ts/)
  assert.equal(m.logged.length, 1)
  assert.match(m.logged[0] ?? '', /secret/)
})

test('an unknown path is 404, as a problem document', async () => {
  for (const path of ['/api/v1/nosuch', '/api/v1/', '/api/v2/status', '/api/v1/token', '/nosuch', '/API/v1/status']) {
    assertProblem(await m.overTcp(path), 404, 'not-found', /there is nothing at/)
  }
})

test('/healthz is 200 once ready and 503 before, for everybody', async () => {
  const none = await openManagement({ anonymous: () => 'none' })
  assert.equal((await none.overTcp('/healthz')).status, 200)
  Object.defineProperty(none.daemon, 'ready', { value: false })
  assert.equal((await none.overTcp('/healthz')).status, 503)
  await none.shut()
})

test('/metrics counts what was answered, in the text Prometheus reads', async () => {
  await m.call('addsystem', { name: 'a', addresses: ['10.0.0.1'] })
  await m.overTcp('/api/v1/nosuch')
  const { text, headers } = await m.overTcp('/metrics')
  const upSeconds = Number(/^pxemngr_up_seconds (\S+)$/m.exec(text)?.[1])
  assert.ok(upSeconds >= 42.5 && upSeconds < 300, `${upSeconds}`)
  assert.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  assert.match(text, /^# TYPE pxemngr_systems gauge\npxemngr_systems 1$/m)
  assert.match(text, /^pxemngr_http_requests_total\{plane="management",surface="socket",status="2xx"\} 1$/m)
  assert.match(text, /^pxemngr_http_requests_total\{plane="management",surface="tcp",status="4xx"\} 1$/m)
})

test('parallel calls of every kind end each in its own answer', async () => {
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, at) =>
      at % 4 === 0
        ? m.call('addsystem', { name: `s${at}`, addresses: [`10.0.0.${at}`] })
        : at % 4 === 1
          ? m.call('delsystem', { name: `s${at - 1}` })
          : at % 4 === 2
            ? m.call('dpysystem', {})
            : m.overTcp('/api/v1/addsystem', post({ name: 'x', addresses: ['10.0.0.1'] })),
    ),
  )
  assert.deepEqual([...new Set(answers.map(({ status }) => status))].sort(), [200, 401])
  assert.equal(m.store.queries.countSystems(), 0)
})
