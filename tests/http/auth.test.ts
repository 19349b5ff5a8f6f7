/**
 * Who may do what: default deny over TCP, tokens, logins, and what a browser can be made to send.
 * Sources: CONTRACT "HTTP API", PEERS 5.2 and 5.3 (how peers failed).
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { commands } from '../../src/commands/index.ts'
import { commandPath, userHeader } from '../../src/commands/wire.ts'
import { accessRules } from '../../src/http/access.ts'
import { type Answer, type Management, openManagement, post } from '../harness/management.ts'

let m: Management
let nowMs: number
let anonymous: 'viewer' | 'none'
beforeEach(async () => {
  nowMs = Date.now()
  anonymous = 'viewer'
  m = await openManagement({ nowMs: () => nowMs, anonymous: () => anonymous })
})
afterEach(() => m.shut())

const addsystem = { name: 'web01', addresses: ['10.0.0.1'] }
const token = async (role: string, more: object = {}) =>
  String((await m.call('token add', { name: role, role, ...more })).body['token'])
const withToken = (secret: string, args: unknown = addsystem) => {
  const init = post(args)
  return { ...init, headers: { ...init.headers, authorization: `Bearer ${secret}` } }
}
const change = (secret: string) => m.overTcp('/api/v1/addsystem', withToken(secret))

test('S1: over TCP, loopback included, every change without credentials is 401', async () => {
  const { seq } = m.store
  for (const command of commands.filter(({ role }) => role !== 'viewer')) {
    for (const peer of ['192.0.2.7', '127.0.0.1', '::1']) {
      const response = await m.app.request(commandPath(command), post({}), { surface: 'tcp', peer })
      assert.equal(response.status, 401, `${command.name} from ${peer}`)
      assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer/)
    }
  }
  assert.equal(m.store.seq, seq)
})

test('401 comes before the body is read', async () => {
  let read = false
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        read = true
        controller.enqueue(new Uint8Array(1))
      },
    },
    { highWaterMark: 0 },
  )
  const init = { method: 'POST', body, duplex: 'half', headers: { 'content-type': 'application/json' } } as RequestInit
  assert.equal((await m.overTcp('/api/v1/addsystem', init)).status, 401)
  assert.equal(read, false)
})

test('a request whose connection nobody named is not taken for the socket', async () => {
  const response = await m.app.request('/api/v1/addsystem', post(addsystem), {})
  assert.equal(response.status, 401)
  const said = post(addsystem)
  const claims = { ...said, headers: { ...said.headers, [userHeader]: 'root', 'x-forwarded-for': '127.0.0.1' } }
  assert.equal((await m.overTcp('/api/v1/addsystem', claims)).status, 401)
})

test('each role reaches exactly its commands', async () => {
  const rank = { viewer: 0, operator: 1, admin: 2 }
  for (const role of ['viewer', 'operator', 'admin'] as const) {
    const secret = await token(role)
    for (const command of commands) {
      // Refused later, for what the body says; what counts is whether the guard let it through.
      const { status } = await m.overTcp(commandPath(command), withToken(secret, { nonsense: 1 }))
      assert.equal(status, rank[role] >= rank[command.role] ? 400 : 403, `${role}: ${command.name}`)
    }
  }
})

test('anonymous = viewer reads by GET and POST; anonymous = none reads nothing but /healthz and /login/', async () => {
  assert.equal((await m.overTcp('/api/v1/systems')).status, 200)
  assert.equal((await m.overTcp('/api/v1/dpysystem', post({}))).status, 200)
  anonymous = 'none'
  assert.equal((await m.overTcp('/api/v1/dpysystem', post({}))).status, 401)
  for (const { method, path, access } of accessRules) {
    if (method !== 'GET') continue
    const { status } = await m.overTcp(path.replace(/:\w+|\*/, '1'))
    if (access === 'open') assert.notEqual(status, 401, path)
    else assert.equal(status, 401, path)
  }
  const secret = await token('viewer')
  assert.equal((await m.overTcp('/api/v1/systems', { headers: { authorization: `Bearer ${secret}` } })).status, 200)
})

