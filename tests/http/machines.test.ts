import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { Hono } from 'hono'
import type { Ip4, Mac } from '../../src/domain/address.ts'
import { Refusal } from '../../src/domain/errors.ts'
import { baseUrl, createTrustedNetworks } from '../../src/http/caller.ts'
import type { HttpEnv } from '../../src/http/env.ts'
import { createMachineUrls, type MachineOptions, type MachineUrls } from '../../src/http/machines.ts'
import { silentLog } from '../../src/log.ts'
import { createBootAddresses } from '../../src/net/boot-addresses.ts'
import { createAnswerBoot } from '../../src/profiles/answer.ts'
import { createProfileFiles } from '../../src/profiles/folder.ts'
import { createMemoryStore, type MemoryStore } from '../harness/memory-store.ts'

const m1 = '52:54:00:ab:cd:ef' as Mac
const m2 = '52:54:00:00:00:02' as Mac
const peer = '10.77.0.13'
let dir: string
let store: MemoryStore
let urls: MachineUrls
let arp: Map<string, Mac>
let neighbours6: Map<string, Mac>
let trusted: ReturnType<typeof createTrustedNetworks>
let options: MachineOptions

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pxemngr-machines-'))
  store = createMemoryStore()
  arp = new Map()
  neighbours6 = new Map()
  trusted = createTrustedNetworks([{ address: '192.168.0.0', prefixLength: 16, family: 'ipv4' }])
  for (const [at, name] of ['local', 'install', 'café'].entries()) {
    writeFileSync(join(dir, `${name}.prof`), `default 0\nlabel 0\nkernel ${name}-k\nappend initrd=i root=<%= mac %>\n`)
    store.apply({ type: 'profile.registered', profile: at + 1, name })
  }
  writeFileSync(join(dir, 'local.prof'), 'default 0\nlabel 0\nlocalboot 0\n')
  const profiles = createProfileFiles(dir, Buffer.from('default 0\nlabel 0\nlocalboot 0\n'))
  options = {
    store,
    profiles,
    answerBoot: createAnswerBoot(store.queries, profiles),
    callers: {
      neighbours: {
        macOf: (ip) => arp.get(ip),
        findMac6: async (ip) => neighbours6.get(ip),
        ipOf: (mac) => [...arp].find(([, known]) => known === mac)?.[0] as Ip4 | undefined,
      },
      bootAddresses: createBootAddresses(store),
      queries: store.queries,
    },
    trusted: () => trusted,
    publicUrl: () => null,
    log: silentLog,
  }
  urls = createMachineUrls(options)
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

interface Given {
  from?: string
  method?: string
  headers?: Record<string, string>
}

async function ask(path: string, { from = peer, method = 'GET', headers = {} }: Given = {}) {
  const answer = await urls.answer({
    method,
    path,
    header: (name) => headers[name],
    peer: from,
    local: '10.77.0.1',
    localPort: 8000,
  })
  return answer && { status: answer.status, body: Buffer.from(answer.body).toString(), headers: answer.headers }
}

async function get(path: string, given: Given = {}): Promise<string> {
  const answer = await ask(path, given)
  return answer ? `${answer.status} ${answer.body}` : 'none'
}

const next = (mac: Mac) => store.queries.nextBootOf(mac)?.profile

