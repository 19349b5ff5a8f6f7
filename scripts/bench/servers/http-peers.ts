/**
 * The HTTP peers at their best: nginx with two workers, sendfile and no log; and a bare `node:http` server that answers a
 * constant, on the very runtime that is in the executable.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freeTcpPort } from '../bench.ts'
import { getPeer } from '../peers.ts'
import { start } from '../processes.ts'
import { type StartServer, serverOf, untilAnswers } from './server.ts'

export const startNginx: StartServer = async (bench, work) => {
  const { program, env } = await getPeer('nginx')
  const port = await freeTcpPort()
  const dir = join(bench.dir, 'nginx')
  mkdirSync(dir, { recursive: true })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${dir}/${kind};`,
  )
  const config = [
    process.getuid?.() === 0 ? 'user root;' : '', // its workers have to read this run's folder
    'worker_processes 2;',
    `pid ${dir}/pid;`,
    'error_log stderr error;',
    'events { worker_connections 1024; }',
    'http {',
    ...temporary,
    'access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;',
    'keepalive_requests 100000000; keepalive_timeout 60s; open_file_cache max=100;',
    `server { listen 127.0.0.1:${port}; root ${work.peersDir}; }`,
    '}',
  ]
  const file = join(dir, 'nginx.conf')
  writeFileSync(file, `${config.join('\n')}\n`)
  const running = await start([program, '-e', 'stderr', '-p', dir, '-c', file, '-g', 'daemon off;'], { env })
  await untilAnswers(running, () => accepts(port))
  return serverOf('nginx', running, { http: { host: '127.0.0.1', port }, httpPrefix: '/' })
}

/** Answers `text` to everything. */
export const startConstant =
  (text: string): StartServer =>
  async (bench) => {
    const code = `require('node:http').createServer((_, answer) => answer.end(${JSON.stringify(text)}))
      .listen(0, '127.0.0.1', function () { console.log(this.address().port) })`
    const running = await start([bench.runtime, '-e', code])
    await untilAnswers(running, async () => running.stdout().endsWith('\n'))
    return serverOf('node:http', running, { http: { host: '127.0.0.1', port: Number(running.stdout()) } })
  }

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