test('the record of a change says the name of the token and the peer address', async () => {
  assert.equal((await change(await token('operator'))).status, 200)
  assert.deepEqual(m.store.records.at(-1)?.actor, { who: 'operator', from: '192.0.2.7', surface: 'api' })
})

test('on the socket the record says who the client says it is, and `unknown` for what cannot be a name', async () => {
  const who = async (header: string | undefined) => {
    const init = post({ name: 'x', addresses: [`10.0.0.${m.store.seq}`] })
    const headers = { ...init.headers, ...(header === undefined ? {} : { [userHeader]: header }) }
    await m.app.request('/api/v1/addsystem', { ...init, headers }, { surface: 'socket' })
    return m.store.records.at(-1)?.actor
  }
  assert.deepEqual(await who('zo%C3%AB'), { who: 'zoë', from: 'socket', surface: 'cli' })
  assert.deepEqual(await who(undefined), { who: 'unknown', from: 'socket', surface: 'api' })
  for (const odd of ['%', '', 'a%0Ab', 'x'.repeat(300), '%1b[31m']) assert.equal((await who(odd))?.who, 'unknown', odd)
})

test('missing, empty, malformed, wrong and shortened tokens are 401', async () => {
  const secret = await token('admin')
  for (const wrong of ['', 'x', secret.slice(0, -1), `${secret}x`, secret.toUpperCase(), 'undefined', 'null']) {
    assert.equal((await change(wrong)).status, 401, wrong)
  }
  for (const authorization of ['Basic YTpi', 'Bearer', secret, `Token ${secret}`, `Bearer ${secret} x`]) {
    const init = post(addsystem)
    const headers = { ...init.headers, authorization }
    assert.equal((await m.overTcp('/api/v1/addsystem', { ...init, headers })).status, 401, authorization)
  }
  const read = await m.overTcp('/api/v1/systems', { headers: { authorization: 'Bearer wrong' } })
  assert.equal(read.status, 401, 'credentials that are given are never ignored')
})

test('a revoked token is worthless from the next request on', async () => {
  const secret = await token('operator')
  assert.equal((await change(secret)).status, 200)
  await m.call('token revoke', { name: 'operator' })
  assert.equal((await change(secret)).status, 401)
})

test('an expired token is worthless from that moment on', async () => {
  const secret = await token('operator', { expires: '1h' })
  nowMs += 3_590_000
  assert.equal((await change(secret)).status, 200)
  nowMs += 20_000
  assert.equal((await change(secret)).status, 401)
})