describe('/localboot/', () => {
  it('sets the next boot of the system that decided the boot, and answers 0.8’s words', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    arp.set(peer, m1)
    assert.equal(await get('/localboot/'), '200 Next boot set to local')
    assert.equal(next(m1), 'local')
    assert.deepEqual(store.records.at(-1)?.actor, { who: m1, from: peer, surface: 'machine' })
    assert.deepEqual(store.options.at(-1), { plane: 'machine' })
  })

  it('a trailing slash is optional, answered directly', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    arp.set(peer, m1)
    assert.equal(await get('/localboot'), '200 Next boot set to local')
    assert.equal(next(m1), 'local')
  })

  it('M4: among aliases it is recorded for the one that decided', async () => {
    store.addSystem('a', m1)
    const b = store.addSystem('b', m1)
    store.nextBoot('a', 'install')
    store.nextBoot('b', 'install')
    arp.set(peer, m1)
    await get('/localboot/')
    const event = store.records.at(-1)?.events[0]
    assert.equal(event?.type === 'boot.decided' && event.system, b)
    assert.equal(await get('/profile/'), '200 local')
  })

  it('a report that changes nothing writes nothing', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'local')
    arp.set(peer, m1)
    arp.set('10.77.0.14', m2)
    await get('/localboot/', { from: '10.77.0.14' })
    const before = store.records.length
    assert.equal(await get('/localboot/'), '200 Next boot set to local')
    assert.equal(await get('/localboot/', { from: '10.77.0.14' }), '200 Next boot set to local')
    assert.equal(store.records.length, before)
  })

  it('a MAC that no system has is remembered, and boots local from then on', async () => {
    store.nextBoot('default', 'install')
    arp.set(peer, m1)
    assert.equal(await get('/profile/'), '200 install')
    assert.equal(await get('/localboot/'), '200 Next boot set to local')
    assert.equal(await get('/profile/'), '200 local')
    assert.equal(store.queries.defaultNextBoot()?.profile, 'install')
  })

  it('a prefix caller is remembered for its own IP and MAC, never for the prefix system', async () => {
    store.addSystem('net', '10.77')
    store.nextBoot('net', 'install')
    arp.set(peer, m1)
    assert.equal(await get('/localboot/'), '200 Next boot set to local')
    assert.equal(await get('/profile/'), '200 local')
    assert.equal(await get('/profile/', { from: '10.77.0.99' }), '200 install')
    assert.deepEqual(store.records.at(-1)?.events, [
      { type: 'report.remembered', mac: m1, ip: peer, system: 1, profile: 'local' },
    ])
  })

  it('R3: many at once are one decision', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    arp.set(peer, m1)
    const before = store.records.length
    const answers = await Promise.all(Array.from({ length: 50 }, () => get('/localboot/')))
    assert.ok(answers.every((answer) => answer === '200 Next boot set to local'))
    assert.equal(store.records.length, before + 1)
  })

  it('S5: HEAD, other methods and prefetch change nothing', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    arp.set(peer, m1)
    const before = store.records.length
    assert.equal((await ask('/localboot/', { method: 'HEAD' }))?.status, 200)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const answer = await ask('/localboot/', { method })
      assert.equal(answer?.status, 405)
      assert.equal(answer?.headers?.['allow'], 'GET, HEAD')
    }
    for (const [name, value] of [
      ['sec-purpose', 'prefetch;prerender'],
      ['purpose', 'prefetch'],
      ['x-moz', 'prefetch'],
    ] as const) {
      assert.equal((await ask('/localboot/', { headers: { [name]: value } }))?.status, 503)
      assert.equal((await ask('/nextboot/install/', { headers: { [name]: value } }))?.status, 503)
    }
    assert.equal(store.records.length, before)
  })

  it('503 when the report cannot be kept, and nothing is said to be done', async () => {
    store.addSystem('c1', m1)
    arp.set(peer, m1)
    store.fail = new Refusal('not-kept', 'the sync failed')
    const answer = await ask('/localboot/')
    assert.equal(answer?.status, 503)
    assert.equal(answer?.body, 'the report could not be kept: the sync failed')
    assert.equal(answer?.headers?.['retry-after'], '5')
    store.fail = undefined
    assert.equal(await get('/localboot/'), '200 Next boot set to local')
  })

  it('C9: works where local is not registered and has no file', async () => {
    rmSync(join(dir, 'local.prof'))
    store.apply({ type: 'profile.missing', profile: 1 })
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    arp.set(peer, m1)
    assert.equal(await get('/localboot/'), '200 Next boot set to local')
    assert.match(await get('/ipxe/'), /sanboot/)
  })

  it('a caller that nothing is known of is 404 in words', async () => {
    assert.equal(await get('/localboot/'), '404 no system has 10.77.0.13: pxemngr addsystem NAME 10.77.0.13')
    assert.equal(
      await get('/localboot/', { from: 'fd00::9' }),
      '404 the caller fd00::9 is not known by MAC or IPv4 address',
    )
  })
})

