import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { get, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Hono } from 'hono'
import type { Download } from '../../src/http/download.ts'
import type { HttpEnv } from '../../src/http/env.ts'
import { mountBootFiles } from '../../src/http/files.ts'
import { listenerOf } from '../../src/http/management.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { silentLog } from '../../src/log.ts'
import { createAnswerBoot } from '../../src/profiles/answer.ts'
import { createProfileFiles } from '../../src/profiles/folder.ts'
import type { Requester } from '../../src/tftp/resolution.ts'
import { createTree } from '../../src/tftp/tree.ts'
import { createMemoryStore, type MemoryStore } from '../harness/memory-store.ts'

let top: string
let root: string
let store: MemoryStore
let server: Server
let base: string
let app: Hono<HttpEnv>
let asked: Requester[]
let downloads: Download[]
const loader = randomBytes(5000)
const kernel = randomBytes(3 * 1024 * 1024 + 17)

beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'pxemngr-files-'))
  root = join(top, 'root')
  mkdirSync(join(root, 'debian'), { recursive: true })
  mkdirSync(join(top, 'profiles'))
  writeFileSync(join(root, 'debian/vmlinuz'), kernel)
  const past = new Date(Date.now() - 3600_000)
  utimesSync(join(root, 'debian/vmlinuz'), past, past)
  store = createMemoryStore()
  asked = []
  app = new Hono<HttpEnv>({ strict: false })
  app.use(async (c, next) => {
    c.set('peer', '127.0.0.1')
    c.set('local', '127.0.0.1')
    c.set('localPort', 8000)
    await next()
  })
  mountBootFiles(app, {
    resolve: createTree({
      answerBoot: createAnswerBoot(store.queries, createProfileFiles(join(top, 'profiles'), Buffer.from('local\n'))),
      url: () => 'unused',
      lastMacOf: () => undefined,
      onMacAsked: (_mac, from) => asked.push(from),
    }),
    places: () => ({ root, linkTargets: [join(top, 'allowed')] }),
    findLoader: (name) => (name === 'ipxe.efi' ? loader : undefined),
    publicUrl: () => null,
    log: silentLog,
    onDownload: (download) => downloads.push(download),
  })
  downloads = []
  server = createHttpServer(listenerOf(app, 'tcp'), 'tcp')
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  rmSync(top, { recursive: true, force: true })
})

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function fetched(path: string, init: RequestInit = {}) {
  const response = await fetch(`${base}${path}`, init)
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) }
}

/** The raw request line, which `fetch` would tidy. */
function rawGet(path: string): Promise<number> {
  const { port } = server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    }).on('error', reject)
  })
}

