/**
 * The commands about boots: nextboot, syncbootnames, syncsystems, profiles, and how aliases go together.
 * Sources: COMPATIBILITY 3.6–3.8 and 5, CONTRACT "Command line".
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { Mac } from '../../src/domain/address.ts'
import { type Management, openManagement, silent } from '../harness/management.ts'

let m: Management
beforeEach(async () => {
  m = await openManagement()
  for (const name of ['install', 'edeploy']) m.files.set(name, '')
  await m.daemon.profiles.sync()
})
afterEach(() => m.shut())

const mac = '52:54:00:12:34:56' as Mac
const other = '52:54:00:12:34:57' as Mac
const add = (name: string, ...addresses: string[]) => m.type('addsystem', { name, addresses })
const next = (name: string, profile: string) => m.type('nextboot', { name, profile })
const refusal = (line: string) => ({ exit: 1, stdout: '', stderr: `${line}\n` })

test('nextboot is silent and decides, also when nothing changes', async () => {
  await add('s1', mac)
  assert.deepEqual(await next('s1', 'install'), silent)
  assert.deepEqual(await next('s1', 'install'), silent)
  assert.equal(m.store.queries.nextBootOf(mac)?.profile, 'install')
  assert.equal(m.store.queries.decisionsOf(1, 10).length, 2)
})

test('nextboot checks the system first, then the profile', async () => {
  await add('s1', mac)
  assert.deepEqual(await next('nosuch', 'nosuch'), refusal('System nosuch not defined'))
  assert.deepEqual(await next('s1', 'nosuch'), refusal('Boot name nosuch not defined'))
  for (const wrong of ['local.prof', 'Local', '', '../local']) {
    assert.deepEqual(await next('s1', wrong), refusal(`Boot name ${wrong} not defined`))
  }
  for (const address of [mac, '10.0.0.1']) {
    assert.deepEqual(await next(address, 'local'), refusal(`System ${address} not defined`))
  }
})

test('a name that is not there gets a hint: the nearest, or what there is', async () => {
  const hint = async (command: string, body: object) => (await m.call(command, body)).body['hint']
  assert.equal(
    await hint('nextboot', { name: 'a', profile: 'local' }),
    'no machine has a name yet: pxemngr addsystem NAME MAC',
  )
  await add('web01', mac)
  assert.equal(await hint('nextboot', { name: 'wbe01', profile: 'local' }), 'did you mean web01?')
  assert.equal(await hint('nextboot', { name: 'storage', profile: 'local' }), 'there is only web01')
  assert.equal(await hint('nextboot', { name: 'web01', profile: 'instal' }), 'did you mean install?')
  assert.match(String(await hint('nextboot', { name: 'web01', profile: 'zzzzzzzz' })), /^there are .*install/)
  assert.equal(await hint('nexttest', { name: 'web01', tests: ['zzzzzzz'] }), undefined)
  assert.equal(
    await hint('dpysystem', { name: '52-54-00-99-99-99' }),
    'no system has that address: pxemngr addsystem NAME 52:54:00:99:99:99',
  )
})

test('nextboot default comes into being with its first decision, after the profile check', async () => {
  assert.deepEqual(await next('default', 'nosuch'), refusal('Boot name nosuch not defined'))
  assert.equal(m.store.queries.findSystem('default'), undefined)
  assert.deepEqual(await next('default', 'local'), silent)
  assert.equal(m.store.queries.defaultNextBoot()?.profile, 'local')
  await m.type('delsystem', { name: 'default' })
  assert.equal(m.store.queries.defaultNextBoot(), undefined)
})

test('nextboot to a profile whose file is gone is refused and changes nothing', async () => {
  await add('s1', mac)
  await next('s1', 'install')
  m.files.delete('edeploy')
  const { seq } = m.store
  const answer = await next('s1', 'edeploy')
  assert.equal(answer.exit, 1)
  assert.match(answer.stderr, /^Boot name edeploy has no file edeploy\.prof any more: [^\n]+\n$/)
  assert.equal((await m.call('nextboot', { name: 's1', profile: 'edeploy' })).status, 409)
  assert.equal(m.store.seq, seq)
})

test('nextboot to a profile whose file appeared a moment ago registers it', async () => {
  await add('s1', mac)
  m.files.set('fresh', '')
  assert.deepEqual(await next('s1', 'fresh'), silent)
  assert.equal(m.store.queries.findProfile('fresh')?.available, true)
})

test('C1: a profile file that is gone blocks no other decision', async () => {
  await add('s1', mac)
  await next('s1', 'install')
  m.files.delete('install')
  assert.deepEqual(await next('s1', 'local'), silent)
})

test('C7: a system without a decision has no next boot, and no line for it', async () => {
  await add('s1', mac)
  assert.equal((await m.call('dpysystem', { name: 's1' })).body['next'], null)
})

test('L5: a decision that cannot be kept changes nothing', async () => {
  await add('s1', mac)
  await next('s1', 'install')
  const commit = m.store.commit
  m.store.commit = async () => {
    throw new Error('EROFS')
  }
  assert.equal((await m.call('nextboot', { name: 's1', profile: 'local' })).status, 500)
  assert.equal((await m.call('delsystem', { name: 's1' })).status, 500)
  m.store.commit = commit
  assert.equal(m.store.queries.nextBootOf(mac)?.profile, 'install')
})

test('a decision is not answered before its record is on disk, and not seen either', async () => {
  await add('s1', mac)
  await next('s1', 'install')
  const release = m.store.hold()
  let answered = false
  const deciding = next('s1', 'local').then((answer) => {
    answered = true
    return answer
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(answered, false)
  assert.equal(m.store.queries.nextBootOf(mac)?.profile, 'install')
  release()
  assert.deepEqual(await deciding, silent)
  assert.equal(m.store.queries.nextBootOf(mac)?.profile, 'local')
})

test('M3: syncsystems changes nothing and says so', async () => {
  await add('s1', mac)
  await add('al', mac)
  await next('al', 'install')
  await next('s1', 'local')
  const { seq } = m.store
  assert.deepEqual(await m.type('syncsystems', {}), {
    exit: 0,
    stdout: 'nothing to sync: every answer is computed when a machine asks\n',
    stderr: '',
  })
  assert.equal(m.store.seq, seq)
  assert.equal(m.store.queries.nextBootOf(mac)?.profile, 'local')
})

test('M4: aliases boot by the latest decision among them', async () => {
  await add('low', mac)
  await add('high', mac)
  await next('low', 'edeploy')
  await next('high', 'install')
  assert.equal(m.store.queries.nextBootOf(mac)?.profile, 'install')
  await next('low', 'local')
  assert.equal(m.store.queries.nextBootOf(mac)?.profile, 'local')
})

test('M5: a decision reaches only systems that share an address', async () => {
  await add('A', mac)
  await add('B', mac, other)
  await add('C', other)
  await next('B', 'install')
  await next('A', 'edeploy')
  assert.equal(m.store.queries.nextBootOf(mac)?.profile, 'edeploy')
  assert.equal(m.store.queries.nextBootOf(other)?.profile, 'install')
})

test('M6: the latest decision wins although the clock went back', async () => {
  await add('c1', mac)
  m.store.at = '2030-01-01T00:00:00.000Z'
  await next('c1', 'install')
  m.store.at = '2026-01-01T00:00:00.000Z'
  await next('c1', 'local')
  assert.match((await m.type('dpysystem', { name: 'c1' })).stdout, /^Next boot: local$/m)
  assert.equal(m.store.queries.nextBootOf(mac)?.profile, 'local')
})

test('R3: parallel decisions for one system all succeed and are all kept', async () => {
  await add('s1', mac)
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, at) =>
      m.call('nextboot', { name: 's1', profile: at % 2 === 0 ? 'local' : 'install' }),
    ),
  )
  assert.ok(answers.every(({ status }) => status === 200))
  assert.equal(m.store.queries.decisionsOf(1, 100).length, 60)
})

test('syncbootnames prints every profile in folder order, each time', async () => {
  const stdout = 'registering local\nregistering install\nregistering edeploy\n'
  assert.deepEqual(await m.type('syncbootnames', {}), { exit: 0, stdout, stderr: '' })
  assert.deepEqual(await m.type('syncbootnames', {}), { exit: 0, stdout, stderr: '' })
})

test('syncbootnames without local prints the text of 0.8 first, on stdout, and ends with 0', async () => {
  m.files.delete('local')
  assert.deepEqual(await m.type('syncbootnames', {}), {
    exit: 0,
    stdout:
      'error local profile not present. Add it with a content like this:\n\nprompt 0\ntimeout 0\ndefault 0\n\n' +
      'label 0\n  LOCALBOOT 0\n\nregistering install\nregistering edeploy\n',
    stderr: '',
  })
})

test('profiles lists those whose file is there, and says on stderr what is wrong with one', async () => {
  m.files.delete('edeploy')
  m.files.set('install', null)
  assert.deepEqual(await m.type('profiles', {}), {
    exit: 0,
    stdout: 'local\ninstall\n',
    stderr: 'install: line 1: bad\n',
  })
  const { body } = await m.call('profiles', {})
  assert.deepEqual(body['profiles'], [
    { name: 'local', available: true, fault: null },
    { name: 'install', available: true, fault: 'line 1: bad' },
    { name: 'edeploy', available: false, fault: 'no file' },
  ])
})