describe('recognition', () => {
  it('neighbour table first, then what the address last booted with, then IP and prefix', async () => {
    store.addSystem('net', '10.77')
    store.nextBoot('net', 'local')
    assert.equal(await get('/profile/'), '200 local')
    store.addSystem('c2', m2)
    store.nextBoot('c2', 'install')
    store.apply({ type: 'boot.address', ip: peer, mac: m2 })
    assert.equal(await get('/profile/'), '200 install')
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'café')
    arp.set(peer, m1)
    assert.equal(await get('/profile/'), '200 café')
    store.apply({ type: 'system.removed', system: 3, name: 'c1' })
    assert.equal(await get('/profile/'), '200 install', 'a step that yields no system falls to the next')
  })

  it('an IPv6 caller by its neighbour entry, else by what it last booted with', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    store.apply({ type: 'boot.address', ip: 'fd00::7', mac: m1 })
    neighbours6.set('fd00::8', m1)
    for (const from of ['fd00::7', 'fd00::8']) assert.equal(await get('/profile/', { from }), '200 install')
  })

  it('X-Forwarded-For is not looked at', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    arp.set('10.77.0.99', m1)
    assert.match(await get('/profile/', { headers: { 'x-forwarded-for': '10.77.0.99' } }), /^404 /)
  })
})

describe('S1: naming another machine’s MAC', () => {
  beforeEach(() => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
  })

  it('is 403 from anybody else, and nothing changes', async () => {
    for (const path of [`/localboot/${m1}/`, `/profile/${m1}/`, `/ipxe/${m1}`]) {
      assert.match(await get(path), /^403 10\.77\.0\.13 may not speak for 52:54:00:ab:cd:ef/)
    }
    assert.equal(next(m1), 'install')
  })

  it('is honoured from itself, from loopback, from the socket and from trusted networks', async () => {
    arp.set(peer, m1)
    store.apply({ type: 'boot.address', ip: '10.99.0.1', mac: m1 })
    for (const from of [peer, '10.99.0.1', '127.0.0.1', '::1', '', '192.168.7.7']) {
      assert.equal(await get(`/profile/${m1}/`, { from }), '200 install', from)
    }
    trusted = createTrustedNetworks([])
    assert.match(await get(`/profile/${m1}/`, { from: '192.168.7.7' }), /^403/)
    assert.equal(await get(`/profile/${m1}/`, { from: '127.0.0.1' }), '200 install')
  })

  it('networks of one family trust nobody of the other', async () => {
    const answer = async (from: string) => (await get(`/profile/${m1}/`, { from })).slice(0, 3)
    const answers = async () => [
      await answer('198.51.100.7'),
      await answer('::ffff:198.51.100.7'),
      await answer('2001:db8::7'),
    ]
    const network = (address: string, prefixLength: number, family: 'ipv4' | 'ipv6') => ({
      address,
      prefixLength,
      family,
    })
    trusted = createTrustedNetworks([network('::', 0, 'ipv6')])
    assert.deepEqual(await answers(), ['403', '403', '200'])
    trusted = createTrustedNetworks([network('::ffff:0:0', 96, 'ipv6')])
    assert.deepEqual(await answers(), ['403', '403', '403'])
    trusted = createTrustedNetworks([network('0.0.0.0', 0, 'ipv4')])
    assert.deepEqual(await answers(), ['200', '200', '403'])
    trusted = createTrustedNetworks([network('0.0.0.0', 0, 'ipv4'), network('2001:db8::', 32, 'ipv6')])
    assert.deepEqual(await answers(), ['200', '200', '200'])
  })

  it('every spelling of the MAC is accepted; what is none is 400', async () => {
    for (const spelling of [
      '52-54-00-AB-CD-EF',
      '525400abcdef',
      '5254.00ab.cdef',
      '01-52-54-00-ab-cd-ef',
      '52%3A54%3A00%3Aab%3Acd%3Aef',
    ]) {
      assert.equal(await get(`/profile/${spelling}/`, { from: '127.0.0.1' }), '200 install', spelling)
    }
    for (const none of ['00:11', 'zz:zz:zz:zz:zz:zz', '%00', '%zz', 'c1']) {
      assert.match(await get(`/profile/${none}/`, { from: '127.0.0.1' }), /^400 /, none)
    }
  })

  it('an unknown MAC is looked for at its own last address, not at the caller’s', async () => {
    store.addSystem('station', '192.168.7')
    store.nextBoot('station', 'café')
    store.addSystem('net', '10.77')
    store.nextBoot('net', 'local')
    assert.match(await get(`/profile/${m2}/`, { from: '192.168.7.7' }), /^404 no system has 52:54:00:00:00:02/)
    store.apply({ type: 'boot.address', ip: peer, mac: m2 })
    assert.equal(await get(`/profile/${m2}/`, { from: '192.168.7.7' }), '200 local')
  })
})

