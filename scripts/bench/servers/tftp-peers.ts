/**
 * The TFTP peers at their best: plain files, nothing logged, no limit on transfers, no multicast.
 */
import { createSocket } from 'node:dgram'
import { freeUdpPort } from '../bench.ts'
import type { Address } from '../load.ts'
import { getPeer, type PeerName } from '../peers.ts'
import { start } from '../processes.ts'
import { type Server, type StartServer, serverOf, untilAnswers } from './server.ts'

const transfersMax = '10000'
const probeTimeoutMs = 300

const startDnsmasq: StartServer = async (_bench, work) => {
  // Its port is always 69: so it gets a loopback address that nobody else has.
  const host = `127.69.${1 + (process.pid % 250)}.${1 + Math.floor(Math.random() * 250)}`
  await mayBind(host, 69)
  return startPeer('dnsmasq', { host, port: 69 }, [
    ...['--conf-file=/dev/null', '--port=0', '--keep-in-foreground', '--user=root', '--pid-file='],
    ...['--log-facility=/dev/null', '--quiet-tftp', `--listen-address=${host}`, '--bind-interfaces'],
    ...['--enable-tftp', `--tftp-root=${work.peersDir}`, `--tftp-max=${transfersMax}`],
  ])
}

const startAtftpd: StartServer = async (_bench, work) => {
  const port = await freeUdpPort()
  return startPeer('atftpd', { host: '127.0.0.1', port }, [
    ...['--daemon', '--no-fork', '--port', String(port), '--bind-address', '127.0.0.1'],
    ...['--user', 'root.root', '--group', 'root', '--maxthread', transfersMax],
    ...['--verbose=0', '--logfile', '/dev/null', '--no-multicast', work.peersDir],
  ])
}

const startTftpdHpa: StartServer = async (_bench, work) => {
  const port = await freeUdpPort()
  const address = `127.0.0.1:${port}`
  const words = ['--foreground', '--address', address, '--secure', '--user', 'root', work.peersDir]
  const server = await startPeer('tftpd-hpa', { host: '127.0.0.1', port }, words)
  // It forks for each read and ignores SIGCHLD: its children's time is never added to its own.
  return { ...server, cpuMs: () => undefined }
}

export const tftpPeers = {
  dnsmasq: startDnsmasq,
  atftpd: startAtftpd,
  'tftpd-hpa': startTftpdHpa,
} satisfies Partial<Record<PeerName, StartServer>>

async function startPeer(name: PeerName, tftp: Address, args: readonly string[]): Promise<Server> {
  const { program, env } = await getPeer(name)
  const running = await start([program, ...args], { env })
  await untilAnswers(running, () => answers(tftp))
  return serverOf(name, running, { tftp })
}

/** Whether anything comes back for a name that is not there. */
function answers({ host, port }: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    const done = (answered: boolean): void => {
      clearTimeout(late)
      socket.close()
      resolve(answered)
    }
    const late = setTimeout(() => done(false), probeTimeoutMs)
    socket.once('message', () => done(true))
    socket.once('error', () => done(false))
    socket.send('\0\x01no-such-file\0octet\0', port, host)
  })
}

function mayBind(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4')
    socket.once('error', (error) => reject(new Error(`dnsmasq serves TFTP on port 69 only: ${error.message}`)))
    socket.bind(port, host, () => socket.close(() => resolve()))
  })
}
