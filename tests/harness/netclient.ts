/**
 * What a machine does from inside a network namespace, with the programs that machines have: curl and busybox.
 */
import type { Namespace } from './netns.ts'

/** Seconds that a client waits for an answer that has to come. */
const patienceS = 20

export interface HttpAnswer {
  /** 0 where there was no answer. */
  readonly status: number
  readonly text: string
}

/** `curl URL`; further words are curl's own options. */
export async function httpGet(space: Namespace, url: string, ...options: string[]): Promise<HttpAnswer> {
  const format = ['--globoff', '--silent', '--max-time', String(patienceS), '--write-out', '\n%{http_code}']
  const { stdout } = await space.run('curl', ...format, ...options, url)
  const at = stdout.lastIndexOf('\n')
  return { status: Number(stdout.slice(at + 1)), text: stdout.slice(0, at) }
}

/** What a TFTP read gave: its text, `not found` for ERROR 1, or `no answer` within `seconds`. */
export type TftpAnswer = { readonly text: string } | 'not found' | 'no answer'

/** Reads a file with curl from `host` (IPv6 in brackets) at port 69. */
export async function tftpGet(space: Namespace, host: string, name: string, seconds = patienceS): Promise<TftpAnswer> {
  const options = ['--globoff', '--silent', '--show-error', '--max-time', String(seconds)]
  const { status, stdout, stderr } = await space.run('curl', ...options, `tftp://${host}/${name}`)
  // curl's exit status: 28 time is up, 68 TFTP file not found
  if (status === 0) return { text: stdout }
  if (status === 68) return 'not found'
  if (status === 28) return 'no answer'
  throw new Error(`curl tftp://${host}/${name}: exit ${status}: ${stderr}`)
}

/** Sends one read request, again each second, and prints the address that the first answer came from. */
const askSource = `
const [host, name] = process.argv.slice(1)
const socket = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
const rrq = Buffer.concat([Buffer.from([0, 1]), Buffer.from(name + '\\0octet\\0')])
const send = () => socket.send(rrq, 69, host)
socket.on('message', (packet, from) => {
  socket.send(Buffer.from([0, 5, 0, 0, 0]), from.port, from.address, () => process.exit())
  process.stdout.write(from.address)
})
send()
setInterval(send, 1000)
setTimeout(() => process.exit(1), ${patienceS * 1000})
`

/** Address from which the server answers a read request sent to `host`; empty if it does not. */
export async function tftpAnswerSource(space: Namespace, host: string, name: string): Promise<string> {
  const { stdout } = await space.run(process.execPath, '-e', askSource, host, name)
  return stdout
}