describe('/nextboot/<profile>/', () => {
  it('X2: sets the caller’s own next boot', async () => {
    store.addSystem('c1', m1)
    arp.set(peer, m1)
    assert.equal(await get('/nextboot/install/'), '200 Next boot set to install')
    assert.equal(await get('/nextboot/caf%C3%A9'), '200 Next boot set to café')
    assert.equal(next(m1), 'café')
  })

  it('an unknown profile, one without a file, and a caller no system has are 404', async () => {
    store.addSystem('c1', m1)
    arp.set(peer, m1)
    for (const profile of ['nosuch', 'Install', '..%2Finstall', '%00', ''])
      assert.match(await get(`/nextboot/${profile}/`), /^(404|none)/)
    rmSync(join(dir, 'install.prof'))
    assert.match(await get('/nextboot/install/'), /^404 /)
    arp.set(peer, m2)
    assert.match(await get('/nextboot/café/'), /^404 no system has 52:54:00:00:00:02/)
    assert.equal(store.queries.rememberedFor(m2), undefined)
  })

  it('a prefix caller’s is remembered for itself', async () => {
    store.addSystem('net', '10.77')
    store.nextBoot('net', 'local')
    assert.equal(await get('/nextboot/install/'), '200 Next boot set to install')
    assert.equal(await get('/profile/'), '200 install')
    assert.equal(await get('/profile/', { from: '10.77.0.99' }), '200 local')
  })
})

describe('/profile/ and /ipxe/', () => {
  it('M2: an IP prefix system with a letter in its hex is known', async () => {
    store.addSystem('net', '10.77')
    store.nextBoot('net', 'install')
    assert.equal(await get('/profile/'), '200 install')
  })

  it('C7: before the first nextboot: default’s where there is one, else 404 with the next step', async () => {
    store.addSystem('c1', m1)
    arp.set(peer, m1)
    assert.equal(await get('/profile/'), '404 c1 has no next boot: pxemngr nextboot c1 PROFILE')
    assert.match(await get('/ipxe/'), /^404 /)
    store.nextBoot('default', 'install')
    assert.equal(await get('/profile/'), '200 install')
  })

  it('name what is served: local where the profile is missing or its template fails', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'gone')
    arp.set(peer, m1)
    assert.equal(await get('/profile/'), '200 local')
    writeFileSync(join(dir, 'gone.prof'), '<%= nosuch %>')
    assert.equal(await get('/profile/'), '200 local')
    assert.match(await get('/ipxe/'), /sanboot/)
  })

  it('M7: the iPXE script of the machine’s own profile, by the host it asked', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    arp.set(peer, m1)
    assert.equal(
      await get('/ipxe/', { headers: { host: 'boot.example:83' } }),
      '200 #!ipxe\n\nkernel http://boot.example:83/boot/install-k initrd=i root=52:54:00:ab:cd:ef\n' +
        'initrd http://boot.example:83/boot/i\nboot\n',
    )
  })

  it('a preview is no boot, iPXE itself is', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    const booted: (string | undefined)[][] = []
    urls = createMachineUrls({ ...options, onConfigServed: (_name, _decision, from, mac) => booted.push([from, mac]) })
    await get(`/ipxe/${m1}/`, { from: '192.168.7.7', headers: { 'user-agent': 'curl/7.88' } })
    assert.equal(options.callers.bootAddresses.macOf('192.168.7.7'), undefined)
    assert.deepEqual(booted, [])
    await get(`/ipxe/${m1}/`, { from: '192.168.7.8', headers: { 'user-agent': 'iPXE/1.0.0+git' } })
    assert.equal(options.callers.bootAddresses.macOf('192.168.7.8'), m1)
    // Whatever asks at the machine's own address boots, by name or without.
    arp.set(peer, m1)
    await get(`/ipxe/${m1}/`, { headers: { 'user-agent': 'curl/7.88' } })
    await get('/ipxe/', { headers: { 'user-agent': 'curl/7.88' } })
    await get('/ipxe/', { method: 'HEAD', headers: { 'user-agent': 'iPXE/1.0.0+git' } })
    assert.deepEqual(booted, [
      ['192.168.7.8', m1],
      [peer, undefined],
      [peer, undefined],
    ])
  })
})

