/**
 * Binding the HTTP listeners and the management socket, and closing them again.
 *
 * A socket file left behind is removed only after a connection to it was refused: one that answers belongs to a running
 * daemon. Its mode is 0660 whatever the umask. Source: CONTRACT "Daemon" (`socket`, `http`).
 */
import { once } from 'node:events'
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import type { Server } from 'node:http'
import { type AddressInfo, connect, isIPv6 } from 'node:net'
import { dirname } from 'node:path'
import { Refusal } from '../domain/errors.ts'
import type { Log } from '../log.ts'
import { makeFolder } from '../store/make-folder.ts'

const socketMode = 0o660
const socketFolderMode = 0o755
/** A daemon that holds its socket accepts at once; what does not within this time is not one. */
const probeTimeoutMs = 1000

/** `10.0.0.1:80`, `[::]:80`. */
export function formatListener(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

/** Binds one address; resolves with it as printed, the port filled in. Refuses (exit 1) naming address and reason. */
export async function listenTcp(server: Server, host: string, port: number): Promise<string> {
  server.listen({ host, port, exclusive: true, ipv6Only: isIPv6(host) })
  await bound(server, `http ${formatListener(host, port)}`)
  return formatListener(host, (server.address() as AddressInfo).port)
}

/** Binds the management socket. */
export async function listenSocket(server: Server, path: string): Promise<void> {
  try {
    makeFolder(dirname(path), socketFolderMode)
  } catch (error) {
    throw new Refusal('refused', `socket ${path}: ${reason(error)}`, { cause: error })
  }
  await removeLeftover(path)
  const umask = process.umask(0o777 & ~socketMode)
  try {
    server.listen(path)
    await bound(server, `socket ${path}`)
  } finally {
    process.umask(umask)
  }
  chmodSync(path, socketMode)
}

async function bound(server: Server, what: string): Promise<void> {
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new Refusal('refused', `${what}: ${reason(error)}`, { cause: error })
  }
}

/** Error of a bind in words. */
export function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const words: Readonly<Record<string, string>> = {
    EADDRINUSE: 'already in use',
    EACCES: 'not permitted',
    EADDRNOTAVAIL: 'this host has no such address',
    EEXIST: 'something else is there',
    ENOENT: 'no folder can be made there',
    ENOTDIR: 'a part of the path is no folder',
    EROFS: 'the file system is read-only',
    ENOSPC: 'no space left on the disk',
  }
  return words[code] ?? (error instanceof Error ? error.message : String(error))
}

async function removeLeftover(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) throw new Refusal('refused', `socket ${path}: something else is there`)
  } catch (error) {
    if (error instanceof Refusal) throw error
    return
  }
  const probe = connect(path)
  try {
    await once(probe, 'connect', { signal: AbortSignal.timeout(probeTimeoutMs) })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ECONNREFUSED') {
      unlinkSync(path)
      return
    }
    throw new Refusal('refused', `socket ${path}: ${reason(error)}`, { cause: error })
  } finally {
    probe.destroy()
  }
  throw new Refusal('refused', `socket ${path}: already in use by a running daemon`)
}

/** With `log-level` debug, a line for each request when it is over. */
export function logRequests(server: Server, log: Log): void {
  server.prependListener('request', (incoming, outgoing) => {
    if (!log.enabled('debug')) return
    const startedMs = performance.now()
    const client = incoming.socket.remoteAddress ?? 'socket'
    outgoing.once('close', () => {
      const ms = Math.round(performance.now() - startedMs)
      log.debug('http', { method: incoming.method, url: incoming.url, client, status: outgoing.statusCode, ms })
    })
  })
}

/** Stops accepting and resolves when every connection is done; those still open after `graceMs` are cut. */
export async function closeServer(server: Server, graceMs: number): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), graceMs)
  await closed
  clearTimeout(timer)
}