/** Open descriptors of files below the test's folder. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`)
      return path.startsWith(top) ? [path] : []
    } catch {
      return []
    }
  })
}

async function until(condition: () => boolean): Promise<void> {
  for (let waitedMs = 0; waitedMs < 10_000 && !condition(); waitedMs += 10) await sleep(10)
  assert.ok(condition())
}

describe('GET /boot/<path>', () => {
  it('a file of the TFTP root comes whole, with length, type and validators', async () => {
    const { status, headers, bytes } = await fetched('/boot/debian/vmlinuz')
    assert.equal(status, 200)
    assert.equal(hash(bytes), hash(kernel))
    assert.equal(headers.get('content-length'), String(kernel.length))
    assert.equal(headers.get('content-type'), 'application/octet-stream')
    assert.equal(headers.get('accept-ranges'), 'bytes')
    assert.match(headers.get('etag') ?? '', /^"[\w-]{22}"$/)
    assert.ok(Date.parse(headers.get('last-modified') ?? '') < Date.now())
    await until(() => openFiles().length === 0)
  })

  it('HEAD says the same and sends nothing', async () => {
    const whole = await fetched('/boot/debian/vmlinuz')
    const head = await fetched('/boot/debian/vmlinuz', { method: 'HEAD' })
    assert.equal(head.status, 200)
    assert.equal(head.bytes.length, 0)
    for (const name of ['content-length', 'content-type', 'etag', 'last-modified', 'accept-ranges']) {
      assert.equal(head.headers.get(name), whole.headers.get(name), name)
    }
  })

  it('Range, If-Range, 416 and 304', async () => {
    const { headers } = await fetched('/boot/debian/vmlinuz', { method: 'HEAD' })
    const etag = headers.get('etag') ?? ''
    const part = await fetched('/boot/debian/vmlinuz', {
      headers: { range: 'bytes=1048570-2097160', 'if-range': etag },
    })
    assert.equal(part.status, 206)
    assert.equal(part.headers.get('content-range'), `bytes 1048570-2097160/${kernel.length}`)
    assert.equal(hash(part.bytes), hash(kernel.subarray(1048570, 2097161)))
    const other = await fetched('/boot/debian/vmlinuz', { headers: { range: 'bytes=0-1', 'if-range': '"other"' } })
    assert.equal(other.bytes.length, kernel.length)
    const beyond = await fetched('/boot/debian/vmlinuz', { headers: { range: `bytes=${kernel.length}-` } })
    assert.equal(beyond.status, 416)
    assert.equal(beyond.headers.get('content-range'), `bytes */${kernel.length}`)
    const same = await fetched('/boot/debian/vmlinuz', { headers: { 'if-none-match': etag } })
    assert.equal(same.status, 304)
    assert.equal(same.bytes.length, 0)
    await until(() => openFiles().length === 0)
  })

  it('the ETag changes with the file, and is weak while the file is young', async () => {
    const before = (await fetched('/boot/debian/vmlinuz', { method: 'HEAD' })).headers.get('etag')
    writeFileSync(join(root, 'debian/vmlinuz'), 'new')
    const after = await fetched('/boot/debian/vmlinuz')
    assert.notEqual(after.headers.get('etag'), before)
    assert.match(after.headers.get('etag') ?? '', /^W\//)
    assert.equal(after.bytes.toString(), 'new')
  })

  it('the computed tree answers as over TFTP, and is never looked for among the files', async () => {
    mkdirSync(join(root, 'pxelinux.cfg'))
    writeFileSync(join(root, 'pxelinux.cfg/default'), 'old link farm')
    writeFileSync(join(root, 'pxelinux.cfg/menu.cfg'), 'menu')
    assert.equal((await fetched('/boot/pxelinux.cfg/default')).status, 404)
    assert.equal((await fetched('/boot/pxelinux.cfg/menu.cfg')).bytes.toString(), 'menu')
    store.nextBoot('default', 'local')
    const { bytes, headers } = await fetched('/boot/x/pxelinux.cfg/default')
    assert.equal(bytes.toString(), 'local\n')
    assert.equal(headers.get('content-type'), 'text/plain; charset=utf-8')
    const again = await fetched('/boot/pxelinux.cfg/default', {
      headers: { 'if-none-match': headers.get('etag') ?? '' },
    })
    assert.equal(again.status, 304)
    const miss = await fetched('/boot/pxelinux.cfg/01-52-54-00-ab-cd-ef')
    assert.equal(miss.bytes.toString(), 'no system has 52:54:00:ab:cd:ef: pxemngr addsystem NAME 52:54:00:ab:cd:ef')
  })

  it('looking at a machine’s configuration is no boot, a boot program’s request is', async () => {
    await fetched('/boot/pxelinux.cfg/01-52-54-00-ab-cd-ef')
    assert.equal(asked.length, 0)
    await fetched('/boot/pxelinux.cfg/01-52-54-00-ab-cd-ef', { headers: { 'user-agent': 'Syslinux/6.04' } })
    assert.equal(asked.length, 1)
  })

  it('embedded loaders by their upstream names, a file of the root before them', async () => {
    const embedded = await fetched('/boot/ipxe.efi')
    assert.deepEqual(embedded.bytes, loader)
    assert.equal(embedded.headers.get('content-type'), 'application/efi')
    const part = await fetched('/boot/ipxe.efi', { headers: { range: 'bytes=-10' } })
    assert.deepEqual(part.bytes, loader.subarray(-10))
    writeFileSync(join(root, 'ipxe.efi'), 'own')
    assert.equal((await fetched('/boot/ipxe.efi')).bytes.toString(), 'own')
  })

  it('names are decoded once: blanks, signs, UTF-8 and a literal percent', async () => {
    for (const name of ['a b', 'é', '100%', 'a%20b', "q'(1)+,;=@", 'x?y#z']) {
      writeFileSync(join(root, name), name)
      assert.equal((await fetched(`/boot/${encodeURIComponent(name)}`)).bytes.toString(), name)
    }
    writeFileSync(join(root, 'empty'), '')
    const empty = await fetched('/boot/empty')
    assert.equal(empty.status, 200)
    assert.equal(empty.headers.get('content-length'), '0')
  })

  it('other methods are 405', async () => {
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const { status, headers } = await fetched('/boot/debian/vmlinuz', { method })
      assert.equal(status, 405)
      assert.equal(headers.get('allow'), 'GET, HEAD')
    }
  })

  it('without a Node response, as a stream', async () => {
    const response = await app.request('/boot/debian/vmlinuz', {}, {})
    assert.equal(hash(Buffer.from(await response.arrayBuffer())), hash(kernel))
    await until(() => openFiles().length === 0)
  })
})

describe('the jail', () => {
  it('S2: nothing outside the root is served, by dots, encoded dots, backslashes, NUL or links', async () => {
    writeFileSync(join(top, 'secret'), 'secret')
    mkdirSync(join(top, 'allowed'))
    writeFileSync(join(top, 'allowed/ok'), 'ok')
    symlinkSync(join(top, 'secret'), join(root, 'out'))
    symlinkSync('/etc', join(root, 'etc'))
    symlinkSync(join(top, 'allowed'), join(root, 'in'))
    for (const path of [
      '/boot/../secret',
      '/boot/%2e%2e/secret',
      '/boot/..%2fsecret',
      '/boot/debian/..%2f..%2fsecret',
      '/boot/..%5csecret',
      '/boot/%2fetc/passwd%00',
      '/boot//etc/../../secret',
      '/boot/out',
      '/boot/etc/passwd',
      '/boot/%00',
    ]) {
      assert.equal(await rawGet(path), 404, path)
    }
    assert.equal(await rawGet('/boot/%zz'), 400)
    assert.equal((await fetched('/boot/in/ok')).bytes.toString(), 'ok')
  })

  it('a folder, a FIFO, a device and a dangling link are not found, and block nothing', async () => {
    execFileSync('mkfifo', [join(root, 'fifo')])
    symlinkSync('nowhere', join(root, 'dangling'))
    symlinkSync('/dev/zero', join(root, 'zero'))
    for (const path of ['debian', 'debian/', 'fifo', 'dangling', 'zero', '', 'debian/vmlinuz/x']) {
      assert.equal((await fetched(`/boot/${path}`)).status, 404, path)
    }
    assert.deepEqual(openFiles(), [])
  })
})

describe('transfers', () => {
  it('many at once are all whole', async () => {
    const results = await Promise.all(Array.from({ length: 40 }, () => fetched('/boot/debian/vmlinuz')))
    const wanted = hash(kernel)
    for (const { bytes } of results) assert.equal(hash(bytes), wanted)
    await until(() => openFiles().length === 0)
  })

  it('a client that goes away closes the file', async () => {
    truncateSync(join(root, 'debian/vmlinuz'), 512 * 1024 * 1024)
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`${base}/boot/debian/vmlinuz`, { agent: false }, resolve).on('error', reject)
    })
    response.once('data', () => response.destroy())
    await new Promise((resolve) => response.once('close', resolve))
    await until(() => openFiles().length === 0)
    assert.equal((await fetched('/boot/ipxe.efi')).status, 200)
  })

  it('a file that becomes shorter while it is sent breaks the connection, never a short answer that looks whole', async () => {
    truncateSync(join(root, 'debian/vmlinuz'), 512 * 1024 * 1024)
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`${base}/boot/debian/vmlinuz`, { agent: false }, resolve).on('error', reject)
    })
    truncateSync(join(root, 'debian/vmlinuz'), 1024)
    const failed = new Promise((resolve) => response.once('error', resolve))
    response.resume()
    assert.match(String(await failed), /aborted/)
    await until(() => openFiles().length === 0)
  })
})

describe('a file that is fetched again and again', () => {
  const path = '/boot/debian/vmlinuz'

  it('is the same from memory: whole, in any part, and as it is now once it has changed', async () => {
    await fetched(path)
    for (let i = 0; i < 2; i++) assert.equal(hash((await fetched(path)).bytes), hash(kernel))
    const MiB = 1024 * 1024
    for (const [first, last] of [
      [0, 0],
      [MiB - 1, MiB],
      [5, 2 * MiB + 5],
      [3 * MiB, kernel.length - 1],
      [kernel.length - 1, kernel.length - 1],
    ] as const) {
      const { status, bytes } = await fetched(path, { headers: { range: `bytes=${first}-${last}` } })
      assert.equal(status, 206)
      assert.deepEqual(bytes, kernel.subarray(first, last + 1))
    }
    const changed = randomBytes(kernel.length)
    writeFileSync(join(root, 'debian/vmlinuz'), changed)
    const past = new Date(Date.now() - 3600_000)
    utimesSync(join(root, 'debian/vmlinuz'), past, past)
    for (let i = 0; i < 3; i++) assert.equal(hash((await fetched(path)).bytes), hash(changed))
    await until(() => openFiles().length === 0)
  })

  it('is whole for everybody where one of those who fetch it goes away', async () => {
    await fetched(path)
    const others = Array.from({ length: 8 }, () => fetched(path))
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`${base}${path}`, { agent: false }, resolve).on('error', reject)
    })
    response.once('data', () => response.destroy())
    for (const { bytes } of await Promise.all(others)) assert.equal(hash(bytes), hash(kernel))
    assert.equal(hash((await fetched(path)).bytes), hash(kernel))
    await until(() => openFiles().length === 0)
  })

  it('breaks the connection too where it becomes shorter', async () => {
    truncateSync(join(root, 'debian/vmlinuz'), 64 * 1024 * 1024)
    const past = new Date(Date.now() - 3600_000)
    utimesSync(join(root, 'debian/vmlinuz'), past, past)
    await fetched(path, { headers: { range: 'bytes=0-9' } })
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`${base}${path}`, { agent: false }, resolve).on('error', reject)
    })
    truncateSync(join(root, 'debian/vmlinuz'), 1024)
    const failed = new Promise((resolve) => response.once('error', resolve))
    response.resume()
    assert.match(String(await failed), /aborted/)
    await until(() => openFiles().length === 0)
  })
})

describe('a download is recorded once, when it is over', () => {
  /** The records, without what differs from run to run. */
  async function recorded(count: number) {
    await until(() => downloads.length >= count)
    assert.equal(downloads.length, count)
    for (const { startedMs, durationMs } of downloads) assert.ok(startedMs <= Date.now() && durationMs >= 0)
    return downloads.map(({ from, name, outcome, sizeBytes, sentBytes, detail }) => {
      assert.equal(from.address, '127.0.0.1')
      return { name, outcome, sizeBytes, sentBytes, detail }
    })
  }

  it('whole, in part, not changed, an embedded loader, a computed answer', async () => {
    const { headers } = await fetched('/boot/debian/vmlinuz')
    await fetched('/boot/debian/vmlinuz', { headers: { range: 'bytes=10-19' } })
    await fetched('/boot/debian/vmlinuz', { headers: { 'if-none-match': headers.get('etag') ?? '' } })
    await fetched('/boot/ipxe.efi')
    const size = kernel.length
    const name = '/boot/debian/vmlinuz'
    assert.deepEqual(await recorded(4), [
      { name, outcome: 'done', sizeBytes: size, sentBytes: size, detail: '' },
      { name, outcome: 'done', sizeBytes: size, sentBytes: 10, detail: 'in parts' },
      { name, outcome: 'done', sizeBytes: size, sentBytes: 0, detail: 'not changed since the last time' },
      { name: '/boot/ipxe.efi', outcome: 'done', sizeBytes: loader.length, sentBytes: loader.length, detail: '' },
    ])
  })

  it('what is refused says why; HEAD is no download', async () => {
    await fetched('/boot/debian/vmlinuz', { method: 'HEAD' })
    await fetched('/boot/not%20there')
    await fetched('/boot/debian/vmlinuz', { headers: { range: `bytes=${kernel.length}-` } })
    const [missing, range] = await recorded(2)
    assert.deepEqual(missing, {
      ...{ name: '/boot/not there', outcome: 'refused', sizeBytes: null, sentBytes: 0 },
      detail: 'is not there',
    })
    assert.equal(range?.outcome, 'refused')
    assert.match(range?.detail ?? '', /not within/)
  })

  it('a peer that goes away has aborted it, a file that becomes shorter has failed it', async () => {
    const big = join(root, 'big')
    writeFileSync(big, '')
    truncateSync(big, 256 * 1024 * 1024)
    const { port } = server.address() as AddressInfo
    const cut = async (act: () => void): Promise<void> => {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        get({ host: '127.0.0.1', port, path: '/boot/big', agent: false }, resolve).on('error', reject)
      })
      response.on('error', () => {})
      act()
      if (act === leave) response.destroy()
      else response.resume()
    }
    const leave = (): void => {}
    await cut(leave)
    await recorded(1)
    await cut(() => truncateSync(big, 1024))
    const [aborted, failed] = await recorded(2)
    assert.equal(aborted?.outcome, 'aborted')
    assert.equal(failed?.outcome, 'failed')
    assert.match(failed?.detail ?? '', /shorter/)
    for (const each of [aborted, failed])
      assert.ok(each && each.sentBytes < 256 * 1024 * 1024, 'not all of it was sent')
  })
})
