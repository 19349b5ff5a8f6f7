/**
 * The commands about the daemon itself: status, history, tokens, backup; and what holds for every definition.
 * Source: CONTRACT "Command line", "HTTP API".
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { commands } from '../../src/commands/index.ts'
import { commandPath } from '../../src/commands/wire.ts'
import { type Management, openManagement, post, silent } from '../harness/management.ts'

let m: Management
beforeEach(async () => {
  m = await openManagement()
})
afterEach(() => m.shut())

test('every definition has what each surface needs: summary, usage, two examples, arguments for what is typed', () => {
  const names = new Set<string>()
  for (const command of commands) {
    assert.ok(!names.has(command.name), command.name)
    names.add(command.name)
    assert.match(command.name, /^[a-z]+( [a-z]+)?$/)
    assert.ok(command.summary.length > 0 && !command.summary.endsWith('.'))
    assert.ok(command.usage?.startsWith(`pxemngr ${command.name}`), command.name)
    assert.ok(command.examples.length >= 2, command.name)
    for (const { line } of command.examples) assert.ok(line.startsWith(`pxemngr ${command.name}`), line)
    if (command.changes) assert.notEqual(command.role, 'viewer', `${command.name} changes state`)
  }
})

test('status says version, listeners, counts, journal position and ends with 0', async () => {
  await m.type('addsystem', { name: 'a', addresses: ['10.0.0.1'] })
  const { exit, stdout } = await m.type('status', {})
  assert.equal(exit, 0)
  assert.match(stdout, /^Version: 9\.9\.9\nUptime: 4\ds\nTFTP: 127\.0\.0\.1:69\nHTTP: 127\.0\.0\.1:8000\n/)
  assert.match(stdout, /^Systems: 1\nProfiles: 1\n/m)
  assert.match(stdout, /^State: ok\n$/m)
  const { body } = await m.call('status', {})
  assert.deepEqual(body['journal'], { seq: m.store.seq })
  assert.deepEqual(body['listeners'], {
    tftp: ['127.0.0.1:69'],
    http: ['127.0.0.1:8000'],
    socket: '/run/pxemngr.sock',
  })
})

test('status of a degraded daemon names every reason and ends with 1', async () => {
  m.degraded.push('profile install: no file (system web01)', 'writes refused: no space left')
  const { exit, stdout } = await m.type('status', {})
  assert.equal(exit, 1)
  assert.match(stdout, /State: degraded\nDegraded: profile install: .*\nDegraded: writes refused: .*\n$/)
  assert.equal((await m.call('status', {})).status, 200)
})

test('status --transfers shows who fetched what and how it went', async () => {
  const transfer = {
    startedMs: Date.UTC(2026, 10, 23, 8),
    durationMs: 12.4,
    client: '10.0.0.9',
    port: 2070,
    local: '10.0.0.1',
    name: 'pxelinux.0',
    mode: 'octet',
    options: { blksize: 1408 },
    sizeBytes: 42_000,
    sentBytes: 42_000,
    retransmissions: 2,
    outcome: 'done',
    detail: '',
  } as const
  m.daemon.transfers = () => ({ active: 3, recent: [transfer] })
  const { stdout } = await m.type('status', { transfers: true })
  assert.match(
    stdout,
    /^2026-11-23T08:00:00\.000Z 10\.0\.0\.9 pxelinux\.0 octet blksize=1408 42000\/42000 bytes 12 ms, 2 retransmissions done\n$/m,
  )
  assert.equal('transfers' in (await m.call('status', {})).body, false)
})

test('history says who changed what when, oldest first, by the names of then', async () => {
  m.store.at = '2026-11-23T08:01:56.400Z'
  await m.type('addsystem', { name: 'web01', addresses: ['10.0.0.1'] })
  await m.type('nextboot', { name: 'web01', profile: 'local' })
  await m.type('renamesystem', { name: 'web01', to: 'db01' })
  await m.type('delsystem', { name: 'db01' })
  const head = '2026-11-23T08:01:56.400Z ann (socket)'
  assert.equal(
    (await m.type('history', { after: 1 })).stdout,
    `${head} web01: added\n${head} web01: has 10.0.0.1\n${head} web01: next boot local\n` +
      `${head} web01: renamed to db01\n${head} db01: removed\n`,
  )
})

test('history of one system shows its records only, the latest ones', async () => {
  for (const name of ['a', 'b']) {
    await m.type('addsystem', { name, addresses: ['10.0.0.1'] })
    await m.type('nextboot', { name, profile: 'local' })
  }
  const { body } = await m.call('history', { name: 'b', limit: 1 })
  assert.deepEqual(
    (body['history'] as { changes: string[] }[]).map(({ changes }) => changes),
    [['b: next boot local']],
  )
  await m.type('nextboot', { name: '*', profile: 'local' })
  const many = await m.call('history', { name: 'b', limit: 1 })
  assert.deepEqual(
    (many.body['history'] as { changes: string[] }[]).map(({ changes }) => changes),
    [['b: next boot local']],
    'of a record about many systems its own line alone',
  )
  assert.equal((await m.type('history', { name: 'nosuch' })).stderr, 'System nosuch not defined\n')
  assert.equal((await m.type('history', { limit: 0 })).exit, 2)
})

test('history --follow gives what was, then what happens, without gap or repetition, and ends with its reader', async () => {
  await m.type('addsystem', { name: 'a', addresses: ['10.0.0.1'] })
  const response = await m.app.request(commandPath({ name: 'history' }), post({ follow: true, limit: 1 }), {
    surface: 'socket',
  })
  assert.equal(response.headers.get('content-type'), 'application/x-ndjson')
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  assert.ok(reader)
  const seqs: number[] = []
  const read = async (last: number) => {
    while (seqs.at(-1) !== last) {
      const { value = '' } = await reader.read()
      for (const line of value.trimEnd().split('\n')) {
        for (const entry of (JSON.parse(line) as { history: { seq: number }[] }).history) seqs.push(entry.seq)
      }
    }
  }
  await read(2)
  await Promise.all(
    Array.from({ length: 5 }, (_, at) => m.type('addsystem', { name: 'a', addresses: [`10.0.1.${at}`] })),
  )
  await read(7)
  assert.deepEqual(seqs, [2, 3, 4, 5, 6, 7])
  await reader.cancel()
})

test('token add prints only the token; the journal and the list hold nothing of it', async () => {
  const { exit, stdout, stderr } = await m.type('token add', { name: 'ci', role: 'viewer', expires: '30d' })
  assert.equal(exit, 0)
  assert.equal(stderr, '')
  assert.match(stdout, /^pxemngr_[A-Za-z0-9_-]{43}\n$/)
  assert.ok(!JSON.stringify(m.store.records).includes(stdout.trim().slice(8)))
  const list = await m.type('token list', {})
  assert.match(list.stdout, /^ci\tviewer\t\d{4}-[^\t]+Z\tvalid\n$/)
  const history = (await m.call('history', {})).text
  assert.match(history, /token ci: added \(viewer, until /)
  assert.ok(!/[0-9a-f]{64}/.test(history), 'no hash either')
})

test('token add: operator without expiry by default, one valid token a name, form checked', async () => {
  assert.deepEqual(
    { ...(await m.call('token add', { name: 'ci' })).body, token: '' },
    { token: '', name: 'ci', role: 'operator', expires: null },
  )
  assert.equal((await m.type('token add', { name: 'ci' })).exit, 1)
  assert.equal((await m.type('token add', { name: 'x', role: 'root' })).exit, 2)
  for (const expires of ['30', '0d', '-1d', 'soon', '']) {
    assert.equal((await m.type('token add', { name: 'x', expires })).exit, 2, expires)
  }
  assert.equal((await m.type('token add', { name: '../x' })).exit, 1)
  assert.deepEqual(await m.type('token revoke', { name: 'ci' }), silent)
  assert.deepEqual(await m.type('token revoke', { name: 'ci' }), {
    exit: 1,
    stdout: '',
    stderr: 'Token ci not defined\n',
  })
  assert.equal((await m.type('token add', { name: 'ci' })).exit, 0)
})

test('two token add of one name at once give one token', async () => {
  const answers = await Promise.all([m.call('token add', { name: 'ci' }), m.call('token add', { name: 'ci' })])
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409])
})

test('backup streams the file of the store, byte for byte', async () => {
  m.store.at = '2026-11-23T08:01:56.400Z'
  await m.type('addsystem', { name: 'web01', addresses: ['10.0.0.1'] })
  const { text, headers } = await m.call('backup', {})
  assert.equal(headers.get('content-type'), 'application/octet-stream')
  const chunks: Uint8Array[] = []
  await m.store.backup(async (chunk) => void chunks.push(chunk))
  assert.equal(text, Buffer.concat(chunks).toString())
  assert.match(text, /web01/)
})

test('a backup that fails half-way breaks the connection; one that fails before is refused', async () => {
  m.store.backup = async (write) => {
    await write(new Uint8Array(10))
    throw new Error('EIO')
  }
  const response = await m.app.request(commandPath({ name: 'backup' }), post({}), { surface: 'socket' })
  assert.equal(response.status, 200)
  await assert.rejects(response.arrayBuffer())
  m.store.backup = async () => {
    throw new Error('EIO')
  }
  assert.equal((await m.call('backup', {})).status, 500)
})
