/**
 * Boots that were seen before this start of the daemon, from the boot timeline: a machine that hangs in its boot would
 * else keep its run waiting for ever once the daemon has been started again.
 *
 * The timeline may be lost without harm: then an infra verdict needs another boot. Source: RUNS "Verdicts" (infra), "Times"
 * (after a restart).
 */
import { parseMac } from '../domain/address.ts'
import { isGrubConfiguration, stageOf } from '../domain/stage.ts'
import type { Boot, BootQuery } from '../store/boot-timeline.ts'
import type { Store } from '../store/store.ts'
import { createLives, type Lives } from './life.ts'

export interface RecallOptions {
  readonly store: Store
  readonly lives: Pick<Lives, 'recall'>
  readonly boots: (query: BootQuery) => Promise<readonly Boot[]>
}

/** Machines that one name may have (an IP prefix): their boots that are looked at. */
const bootsPerSystem = 50

/** For systems with a waiting run only: nobody else's boot is judged. */
export async function recallBoots({ store, lives, boots }: RecallOptions): Promise<void> {
  const seen = createLives()
  for (const system of store.queries.openSystems(['requested'])) {
    const macs = store.queries.addressesOf(system).filter(({ kind }) => kind === 'mac')
    // By its addresses too: a boot that `default` or a file decided says nothing of the system.
    for (const query of [{ system, limit: bootsPerSystem }, ...macs.map(({ text }) => ({ mac: text, limit: 1 }))]) {
      for (const boot of [...(await boots(query))].reverse()) replay(seen, boot)
    }
  }
  const newestFirst = [...seen.all()].sort((a, b) => b.lastSignMs - a.lastSignMs)
  for (const life of newestFirst) lives.recall(life)
}

/** As the machine was seen then: the timeline may keep several starts of a machine that got nowhere as one boot. */
function replay(seen: Lives, { steps, profile, systemId, mac, ip }: Boot): void {
  const machine = { mac: mac === null ? undefined : parseMac(mac), ip }
  for (const { name, at, kind, outcome } of steps) {
    if (outcome !== 'done') continue
    if (stageOf(name) !== 'configuration') seen.sign(machine, name, at, kind === 'tftp')
    else {
      const read = profile === null || isGrubConfiguration(name) ? { file: name } : { profile }
      seen.booted({ machine, systemId: systemId ?? undefined, read, atMs: at })
    }
  }
}
