/**
 * `npm start`: installs what is pinned, builds what has changed, runs `dist/pxemngr serve` on data in ./var, and says
 * where DHCP has to point and what to type next. `npm start -- --http 127.0.0.1:9000` passes flags on.
 *
 * npm runs this through a shell that does not pass signals on; so this ends the daemon on SIGTERM and SIGINT, and also
 * when the process that started it is gone.
 */
import { spawn } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { relative } from 'node:path'
import { build } from '../build.mjs'
import { projectDir } from './setup.mjs'

/** How often it is looked whether npm is still there. */
const parentPollMs = 250

const started = Date.now()
const say = (line) => process.stderr.write(`${line}\n`)
const flags = process.argv.slice(2)

let executable
try {
  executable = await build({ say: (line) => say(`[${((Date.now() - started) / 1000).toFixed(1)} s] ${line}`) })
} catch (error) {
  say(`npm start: ${error.message}`)
  process.exit(1)
}

process.chdir(projectDir)
const isGiven = (key) =>
  flags.some((flag) => flag === `--${key}` || flag.startsWith(`--${key}=`)) ||
  process.env[`PXEMNGR_${key.toUpperCase().replaceAll('-', '_')}`] !== undefined
const own = []
if (!isGiven('data-dir') && !isGiven('config')) {
  own.push('--data-dir', 'var')
  if (!isGiven('socket')) own.push('--socket', 'var/pxemngr.sock')
}

const daemon = spawn(executable, ['serve', ...own, ...flags], { stdio: ['inherit', 'pipe', 'inherit'] })
const parent = process.ppid
setInterval(() => {
  if (process.ppid !== parent) daemon.kill('SIGTERM')
}, parentPollMs).unref()
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => daemon.kill(signal))
daemon.on('error', (error) => {
  say(`npm start: ${error.message}`)
  process.exitCode = 1
})
daemon.on('exit', (status, signal) => {
  process.exitCode = status ?? (signal ? 1 : 0)
  process.stdin.unref?.()
})

let printed = ''
daemon.stdout.on('data', (chunk) => {
  process.stdout.write(chunk)
  if (printed === null) return
  printed += chunk
  const ready = /^pxemngr ready tftp=(\S+) http=(\S+) socket=(\S+)\n/m.exec(printed)
  if (!ready) return
  printed = null
  explain(ready[1], ready[2], ready[3])
})

/** IPv4 addresses that a machine on the network can reach. */
function ownAddresses() {
  return Object.values(networkInterfaces())
    .flat()
    .filter((entry) => entry.family === 'IPv4' && !entry.internal)
    .map((entry) => entry.address)
}

function explain(tftp, http, socket) {
  const anywhere = /^(0\.0\.0\.0|\[::\]):/
  const first = tftp.split(',')[0]
  const port = /:(\d+)$/.exec(first)?.[1]
  const reachable = ownAddresses()
  const servers = anywhere.test(first) ? reachable : [first.replace(/:\d+$/, '')]
  const web = http.split(',')[0]
  const webHost = anywhere.test(web) ? `${reachable[0] ?? '127.0.0.1'}:${/:(\d+)$/.exec(web)?.[1]}` : web
  const near = relative(process.cwd(), socket)
  const command = `${relative(process.cwd(), executable)} --socket ${near.startsWith('..') ? socket : near}`
  say('')
  if (tftp === 'off') say('TFTP is off: machines have to boot over HTTP')
  else {
    say(`Point DHCP here     next-server ${servers.join(' or ') || 'ADDRESS-OF-THIS-MACHINE'}`)
    say('                    file name   pxelinux.0 for BIOS, syslinux.efi for UEFI (x64)')
    if (port !== '69')
      say(`                    but PXE firmware asks port 69 only and TFTP is on ${port}: start as root to have 69`)
  }
  if (http !== 'off') say(`Web pages           http://${webHost}/`)
  say('Type next, in another terminal here')
  say(`  ${command} addsystem node1 52:54:00:12:34:56`)
  say(`  ${command} nextboot node1 local`)
  say(`  ${command} status`)
  say('Ctrl-C stops it.')
}
