/**
 * A small program that opens a store and commits in parallel as fast as it can, until it is killed.
 *
 * Says on stdout `open`, then `ack <client> <n> <seq>` for every change that was acknowledged. Each change is one record
 * of several events (a system with two addresses and a decision), so that half of one would be seen.
 */
import { writeSync } from 'node:fs'
import { silentLog } from '../../src/log.ts'
import { openStore } from '../../src/store/open.ts'
import { addSystem, decide, operator } from './store-folder.ts'

const clients = 8

async function main(dataDir: string, round: string): Promise<void> {
  const store = await openStore({ dataDir, log: silentLog, segmentMaxBytes: 20_000, snapshotEveryBytes: 60_000 })
  writeSync(1, 'open\n')
  const client = async (number: number): Promise<void> => {
    for (let n = 0; ; n += 1) {
      const name = `r${round}-${number}-${n}`
      const mac = `52:54:${Number(round).toString(16).padStart(2, '0')}:${number.toString(16).padStart(2, '0')}:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`
      await store.commit(operator, (tx) => decide(tx, addSystem(tx, name, mac, '10.34'), 'install'))
      writeSync(1, `ack ${name}\n`)
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, number) => client(number)))
}

await main(process.argv[2] ?? '', process.argv[3] ?? '0')
