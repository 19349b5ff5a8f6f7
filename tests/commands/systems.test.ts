/**
 * The commands about systems: what they print, in which order they check, and that they change all or nothing.
 * Sources: COMPATIBILITY 3.3–3.5 and 5, CONTRACT "Command line".
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { type Management, openManagement, silent } from '../harness/management.ts'

let m: Management
beforeEach(async () => {
  m = await openManagement()
})
afterEach(() => m.shut())

const mac = '52:54:00:12:34:56'
const add = (name: string, ...addresses: string[]) => m.type('addsystem', { name, addresses })
const addressesOf = (name: string) => {
  const system = m.store.queries.findSystem(name)
  return system && m.store.queries.addressesOf(system.id).map((address) => address.text)
}

test('addsystem is silent, adds what the system lacks, and changes nothing the second time', async () => {
  assert.deepEqual(await add('web01', mac), silent)
  assert.deepEqual(await add('web01', '5254.0012.3456', '10.0.3.7', '10.0.3.7'), silent)
  assert.deepEqual(addressesOf('web01'), [mac, '10.0.3.7'])
  const { seq } = m.store
  assert.deepEqual(await add('web01', '01-52-54-00-12-34-56'), silent)
  assert.equal(m.store.seq, seq, 'nothing to change writes no record')
})

test('one addsystem is one record that says who called', async () => {
  const { seq } = m.store
  await add('web01', mac, '10.34')
  assert.equal(m.store.seq, seq + 1)
  assert.deepEqual(m.store.records.at(-1)?.actor, { who: 'ann', from: 'socket', surface: 'cli' })
})

test('addsystem refuses the reserved name with the line of 0.8, before it looks at addresses', async () => {
  assert.deepEqual(await add('default', 'nonsense'), {
    exit: 1,
    stdout: '',
    stderr: 'default is a reserved name and cannot be used for a system name\n',
  })
  assert.deepEqual(await add('Default', mac), silent)
})

test('bytes that are no UTF-8 make no system: two such names would be one', async () => {
  const { seq } = m.store
  assert.deepEqual(await add('bad\ufffd', mac), {
    exit: 1,
    stdout: '',
    stderr: 'system name "bad\ufffd" is not allowed: it is not valid UTF-8\n',
  })
  assert.equal(m.store.seq, seq)
})

test('C4: a bad address is one line and leaves no half-made system', async () => {
  const { seq } = m.store
  const answer = await add('s5', mac, '00:11')
  assert.equal(answer.exit, 1)
  assert.match(answer.stderr, /^"00:11" is no address: [^\n]+\n$/)
  assert.equal(m.store.queries.findSystem('s5'), undefined)
  assert.equal(m.store.seq, seq)
})

test('M9: octets over 255, single octets, leading zeros and blanks are no addresses', async () => {
  for (const bad of [
    '300.1',
    '10',
    '-1.5',
    '1.2.3.4.5.6',
    '10.',
    '010.1',
    ' 10.1',
    '10.0.0.0/8',
    'fe80::1',
    '0A42',
    '',
  ]) {
    assert.equal((await add('s', bad)).exit, 1, bad)
  }
  assert.equal(m.store.queries.countSystems(), 0)
})

test('S2, S3: names that are paths, empty, control characters or options are refused', async () => {
  for (const bad of ['../evil', 'sub/x', 'a\\b', '.', '..', '', 'a\nb', 'a\u0000', '-l', 'x'.repeat(256), '\ud800']) {
    const answer = await add(bad, mac)
    assert.equal(answer.exit, 1, JSON.stringify(bad))
    assert.match(answer.stderr, /^system name .* is not allowed: [^\n]+\n$/)
  }
  assert.equal(m.store.queries.countSystems(), 0)
})

test('S3: a name that looks like a link name of another system steals nothing', async () => {
  await add('web01', mac)
  assert.deepEqual(await add('01-52-54-00-12-34-56', '52:54:00:00:00:01'), silent)
  assert.deepEqual(await add('profiles', '52:54:00:00:00:02'), silent)
  await m.type('nextboot', { name: '01-52-54-00-12-34-56', profile: 'local' })
  assert.equal(m.store.queries.nextBootOf(mac as never), undefined)
})

test('R4: parallel addsystem of one new name makes one system with all addresses', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, at) => m.call('addsystem', { name: 'new', addresses: [`10.0.0.${at}`] })),
  )
  assert.ok(answers.every(({ status }) => status === 200))
  assert.equal(m.store.queries.countSystems(), 1)
  assert.equal(addressesOf('new')?.length, 20)
})

test('delsystem of an unknown name prints the line of 0.8', async () => {
  assert.deepEqual(await m.type('delsystem', { name: 'nosuch' }), {
    exit: 1,
    stdout: '',
    stderr: 'System nosuch not defined\n',
  })
})

test('C2: deleting one of two aliases leaves the other its address and its boot', async () => {
  await add('a', mac)
  await add('b', mac)
  await m.type('nextboot', { name: 'b', profile: 'local' })
  m.files.set('install', '')
  await m.type('nextboot', { name: 'a', profile: 'install' })
  assert.deepEqual(await m.type('delsystem', { name: 'a' }), silent)
  assert.equal(m.store.queries.nextBootOf(mac as never)?.profile, 'local')
  assert.deepEqual(await m.type('nextboot', { name: 'b', profile: 'install' }), silent)
})

test('S6: the id of a deleted system is never used again', async () => {
  await add('c1', mac)
  const { id } = m.store.queries.findSystem('c1') ?? { id: 0 }
  await m.type('delsystem', { name: 'c1' })
  await add('c2', mac)
  assert.ok((m.store.queries.findSystem('c2')?.id ?? 0) > id)
})

test('renamesystem keeps id, addresses and history; checks the system, then the new name', async () => {
  await add('web01', mac)
  await add('db01', '10.0.0.1')
  const id = m.store.queries.findSystem('web01')?.id
  assert.deepEqual(await m.type('renamesystem', { name: 'web01', to: 'web02' }), silent)
  assert.equal(m.store.queries.findSystem('web02')?.id, id)
  const line = async (name: string, to: string) => (await m.type('renamesystem', { name, to })).stderr
  assert.equal(await line('web01', '../x'), 'System web01 not defined\n')
  assert.equal(await line('web02', 'default'), 'default is a reserved name and cannot be used for a system name\n')
  assert.equal(await line('web02', 'db01'), 'System db01 is already defined\n')
  assert.match(await line('web02', '../x'), /is not allowed/)
  assert.deepEqual(await m.type('renamesystem', { name: 'web02', to: 'web02' }), silent)
  await m.type('nextboot', { name: 'default', profile: 'local' })
  assert.equal(await line('default', 'x'), 'default is a reserved name and cannot be renamed\n')
})

test('removeaddress takes all or none', async () => {
  await add('web01', mac, '10.0.0.1', '10.34')
  const refused = await m.type('removeaddress', { name: 'web01', addresses: [mac, '10.0.0.9'] })
  assert.deepEqual(refused, { exit: 1, stdout: '', stderr: 'System web01 has no address 10.0.0.9\n' })
  assert.equal(addressesOf('web01')?.length, 3)
  assert.deepEqual(await m.type('removeaddress', { name: 'web01', addresses: ['525400123456', mac, '10.34'] }), silent)
  assert.deepEqual(addressesOf('web01'), ['10.0.0.1'])
})

test('removeaddress of a selector takes each address from whoever of them has it, all or none, in one record', async () => {
  await add('v1', mac, '10.0.0.1')
  await add('v2', '10.0.0.1', '10.0.0.2')
  await add('w1', '10.0.0.1')
  const { seq } = m.store
  const of = (name: string, ...addresses: string[]) => m.type('removeaddress', { name, addresses })
  assert.deepEqual(await of('v*', '10.0.0.1', '10.0.0.9'), {
    exit: 1,
    stdout: '',
    stderr: 'No system of "v*" has the address 10.0.0.9\n',
  })
  assert.deepEqual(await of('x*', '10.0.0.1'), { exit: 1, stdout: '', stderr: 'System x* not defined\n' })
  assert.equal(m.store.seq, seq)
  assert.deepEqual(await of('v[1-7]', '10.0.0.1', '10.0.0.2'), silent)
  assert.equal(m.store.seq, seq + 1)
  assert.deepEqual([addressesOf('v1'), addressesOf('v2'), addressesOf('w1')], [[mac], [], ['10.0.0.1']])
})

test('dpysystem prints the form of 0.8 to the byte', async () => {
  await add('s1', '00:1b:38:71:0a:b6', '10.66.6.10', '10.66')
  assert.equal(
    (await m.type('dpysystem', { name: 's1' })).stdout,
    'Name: s1\nMac: 00:1b:38:71:0a:b6 (None)\nMac: 10.66.6.10 (0A42060A)\nMac: 10.66 (0A42)\nHistory:\n',
  )
  m.files.set('install', '')
  m.store.at = '2026-11-23T08:01:56.400Z'
  await m.type('nextboot', { name: 's1', profile: 'local' })
  m.store.at = '2026-11-23T08:02:00.000Z'
  await m.type('nextboot', { name: 's1', profile: 'local' })
  await m.type('nextboot', { name: 's1', profile: 'install' })
  assert.equal(
    (await m.type('dpysystem', { name: 's1' })).stdout.split('\n').slice(4).join('\n'),
    'Next boot: install\nHistory:\n2026-11-23 08:02:00+00:00 local\n2026-11-23 08:01:56.400000+00:00 local\n',
  )
})

test('dpysystem shows at most nine older boots', async () => {
  await add('s1', mac)
  for (let at = 0; at < 15; at += 1) await m.type('nextboot', { name: 's1', profile: 'local' })
  const { stdout } = await m.type('dpysystem', { name: 's1' })
  assert.equal(stdout.split('History:\n')[1]?.trimEnd().split('\n').length, 9)
})

test('M1: dpysystem shows the IP address of a MAC, by neighbour table or last boot', async () => {
  await add('s1', mac)
  const actor = { who: mac, from: '10.0.0.9', surface: 'machine' } as const
  await m.store.commit(actor, (tx) => tx.emit({ type: 'boot.address', ip: '10.0.0.9', mac: mac as never }))
  assert.match((await m.type('dpysystem', { name: 's1' })).stdout, /^Mac: 52:54:00:12:34:56 \(10\.0\.0\.9\)$/m)
  m.neighbours.set(mac, '10.0.0.8')
  assert.match((await m.type('dpysystem', { name: 's1' })).stdout, /^Mac: 52:54:00:12:34:56 \(10\.0\.0\.8\)$/m)
  assert.match((await m.type('dpysystem', { name: '10.0.0.9' })).stdout, /^Name: s1$/m)
})

test('M2: dpysystem finds a system by MAC in every spelling, IP, prefix, and hex of any case', async () => {
  await add('s1', mac, '10.77.0.13', '10.66')
  for (const spelling of [
    mac,
    mac.toUpperCase(),
    '52-54-00-12-34-56',
    '01-52-54-00-12-34-56',
    '5254.0012.3456',
    '525400123456',
    '10.77.0.13',
    '0A4D000D',
    '0a4d000d',
    '10.66',
    '0a42',
  ]) {
    assert.match((await m.type('dpysystem', { name: spelling })).stdout, /^Name: s1\n/, spelling)
  }
  for (const unknown of ['10.77.0.14', '10.66.0.1', '52:54:00:12:34:57', 'S1', '0A43', '../s1', '']) {
    assert.deepEqual(await m.type('dpysystem', { name: unknown }), {
      exit: 1,
      stdout: '',
      stderr: `System ${unknown} not defined\n`,
    })
  }
})

test('dpysystem prefers an exact name over an address', async () => {
  await add('s1', '10.66')
  await add('10.66', mac)
  assert.match((await m.type('dpysystem', { name: '10.66' })).stdout, /^Name: 10\.66\n/)
})

test('C3: dpysystem of an address that aliases share shows each of them', async () => {
  await add('a', mac)
  await add('b', mac)
  const block = (name: string) => `Name: ${name}\nMac: ${mac} (None)\nHistory:\n`
  assert.equal((await m.type('dpysystem', { name: mac })).stdout, `${block('a')}\n${block('b')}`)
  const { body } = await m.call('dpysystem', { name: mac })
  assert.deepEqual(
    (body['systems'] as { name: string }[]).map(({ name }) => name),
    ['a', 'b'],
  )
})

test('C5: dpysystem -l lists all names in creation order, default and other alphabets included', async () => {
  await add('zoë', mac)
  await m.type('nextboot', { name: 'default', profile: 'local' })
  await add('café 7', '10.0.0.1')
  assert.deepEqual(await m.type('dpysystem', {}), { exit: 0, stdout: 'zoë\ndefault\ncafé 7\n', stderr: '' })
})

test('dpysystem --json is the system of the contract', async () => {
  await add('web01', mac, '10.34')
  m.store.at = '2026-11-23T08:01:56.400Z'
  await m.type('nextboot', { name: 'web01', profile: 'local' })
  const { body } = await m.call('dpysystem', { name: 'web01' })
  assert.deepEqual(body, {
    id: 1,
    name: 'web01',
    addresses: [
      { address: mac, kind: 'mac', ip: null },
      { address: '10.34', kind: 'prefix4' },
    ],
    next: 'local',
    sick: null,
    history: [{ at: '2026-11-23T08:01:56.400Z', profile: 'local', by: 'ann' }],
  })
})

test('a range that is too large is one line about the range, whatever takes a system; its exact name comes first', async () => {
  const huge = 's[1-99999999]'
  const { seq } = m.store
  const refusal = {
    exit: 1,
    stdout: '',
    stderr: `System ${huge} is not allowed: the range is too large, it may stand for at most 100000 names\n`,
  }
  await m.type('synctestnames', {})
  for (const [command, args] of [
    ['dpysystem', { name: huge }],
    ['nextboot', { name: huge, profile: 'local' }],
    ['nexttest', { name: huge, tests: ['x'] }],
    ['dpytest', { name: huge }],
    ['results', { systems: [huge] }],
    ['cancel', { name: huge }],
    ['release', { name: huge }],
    ['history', { name: huge }],
    ['removeaddress', { name: huge, addresses: ['10.0.0.1'] }],
  ] as const) {
    assert.deepEqual(await m.type(command, args), refusal, command)
  }
  const many = await m.call('dpysystem', { name: 's[1-400][1-400]' })
  assert.equal(many.status, 400)
  assert.equal((await m.call('dpysystem', { name: 's[1-1000]' })).status, 404)
  assert.equal(m.store.seq, seq)
  await add(huge, '10.0.0.1')
  assert.equal((await m.call('dpysystem', { name: huge })).status, 200)
})