describe('other paths', () => {
  it('are none of these URLs', async () => {
    for (const path of [
      '/',
      '/profiles',
      '/profile//',
      '//profile/',
      '/Profile/',
      '/profile/a/b',
      '/nextboot/',
      '/boot/x',
    ]) {
      assert.equal(await get(path), 'none', path)
    }
  })
})

describe('the base URL', () => {
  it('is public-url, else a plain Host, else the address it came in on', () => {
    assert.equal(baseUrl('https://x.example', 'y', '10.0.0.1', 8000), 'https://x.example')
    for (const host of ['10.0.0.1:8000', 'boot-1.example', '[fd00::1]:83']) {
      assert.equal(baseUrl(null, host, '10.0.0.1', 8000), `http://${host}`)
    }
    for (const host of [
      undefined,
      '',
      'a b',
      'user@host',
      'x/y',
      'x\n',
      '$\u007buuid}',
      "x';reboot",
      'x:y',
      '-x',
      'x:65536',
    ]) {
      assert.equal(baseUrl(null, host, '10.0.0.1', 8000), 'http://10.0.0.1:8000', host)
    }
    assert.equal(baseUrl(null, undefined, 'fe80::1%eth0', 80), 'http://[fe80::1]')
  })
})

describe('the ways in', () => {
  it('as routes of the application: exact bytes, length, no store', async () => {
    const app = new Hono<HttpEnv>({ strict: false })
    app.use(async (c, go) => {
      c.set('peer', peer)
      c.set('local', '10.77.0.1')
      c.set('localPort', 8000)
      await go()
    })
    urls.mount(app)
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'café')
    arp.set(peer, m1)
    for (const path of ['/profile', '/profile/', `/profile/${m1}/`]) {
      const response = await app.request(path)
      assert.equal(response.status, 200)
      assert.equal(await response.text(), 'café')
      assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8')
      assert.equal(response.headers.get('content-length'), '5')
      assert.equal(response.headers.get('cache-control'), 'no-store')
    }
    const head = await app.request('/profile/', { method: 'HEAD' })
    assert.equal(head.headers.get('content-length'), '5')
    assert.equal(await head.text(), '')
    assert.equal((await app.request('/localboot/', { method: 'POST' })).status, 405)
    assert.equal(await (await app.request('/nextboot/caf%C3%A9/')).text(), 'Next boot set to café')
  })

  it('from the raw server: loopback may name any MAC, other paths are left alone', async () => {
    store.addSystem('c1', m1)
    store.nextBoot('c1', 'install')
    const server = createServer((incoming, outgoing) => {
      if (!urls.first(incoming, outgoing)) outgoing.writeHead(418).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      const response = await fetch(`${base}/profile/${m1}/?x=1`)
      assert.equal(await response.text(), 'install')
      assert.equal(response.headers.get('content-length'), '7')
      assert.equal((await fetch(`${base}/profile/${m1}/`, { method: 'HEAD' })).headers.get('content-length'), '7')
      assert.equal((await fetch(`${base}/localboot/${m1}/`, { method: 'POST', body: 'x' })).status, 405)
      assert.equal(await (await fetch(`${base}/localboot/${m1}`)).text(), 'Next boot set to local')
      assert.equal((await fetch(`${base}/other`)).status, 418)
      store.fail = new Error('a bug')
      assert.equal((await fetch(`${base}/localboot/${m2}`)).status, 500)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})