const login = async (secret: string, headers: Record<string, string> = {}, next?: string): Promise<Answer> => {
  const form = new URLSearchParams({ token: secret, ...(next === undefined ? {} : { next }) })
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  return m.overTcp('/login/', { method: 'POST', body: form.toString(), headers: { ...type, ...headers } })
}
const cookieOf = (answer: Answer) => (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
const changeBy = (cookie: string, headers: Record<string, string> = {}) => {
  const init = post(addsystem)
  return m.overTcp('/api/v1/addsystem', { ...init, headers: { ...init.headers, cookie, host: 'boot', ...headers } })
}

test('/login/ makes a session of the role of the token: HttpOnly, SameSite=Strict, and not the token itself', async () => {
  const page = await m.overTcp('/login/')
  assert.match(page.text, /<form method="post" action="\/login\/">/)
  const secret = await token('operator')
  const answer = await login(secret)
  assert.equal(answer.status, 303)
  assert.equal(answer.headers.get('location'), '/')
  const cookie = answer.headers.get('set-cookie') ?? ''
  assert.match(cookie, /; Path=\/; HttpOnly; SameSite=Strict$/)
  assert.ok(!cookie.includes(secret))
  assert.equal((await changeBy(cookieOf(answer))).status, 200)
  assert.deepEqual(m.store.records.at(-1)?.actor, { who: 'operator', from: '192.0.2.7', surface: 'web' })
  const admin = await m.overTcp('/api/v1/token/list', {
    ...post({}),
    headers: { ...post({}).headers, cookie: cookieOf(answer) },
  })
  assert.equal(admin.status, 403)
})

test('a session ends with its token, with time, and with /logout/', async () => {
  const first = cookieOf(await login(await token('operator')))
  await m.call('token revoke', { name: 'operator' })
  assert.equal((await changeBy(first)).status, 401)
  const secret = await token('operator')
  const second = cookieOf(await login(secret))
  assert.equal((await m.overTcp('/logout/', { headers: { cookie: second } })).status, 405, 'not by GET')
  assert.equal((await m.overTcp('/logout/', { method: 'POST', headers: { cookie: second } })).status, 303)
  assert.equal((await changeBy(second)).status, 401)
  const third = cookieOf(await login(secret))
  nowMs += 13 * 3_600_000
  assert.equal((await changeBy(third)).status, 401)
})

test('S5: a page of another site can neither log in, nor log out, nor change anything with a session', async () => {
  const secret = await token('operator')
  const foreign = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'http://evil.example', host: 'boot' },
    { origin: 'null', host: 'boot' },
    { origin: 'http://boot.evil.example', host: 'boot' },
    { origin: 'http://boot:81', host: 'boot' },
  ] as Record<string, string>[]
  const cookie = cookieOf(await login(secret))
  for (const headers of foreign) {
    assert.equal((await login(secret, headers)).status, 403, JSON.stringify(headers))
    assert.equal((await changeBy(cookie, headers)).status, 403, JSON.stringify(headers))
    const out = await m.overTcp('/logout/', { method: 'POST', headers: { cookie, ...headers } })
    assert.equal(out.status, 403)
  }
  assert.equal((await changeBy(cookie, { origin: 'http://boot', 'sec-fetch-site': 'same-origin' })).status, 200)
  assert.equal((await changeBy(cookie, { origin: 'http://boot' })).status, 200)
})

test('a login that fails shows the form again, keeps nothing, and escapes what it repeats', async () => {
  for (const wrong of ['', 'nosuch']) {
    const answer = await login(wrong, {}, '/x"><script>')
    assert.equal(answer.status, 401)
    assert.equal(answer.headers.get('set-cookie'), null)
    assert.match(answer.text, /role="alert"/)
    assert.doesNotMatch(answer.text, /<script>/)
  }
  assert.equal(
    (await m.overTcp('/login/', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }))
      .status,
    400,
  )
})

test('a login leads to a path of this server only', async () => {
  const secret = await token('viewer')
  const leadsTo = async (next: string) => (await login(secret, {}, next)).headers.get('location')
  assert.equal(await leadsTo('/system/7/?x=1'), '/system/7/?x=1')
  for (const evil of ['//evil.example', '/\\evil.example', 'http://evil.example', 'evil', '/a\r\nset-cookie: x', '']) {
    assert.equal(await leadsTo(evil), '/', JSON.stringify(evil))
  }
})

test('a browser that may not read is led to the login and back; a program gets 401', async () => {
  anonymous = 'none'
  const answer = await m.overTcp('/metrics?x=1', { headers: { accept: 'text/html,*/*' } })
  assert.equal(answer.status, 303)
  assert.equal(answer.headers.get('location'), '/login/?next=%2Fmetrics%3Fx%3D1')
  assert.equal((await m.overTcp('/api/v1/status', { headers: { accept: 'text/html,*/*' } })).status, 401)
})

test('answers of the management plane carry the headers that keep browsers from framing and sniffing', async () => {
  for (const path of ['/login/', '/api/v1/status', '/nosuch']) {
    const { headers } = await m.overTcp(path)
    assert.match(headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/, path)
    assert.equal(headers.get('x-content-type-options'), 'nosniff', path)
    assert.doesNotMatch(headers.get('content-security-policy') ?? '', /unsafe/)
  }
})
