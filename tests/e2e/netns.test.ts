/**
 * Machines on real networks, without firmware: each in a network namespace of its own, with real neighbour tables,
 * routers and NAT, asking the executable as machines do (curl, busybox).
 *
 * What is shown here cannot be shown on loopback: who is asking, and from which address the answer leaves.
 * Source: CONTRACT "What machines ask over HTTP", "TFTP", `trusted-networks`; PROTOCOLS section 8.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunningDaemon } from '../harness/executable.ts'
import { httpGet, tftpAnswerSource, tftpGet } from '../harness/netclient.ts'
import { until } from '../harness/process.ts'
import { base, inWorld, macs, server } from '../harness/world.ts'

const reported = 'Next boot set to local'

const configName = (mac: string): string => `pxelinux.cfg/01-${mac.replaceAll(':', '-')}`

/** Registers profiles, each with a text that is its own. */
async function writeProfiles(daemon: RunningDaemon, ...names: string[]): Promise<void> {
  for (const name of names) writeFileSync(join(daemon.dataDir, 'profiles', `${name}.prof`), profileText(name))
  await daemon.must('syncbootnames')
}

const profileText = (name: string): string => `default x\nlabel x\n  kernel ${name}/vmlinuz\n`

async function nextOf(daemon: RunningDaemon, name: string): Promise<string | null> {
  return ((await daemon.json('dpysystem', name)) as { next: string | null }).next
}

/** A system of this name, address and next boot. */
async function addSystem(daemon: RunningDaemon, name: string, address: string, profile: string): Promise<void> {
  await daemon.must('addsystem', name, address)
  await daemon.must('nextboot', name, profile)
}

inWorld('machines on the same network are told apart by their MAC, and each changes only itself', async (world) => {
  const { attach, serve } = world()
  const one = attach('one', macs.one, '10.77.0.11/24')
  const two = attach('two', macs.two, '10.77.0.12/24')
  const daemon = await serve()
  await writeProfiles(daemon, 'alpha', 'beta')
  await addSystem(daemon, 'one', macs.one, 'alpha')
  await addSystem(daemon, 'two', macs.two, 'beta')
  assert.deepEqual(await httpGet(one, `${base}/profile/`), { status: 200, text: 'alpha' })
  assert.deepEqual(await httpGet(two, `${base}/profile`), { status: 200, text: 'beta' })
  assert.deepEqual(await httpGet(one, `${base}/localboot/`, '--head', '--output', '/dev/null'), {
    status: 200,
    text: '',
  })
  assert.equal(await nextOf(daemon, 'one'), 'alpha', 'HEAD changes nothing')
  assert.deepEqual(await httpGet(one, `${base}/localboot/`), { status: 200, text: reported })
  assert.equal(await nextOf(daemon, 'one'), 'local')
  assert.equal(await nextOf(daemon, 'two'), 'beta')
  assert.deepEqual(await httpGet(two, `${base}/nextboot/alpha/`), { status: 200, text: 'Next boot set to alpha' })
  assert.equal(await nextOf(daemon, 'two'), 'alpha')
  assert.equal((await httpGet(two, `${base}/nextboot/nosuch/`)).status, 404)
  assert.deepEqual(await tftpGet(one, server, configName(macs.two)), { text: profileText('alpha') })
})

inWorld("a machine's shell loop reports as soon as the server is back", async (world) => {
  const { attach, serve } = world()
  const one = attach('one', macs.one, '10.77.0.11/24')
  const daemon = await serve()
  await writeProfiles(daemon, 'alpha')
  await addSystem(daemon, 'one', macs.one, 'alpha')
  await daemon.kill()
  const get = `busybox wget -q -O - ${base}/localboot/`
  const loop = one.run('busybox', 'sh', '-c', `until [ "$(${get})" = "${reported}" ]; do echo again; sleep 0.2; done`)
  await new Promise((resolve) => setTimeout(resolve, 500))
  const next = await serve()
  const { status, stdout } = await loop
  assert.equal(status, 0)
  assert.match(stdout, /^(again\n)+$/, 'it asked more than once')
  assert.equal(await nextOf(next, 'one'), 'local')
})

