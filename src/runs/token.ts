/**
 * Run tokens: who has the token of a run may upload for it, from wherever.
 *
 * A token is an HMAC of the run's id under a key that is made once and kept in the journal, so that tokens survive
 * restarts, a cut delivery and a restored backup without a row each. Source: RUNS "Machine URLs"; RFC 2104.
 */
import { createHmac, createSecretKey, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Actor } from '../domain/event.ts'
import type { Store } from '../store/store.ts'

const daemon: Actor = { who: 'pxemngr', from: 'daemon', surface: 'daemon' }
const keyBytes = 32
/** Characters of base64url: 132 bits. */
const tokenLength = 22
/** Tokens kept that were made last: a run's is asked for when it is handed out and again when it reports. */
const tokensKept = 4096

export interface RunTokens {
  tokenOf(run: number): string
  /** In constant time. */
  matches(run: number, token: string): boolean
}

/**
 * Makes the key if there is none yet. While changes are refused (full disk) a key in memory serves until one is kept:
 * its tokens do not outlive the daemon.
 */
export async function openRunTokens(store: Store): Promise<RunTokens> {
  const fresh = randomBytes(keyBytes).toString('base64')
  if (store.queries.runSecret() === undefined) {
    await store
      .commit(daemon, (tx) => {
        if (tx.runSecret() === undefined) tx.emit({ type: 'secret.made', secret: fresh })
      })
      .catch(() => undefined)
  }
  // Made once: bytes would be made a key for each token, which takes seven times as long as the HMAC.
  const key = createSecretKey(store.queries.runSecret() ?? fresh, 'base64')
  const made = new Map<number, string>()
  const tokenOf = (run: number): string => {
    const known = made.get(run)
    if (known !== undefined) return known
    const token = createHmac('sha256', key).update(`run ${run}`).digest('base64url').slice(0, tokenLength)
    if (made.size >= tokensKept) made.clear()
    made.set(run, token)
    return token
  }
  return {
    tokenOf,
    matches(run, token) {
      const given = Buffer.from(token)
      const right = Buffer.from(tokenOf(run))
      return given.length === right.length && timingSafeEqual(given, right)
    },
  }
}
