/**
 * `kill -9` at random instants under parallel load: everything acknowledged is there, nothing is half there.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { silentLog } from '../../src/log.ts'
import { openStore } from '../../src/store/open.ts'
import { contentFromNothing, copyFolder, makeFolder } from '../harness/store-folder.ts'

const rounds = 20
const program = join(import.meta.dirname, '..', 'harness', 'store-child.ts')

/** Runs the program on the directory, kills it `afterMs` after it has opened; resolves with what it had acknowledged. */
async function killed(dir: string, round: number, afterMs: number): Promise<string[]> {
  const child = spawn(process.execPath, [program, dir, String(round)], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  const opened = Promise.withResolvers<void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (stdout.startsWith('open\n')) opened.resolve()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once('close', (_, signal) => {
      opened.reject(new Error(`it ended by itself: ${stderr}`))
      resolve(signal)
    })
  })
  await opened.promise
  await wait(afterMs)
  child.kill('SIGKILL')
  assert.equal(await ended, 'SIGKILL', stderr)
  const whole = stdout.slice(0, stdout.lastIndexOf('\n') + 1)
  return whole.split('\n').flatMap((line) => (line.startsWith('ack ') ? [line.slice(4)] : []))
}

test(`killed ${rounds} times under parallel load, the store has everything acknowledged and nothing half`, async (t) => {
  const dir = makeFolder(t)
  const acknowledged: string[] = []
  // On a busy machine some rounds end before anything was acknowledged: others take their place.
  const isEnough = (round: number) => round > rounds && (acknowledged.length > rounds || round > rounds * 5)
  for (let round = 1; !isEnough(round); round += 1) {
    acknowledged.push(...(await killed(dir, round, Math.random() * 150)))
    const store = await openStore({ dataDir: dir, log: silentLog })
    const names = new Set(store.queries.listSystems().map(({ name }) => name))
    const missing = acknowledged.filter((name) => !names.has(name))
    assert.deepEqual(missing, [], `round ${round}: acknowledged and gone`)
    for (const { id, name } of store.queries.listSystems()) {
      const whole = [store.queries.addressesOf(id).length, store.queries.decisionsOf(id, 9).length]
      assert.deepEqual(whole, [2, 1], `round ${round}: half of ${name} is there`)
    }
    const faults = store.degradations().filter(({ weight }) => weight === 'fault')
    assert.deepEqual(faults, [])
    await store.close()
  }
  assert.ok(acknowledged.length > rounds, `${acknowledged.length} acknowledged`)
  const copy = copyFolder(t, dir)
  const store = await openStore({ dataDir: copy, log: silentLog })
  const ids = store.queries.listSystems().map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  assert.ok((await contentFromNothing(copy, store.seq)).includes(acknowledged.at(-1) ?? '?'))
  await store.close()
})