inWorld('a machine behind a router is recognised by what it booted with, never by the router', async (world) => {
  const { network, host, attach, serve } = world()
  const router = attach('router', macs.router, '10.77.0.254/24')
  const far = network.namespace('far')
  network.link(
    { space: router, name: 'net1', mac: '52:54:00:ab:ce:fe', addresses: ['10.78.0.254/24'] },
    { space: far, name: 'net0', mac: macs.one, addresses: ['10.78.0.11/24'] },
  )
  router.set('net.ipv4.ip_forward', '1')
  far.must('ip', 'route', 'add', 'default', 'via', '10.78.0.254')
  host.must('ip', 'route', 'add', '10.78.0.0/24', 'via', '10.77.0.254')
  let daemon = await serve()
  await writeProfiles(daemon, 'alpha', 'beta')
  await addSystem(daemon, 'far', macs.one, 'alpha')
  await addSystem(daemon, 'router', macs.router, 'beta')
  assert.deepEqual(await httpGet(router, `${base}/profile/`), { status: 200, text: 'beta' })
  assert.equal((await httpGet(far, `${base}/profile/`)).status, 404, 'nobody knows yet who it is')

  assert.deepEqual(await tftpGet(far, server, configName(macs.one)), { text: profileText('alpha') })
  assert.deepEqual(await httpGet(far, `${base}/profile/`), { status: 200, text: 'alpha' })
  assert.equal((await daemon.stop()).status, 0)
  daemon = await serve()
  assert.deepEqual(await httpGet(far, `${base}/profile/`), { status: 200, text: 'alpha' }, 'known after a restart too')
  assert.deepEqual(await httpGet(far, `${base}/localboot/`), { status: 200, text: reported })
  assert.equal(await nextOf(daemon, 'far'), 'local')
  assert.equal(await nextOf(daemon, 'router'), 'beta')
})

inWorld("a machine known only through a prefix reports for itself, not for the prefix's system", async (world) => {
  const { attach, serve } = world()
  const one = attach('one', macs.one, '10.77.0.11/24')
  const two = attach('two', macs.two, '10.77.0.12/24')
  const daemon = await serve()
  await writeProfiles(daemon, 'alpha', 'beta')
  await addSystem(daemon, 'site', '10.77', 'beta')
  await addSystem(daemon, 'rack', '10.77.0', 'alpha')
  assert.deepEqual(await httpGet(one, `${base}/profile/`), { status: 200, text: 'alpha' }, 'the longest prefix')
  assert.deepEqual(await tftpGet(one, server, 'pxelinux.cfg/0A4D00'), { text: profileText('alpha') })
  assert.deepEqual(await httpGet(one, `${base}/localboot/`), { status: 200, text: reported })
  assert.equal((await httpGet(one, `${base}/profile/`)).text, 'local')
  assert.equal((await httpGet(two, `${base}/profile/`)).text, 'alpha')
  assert.equal(await nextOf(daemon, 'rack'), 'alpha')
  assert.equal(await tftpGet(two, server, configName(macs.two)), 'not found')
  const own = await tftpGet(one, server, configName(macs.one))
  assert.ok(typeof own === 'object' && /localboot 0/i.test(own.text), 'its next boot asks by MAC first')
})

inWorld('a wildcard listener answers from the address that was asked, added later or not', async (world) => {
  const { host, attach, serve } = world('10.77.0.2/24', '10.79.0.1/24', 'fd77::1/64', 'fd77::2/64')
  const one = attach('one', macs.one, '10.77.0.11/24', '10.79.0.11/24', 'fd77::11/64')
  const daemon = await serve({ tftp: '0.0.0.0:69,[::]:69' })
  for (const address of [server, '10.77.0.2', '10.79.0.1', 'fd77::1', 'fd77::2']) {
    assert.equal(await tftpAnswerSource(one, address, 'pxelinux.0'), address)
    assert.equal(await tftpAnswerSource(one, address, 'pxelinux.cfg/default'), address, 'an ERROR too')
  }
  host.must('ip', 'address', 'add', '10.77.0.3/24', 'dev', 'lan')
  await until(
    async () => ((await tftpAnswerSource(one, '10.77.0.3', 'pxelinux.0')) === '10.77.0.3' ? true : undefined),
    30_000,
    () => `10.77.0.3, added while it ran, is answered from elsewhere\n${daemon.log()}`,
  )
})

inWorld('a machine that speaks IPv6 boots, is recognised and reports', async (world) => {
  const { attach, serve } = world('fd77::1/64')
  const one = attach('one', macs.one, 'fd77::11/64')
  const two = attach('two', macs.two, 'fd77::12/64')
  const daemon = await serve({ tftp: '[fd77::1]:69', http: '[fd77::1]:8000' })
  await writeProfiles(daemon, 'alpha', 'beta')
  await addSystem(daemon, 'one', macs.one, 'alpha')
  await addSystem(daemon, 'two', macs.two, 'beta')
  assert.deepEqual(await tftpGet(one, '[fd77::1]', configName(macs.one)), { text: profileText('alpha') })
  const loader = await tftpGet(one, '[fd77::1]', 'pxelinux.0')
  assert.ok(typeof loader === 'object' && loader.text.length > 20_000, 'a loader comes whole')
  assert.deepEqual(await httpGet(one, 'http://[fd77::1]:8000/profile/'), { status: 200, text: 'alpha' })
  assert.deepEqual(await httpGet(two, 'http://[fd77::1]:8000/profile/'), { status: 200, text: 'beta' })
  writeFileSync(join(daemon.dataDir, 'tests', 'who.test'), '<%= mac %> <%= ip %> <%= profile %>\n')
  await daemon.must('synctestnames')
  await daemon.must('nexttest', 'one', 'who')
  const who = { status: 200, text: `${macs.one} fd77::11 alpha\n` }
  assert.deepEqual(await httpGet(one, 'http://[fd77::1]:8000/nexttest/'), who)
  assert.deepEqual(await httpGet(one, 'http://[fd77::1]:8000/localboot/'), { status: 200, text: reported })
  assert.equal(await nextOf(daemon, 'one'), 'local')
  assert.equal(await nextOf(daemon, 'two'), 'beta')
})

