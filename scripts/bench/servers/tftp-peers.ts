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

/**
 * Answers every read with one block of `text`: the OACK, the DATA and the ACK that the protocol wants and nothing else, by
 * bare `node:dgram` on the very runtime that is in the executable. No server on that runtime can be faster.
 */
export const startConstantTftp =
  (text: string): StartServer =>
  async (bench) => {
    const running = await start([bench.runtime, '-e', `(${constantTftp})(${JSON.stringify(text)})`])
    await untilAnswers(running, async () => running.stdout().endsWith('\n'))
    return serverOf('node:dgram', running, { tftp: { host: '127.0.0.1', port: Number(running.stdout()) } })
  }

/** Ports that transfers leave from, as pxemngr has them. */
const constantTftp = `(text) => {
  const { createSocket } = require('node:dgram')
  const lookup = (address, options, done) => done(null, address, 4)
  const open = (onMessage) => {
    const socket = createSocket({ type: 'udp4', lookup, recvBufferSize: 4 << 20 })
    return socket.on('message', onMessage).bind(0, '127.0.0.1')
  }
  const oack = Buffer.from('\\0\\x06blksize\\x001408\\0')
  const data = Buffer.concat([Buffer.from([0, 3, 0, 1]), Buffer.from(text)])
  const ports = Array.from({ length: 8 }, () =>
    open(function (packet, { port, address }) {
      if (packet[1] === 4 && packet[3] === 0) this.send(data, port, address)
    }))
  let next = 0
  const requests = open((packet, { port, address }) => ports[next++ % ports.length].send(oack, port, address))
  // Bound at once, since its own \`lookup\` answers at once.
  console.log(requests.address().port)
}`

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
