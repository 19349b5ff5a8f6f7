/**
 * Network namespaces of one test: a small network of its own, with real neighbour tables and real routes.
 *
 * Names carry the test's process id, so that tests do not meet and what a killed test left is recognised and removed by
 * the next. Needs root and `iproute2`. Not here: DHCP (dhcp.ts) and machines (qemu.ts).
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { type Finished, runToEnd } from './process.ts'

/** Where `ip netns` keeps its names. */
const namesDir = '/run/netns'
const namePattern = /^pxemngr-(\d+)-/
const commandTimeoutMs = 60_000

/** One end of a link: interface `name` in a namespace, with a MAC and addresses such as `10.77.0.1/24`. */
export interface End {
  readonly space: Namespace
  readonly name: string
  readonly mac?: string
  readonly addresses?: readonly string[]
}

export interface Namespace {
  readonly name: string
  /** What to put in front of a command; `ip netns exec` becomes the command, so its pid is the command's. */
  readonly prefix: readonly string[]
  /** Runs a command inside, to its end; never throws for its exit status. */
  run(...words: string[]): Promise<Finished>
  /** As `run`, synchronous, for set-up; throws with stderr if it fails. Returns stdout. */
  must(...words: string[]): string
  /** Sets a kernel setting such as `net.ipv4.ip_forward` inside. */
  set(key: string, value: string): void
}

export interface Network {
  namespace(role: string): Namespace
  /** A veth pair between two namespaces, up, checksums computed by software so that both sides see real ones. */
  link(one: End, other: End): void
  /** Removes the namespaces, and with them every interface, route and rule. */
  close(): void
}

const left = new Set<string>()
process.once('exit', () => {
  for (const name of left) spawnSync('ip', ['netns', 'delete', name])
})
let count = 0

export function createNetwork(): Network {
  removeAbandoned()
  count += 1
  const number = count
  const names: string[] = []
  return {
    namespace(role) {
      const name = `pxemngr-${process.pid}-${number}-${role}`
      execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' })
      left.add(name)
      names.push(name)
      const space = createNamespace(name)
      space.must('ip', 'link', 'set', 'lo', 'up')
      return space
    },
    link(one, other) {
      one.space.must(
        'ip',
        'link',
        'add',
        one.name,
        'type',
        'veth',
        'peer',
        'name',
        other.name,
        'netns',
        other.space.name,
      )
      for (const end of [one, other]) raise(end)
    },
    close() {
      for (const name of names.splice(0)) {
        execFileSync('ip', ['netns', 'delete', name], { stdio: 'pipe' })
        left.delete(name)
      }
    },
  }
}

function createNamespace(name: string): Namespace {
  const prefix = ['ip', 'netns', 'exec', name]
  const must = (...words: string[]): string =>
    execFileSync('ip', ['netns', 'exec', name, ...words], { stdio: 'pipe', encoding: 'utf8' })
  return {
    name,
    prefix,
    run: (...words) => runToEnd([...prefix, ...words], { timeoutMs: commandTimeoutMs }),
    must,
    set: (key, value) => {
      must('sh', '-c', 'echo "$2" >"/proc/sys/$1"', 'sh', key.replaceAll('.', '/'), value)
    },
  }
}

/** MAC and addresses first, so that nothing is sent under another name; IPv6 without its second of checking. */
function raise({ space, name, mac, addresses = [] }: End): void {
  if (mac) space.must('ip', 'link', 'set', 'dev', name, 'address', mac)
  space.must('ethtool', '-K', name, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off')
  space.must('ip', 'link', 'set', 'dev', name, 'up')
  for (const address of addresses) {
    const check = address.includes(':') ? ['nodad'] : []
    space.must('ip', 'address', 'add', address, 'dev', name, ...check)
  }
}

/** Namespaces of tests whose process is gone, with what still runs in them (dnsmasq outlives a killed test). */
function removeAbandoned(): void {
  if (!existsSync(namesDir)) return
  for (const name of readdirSync(namesDir)) {
    const owner = namePattern.exec(name)?.[1]
    if (!owner || existsSync(`/proc/${owner}`)) continue
    const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
    for (const pid of stdout.split('\n').filter(Boolean)) spawnSync('kill', ['-KILL', pid])
    spawnSync('ip', ['netns', 'delete', name])
  }
}
