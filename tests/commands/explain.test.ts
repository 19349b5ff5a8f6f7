/**
 * `explain`: decision, configuration, files and last boots of a machine, before it is switched on.
 * Sources: DESIGN "Boot", PEERS 3.1.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { BootQuery } from '../../src/commands/daemon.ts'
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
  assert.match(stdout, /\n {4}deb\/initrd\.gz {2}not served\n {2}wrong: deb\/initrd\.gz: is not there\n$/)
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

test('of several names of a machine the one that decides is told, with the last boot of the machine', async () => {
  await addInstalling()
  await m.type('addsystem', { name: 'alias', addresses: [mac] })
  await m.type('nextboot', { name: 'alias', profile: 'local' })
  assert.match((await explain(mac)).stdout, /^alias 52:54:00:12:34:56: boots local\n/)
  const asked: object[] = []
  const { boots } = m.daemon
  Object.assign(m.daemon, {
    boots(query: BootQuery) {
      asked.push(query)
      return boots.call(m.daemon, query)
    },
  })
  assert.match((await explain('s1')).stdout, /^s1 52:54:00:12:34:56: boots local\n.*latest among s1, alias/)
  assert.deepEqual(asked, [{ mac, limit: 20 }])
})

test('a network is asked about by every name that its machines ask: the wider one, then default', async () => {
  await m.type('addsystem', { name: 'lab', addresses: ['10.34.5'] })
  assert.match(
    (await explain('lab')).stdout,
    /^lab 10\.34\.5: gets no answer\n.*\n.*\n.*default has no next boot\n {2}wrong: lab has no next boot: pxemngr nextboot lab PROFILE\n$/,
  )
  await m.type('nextboot', { name: 'default', profile: 'install' })
  assert.match((await explain('lab')).stdout, /^lab 10\.34\.5: boots install\n/)
  await m.type('addsystem', { name: 'site', addresses: ['10.34'] })
  await m.type('nextboot', { name: 'site', profile: 'local' })
  assert.match(
    (await explain('lab')).stdout,
    /^lab 10\.34\.5: boots local\n.*without a next boot\n.*10\.34 is site: local/,
  )
})

test('a machine whose address a system has without a next boot is told to get one, also where its MAC is known', async () => {
  await m.type('addsystem', { name: 's1', addresses: ['10.0.0.7'] })
  await m.store.commit({ who: 'd', from: 'd', surface: 'daemon' }, (tx) =>
    tx.emit({ type: 'boot.address', ip: '10.0.0.7', mac: mac as never }),
  )
  assert.match((await explain('s1')).stdout, /\n {2}wrong: s1 has no next boot: pxemngr nextboot s1 PROFILE\n$/)
})

test('three machines of a network that each start once are no machine that starts again and again', async () => {
  await addInstalling('lab', '10.34')
  m.bootFiles.set('deb/linux', 5).set('deb/initrd.gz', 5)
  const seq = m.store.seq
  const row = (minutes: number, machine: object) => {
    const at = Date.now() - minutes * 60_000
    const steps = ['pxelinux.cfg/0A22', 'deb/linux'].map((name) => ({ at, name, outcome: 'done' }))
    const decision = { by: 'prefix4', instead: '', seq }
    return { id: 1, startedMs: at, endedMs: at, systemId: 1, profile: 'install', decision, steps, ...machine }
  }
  const others = [1, 2, 3].map((number) =>
    row(10 * number, { mac: `52:54:00:00:00:0${number}`, ip: `10.34.0.${number}` }),
  )
  m.boots.push(...others)
  assert.equal((await explain('lab')).exit, 0)
  // One that does, behind the last start of another.
  m.boots.push(...[40, 50, 60].map((minutes) => row(minutes, { mac: null, ip: '10.34.0.9' })))
  assert.match((await explain('lab')).stdout, /\n {2}wrong: It has started install 3 times in 20 min and never/)
})

test('a profile that is an iPXE script is nothing wrong, and said to be one', async () => {
  await addInstalling()
  const script = '#!ipxe\nkernel http://192.0.2.1:8000/boot/deb/linux quiet || shell\nboot\n'
  m.files.set('install', script)
  const { exit, stdout } = await explain('s1', { loader: 'ipxe' })
  assert.match(
    stdout,
    /\n {2}an iPXE script, which other loaders cannot read; what it fetches is not looked at\n\n#!ipxe\n/,
  )
  assert.ok(stdout.endsWith(script))
  assert.doesNotMatch(stdout, /wrong|unknown keyword/)
  assert.equal(exit, 0)
})
