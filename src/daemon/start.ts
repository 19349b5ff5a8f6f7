/**
 * Wiring only: what starts in which order, and stops in reverse.
 *
 * Order: folders · store (lock, journal, state) · profiles · TFTP and HTTP ports · hand-over to `user` · management
 * socket · ready. Nothing is answered before the state is whole; everything privileged is bound before the account is
 * dropped. Source: DESIGN "One process, four surfaces, three planes", CONTRACT "Daemon".
 */
import type { Server } from 'node:http'
import { findAsset, getAsset, listAssets } from '../assets.ts'
import type { Daemon } from '../commands/daemon.ts'
import { namesOf, viewRecord } from '../commands/record.ts'
import { type Config, compareConfig, type LoadedConfig, tftpFallbackPort } from '../config.ts'
import { parseIp4 } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import type { JournalRecord } from '../domain/event.ts'
import { usedCodeCaches } from '../evaluate.ts'
import type { ManagementOptions } from '../http/app.ts'
import { createTrustedNetworks } from '../http/caller.ts'
import { mountBootFiles } from '../http/files.ts'
import { createMachineUrls, type MachineOptions } from '../http/machines.ts'
import { createHttpServer } from '../http/server.ts'
import type { createLog } from '../log.ts'
import { createMetrics } from '../metrics.ts'
import { createBootAddresses } from '../net/boot-addresses.ts'
import { createNeighbours } from '../net/neighbours.ts'
import { createAnswerBoot } from '../profiles/answer.ts'
import { openProfiles } from '../profiles/registry.ts'
import { openStore } from '../store/open.ts'
import type { Store } from '../store/store.ts'
import { openTrace } from '../store/trace.ts'
import { openTftpServer, type TftpServer, type TftpServerOptions } from '../tftp/server.ts'
import { createTree } from '../tftp/tree.ts'
import { version } from '../version.ts'
import { become, getAccount, handOver } from './account.ts'
import { makeFolders, populate } from './folders.ts'
import { collectDegradations } from './health.ts'
import { createLater, listenLater } from './later.ts'
import { closeServer, listenSocket, listenTcp, logRequests } from './listeners.ts'
import { premisesOf } from './premises.ts'
import { createPreviews } from './preview.ts'
import { createReach } from './reach.ts'
import { waitForRuns } from './run-wait.ts'
import type { Stoppable } from './stop.ts'
import { notifySystemd } from './systemd.ts'
import { identityOf, openTesting } from './testing.ts'
import { createTransferLog } from './transfer-log.ts'

type AdjustableLog = ReturnType<typeof createLog>

/** What runs may finish within this; `stop.ts` bounds the whole. */
const graceMs = 2000

/** Of the count of answers, by the first digit of their status. */
const statusLabels = Array.from({ length: 6 }, (_, digit) => ({ status: `${digit}xx` }))

/** A record with more events is logged by their number. */
const changesNamedMax = 8

export interface StartedDaemon extends Stoppable {
  readonly readyLine: string
}

/** Starts everything; rejects with a `Refusal` that names what it met, with nothing left behind. */
export async function startDaemon(
  loaded: LoadedConfig,
  log: AdjustableLog,
  readConfig: () => Promise<Config>,
): Promise<StartedDaemon> {
  const closers: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    return await start(loaded, log, readConfig, closers, close)
  } catch (error) {
    await close()
    throw error
  }
}

