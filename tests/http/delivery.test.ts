/** Whether an answer with a run has arrived, by what its connection shows. Source: CONTRACT "What machines ask over HTTP". */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { afterEach, beforeEach, mock, test } from 'node:test'
import { createDeliveries } from '../../src/http/delivery.ts'
import type { Handed } from '../../src/runs/handout.ts'

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
afterEach(() => mock.timers.reset())

/** An answer on its way over a connection of which `left` bytes are not acknowledged. */
function underWay({ destroyed = false } = {}) {
  const told: string[] = []
  const queue = { left: 0 as number | undefined }
  const outgoing = new EventEmitter()
  const socket = Object.assign(new EventEmitter(), { destroyed, resetAndDestroy: () => told.push('reset') })
  const deliveries = createDeliveries(async () => queue.left)
  deliveries.follow(
    outgoing as ServerResponse,
    socket as unknown as Socket,
    {
      run: { id: 7 },
      delivered: async () => void told.push('delivered'),
      cut: () => told.push('cut'),
    } as unknown as Handed,
  )
  const ask = (method: string, url: string) => deliveries.heard({ socket, method, url } as unknown as IncomingMessage)
  const after = async (seconds: number): Promise<void> => {
    mock.timers.tick(seconds * 1000)
    await new Promise(setImmediate)
  }
  const listeners = (): number =>
    [socket, outgoing].reduce(
      (sum, each) => sum + each.eventNames().reduce((n, name) => n + each.listenerCount(name), 0),
      0,
    )
  return { told, queue, outgoing, socket, ask, after, listeners }
}

test('delivered: closed cleanly, asked for the next, or all acknowledged 10 s later; nothing of it stays behind', async () => {
  const closed = underWay()
  closed.outgoing.emit('finish')
  closed.socket.emit('end')
  closed.socket.emit('close', false)
  assert.deepEqual(closed.told, ['delivered'])
  const asking = underWay()
  asking.outgoing.emit('finish')
  asking.ask('GET', '/nexttest/')
  assert.deepEqual(asking.told, ['delivered'])
  const open = underWay()
  open.outgoing.emit('finish')
  await open.after(9)
  assert.deepEqual(open.told, [])
  await open.after(1)
  assert.deepEqual(open.told, ['delivered'])
  for (const each of [closed, asking, open]) {
    assert.equal(each.listeners(), 0)
    await each.after(100)
    assert.equal(each.told.length, 1)
  }
})

test('a result that comes on the same connection is waited for, a moment', async () => {
  const uploading = underWay()
  uploading.outgoing.emit('finish')
  uploading.ask('POST', '/upload/7/?token=x')
  assert.deepEqual(uploading.told, [])
  await uploading.after(0.05)
  assert.deepEqual(uploading.told, ['delivered'])
  const ofAnother = underWay()
  ofAnother.outgoing.emit('finish')
  ofAnother.ask('POST', '/upload/8/?token=x')
  assert.deepEqual(ofAnother.told, ['delivered'])
})

test('cut: reset, closed before the whole answer, or gone before it was written', async () => {
  const reset = underWay()
  reset.outgoing.emit('finish')
  reset.socket.emit('error', new Error('ECONNRESET'))
  reset.socket.emit('close', true)
  assert.deepEqual(reset.told, ['cut'])
  const early = underWay()
  early.socket.emit('end')
  assert.deepEqual(early.told, [])
  early.socket.emit('close', false)
  assert.deepEqual(early.told, ['cut'])
  const gone = underWay({ destroyed: true })
  assert.deepEqual([gone.told, gone.listeners()], [['cut'], 0])
  await gone.after(100)
  assert.deepEqual(gone.told, ['cut'])
})

test('what is not acknowledged is waited for as long as some of it gets through, then the connection is reset', async () => {
  const dead = underWay()
  dead.outgoing.emit('finish')
  for (const left of [500, 300, 100]) {
    dead.queue.left = left
    await dead.after(10)
    assert.deepEqual(dead.told, [])
  }
  await dead.after(5)
  assert.deepEqual(dead.told, ['cut', 'reset'])
})

test('an answer that has not all gone to the kernel is never cut on a connection that may still bring it', async () => {
  const slow = underWay()
  for (const left of [90_000, 80_000, 90_000]) {
    slow.queue.left = left
    await slow.after(10)
    assert.deepEqual(slow.told, [])
  }
  // All of it has gone now, and there is more of it on its way than before.
  slow.outgoing.emit('finish')
  slow.queue.left = 95_000
  await slow.after(5)
  assert.deepEqual(slow.told, [])
  slow.queue.left = 0
  await slow.after(5)
  assert.deepEqual(slow.told, ['delivered'])
  const stuck = underWay()
  stuck.queue.left = 90_000
  await stuck.after(10)
  await stuck.after(5)
  assert.deepEqual(stuck.told, ['cut', 'reset'])
  // Behind another answer, which is held: nothing of it is in the kernel.
  const behind = underWay()
  await behind.after(10)
  assert.deepEqual(behind.told, [])
  await behind.after(5)
  assert.deepEqual(behind.told, ['cut', 'reset'])
})
