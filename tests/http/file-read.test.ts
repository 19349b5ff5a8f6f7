import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createFileReader } from '../../src/http/file-read.ts'
import type { OpenedFile } from '../../src/tftp/jail.ts'

const MiB = 1024 * 1024
const size = 8 * MiB + 3
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pxemngr-file-read-'))
  writeFileSync(join(dir, 'initrd'), Buffer.alloc(size, 7))
  const past = new Date(Date.now() - 3600_000)
  utimesSync(join(dir, 'initrd'), past, past)
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** A client that takes everything at once: what it got, and the turn of the event loop of each write. */
function greedyClient() {
  let turn = 0
  let counting = true
  const count = (): void => {
    turn += 1
    if (counting) setImmediate(count)
  }
  setImmediate(count)
  const turns: number[] = []
  let bytes = 0
  const outgoing = Object.assign(new EventEmitter(), {
    destroyed: false,
    write(chunk: Buffer, done: () => void): boolean {
      turns.push(turn)
      bytes += chunk.length
      process.nextTick(done)
      return true
    },
    end() {
      counting = false
    },
  })
  return { outgoing: outgoing as unknown as ServerResponse, turns, received: () => bytes }
}

describe('sending a file', () => {
  it('no more than a chunk a turn of the event loop, also from memory and to a client that takes all at once', async () => {
    const reader = createFileReader()
    for (let download = 0; download < 3; download++) {
      const opened = await reader.openInside(dir, [], 'initrd')
      assert.ok('fd' in opened)
      const file: OpenedFile = opened
      const { outgoing, turns, received } = greedyClient()
      const told: number[] = []
      await reader.send(file, 0, size, outgoing, (bytes) => told.push(bytes))
      await reader.close(file.fd)
      assert.equal(received(), size)
      assert.equal(told.at(-1), size)
      assert.equal(new Set(turns).size, turns.length, `download ${download}: turns ${turns.join(' ')}`)
    }
  })

  it('ends when the client goes, while it takes nothing or while the next part is read', async () => {
    const reader = createFileReader()
    for (const goesAt of ['write', 'read'] as const) {
      const opened = await reader.openInside(dir, [], 'initrd')
      assert.ok('fd' in opened)
      let writes = 0
      const outgoing = Object.assign(new EventEmitter(), {
        destroyed: false,
        write() {
          writes += 1
          return false // its callback never comes
        },
        end: () => assert.fail('a short answer must not look whole'),
      })
      const leave = (): void => {
        outgoing.destroyed = true
        outgoing.emit('close')
      }
      const sent: number[] = []
      const sending = reader.send(opened, 0, size, outgoing as unknown as ServerResponse, (bytes) => sent.push(bytes))
      if (goesAt === 'read') leave()
      else {
        while (writes === 0) await new Promise(setImmediate)
        leave()
      }
      await sending
      await reader.close(opened.fd)
      assert.deepEqual([writes, sent.filter((bytes) => bytes > 0)], [goesAt === 'read' ? 0 : 1, []])
      assert.equal(outgoing.listenerCount('close'), 0)
    }
  })
})
