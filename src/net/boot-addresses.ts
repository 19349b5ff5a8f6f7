/**
 * Which MAC booted from which IP address: what `/localboot/` of a machine behind a router is recognised by.
 *
 * Seen in the requests for `pxelinux.cfg/01-<mac>` and recorded when it changes, without waiting for the disk. Anybody can
 * send such requests with invented MACs, so records are rationed: one a second for an address, and from two bounded
 * supplies, a small one for MACs that no system has. What is not recorded is kept in memory, bounded, until it is.
 * Source: DESIGN "State" (trace), CONTRACT "What machines ask over HTTP".
 */
import type { Mac } from '../domain/address.ts'
import type { Store } from '../store/store.ts'

export interface BootAddresses {
  /** A machine with this MAC asked for its configuration from this address. */
  saw(address: string, mac: Mac): void
  /** MAC that this address last booted with. */
  macOf(address: string): Mac | undefined
}

/** Twice the largest site DESIGN measures: all its machines may be switched on at once. */
const knownBurst = 20_000
const knownPerSecond = 20
/** Machines that no system has: a rack at first contact, then one a second. */
const unknownBurst = 1000
const unknownPerSecond = 1
/** An address changes its MAC this often at most in the journal; two NICs of one machine ask within a second. */
const perAddressMs = 1000
/** Unrecorded pairs in memory, some 100 bytes each. */
const pendingMax = 8192

export function createBootAddresses(store: Store, nowMs: () => number = Date.now): BootAddresses {
  const pending = new Map<string, { readonly mac: Mac; readonly atMs: number }>()
  const known = supply(knownBurst, knownPerSecond, nowMs)
  const unknown = supply(unknownBurst, unknownPerSecond, nowMs)
  return {
    saw(address, mac) {
      const recorded = store.queries.lastMacOf(address)
      const last = pending.size === 0 ? undefined : pending.get(address)
      if (recorded === mac && (last?.mac ?? mac) === mac) return
      const now = nowMs()
      const tooSoon = last !== undefined && now - last.atMs < perAddressMs
      pending.delete(address)
      pending.set(address, { mac, atMs: tooSoon ? last.atMs : now })
      for (const oldest of pending.keys()) {
        if (pending.size <= pendingMax) break
        pending.delete(oldest)
      }
      if (tooSoon) return
      const supplied = store.queries.systemsWith(mac).length > 0 ? known() : unknown()
      if (!supplied) return
      store
        .commit(
          { who: mac, from: address, surface: 'machine' },
          (tx) => {
            if (tx.lastMacOf(address) !== mac) tx.emit({ type: 'boot.address', ip: address, mac })
          },
          { durable: false },
        )
        .catch(() => {
          // Changes are refused, which `status` says: the pair stays in memory.
        })
    },
    macOf(address) {
      const recorded = store.queries.lastMacOf(address)
      const seen = pending.get(address)
      if (seen && seen.mac === recorded && nowMs() - seen.atMs >= perAddressMs) pending.delete(address)
      return seen?.mac ?? recorded
    },
  }
}

/** Token bucket: full at first, refilled at a steady rate. */
function supply(burst: number, perSecond: number, nowMs: () => number): () => boolean {
  let left = burst
  let atMs = nowMs()
  return () => {
    const now = nowMs()
    left = Math.min(burst, left + (Math.max(0, now - atMs) / 1000) * perSecond)
    atMs = now
    if (left < 1) return false
    left -= 1
    return true
  }
}