async function start(
  loaded: LoadedConfig,
  log: AdjustableLog,
  readConfig: () => Promise<Config>,
  closers: (() => Promise<void> | void)[],
  close: () => Promise<void>,
): Promise<StartedDaemon> {
  let { config } = loaded
  const account = getAccount(loaded)
  // Before the state exists: a first start that fails half-way is still the first one the next time.
  if (makeFolders(config)) await populate(config)
  // Closed last, since its thread may hang on a dead disk: the journal must not wait for that.
  const trace = openTrace({ dataDir: config.dataDir, log })
  closers.push(() => trace.close())
  const store = await openStore({ dataDir: config.dataDir, log })
  closers.push(() => store.close())
  store.onApplied((record) => logChange(record, store, log))
  const profiles = await openProfiles({
    dir: config.profilesDir,
    store,
    log,
    embeddedLocal: getAsset('profiles/local.prof'),
    linkTargets: () => config.linkTargets,
  })
  closers.push(() => profiles.close())
  const testing = await openTesting(store, log, () => config, trace)
  closers.push(() => testing.close())

  const startedMs = performance.now()
  const transfers = createTransferLog(trace)
  store.onApplied((record) => transfers.reported(record))
  const neighbours = createNeighbours()
  const bootAddresses = createBootAddresses(store)
  const answerBoot = createAnswerBoot(store.queries, profiles)
  const listeners = { tftp: [] as string[], http: [] as string[], socket: config.socket }
  const macAt = (address: string) => {
    const ip = parseIp4(address)
    return (ip && neighbours.macOf(ip)) ?? bootAddresses.macOf(address)
  }
  const reach = createReach(() => config.publicUrl, listeners)
  const places = () => ({ root: config.tftpRoot, linkTargets: config.linkTargets })
  const findLoader = (name: string) => findAsset(`loaders/${name}`)
  let ready = false
  let tftp: TftpServer | undefined
  const daemon: Daemon = {
    version,
    get ready() {
      return ready
    },
    startedMs,
    store,
    profiles,
    tests: testing.tests,
    results: testing.results,
    runs: testing.runs,
    webhooks: testing.webhooks,
    listeners,
    loaders: listAssets('loaders'),
    waitForRuns: (asked, timeoutMs, note, signal) => waitForRuns(daemon, asked, timeoutMs, note, signal),
    neighbourIp: (mac) => neighbours.ipOf(mac),
    degraded: () => [...collectDegradations(store, profiles).faults, ...testing.faults(), ...trace.faults()],
    notices: () => collectDegradations(store, profiles).notices,
    transfers: () => ({ active: tftp?.active() ?? 0, recent: transfers.recent() }),
    boots: async (query) => (await trace.boots(query)).map((boot) => ({ ...boot })),
    onBoots: trace.onChange,
    premises: () => premisesOf(config, reach),
    ...createPreviews({
      queries: store.queries,
      profiles,
      url: () => reach.urlFrom(daemon.premises().addresses[0] ?? '127.0.0.1'),
      places,
      findLoader,
    }),
  }

  const resolve = createTree({
    answerBoot,
    url: ({ local, url }) => url ?? reach.urlFrom(local),
    lastMacOf: (address) => bootAddresses.macOf(address),
    onMacAsked: (mac, { address }) => bootAddresses.saw(address, mac),
    onConfigServed(decision, from, mac) {
      transfers.configServed(decision, from, mac)
      testing.booted({ mac: mac ?? macAt(from.address), ip: from.address }, decision)
    },
    onConfigSeen(decision, from, mac) {
      // Whatever asks at the machine's own address for its own configuration: it boots.
      if (mac !== undefined && mac === macAt(from.address)) testing.booted({ mac, ip: from.address }, decision)
    },
  })
  tftp = await openTftp(config, loaded, log, {
    resolve,
    onTransfer(record, from) {
      transfers.add(record, from)
      if (!from && record.outcome === 'done') testing.fetched(identityOf(record.client, macAt), record.name, true)
    },
  })
  if (tftp) {
    listeners.tftp.push(...tftp.addresses())
    closers.push(() => tftp?.close(graceMs))
  }

  const publicUrl = (): string | null => config.publicUrl
  let trusted = createTrustedNetworks(config.trustedNetworks)
  const metrics = createMetrics()
  const answered = metrics.counter('pxemngr_machine_requests_total', 'Machine URLs answered')
  const machineOptions: MachineOptions = {
    store,
    profiles,
    answerBoot,
    callers: { neighbours, bootAddresses, queries: store.queries },
    trusted: () => trusted,
    publicUrl,
    log,
    onConfigServed(name, decision, peer, mac) {
      transfers.httpStep(name, peer, decision, mac)
      testing.booted(mac === undefined ? identityOf(peer, macAt) : { ...identityOf(peer, macAt), mac }, decision)
    },
    onAnswered: (status) => answered.add(1, statusLabels[Math.floor(status / 100)]),
    onAsked: ({ macs, ip, peer }, path) => testing.sign({ mac: macs[0], ip: ip ?? peer }, path),
  }
  const machines = createMachineUrls(machineOptions)
  const handout = testing.urls(machineOptions)
  const uploads = testing.uploadUrls(machineOptions)
  const managed = createLater(async () => {
    const { createManagement } = await import('../http/management.ts')
    return createManagement(daemon, managementOptions)
  })
  const managementOptions: ManagementOptions = {
    log,
    metrics,
    anonymous: () => config.anonymous,
    secureCookie: () => config.publicUrl?.startsWith('https:') ?? false,
    mounts: [
      machines.mount,
      handout.mount,
      uploads.mount,
      (app) =>
        mountBootFiles(app, {
          resolve,
          places,
          findLoader,
          publicUrl,
          log,
          onDownload(download) {
            transfers.downloaded(download)
            const { outcome, from, name } = download
            if (outcome === 'done') testing.fetched(identityOf(from.address, macAt), name, !from.preview)
          },
        }),
    ],
  }
  const servers: Server[] = []
  closers.push(async () => {
    managed.current?.close()
    handout.close()
    await Promise.all(servers.map((server) => closeServer(server, graceMs)))
  })
  for (const { host, port } of config.http) {
    const server = createHttpServer(listenLater(managed, 'tcp', log), 'tcp', (...request) => {
      handout.heard(request[0])
      return machines.first(...request) || handout.first(...request) || uploads.first(...request)
    })
    servers.push(server)
    logRequests(server, log)
    listeners.http.push(await listenTcp(server, host, port))
  }
  const socketServer = createHttpServer(listenLater(managed, 'socket', log), 'socket')
  servers.push(socketServer)
  logRequests(socketServer, log)
  await listenSocket(socketServer, config.socket)
  if (account) {
    handOver(account, config.dataDir, config.socket)
    become(account)
  }

  ready = true
  notifySystemd(log)
  const list = (addresses: readonly string[]): string => addresses.join(',') || 'off'
  // Machines are answered from now on; whoever manages them is a moment later.
  setImmediate(() =>
    managed.get().catch((error: unknown) => log.error('the management plane failed to load', { error })),
  )
  log.debug('compiled code of the build', { bundles: usedCodeCaches() })
  const { addresses, urlFrom } = premisesOf(config, reach)
  const pages = listeners.http.length === 0 ? 'off' : `${urlFrom(addresses[0] ?? '127.0.0.1')}/`
  log.info('ready', { version, seq: store.seq, systems: store.queries.countSystems(), pages })
  return {
    readyLine: `pxemngr ready tftp=${list(listeners.tftp)} http=${list(listeners.http)} socket=${config.socket}`,
    async reload() {
      const next = await readConfig()
      const { reloaded, restart } = compareConfig(config, next)
      config = next
      trusted = createTrustedNetworks(next.trustedNetworks)
      log.setLevel(next.logLevel)
      if (reloaded.length > 0) log.info('configuration read again', { changed: reloaded })
      if (restart.length > 0) log.warn(`these keys take effect at the next start: ${restart.join(', ')}`)
      await profiles.sync()
      await testing.tests.sync()
    },
    close,
  }
}

