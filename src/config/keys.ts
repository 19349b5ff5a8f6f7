/**
 * The table of configuration keys: one row a key, from which flags, environment variables, the TOML file, `--check`, help,
 * completion and the reference in the documents follow. To add a key: one row here and its field in `Config`.
 *
 * Defaults that depend on another key or on who starts the daemon are functions. Source: CONTRACT "Daemon", RUNS "Times"
 * and "Results".
 */
import { join } from 'node:path'
import { type LogLevel, logLevels } from '../log.ts'
import { socketName, systemSocket, userStateDir } from './places.ts'
import * as value from './value.ts'

/** The daemon's configuration, complete: every key has a value. */
export interface Config {
  readonly dataDir: string
  readonly profilesDir: string
  readonly testsDir: string
  readonly resultsDir: string
  readonly tftpRoot: string
  readonly linkTargets: readonly string[]
  /** Empty: off. Where nobody set it (`origin`) and the port is not permitted, `tftpFallbackPort` is tried. */
  readonly tftp: readonly value.ListenAddress[]
  readonly tftpSinglePort: boolean
  /** null: any. */
  readonly tftpPorts: { readonly first: number; readonly last: number } | null
  /** Empty: off. */
  readonly http: readonly value.ListenAddress[]
  readonly socket: string
  /** null: taken from each request. */
  readonly publicUrl: string | null
  /** Empty: off. */
  readonly trustedNetworks: readonly value.Network[]
  readonly anonymous: 'viewer' | 'none'
  readonly maxUploadBytes: number
  readonly runTimeoutMs: number
  readonly bootTimeoutMs: number
  /** null: for ever. */
  readonly keepLogsMs: number | null
  /** null: for ever. */
  readonly keepResultsMs: number | null
  readonly keepFree: value.KeepFree
  /** null: everything but loopback and link-local. */
  readonly webhookAllow: readonly value.WebhookTarget[] | null
  readonly logLevel: LogLevel
  readonly user: string | null
}

/** What defaults may depend on. */
export interface Surroundings {
  readonly uid: number
  readonly env: Readonly<Record<string, string | undefined>>
}

/** One row. `T` is the type of the field in `Config`. */
export type Key<T> = {
  /** Flag without dashes, TOML key; the variable is PXEMNGR_ and this in upper case with `_`. */
  readonly name: string
  readonly help: string
  /** The default in words. */
  readonly defaultText: string
  /** Takes effect at SIGHUP; the others at the next start. */
  readonly reload: boolean
  /** undefined: there is no default here, the key has to be set. */
  fallback(surroundings: Surroundings, config: { readonly dataDir: string }): T | undefined
} & (
  | { readonly kind: value.Kind<T>; readonly list?: undefined }
  /** Several values; `none` is the word for no value at all (or for what `fallback` gives: null). */
  | {
      readonly kind: value.Kind<T extends readonly (infer E)[] | null ? E : never>
      readonly list: { readonly none: string; readonly value: T }
    }
)

/** Where TFTP listens if nobody said where and port 69 is not permitted. */
export const tftpFallbackPort = 6969

const tftpPort = 69
const httpPort = 8000
const any4 = '0.0.0.0'
const dayMs = 86_400_000
const hourMs = 3_600_000

/** RFC 1918, RFC 4193 and loopback (RFC 1122, RFC 4291). */
const privateNetworks = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '127.0.0.0/8', 'fc00::/7', '::1/128']

function networks(texts: readonly string[]): value.Network[] {
  return texts.flatMap((text) => value.network.parse(text) ?? [])
}

const below =
  (folder: string) =>
  (_: Surroundings, { dataDir }: { readonly dataDir: string }): string =>
    join(dataDir, folder)

