/**
 * All of HTTP that booting machines do not ask for: API, events, login, pages, uploads, files of `/boot/`.
 *
 * It takes as long to load as the rest of the daemon, so the wiring imports it when machines are already answered.
 * Nothing of it is imported by what answers them. Source: DESIGN "Speed" (start).
 */
import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { Daemon } from '../commands/daemon.ts'
import { createManagementApp, type ManagementOptions } from './app.ts'
import type { Bindings, HttpApp, Surface } from './env.ts'
import { loginPage, mountPages, type Pages, problemPage } from './pages.ts'

export interface Management {
  /** For the server of a surface. */
  listener(surface: Surface): RequestListener
  /** Ends the event streams, so that the servers can close. */
  close(): void
}

export function createManagement(daemon: Daemon, options: ManagementOptions): Management {
  const mounts = [...(options.mounts ?? [])]
  let pages: Pages | undefined
  mounts.push((app) => {
    pages = mountPages(app, daemon)
  })
  const { app, close } = createManagementApp(daemon, { ...options, loginPage, problemPage, mounts })
  return {
    listener: (surface) => listenerOf(app, surface),
    close() {
      close()
      pages?.close()
    },
  }
}

/** The application as a listener of Node's servers. Which surface a request came on is fixed here. */
export function listenerOf(app: HttpApp, surface: Surface): RequestListener {
  const listener = getRequestListener((request, env) => app.fetch(request, { ...env, surface } as Bindings), {
    overrideGlobalObjects: false,
    hostname: 'localhost',
  })
  return (incoming, outgoing) => {
    listener(incoming, outgoing).catch((error: unknown) => outgoing.destroy(error instanceof Error ? error : undefined))
  }
}