inWorld('through NAT a machine boots in single-port mode, which it could not otherwise', async (world, t) => {
  const { network, attach, serve } = world()
  const router = attach('router', macs.router, '10.77.0.254/24')
  const hidden = network.namespace('hidden')
  network.link(
    { space: router, name: 'net1', addresses: ['192.0.2.254/24'] },
    { space: hidden, name: 'net0', mac: macs.one, addresses: ['192.0.2.11/24'] },
  )
  router.set('net.ipv4.ip_forward', '1')
  hidden.must('ip', 'route', 'add', 'default', 'via', '192.0.2.254')
  try {
    router.must('nft', 'add table ip nat')
    router.must('nft', 'add chain ip nat post { type nat hook postrouting priority 100; }')
    router.must('nft', 'add rule ip nat post oifname "net0" masquerade')
  } catch (error) {
    return t.skip(`needs NAT in the kernel: ${error instanceof Error ? error.message : String(error)}`)
  }
  let daemon = await serve()
  await writeProfiles(daemon, 'alpha')
  await addSystem(daemon, 'hidden', macs.one, 'alpha')
  assert.equal(await tftpGet(hidden, server, configName(macs.one), 4), 'no answer', 'this NAT has no TFTP helper')
  await daemon.stop()
  daemon = await serve({ flags: ['--tftp-single-port'] })
  assert.deepEqual(await tftpGet(hidden, server, configName(macs.one)), { text: profileText('alpha') })
  const direct = await tftpGet(router, server, 'pxelinux.0')
  assert.ok(typeof direct === 'object')
  assert.deepEqual(await tftpGet(hidden, server, 'pxelinux.0'), direct, 'a file of many blocks')
})

inWorld("another machine's MAC is honoured from trusted networks only, a machine's own always", async (world) => {
  const { host, attach, serve } = world('198.51.100.1/24')
  const inside = attach('inside', macs.one, '10.77.0.11/24')
  const outside = attach('outside', macs.two, '198.51.100.12/24')
  const http = `${server}:8000,198.51.100.1:8000,127.0.0.1:8000`
  const publicBase = 'http://198.51.100.1:8000'
  let daemon = await serve({ http })
  await writeProfiles(daemon, 'alpha', 'beta')
  await addSystem(daemon, 'inside', macs.one, 'alpha')
  await addSystem(daemon, 'outside', macs.two, 'beta')
  assert.deepEqual(await httpGet(outside, `${publicBase}/profile/${macs.two}/`), { status: 200, text: 'beta' })
  const upper = macs.two.toUpperCase().replaceAll(':', '-')
  assert.deepEqual(await httpGet(outside, `${publicBase}/profile/${upper}/`), { status: 200, text: 'beta' })
  for (const path of ['profile', 'localboot', 'ipxe']) {
    assert.equal((await httpGet(outside, `${publicBase}/${path}/${macs.one}/`)).status, 403, path)
  }
  const forged = ['--header', `X-Forwarded-For: 10.77.0.11`, '--header', 'Forwarded: for=127.0.0.1']
  assert.equal((await httpGet(outside, `${publicBase}/localboot/${macs.one}/`, ...forged)).status, 403)
  assert.equal(await nextOf(daemon, 'inside'), 'alpha', 'a refused report changes nothing')
  assert.deepEqual(await httpGet(inside, `${base}/profile/${macs.two}/`), { status: 200, text: 'beta' })
  assert.deepEqual(await httpGet(inside, `${base}/localboot/${macs.two}/`), { status: 200, text: reported })
  assert.equal(await nextOf(daemon, 'outside'), 'local')

  await daemon.stop()
  daemon = await serve({ http, flags: ['--trusted-networks', 'off'] })
  assert.equal((await httpGet(inside, `${base}/profile/${macs.two}/`)).status, 403)
  assert.deepEqual(await httpGet(inside, `${base}/profile/${macs.one}/`), { status: 200, text: 'alpha' })
  assert.deepEqual(await httpGet(host, `http://127.0.0.1:8000/profile/${macs.one}/`), { status: 200, text: 'alpha' })
  await daemon.stop()
  await serve({ http, flags: ['--trusted-networks', '198.51.100.0/25'] })
  assert.deepEqual(await httpGet(outside, `${publicBase}/profile/${macs.one}/`), { status: 200, text: 'alpha' })
  assert.equal((await httpGet(inside, `${base}/profile/${macs.two}/`)).status, 403)
})