export const keys: { readonly [F in keyof Config]: Key<Config[F]> } = {
  dataDir: {
    name: 'data-dir',
    help: 'state; everything below defaults to a folder in it',
    defaultText: '/var/lib/pxemngr as root, else $XDG_STATE_HOME/pxemngr (~/.local/state/pxemngr)',
    kind: value.path,
    reload: false,
    fallback: ({ uid, env }) => (uid === 0 ? '/var/lib/pxemngr' : userStateDir(env)),
  },
  profilesDir: {
    name: 'profiles-dir',
    help: 'profiles, *.prof; belongs on a local disk',
    defaultText: '<data-dir>/profiles',
    kind: value.path,
    reload: false,
    fallback: below('profiles'),
  },
  testsDir: {
    name: 'tests-dir',
    help: 'tests, *.test, Eta templates',
    defaultText: '<data-dir>/tests',
    kind: value.path,
    reload: false,
    fallback: below('tests'),
  },
  resultsDir: {
    name: 'results-dir',
    help: 'uploaded logs, <test id>.log',
    defaultText: '<data-dir>/results',
    kind: value.path,
    reload: false,
    fallback: below('results'),
  },
  tftpRoot: {
    name: 'tftp-root',
    help: 'boot files, served over TFTP and HTTP (/boot/…), read only',
    defaultText: '<data-dir>/tftpboot',
    kind: value.path,
    reload: false,
    fallback: below('tftpboot'),
  },
  linkTargets: {
    name: 'link-targets',
    help: 'folders that symbolic links out of the TFTP root, the profiles and the tests may lead to',
    defaultText: 'none',
    kind: { ...value.path, allowed: 'paths such as /srv/images, or none' },
    list: { none: 'none', value: [] },
    reload: false,
    fallback: () => [],
  },
  tftp: {
    name: 'tftp',
    help: 'TFTP listen addresses',
    defaultText: `${any4}:${tftpPort}; where that port is not permitted ${tftpFallbackPort}, said on stderr`,
    kind: value.listenAddress(tftpPort),
    list: { none: 'off', value: [] },
    reload: false,
    fallback: () => [{ host: any4, port: tftpPort }],
  },
  tftpSinglePort: {
    name: 'tftp-single-port',
    help: 'answer from the request port (NAT, containers)',
    defaultText: 'no',
    kind: value.boolean,
    reload: false,
    fallback: () => false,
  },
  tftpPorts: {
    name: 'tftp-ports',
    help: 'range of the ports that transfers use (firewalls)',
    defaultText: 'any',
    kind: value.orWord('any', value.ports),
    reload: false,
    fallback: () => null,
  },
  http: {
    name: 'http',
    help: 'HTTP listen addresses; port 0: any free port',
    defaultText: `${any4}:${httpPort}`,
    kind: value.listenAddress(httpPort),
    list: { none: 'off', value: [] },
    reload: false,
    fallback: () => [{ host: any4, port: httpPort }],
  },
  socket: {
    name: 'socket',
    help: 'Unix socket of the management API, mode 0660',
    defaultText: `${systemSocket} as root, else <data-dir>/${socketName}`,
    kind: value.socketPath,
    reload: false,
    fallback: ({ uid }, { dataDir }) => (uid === 0 ? systemSocket : join(dataDir, socketName)),
  },
  publicUrl: {
    name: 'public-url',
    help: 'base URL put into rendered configurations and scripts',
    defaultText: "the request's Host, else the address it came in on",
    kind: value.orWord('none', value.baseUrl),
    reload: true,
    fallback: () => null,
  },
  trustedNetworks: {
    name: 'trusted-networks',
    help: "who may name another machine's MAC",
    defaultText: `private ranges and loopback (${privateNetworks.join(', ')})`,
    kind: value.network,
    list: { none: 'off', value: [] },
    reload: true,
    fallback: () => networks(privateNetworks),
  },
  anonymous: {
    name: 'anonymous',
    help: 'what HTTP without credentials may do on the management plane',
    defaultText: 'viewer',
    kind: value.oneOf(['viewer', 'none']),
    reload: true,
    fallback: () => 'viewer',
  },
  maxUploadBytes: {
    name: 'max-upload',
    help: 'an upload over it is refused (413)',
    defaultText: '4GiB',
    kind: value.someSize,
    reload: true,
    fallback: () => 4 * 2 ** 30,
  },
  runTimeoutMs: {
    name: 'run-timeout',
    help: 'longest time a run may take from the delivery of its script, unless its test says otherwise',
    defaultText: '24h',
    kind: value.duration,
    reload: true,
    fallback: () => dayMs,
  },
  bootTimeoutMs: {
    name: 'boot-timeout',
    help: 'silence after a boot that means the boot failed, unless the test says otherwise',
    defaultText: '2h',
    kind: value.duration,
    reload: true,
    fallback: () => 2 * hourMs,
  },
  keepLogsMs: {
    name: 'keep-logs',
    help: 'how long uploaded logs are kept; attachments stay as long as their result',
    defaultText: 'forever',
    kind: value.orWord('forever', value.duration),
    reload: true,
    fallback: () => null,
  },
  keepResultsMs: {
    name: 'keep-results',
    help: 'how long results are kept',
    defaultText: 'forever',
    kind: value.orWord('forever', value.duration),
    reload: true,
    fallback: () => null,
  },
  keepFree: {
    name: 'keep-free',
    help: 'space kept free on the disk: below it uploads get 507 and status is degraded',
    defaultText: '5%',
    kind: value.keepFree,
    reload: true,
    fallback: () => ({ percent: 5 }),
  },
  webhookAllow: {
    name: 'webhook-allow',
    help: 'networks and hosts that webhooks may be sent to',
    defaultText: 'all but loopback and link-local',
    kind: value.webhookTarget,
    list: { none: 'default', value: null },
    reload: true,
    fallback: () => null,
  },
  logLevel: {
    name: 'log-level',
    help: 'what is logged',
    defaultText: 'info',
    kind: value.oneOf(logLevels),
    reload: true,
    fallback: () => 'info',
  },
  user: {
    name: 'user',
    help: 'account to become after the ports are bound (start as root)',
    defaultText: 'none',
    kind: value.orWord('none', value.account),
    reload: false,
    fallback: () => null,
  },
}

/** Fields of `Config` in the order of the table. */
export const fields: readonly (keyof Config)[] = Object.keys(keys) as (keyof Config)[]

/** `data-dir` → `PXEMNGR_DATA_DIR` */
export function variableName(name: string): string {
  return `PXEMNGR_${name.toUpperCase().replaceAll('-', '_')}`
}
