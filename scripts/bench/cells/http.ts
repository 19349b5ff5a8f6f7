/**
 * The HTTP cells: the 64 MiB file against nginx, and `GET /profile/<mac>/` against a bare server that answers a constant.
 */
import type { Cell, Sample } from '../cell.ts'
import { layOut, profileNames } from '../files.ts'
import { startConstant, startNginx } from '../servers/http-peers.ts'
import { startPxemngr } from '../servers/pxemngr.ts'
import { type Server, startServers } from '../servers/server.ts'
import { contestOf, measureBytes, measureReads, readMetrics, readSeconds } from './tftp.ts'

const systems = 1000

function httpAddress({ name, http }: Server): NonNullable<Server['http']> {
  if (!http) throw new Error(`${name} does not speak HTTP`)
  return http
}

function httpFile(clients: number): Cell {
  return {
    name: `http-file-c${clients}`,
    title: `64 MiB file over HTTP, again and again, ${clients === 1 ? '1 client' : `${clients} clients`}`,
    metrics: [
      { key: 'rate', label: 'MB/s', better: 'more', digits: 0 },
      { key: 'cpu', label: 'CPU s/GB', better: 'less', digits: 2 },
    ],
    targets: [{ subject: 'pxemngr', metric: 'rate', against: ['nginx'], atLeast: 1 }],
    prepare: (bench) =>
      contestOf(bench, { pxemngr: startPxemngr(systems), nginx: startNginx }, (server, work) => {
        const list = work.httpFileList(server.httpPrefix ?? '/')
        const options = [`connections=${clients}`, `seconds=${readSeconds(bench)}`]
        const measure = (): Promise<Sample> =>
          measureBytes(server, () => bench.load.http(httpAddress(server), list, options))
        return [{ name: server.name, measure }]
      }),
  }
}

export const httpFileCells: readonly Cell[] = [httpFile(1), httpFile(8)]

export const profileUrl: Cell = {
  name: 'profile-url',
  title: 'GET /profile/<mac>/ over HTTP, 32 connections, 1,000 systems',
  metrics: readMetrics,
  targets: [{ subject: 'pxemngr', metric: 'rate', against: ['node:http'], atLeast: 0.8 }],
  async prepare(bench) {
    const work = layOut(bench.dir, systems)
    const constant = profileNames[0]
    const starters = { pxemngr: startPxemngr(systems), 'node:http': startConstant(constant) }
    const { servers, absent, stop } = await startServers(bench, work, starters)
    const options = ['connections=32', `seconds=${readSeconds(bench)}`]
    const subjects = servers.map((server) => {
      const list = server.name === 'pxemngr' ? work.profileUrlList(systems) : work.constantUrlList(systems)
      const measure = (): Promise<Sample> =>
        measureReads(server, () => bench.load.http(httpAddress(server), list, options))
      return { name: server.name, measure }
    })
    return { subjects, absent, close: stop }
  },
}
