/**
 * `explain`: decision, configuration, files and last boots of a machine, before it is switched on.
 * Sources: DESIGN "Boot", PEERS 3.1.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { type Management, openManagement } from '../harness/management.ts'

let m: Management
beforeEach(async () => {
  m = await openManagement()
  m.files.set('install', 'default i\nlabel i\nkernel deb/linux\nappend initrd=deb/initrd.gz quiet\n')
  await m.daemon.profiles.sync()
})
afterEach(() => m.shut())

const mac = '52:54:00:12:34:56'
const explain = (name: string, more: object = {}) => m.type('explain', { name, ...more })

async function addInstalling(name = 's1', ...addresses: string[]): Promise<void> {
  await m.type('addsystem', { name, addresses: addresses.length === 0 ? [mac] : addresses })
  await m.type('nextboot', { name, profile: 'install' })
}

test('a machine that will boot: the decision, the entry, its files', async () => {
  await addInstalling()
  m.bootFiles.set('deb/linux', 14_186_432).set('deb/initrd.gz', 1024)
  const { exit, stdout } = await explain('s1')
  assert.match(
    stdout,
    /^s1 52:54:00:12:34:56: boots install\n {2}52:54:00:12:34:56 is s1: install, set by ann at [^\n]+\n {2}entry i:\n {4}deb\/linux {2}13\.5 MiB\n {4}deb\/initrd\.gz {2}1\.0 KiB\n$/,
  )
  assert.equal(exit, 0)
})

test('a file that is missing is named, and the exit status is 1', async () => {
  await addInstalling()
  m.bootFiles.set('deb/linux', 5)
  const { exit, stdout } = await explain('s1')
  assert.match(stdout, /\n {4}deb\/initrd\.gz {2}missing\n {2}wrong: deb\/initrd\.gz: is not there\n$/)
  assert.equal(exit, 1)
})

test('by address in any spelling, also one that no system has', async () => {
  await addInstalling('s1', mac, '10.0.0.7')
  for (const spelling of ['5254.0012.3456', '52-54-00-12-34-56', '10.0.0.7', '0A000007']) {
    const { stdout } = await explain(spelling)
    assert.match(stdout, /^s1 (52:54:00:12:34:56|10\.0\.0\.7): boots install\n/)
  }
  const unknown = await explain('52:54:00:00:00:99')
  assert.match(
    unknown.stdout,
    /^52:54:00:00:00:99: gets no answer\n.*\n.*default has no next boot\n {2}wrong: no system has 52:54:00:00:00:99: pxemngr addsystem NAME 52:54:00:00:00:99\n$/,
  )
  assert.equal(unknown.exit, 1)
  assert.equal(
    (await explain('default')).stdout,
    'default: gets no answer\n  default has no next boot\n  wrong: default has no next boot: pxemngr nextboot default PROFILE\n',
  )
  await m.type('nextboot', { name: 'default', profile: 'local' })
  assert.match((await explain('52:54:00:00:00:99')).stdout, /^52:54:00:00:00:99: boots local\n/)
  assert.equal((await explain('default')).exit, 1) // `default 0` of this profile has no file of that name
})

test('a name that nothing has is refused', async () => {
  assert.deepEqual(await explain('nosuch'), { exit: 1, stdout: '', stderr: 'System nosuch not defined\n' })
})

test('a profile that cannot be served is said, with what is given instead', async () => {
  await addInstalling()
  m.files.set('install', null)
  const { body } = await m.call('explain', { name: 's1' })
  const [machine] = body['machines'] as Record<string, unknown>[]
  assert.equal(machine?.['profile'], 'local')
  assert.equal(machine['decided'], 'install')
  assert.ok((machine['wrong'] as string[]).includes('profile install cannot be served (line 1: bad): local instead'))
})

test('a profile without an entry, an entry without a kernel, lines that nothing understands', async () => {
  await addInstalling()
  m.files.set('install', 'frobnicate 7\n')
  assert.match(
    (await explain('s1')).stdout,
    / {2}line 1: unknown keyword frobnicate\n {2}wrong: install has no entry that boots\n$/,
  )
  m.files.set('install', 'label x\nappend y\n')
  assert.match((await explain('s1')).stdout, / {2}entry x\n {2}wrong: entry x has neither KERNEL nor LOCALBOOT\n$/)
})

test('what a loader is sent comes with it', async () => {
  await addInstalling()
  const pxelinux = await explain('s1', { loader: 'pxelinux' })
  assert.ok(pxelinux.stdout.endsWith(`\n\n${m.files.get('install')}`))
  const ipxe = await explain('s1', { loader: 'ipxe' })
  assert.match(ipxe.stdout, /\n#!ipxe\n\nkernel http:\/\/192\.0\.2\.1:8000\/boot\/deb\/linux initrd=initrd\.gz quiet\n/)
  assert.equal((await m.call('explain', { name: 's1', loader: 'grub' })).status, 400)
})

test('a pattern asks about many; --wrong leaves those that are well out', async () => {
  await addInstalling('s1')
  await m.type('addsystem', { name: 's2', addresses: ['52:54:00:12:34:57'] })
  m.bootFiles.set('deb/linux', 5).set('deb/initrd.gz', 5)
  const all = await explain('s[1-2]')
  assert.match(all.stdout, /^s1 .*: boots install\n[\s\S]*\n\ns2 .*: gets no answer\n/)
  const wrong = await explain('*', { wrong: true })
  assert.match(wrong.stdout, /^s2 /)
  assert.equal(wrong.exit, 1)
  assert.deepEqual(await explain('s1', { wrong: true }), { exit: 0, stdout: 'nothing is wrong with it\n', stderr: '' })
})

test('a system without an address is said to have none; a network is asked about by its first machine', async () => {
  await addInstalling()
  await m.type('removeaddress', { name: 's1', addresses: [mac] })
  const { exit, stdout } = await explain('s1')
  assert.match(stdout, /^s1: gets no answer\n {2}wrong: it has no address/)
  assert.equal(exit, 1)
  await addInstalling('lab', '10.34')
  assert.match((await explain('lab')).stdout, /^lab 10\.34: boots install\n/)
})

test('the last boot is there, and a machine that starts again and again is told', async () => {
  await addInstalling()
  m.bootFiles.set('deb/linux', 5).set('deb/initrd.gz', 5)
  const seq = m.store.seq
  const row = (minutes: number) => {
    const at = Date.now() - minutes * 60_000
    const steps = ['pxelinux.cfg/01-52-54-00-12-34-56', 'deb/linux'].map((name) => ({ at, name, outcome: 'done' }))
    return {
      id: 1,
      startedMs: at,
      endedMs: at,
      systemId: 1,
      profile: 'install',
      decision: { by: 'mac', instead: '', seq },
      steps,
    }
  }
  m.boots.push(row(10))
  const once = await explain('s1')
  assert.match(once.stdout, /\n {2}last boot \S+Z: install, kernel sent\n$/)
  assert.equal(once.exit, 0)
  m.boots.push(row(40), row(70))
  const thrice = await explain('s1')
  assert.match(thrice.stdout, /\n {2}wrong: It has started install 3 times in 1 h and never reported: /)
  assert.equal(thrice.exit, 1)
})