/** Who changed what, a line a record. */
function logChange(record: JournalRecord, store: Store, log: AdjustableLog): void {
  if (!log.enabled('info')) return
  const { actor, events } = record
  const changes =
    events.length > changesNamedMax
      ? [`${events.length} changes`]
      : viewRecord(record, namesOf(store.queries, [record])).changes
  log.info('change', { seq: record.seq, who: actor.who, from: actor.from, changes: changes.join('; ') })
}

/** undefined: off. Where nobody set an address and port 69 is not permitted, 6969 instead, said on stderr. */
async function openTftp(
  config: Config,
  loaded: LoadedConfig,
  log: AdjustableLog,
  parts: Pick<TftpServerOptions, 'resolve' | 'onTransfer'>,
): Promise<TftpServer | undefined> {
  if (config.tftp.length === 0) return undefined
  const open = (listen: Config['tftp']): Promise<TftpServer> =>
    openTftpServer({
      listen: listen.map(({ host, port }) => ({ address: host, port })),
      singlePort: config.tftpSinglePort,
      ...(config.tftpPorts ? { ports: { from: config.tftpPorts.first, to: config.tftpPorts.last } } : {}),
      root: config.tftpRoot,
      linkTargets: config.linkTargets,
      log,
      ...parts,
    })
  try {
    return await open(config.tftp)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EACCES' && loaded.origin('tftp') === 'default') {
      log.warn(
        `TFTP port 69 is not permitted to this account: listening on ${tftpFallbackPort} (PXE firmware asks 69 only)`,
      )
      try {
        return await open(config.tftp.map(({ host }) => ({ host, port: tftpFallbackPort })))
      } catch (second) {
        throw tftpRefusal(second)
      }
    }
    throw tftpRefusal(error)
  }
}

function tftpRefusal(error: unknown): Refusal {
  const text = error instanceof Error ? error.message : String(error)
  return new Refusal('refused', text, { cause: error })
}
