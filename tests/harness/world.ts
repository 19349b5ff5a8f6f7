/**
 * A network of machines without firmware, each in a network namespace of its own, and the executable on it: real neighbour
 * tables, routers, NAT. Not here: what the machines ask (netclient.ts) and real firmware (bootlab.ts).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { lacking } from './debian.mjs'
import { type RunningDaemon, type ServeOptions, serve } from './executable.ts'
import { createNetwork, type Namespace, type Network } from './netns.ts'

/** The server's address; namespaces are worlds of their own, so every test may use the same. */
export const server = '10.77.0.1'
export const base = `http://${server}:8000`
export const macs = { one: '52:54:00:ab:cd:01', two: '52:54:00:ab:cd:02', router: '52:54:00:ab:cd:fe' } as const

/** Why namespaces cannot be had here; undefined if they can. */
function fault(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, or user namespaces: network namespaces'
  const missing = lacking(['iproute2', 'curl', 'wget', 'busybox-static', 'ethtool', 'nftables'])
  return missing.length > 0 ? `needs Debian packages: ${missing.join(' ')}` : undefined
}

export interface World {
  readonly network: Network
  readonly host: Namespace
  /** A machine directly on the server's network, its card named `net0`. */
  attach(role: string, mac: string, ...addresses: string[]): Namespace
  /** Starts the executable, on 10.77.0.1 unless told otherwise. */
  serve(options?: ServeOptions): Promise<RunningDaemon>
  /** The ends of the daemons' logs. */
  logs(): string
  close(): Promise<void>
}

/** A server namespace with a bridge that is its network card, and further addresses on it. */
function createWorld(addresses: readonly string[]): World {
  const network = createNetwork()
  const dataDir = mkdtempSync(join(tmpdir(), 'pxemngr-netns-'))
  const daemons: RunningDaemon[] = []
  const host = network.namespace('server')
  host.must('ip', 'link', 'add', 'lan', 'type', 'bridge')
  host.must('ip', 'link', 'set', 'dev', 'lan', 'up')
  for (const address of [`${server}/24`, ...addresses]) {
    host.must('ip', 'address', 'add', address, 'dev', 'lan', ...(address.includes(':') ? ['nodad'] : []))
  }
  let ports = 0
  return {
    network,
    host,
    attach(role, mac, ...own) {
      const space = network.namespace(role)
      const port = `port${ports++}`
      network.link({ space: host, name: port }, { space, name: 'net0', mac, addresses: own })
      host.must('ip', 'link', 'set', 'dev', port, 'master', 'lan')
      return space
    },
    async serve(options = {}) {
      const listen = { tftp: `${server}:69`, http: `${server}:8000` }
      const daemon = await serve({ prefix: host.prefix, dataDir, ...listen, ...options })
      daemons.push(daemon)
      return daemon
    },
    logs: () => daemons.map((daemon) => `\n\n==== log of pid ${daemon.pid}\n${daemon.log().slice(-4000)}`).join(''),
    async close() {
      for (const daemon of daemons) await daemon.close()
      network.close()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** A test that needs namespaces: skipped by name elsewhere; its world is removed whatever happens, its error has the logs. */
export function inWorld(
  title: string,
  run: (world: (...addresses: string[]) => World, t: TestContext) => Promise<void>,
): void {
  test(title, async (t) => {
    const why = fault()
    if (why) return t.skip(why)
    const made: World[] = []
    const world = (...addresses: string[]): World => {
      const created = createWorld(addresses)
      made.push(created)
      return created
    }
    try {
      await run(world, t)
    } catch (error) {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      throw new Error(what + made.map((each) => each.logs()).join(''))
    } finally {
      for (const each of made) await each.close()
    }
  })
}
