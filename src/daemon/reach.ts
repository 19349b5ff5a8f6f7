/**
 * The base URL that reaches this server from where a machine is: `public-url` where it is set, else the address that the
 * machine asked, with the HTTP listener that answers there. Source: CONTRACT "Daemon" (`public-url`).
 */
import { isIPv6 } from 'node:net'

export interface Reach {
  /** For what came in on the local address `local`; no slash at its end. */
  urlFrom(local: string): string
}

/** `listeners.http` as printed, `10.0.0.1:8000`, `[::]:8000`; may still grow. */
export function createReach(publicUrl: () => string | null, listeners: { readonly http: readonly string[] }): Reach {
  return {
    urlFrom(local) {
      const set = publicUrl()
      if (set !== null) return set
      const host = isIPv6(local) ? `[${local}]` : local
      const own = listeners.http.find((address) => address.startsWith(`${host}:`))
      const any = listeners.http.find((address) => /^(0\.0\.0\.0|\[::\]):/.test(address))
      const chosen = own ?? any ?? listeners.http[0]
      const port = /:(\d+)$/.exec(chosen ?? '')?.[1]
      if (port === undefined) return `http://${host}`
      return own || any ? `http://${host}:${port}` : `http://${chosen}`
    },
  }
}
