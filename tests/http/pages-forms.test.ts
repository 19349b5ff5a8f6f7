/**
 * The forms of a system's page: who sees them, what they do, and that nobody else's page can send them.
 * Source: WEB.md "Behaviour" (Changes, Errors), CONTRACT "HTTP API" (default deny).
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { accessRules } from '../../src/http/access.ts'
import { fillSite, openSite, type Site } from '../harness/site.ts'

let site: Site
let id = 0
const cookies = { operator: '', viewer: '' }

before(async () => {
  site = await openSite()
  id = await fillSite(site, 3)
  for (const role of ['operator', 'viewer'] as const) {
    const { body } = await site.call('token add', { name: role, role })
    const answer = await send('/login/', { token: String(body['token']) })
    assert.equal(answer.status, 303)
    cookies[role] = answer.headers.get('set-cookie')?.split(';')[0] ?? ''
  }
})
after(() => site.close())

function send(path: string, fields: Record<string, string>, headers: Record<string, string> = {}) {
  return site.overTcp(path, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html', ...headers },
    body: new URLSearchParams(fields).toString(),
  })
}

const own = () => ({ cookie: cookies.operator, 'sec-fetch-site': 'same-origin' })
const see = async (path: string, cookie?: string) =>
  (await site.overTcp(path, { headers: { accept: 'text/html', ...(cookie ? { cookie } : {}) } })).text

test('only who may change sees the forms, and they say what will happen', async () => {
  assert.doesNotMatch(await see(`/system/${id}/`), /<form class="change/)
  assert.doesNotMatch(await see(`/system/${id}/`, cookies.viewer), /<form class="change/)
  const page = await see(`/system/${id}/`, cookies.operator)
  assert.equal(page.match(/<form class="change/g)?.length, 4)
  assert.match(page, /this machine boots the new one at each start/)
  assert.match(page, /to delete it with its 3 addresses and all its decisions/)
  assert.match(page, /broken" *>broken \(cannot be served\)/)
})

test('a next boot is recorded as the person’s who is logged in, from a page, and can be taken back', async () => {
  const done = await send(`/system/${id}/nextboot`, { profile: 'rescue' }, own())
  assert.equal(done.status, 303)
  assert.equal(done.headers.get('location'), `/system/${id}/?done=nextboot`)
  const record = site.store.records.at(-1)
  assert.deepEqual(record?.actor, { who: 'operator', from: '192.0.2.7', surface: 'web' })
  assert.equal(site.store.queries.decisionsOf(id, 1)[0]?.profile, 'rescue')
  const page = await see(`/system/${id}/?done=nextboot`, cookies.operator)
  assert.match(page, /The next boot is <b><bdi>rescue<\/bdi><\/b> and kept on disk\./)
  assert.match(page, /name="profile" value="debian13-install"><button class="plain">Undo: back to/)
})

test('what is refused is said beside the field, with what was typed', async () => {
  const refused = await send(`/system/${id}/rename`, { to: 'default' }, own())
  assert.equal(refused.status, 400)
  assert.match(refused.text, /id="to"[^>]*value="default"[^>]*aria-invalid="true" aria-describedby="to-fault"/)
  assert.match(refused.text, /id="to-fault" role="alert">default is a reserved name/)
  const taken = await send(`/system/${id}/rename`, { to: 'web01-alias' }, own())
  assert.equal(taken.status, 409)
  const gone = await send(`/system/${id}/nextboot`, { profile: 'no-such' }, own())
  assert.equal(gone.status, 404)
  assert.match(gone.text, /Boot name no-such not defined/)
  assert.equal(site.store.queries.getSystem(id)?.name, 'web01')
})

test('deleting needs the name typed exactly', async () => {
  const half = await send(`/system/${id}/delete`, { name: 'WEB01' }, own())
  assert.equal(half.status, 400)
  assert.ok(site.store.queries.getSystem(id))
  const victim = await site.add('victim', ['52:54:00:00:00:99'])
  const done = await send(`/system/${victim}/delete`, { name: 'victim' }, own())
  assert.equal(done.headers.get('location'), '/')
  assert.equal(site.store.queries.getSystem(victim), undefined)
})

test('nobody else’s page, no viewer and no anonymous caller changes anything', async () => {
  const seq = site.store.seq
  const path = `/system/${id}/nextboot`
  const other = { cookie: cookies.operator, 'sec-fetch-site': 'cross-site', origin: 'http://evil.example' }
  assert.equal((await send(path, { profile: 'local' }, other)).status, 403)
  const old = { cookie: cookies.operator, origin: 'http://evil.example', host: 'pxe.example' }
  assert.equal((await send(path, { profile: 'local' }, old)).status, 403)
  assert.equal((await send(path, { profile: 'local' }, { cookie: cookies.viewer })).status, 403)
  assert.equal((await send(path, { profile: 'local' })).status, 401)
  assert.equal((await site.get(path)).status, 405)
  const json = await site.overTcp(path, {
    method: 'POST',
    headers: { ...own(), 'content-type': 'application/json' },
    body: '{"profile":"local"}',
  })
  assert.equal(json.status, 400)
  assert.equal(site.store.seq, seq)
})

test('every form refuses another site, a viewer and nobody in particular, before it looks at anything', async () => {
  const seq = site.store.seq
  const forms = accessRules.filter(
    ({ method, path }) => method === 'POST' && /^\/(system|test|tests)\/:id\//.test(path),
  )
  assert.ok(forms.length >= 10)
  for (const { path } of forms) {
    const own = path.replace(':id', String(id))
    assert.equal((await send(own, {})).status, 401, path)
    assert.equal((await send(own, {}, { cookie: cookies.viewer, 'sec-fetch-site': 'same-origin' })).status, 403, path)
    assert.equal((await send(own, {}, { cookie: cookies.operator, 'sec-fetch-site': 'cross-site' })).status, 403, path)
    assert.equal((await send(own, {}, { cookie: cookies.operator, 'sec-fetch-site': 'same-site' })).status, 403, path)
  }
  assert.equal(site.store.seq, seq)
})

test('what cannot be asked for is refused beside the field, with file and line where it is quarantined', async () => {
  writeFileSync(join(site.testsDir, 'soon.test'), '# pxemngr: timeout=soon\necho\n')
  await site.daemon.tests.sync()
  for (const [typed, said, status] of [
    ['soon', /soon\.test/, 409],
    ['', /choose a test or a suite/, 400],
    ['no-such', /Test name no-such not defined/, 404],
    ['@no-such', /no-such/, 404],
  ] as const) {
    const refused = await send(`/system/${id}/nexttest`, { test: typed }, own())
    assert.equal(refused.status, status, typed)
    assert.match(refused.text, /id="test" name="test" required aria-invalid="true" aria-describedby="test-fault"/)
    assert.match(/id="test-fault" role="alert">([^<]*)/.exec(refused.text)?.[1] ?? '', said)
  }
  assert.equal((await send(`/system/${id}/cancel`, { runs: '1-x' }, own())).status, 400)
  assert.equal((await send(`/system/${id}/cancel`, { runs: '1-999999999' }, own())).status, 400)
  assert.match((await send(`/system/${id}/cancel`, {}, own())).text, /has no run to cancel/)
  assert.match((await send(`/system/${id}/release`, {}, own())).text, /web01 is not sick/)
})
