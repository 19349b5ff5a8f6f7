/**
 * The pages over a daemon without sockets, and data to look at: machines, boots and what hurts (hostile names, hundreds
 * of systems, failures). `serveSite` puts it on a free port of the loopback for browsers.
 */
import { serve } from '@hono/node-server'
import type { Daemon } from '../../src/commands/daemon.ts'
import { findAddress, type Mac } from '../../src/domain/address.ts'
import type { Actor, Event } from '../../src/domain/event.ts'
import type { HttpApp } from '../../src/http/env.ts'
import { loginPage, mountPages, type Pages, problemPage } from '../../src/http/pages.ts'
import type { BootsChanged } from '../../src/store/boot-timeline.ts'
import { type Management, openManagement } from './management.ts'

/** A boot as the trace answers it. */
export interface BootRow {
  readonly id: number
  readonly mac: string | null
  readonly ip: string
  readonly systemId: number | null
  readonly profile: string | null
  readonly decision?: { readonly by: string; readonly instead: string; readonly seq: number } | null
  readonly startedMs: number
  readonly endedMs: number
  readonly steps: readonly Record<string, unknown>[]
  readonly more: number
}

export interface Site extends Management {
  readonly boots: BootRow[]
  /** What the trace does when it is asked. */
  trace: 'answers' | 'fails'
  /** Tells whoever follows that boots have changed; whose, where it is told. */
  booted(changed?: BootsChanged): void
  /** Adds a system in one record, with a next boot if `profile` is given; resolves with its id. */
  add(name: string, addresses: readonly string[], profile?: string): Promise<number>
  /** A browser's GET. */
  get(path: string): Promise<{ status: number; headers: Headers; text: string }>
}

const person: Actor = { who: 'ann', from: 'socket', surface: 'cli' }

export async function openSite(): Promise<Site> {
  let pages: Pages | undefined
  const boots: BootRow[] = []
  const listeners = new Set<(changed: BootsChanged | undefined) => void>()
  const daemonBoots: Daemon['boots'] = async ({ latestOf, id, system, mac, limit }) => {
    if (site.trace === 'fails') throw new Error('the trace does not answer')
    if (latestOf) {
      const latest = latestOf.flatMap((each) => boots.find((boot) => boot.systemId === each) ?? [])
      return latest as unknown as readonly Readonly<Record<string, unknown>>[]
    }
    const wanted = boots.filter(
      (boot) =>
        (id === undefined || boot.id === id) &&
        (system === undefined || boot.systemId === system) &&
        (mac === undefined || boot.mac === mac),
    )
    return wanted.slice(0, limit) as unknown as readonly Readonly<Record<string, unknown>>[]
  }
  let mounted: HttpApp | undefined
  const management = await openManagement({
    loginPage,
    problemPage,
    mounts: [
      (app) => {
        mounted = app
      },
    ],
  })
  Object.assign(management.daemon, {
    boots: daemonBoots,
    onBoots(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    listeners: { tftp: ['0.0.0.0:69'], http: ['0.0.0.0:8000'], socket: '/run/pxemngr/pxemngr.sock' },
    loaders: [
      'grubnetx64.efi',
      'ipxe.efi',
      'ldlinux.c32',
      'ldlinux.e64',
      'pxelinux.0',
      'syslinux.efi',
      'undionly.kpxe',
    ],
  } satisfies Partial<Daemon>)
  if (mounted) pages = mountPages(mounted, management.daemon)
  const { store } = management
  const site: Site = {
    ...management,
    boots,
    trace: 'answers',
    booted(changed) {
      for (const listener of listeners) listener(changed)
    },
    add: (name, addresses, profile) =>
      store.commit(person, (tx) => {
        const system = tx.findSystem(name)?.id ?? tx.nextId('system')
        const events: Event[] = tx.findSystem(name) ? [] : [{ type: 'system.added', system, name }]
        for (const text of addresses) {
          const address = findAddress(text)
          if (!address) throw new Error(`${text} is no address`)
          events.push({ type: 'address.added', system, address })
        }
        if (profile !== undefined) {
          events.push({ type: 'boot.decided', decision: tx.nextId('decision'), system, profile })
        }
        for (const event of events) tx.emit(event)
        return system
      }),
    async get(path) {
      const { status, headers, text } = await management.overTcp(path, { headers: { accept: 'text/html' } })
      return { status, headers, text }
    },
    close() {
      pages?.close()
      management.close()
    },
  }
  return site
}

/** On a free port of the loopback; `url` without a slash at its end. */
export async function serveSite(site: Site): Promise<{ url: string; close(): Promise<void> }> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const server = serve({ fetch: site.app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => resolve(port))
  const port = await promise
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((done) => {
        if ('closeAllConnections' in server) server.closeAllConnections()
        server.close(() => done())
      }),
  }
}

/** Ids as the trace gives them: none twice. */
let bootsMade = 0

