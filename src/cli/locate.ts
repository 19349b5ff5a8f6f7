/**
 * Where the daemon is: what the caller says, else the places where one is usually found, in the contract's order.
 *
 * The configuration is read only where there is one: reading it costs more than the rest of a command.
 * Source: CONTRACT "Command line" (`--socket`, `--url`, `--token`, search order).
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { socketName, systemConfigFile, systemSocket, userStateDir } from '../config/places.ts'
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'
import type { Typed } from './arguments.ts'
import type { Io } from './io.ts'

export type Target =
  | { readonly kind: 'socket'; readonly path: string }
  /** `path`: what stands before `/api/v1`, empty or beginning with a slash. */
  | { readonly kind: 'tcp'; readonly tls: boolean; readonly host: string; readonly port: number; readonly path: string }

export interface Located {
  /** Tried in this order; the first that answers is asked. */
  readonly targets: readonly Target[]
  readonly token: string | undefined
}

/** Refuses (`usage`) a bad URL or token. */
export async function locate(global: Typed, io: Io): Promise<Located> {
  const { PXEMNGR_SOCKET: socketVariable, PXEMNGR_URL: urlVariable, PXEMNGR_TOKEN: tokenVariable } = io.env
  const { socket, url, token: tokenFlag } = global
  if (socket !== undefined && url !== undefined) {
    throw new Refusal('usage', '--socket and --url name two daemons: give one of them')
  }
  const token = checkToken(typeof tokenFlag === 'string' ? tokenFlag : tokenVariable || undefined)
  if (typeof url === 'string') return { targets: [parseUrl(url, '--url')], token }
  if (typeof socket === 'string') return { targets: [socketTarget(socket, '--socket', io.cwd)], token }
  if (urlVariable) return { targets: [parseUrl(urlVariable, 'PXEMNGR_URL')], token }
  if (socketVariable) return { targets: [socketTarget(socketVariable, 'PXEMNGR_SOCKET', io.cwd)], token }
  const stateDir = userStateDir(io.env)
  const places = [await configuredSocket(io), systemSocket, stateDir && join(stateDir, socketName)]
  const paths = [...new Set(places.filter((path) => path !== undefined))]
  return { targets: paths.map((path) => ({ kind: 'socket', path })), token }
}

/** The configuration's `socket`, where there is a configuration and it can be read. */
async function configuredSocket(io: Io): Promise<string | undefined> {
  const { PXEMNGR_CONFIG: file, PXEMNGR_DATA_DIR: dataDir } = io.env
  if (!file && !dataDir && !existsSync(systemConfigFile)) return undefined
  const { loadConfig } = await import('../config.ts')
  try {
    return (await loadConfig({ ...io, argv: [] })).config.socket
  } catch (error) {
    // What is wrong with it is the daemon's to say; without it the usual places are left.
    if (error instanceof Refusal) return undefined
    throw error
  }
}

function socketTarget(path: string, from: string, cwd: string): Target {
  // node:net would cut the path at a NUL and connect to somebody else.
  if (path === '' || path.includes('\0')) throw new Refusal('usage', `${from} ${quote(path)} is no path`)
  return { kind: 'socket', path: resolve(cwd, path) }
}

function parseUrl(text: string, from: string): Target {
  const refuse = (): Refusal =>
    new Refusal('usage', `${from} ${quote(text)} is not allowed: a URL such as http://boot.example.org:8000`)
  if (!/^https?:\/\/[\x21-\x7e]+$/i.test(text)) throw refuse()
  const url = URL.parse(text)
  if (url?.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') throw refuse()
  const tls = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return { kind: 'tcp', tls, host, port: Number(url.port) || (tls ? 443 : 80), path: url.pathname.replace(/\/+$/, '') }
}

function checkToken(token: string | undefined): string | undefined {
  // RFC 6750 §2.1; a line break would begin a header of its own.
  if (token === undefined || /^[A-Za-z0-9._~+/=-]{1,512}$/.test(token)) return token
  throw new Refusal('usage', '--token is not allowed: a token is letters, digits and -._~+/=, as token add printed it')
}

/** As the no-daemon line and other messages name it. */
export function describeTarget(target: Target): string {
  if (target.kind === 'socket') return target.path
  const host = target.host.includes(':') ? `[${target.host}]` : target.host
  return `${target.tls ? 'https' : 'http'}://${host}:${target.port}${target.path}`
}