/** A boot that ended `agoMs` ago, of the named files; `failed` ends with the last one timing out. */
export function bootOf(
  given: Partial<BootRow> & { readonly ip: string },
  agoMs: number,
  names: readonly string[],
  failed?: string,
): BootRow {
  bootsMade += 1
  const startedMs = Date.now() - agoMs - names.length * 700
  const steps = names.map((name, at) => {
    const last = failed !== undefined && at === names.length - 1
    const sizeBytes = name.includes('cfg') ? 412 : name.startsWith('/') ? 22 : 26_400 * (at + 1) ** 4
    return {
      at: startedMs + at * 700,
      kind: name.startsWith('/') ? 'http' : 'tftp',
      name,
      sizeBytes,
      sentBytes: last ? Math.floor(sizeBytes / 3) : sizeBytes,
      durationMs: 12 + at * 340,
      outcome: last ? 'timeout' : 'done',
      detail: last ? failed : '',
    }
  })
  return {
    id: bootsMade,
    mac: null,
    systemId: null,
    profile: null,
    startedMs,
    endedMs: startedMs + names.length * 700,
    more: 0,
    steps,
    ...given,
  }
}

const netboot = ['pxelinux.0', 'ldlinux.c32', 'pxelinux.cfg/01-52-54-00-12-34-56', 'debian/linux', 'debian/initrd.gz']

/** Names that break pages which take text for markup, for left-to-right or for short. */
export const hostileNames = [
  '<script>alert(1)<!--',
  '"><img src=x onerror=alert(2)>',
  '\u202egnp.exe\u202c right to left',
  'חדר שרתים ۴',
  "it's 'quoted' & <b>bold",
  'x'.repeat(255),
  '#{7*7} {{7*7}} <%= 7*7 %>',
] as const

/** What a boot of that MAC would be given now. */
function decisionOf(site: Site, mac: string): NonNullable<BootRow['decision']> {
  return { by: 'mac', instead: '', seq: site.store.queries.nextBootOf(mac as Mac)?.seq ?? 0 }
}

/** A file as people write them, with a line that no loader knows. */
function profileText(name: string): string {
  return `# ${name}: https://boot.example.org/profiles
DEFAULT install
PROMPT 0
TIMEUOT 50

LABEL install
  MENU LABEL ^Install ${name}
  KERNEL ${name}/linux
  APPEND initrd=${name}/initrd.gz auto=true priority=critical url=http://192.0.2.1/preseed.cfg ---

LABEL rescue
  KERNEL ${name}/linux
  APPEND initrd=${name}/initrd.gz rescue/enable=true
`
}

/** Some hundred machines with a story, for screenshots and browser tests; returns the id of one with everything. */
export async function fillSite(site: Site, count: number): Promise<number> {
  for (const profile of ['debian13-install', 'rescue', 'memtest', 'ubuntu-26.04-autoinstall-raid1-encrypted']) {
    site.files.set(profile, profileText(profile))
  }
  site.files.set('broken', null)
  await site.daemon.profiles.sync()
  const profiles = ['local', 'local', 'local', 'debian13-install', 'local', 'rescue', 'local', undefined]
  const hex = (value: number) => value.toString(16).padStart(2, '0')
  const now = Date.now()
  for (let at = 1; at <= count; at += 1) {
    site.store.at = new Date(now - (count - at) * 431_000 - 40_000).toISOString()
    const mac = `52:54:00:${hex(at >> 8)}:${hex(at & 255)}:01`
    const addresses =
      at % 7 === 0 ? [mac, `52:54:00:${hex(at >> 8)}:${hex(at & 255)}:02`, `10.0.${at >> 8}.${at & 255}`] : [mac]
    const profile = profiles[at % profiles.length]
    const id = await site.add(`rack${Math.ceil(at / 40)}-node${((at - 1) % 40) + 1}`, addresses, profile)
    if (at % 3 === 0 && profile) {
      const failed = at % 141 === 0 ? 'no ACK for block 212 after 6 tries' : undefined
      const names = profile === 'local' ? netboot.slice(0, 3) : failed ? netboot : [...netboot, '/localboot/']
      const ip = `10.0.${at >> 8}.${at & 255}`
      const decision = decisionOf(site, mac)
      site.boots.push(bootOf({ mac, ip, systemId: id, profile, decision }, at * 61_000, names, failed))
    }
  }
  site.store.at = undefined
  const id = await site.add('web01', ['52:54:00:12:34:56', '10.0.9.7', '10.34'], 'local')
  for (const profile of [
    'debian13-install',
    'local',
    'rescue',
    'ubuntu-26.04-autoinstall-raid1-encrypted',
    'local',
    'debian13-install',
  ]) {
    await site.add('web01', [], profile)
  }
  await site.add('web01-alias', ['52:54:00:12:34:56'])
  for (const [at, name] of hostileNames.entries()) {
    await site.add(name, [`02:00:00:00:00:0${at}`], at % 2 === 0 ? 'local' : undefined)
  }
  const mac = '52:54:00:12:34:56'
  const decision = decisionOf(site, mac)
  site.boots.unshift(
    bootOf({ mac, ip: '10.0.9.7', systemId: id, profile: 'debian13-install', decision }, 300_000, [
      ...netboot,
      '/localboot/',
    ]),
    bootOf(
      { mac, ip: '10.0.9.7', systemId: id, profile: 'debian13-install', decision },
      9_000_000,
      netboot,
      'no ACK for block 6311 after 6 tries',
    ),
    bootOf({ mac, ip: '10.0.9.7', systemId: id, profile: 'local' }, 90_000_000, netboot.slice(0, 3)),
    bootOf({ mac: '52:54:00:ff:00:01', ip: '10.0.9.200' }, 41_000, netboot.slice(0, 2)),
    bootOf({ mac: '52:54:00:ff:00:02', ip: 'fe80::5054:ff:feff:2' }, 4_100_000, netboot.slice(0, 3)),
  )
  return id
}
