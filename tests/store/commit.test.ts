/**
 * Decide, sync, apply: what a command may see, when it is answered, and what a failing disk does to it.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Ip4, Ip4Prefix, Mac } from '../../src/domain/address.ts'
import { Refusal } from '../../src/domain/errors.ts'
import { reserveBytes } from '../../src/store/reserve.ts'
import type { Store } from '../../src/store/store.ts'
import { faultyDisk } from '../harness/faulty-disk.ts'
import { addSystem, decide, machine, makeFolder, open, operator } from '../harness/store-folder.ts'

const mac = '52:54:00:00:00:01' as Mac
const otherMac = '52:54:00:00:00:02' as Mac
const retryMs = 20

function refusal(kind: Refusal['kind'], text: RegExp) {
  return (error: unknown) => error instanceof Refusal && error.kind === kind && text.test(error.message)
}

function codes(store: Store): string[] {
  return store.degradations().map(({ code }) => code)
}

async function until(what: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!what()) {
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`)
    await wait(5)
  }
}

test('a command is answered once its record is on disk and applied, and a restart knows it', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir)
  const id = await store.commit(operator, (tx) => {
    const system = addSystem(tx, 'c1', mac, '10.34')
    decide(tx, system, 'install')
    assert.equal(tx.findSystem('c1')?.id, system, 'a decision sees its own events')
    return system
  })
  assert.deepEqual(store.queries.systemsWith(mac), [{ id, name: 'c1' }])
  assert.equal(store.queries.nextBootOf('10.34' as Ip4Prefix)?.profile, 'install')
  await store.close()
  const again = await open(t, dir)
  assert.equal(again.queries.nextBootOf(mac)?.by, 'root')
  assert.equal(again.seq, 2, 'the record and the closing one')
  const [record] = await again.history({ systems: [id] })
  assert.deepEqual(
    record?.events.map(({ type }) => type),
    ['system.added', 'address.added', 'address.added', 'boot.decided'],
  )
})

test('a refusal leaves nothing behind, and a command that names no event writes nothing', async (t) => {
  const store = await open(t, makeFolder(t))
  const refused = store.commit(operator, (tx) => {
    addSystem(tx, 'c1', mac)
    throw new Refusal('refused', 'no')
  })
  const nothing = store.commit(operator, (tx) => tx.findSystem('c1'))
  await assert.rejects(refused, refusal('refused', /^no$/))
  assert.equal(await nothing, undefined)
  assert.equal(store.seq, 0)
})

test('commands of one batch see those before them, share one sync and get numbers without gaps', async (t) => {
  const disk = faultyDisk()
  const store = await open(t, makeFolder(t), { disk })
  disk.done.length = 0
  const seen = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      store.commit(operator, (tx) => {
        addSystem(tx, `c${i}`)
        return tx.countSystems()
      }),
    ),
  )
  assert.deepEqual(
    seen,
    Array.from({ length: 50 }, (_, i) => i + 1),
  )
  assert.equal(store.seq, 50)
  const syncs = disk.done.filter((line) => line.startsWith('sync ')).length
  assert.ok(syncs < 10, `${syncs} syncs for 50 commands`)
})

test('those of a large batch are told in order, a few in each turn of the event loop', async (t) => {
  const store = await open(t, makeFolder(t))
  let turn = 0
  let isOver = false
  t.after(() => {
    isOver = true
  })
  const count = (): void => {
    turn += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const order: number[] = []
  const add = async (index: number): Promise<number> => {
    await store.commit(operator, (tx) => addSystem(tx, `c${index}`))
    order.push(index)
    return turn
  }
  const turns = await Promise.all(Array.from({ length: 100 }, (_, index) => add(index)))
  assert.deepEqual(order, [...order.keys()])
  for (const each of new Set(turns)) assert.ok(turns.filter((other) => other === each).length <= 16)
})

test('while the disk holds a batch back nothing of it is served, and commands that saw it wait with it', async (t) => {
  const disk = faultyDisk()
  const store = await open(t, makeFolder(t), { disk })
  const gate = disk.hold('sync')
  const applied: number[] = []
  store.onApplied(({ seq }) => applied.push(seq))
  const settled: string[] = []
  const added = store.commit(operator, (tx) => addSystem(tx, 'c1', mac)).then(() => settled.push('added'))
  const dependent = store
    .commit(operator, (tx) => {
      if (tx.findSystem('c1')) throw new Refusal('refused', 'c1 exists')
    })
    .catch((error: unknown) => settled.push(String(error)))
  await gate.reached
  await wait(20)
  assert.deepEqual(
    [
      store.queries.findSystem('c1'),
      store.queries.systemsWith(mac),
      store.seq,
      applied,
      settled,
      await store.history({}),
    ],
    [undefined, [], 0, [], [], []],
  )
  gate.release()
  await Promise.all([added, dependent])
  assert.deepEqual(settled, ['added', 'Refusal: c1 exists'])
  assert.equal(store.queries.findSystem('c1')?.name, 'c1')
})

test('a batch that fails is never served, and a command that rested on it is decided again', async (t) => {
  const disk = faultyDisk()
  const store = await open(t, makeFolder(t), { disk, retryMs })
  const gate = disk.hold('sync')
  const added = store.commit(operator, (tx) => addSystem(tx, 'c1', mac))
  const dependent = store.commit(operator, (tx) => tx.findSystem('c1')?.name ?? 'not there')
  const failed = assert.rejects(added, refusal('not-kept', /not known to be kept.*EIO/))
  await gate.reached
  disk.fail('sync', 'EIO')
  gate.release()
  await failed
  assert.equal(await dependent, 'not there')
  assert.equal(store.queries.findSystem('c1'), undefined)
})

test('the next decision uses the ids of a batch that failed: only recorded ids are used up', async (t) => {
  const disk = faultyDisk()
  const store = await open(t, makeFolder(t), { disk, retryMs })
  disk.fail('write', 'EIO', 'journal')
  await assert.rejects(
    store.commit(operator, (tx) => addSystem(tx, 'c1')),
    refusal('unavailable', /EIO/),
  )
  disk.heal()
  await until(() => !codes(store).includes('writes-refused'))
  assert.equal(await store.commit(operator, (tx) => addSystem(tx, 'c2')), 1)
})

test('ids are never used twice, also after a restart and from a snapshot', async (t) => {
  const dir = makeFolder(t)
  let store = await open(t, dir)
  const first = await store.commit(operator, (tx) => addSystem(tx, 'c1', mac))
  await store.commit(operator, (tx) => tx.emit({ type: 'system.removed', system: first, name: 'c1' }))
  assert.equal(await store.snapshot(), true)
  await store.close()
  store = await open(t, dir)
  assert.equal(await store.commit(operator, (tx) => addSystem(tx, 'c1', mac)), first + 1)
})

for (const fault of ['EIO', 'EROFS', 'ENOSPC'] as const) {
  test(`a write that fails with ${fault}: changes are refused with the reason, reads go on, writing resumes by itself`, async (t) => {
    const disk = faultyDisk()
    const dir = makeFolder(t)
    const store = await open(t, dir, { disk, retryMs })
    await store.commit(operator, (tx) => decide(tx, addSystem(tx, 'c1', mac), 'install'))
    for (const operation of ['open', 'write'] as const) disk.fail(operation, fault)
    await assert.rejects(
      store.commit(operator, (tx) => addSystem(tx, 'c2')),
      refusal('unavailable', new RegExp(fault)),
    )
    await assert.rejects(
      store.commit(operator, (tx) => addSystem(tx, 'c3')),
      refusal('unavailable', /refused since .*Z/),
    )
    assert.deepEqual(codes(store), ['writes-refused'])
    assert.equal(store.queries.nextBootOf(mac)?.profile, 'install')
    disk.heal()
    await until(() => codes(store).length === 0)
    await store.commit(operator, (tx) => addSystem(tx, 'c4'))
    assert.deepEqual(readdirSync(join(dir, 'journal')).sort(), ['1.jsonl', '2.jsonl'], 'a new segment')
    assert.match(readFileSync(join(dir, 'journal', '1.jsonl'), 'utf8'), /\n$/)
    await store.close()
    const again = await open(t, dir)
    assert.deepEqual(
      again.queries.listSystems().map(({ name }) => name),
      ['c1', 'c4'],
    )
    assert.deepEqual(codes(again), [])
  })
}

test('a write that is short without an error is cut back: half a record is never there', async (t) => {
  const disk = faultyDisk()
  const dir = makeFolder(t)
  const store = await open(t, dir, { disk, retryMs: 60_000 })
  await store.commit(operator, (tx) => addSystem(tx, 'c1'))
  const size = statSync(join(dir, 'journal', '1.jsonl')).size
  disk.shorten(40)
  await assert.rejects(
    store.commit(operator, (tx) => addSystem(tx, 'c2')),
    refusal('unavailable', /40 of \d+ bytes/),
  )
  assert.equal(statSync(join(dir, 'journal', '1.jsonl')).size, size)
})

test('where the failed segment cannot even be cut back, what it holds beyond the next one does not count', async (t) => {
  const disk = faultyDisk()
  const dir = makeFolder(t)
  const store = await open(t, dir, { disk, retryMs })
  await store.commit(operator, (tx) => addSystem(tx, 'c1'))
  disk.fail('sync', 'EIO')
  disk.fail('truncate', 'EIO')
  await assert.rejects(
    store.commit(operator, (tx) => addSystem(tx, 'ghost')),
    refusal('not-kept', /EIO/),
  )
  disk.heal()
  await until(() => codes(store).length === 0)
  await store.commit(operator, (tx) => addSystem(tx, 'c2'))
  await store.close()
  assert.match(readFileSync(join(dir, 'journal', '1.jsonl'), 'utf8'), /ghost/)
  const again = await open(t, dir)
  assert.deepEqual(
    again.queries.listSystems().map(({ name }) => name),
    ['c1', 'c2'],
  )
  assert.deepEqual(
    (await again.history({})).map(({ seq }) => seq),
    [1, 2, 3, 4].slice(0, again.seq),
  )
})

test('on a full disk machines report into the reserve; people are refused until there is room again', async (t) => {
  const disk = faultyDisk()
  const dir = makeFolder(t)
  const store = await open(t, dir, { disk, retryMs })
  const id = await store.commit(operator, (tx) => {
    const system = addSystem(tx, 'c1', mac)
    decide(tx, system, 'install')
    return system
  })
  assert.equal(statSync(join(dir, 'reserve')).size, reserveBytes)
  disk.fill(0)
  const both = await Promise.allSettled([
    store.commit(operator, (tx) => addSystem(tx, 'c2')),
    store.commit(machine, (tx) => decide(tx, id, 'local'), { plane: 'machine' }),
  ])
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'fulfilled'],
  )
  assert.equal(existsSync(join(dir, 'reserve')), false)
  assert.equal(store.queries.nextBootOf(mac)?.profile, 'local')
  assert.deepEqual(codes(store), ['writes-refused'])
  disk.heal()
  await until(() => codes(store).length === 0)
  assert.equal(statSync(join(dir, 'reserve')).size, reserveBytes)
  await store.commit(operator, (tx) => addSystem(tx, 'c3'))
  await store.close()
  const again = await open(t, dir)
  assert.equal(again.queries.nextBootOf(mac)?.profile, 'local')
})

test('a report that cannot be written at all is held: the machine boots local, and it is written once that works', async (t) => {
  const disk = faultyDisk()
  const dir = makeFolder(t)
  const store = await open(t, dir, { disk, retryMs })
  const id = await store.commit(operator, (tx) => {
    const system = addSystem(tx, 'c1', mac)
    decide(tx, system, 'install')
    return system
  })
  for (const operation of ['open', 'write', 'sync'] as const) disk.fail(operation, 'EIO')
  const report = store.commit(machine, (tx) => decide(tx, id, 'local'), { plane: 'machine' })
  await assert.rejects(report, refusal('unavailable', /EIO/))
  const unknown = store.commit(
    machine,
    (tx) => tx.emit({ type: 'report.remembered', mac: otherMac, ip: null, system: null, profile: 'local' }),
    { plane: 'machine' },
  )
  await assert.rejects(unknown, refusal('unavailable', /EIO/))
  assert.equal(store.queries.nextBootOf(mac)?.profile, 'local')
  assert.equal(store.queries.rememberedFor(otherMac)?.profile, 'local')
  assert.deepEqual(codes(store), ['writes-refused', 'reports-in-memory'])
  assert.equal(store.seq, 1)
  disk.heal()
  await until(() => codes(store).length === 0 && store.seq === 3)
  await store.close()
  const again = await open(t, dir)
  assert.equal(again.queries.nextBootOf(mac)?.profile, 'local')
  assert.equal(again.queries.rememberedFor(otherMac)?.profile, 'local')
})

test('a machine that asks for another profile while nothing can be written is refused, not held', async (t) => {
  const disk = faultyDisk()
  const store = await open(t, makeFolder(t), { disk, retryMs: 60_000 })
  const id = await store.commit(operator, (tx) => addSystem(tx, 'c1', mac))
  for (const operation of ['open', 'write'] as const) disk.fail(operation, 'EROFS')
  await assert.rejects(
    store.commit(machine, (tx) => decide(tx, id, 'install'), { plane: 'machine' }),
    refusal('unavailable', /EROFS/),
  )
  assert.equal(store.queries.nextBootOf(mac), undefined)
  assert.deepEqual(codes(store), ['writes-refused'])
})

test('a record that nobody waits for is answered before its sync and applied after it', async (t) => {
  const disk = faultyDisk()
  const store = await open(t, makeFolder(t), { disk })
  const gate = disk.hold('sync')
  await store.commit(machine, (tx) => tx.emit({ type: 'boot.address', ip: '10.0.0.1', mac }), { durable: false })
  assert.equal(store.queries.lastMacOf('10.0.0.1'), undefined)
  gate.release()
  await until(() => store.queries.lastMacOf('10.0.0.1') === mac)
  assert.equal(store.queries.lastIpOf(mac), '10.0.0.1')
})

test('the cached answers of a boot follow every event that touches them', async (t) => {
  const store = await open(t, makeFolder(t))
  const { queries } = store
  const prefix = '10.34' as Ip4Prefix
  const ip = '10.34.0.9' as Ip4
  assert.deepEqual(
    [queries.nextBootOf(mac), queries.systemsWith(mac), queries.rememberedFor(mac)],
    [undefined, [], undefined],
  )
  const a = await store.commit(operator, (tx) => addSystem(tx, 'a', mac, prefix))
  const b = await store.commit(operator, (tx) => addSystem(tx, 'b', mac))
  assert.deepEqual(
    queries.systemsWith(mac).map(({ name }) => name),
    ['a', 'b'],
  )
  await store.commit(operator, (tx) => decide(tx, b, 'install'))
  assert.equal(queries.nextBootOf(mac)?.system.name, 'b')
  await store.commit(operator, (tx) => decide(tx, a, 'rescue'))
  assert.equal(queries.nextBootOf(mac)?.profile, 'rescue')
  await store.commit(operator, (tx) => tx.emit({ type: 'system.renamed', system: a, name: 'z', was: 'a' }))
  assert.equal(queries.nextBootOf(mac)?.system.name, 'z')
  const remember = { type: 'report.remembered', mac: otherMac, ip, system: a, profile: 'local' } as const
  await store.commit(machine, (tx) => tx.emit(remember), { plane: 'machine' })
  assert.deepEqual([queries.rememberedFor(ip)?.system?.name, queries.rememberedFor(otherMac)?.profile], ['z', 'local'])
  await store.commit(operator, (tx) => tx.emit({ type: 'system.removed', system: a, name: 'z' }))
  assert.equal(queries.nextBootOf(mac)?.system.name, 'b', 'the decision of those that remain')
  assert.deepEqual([queries.rememberedFor(ip), queries.rememberedFor(otherMac)?.system], [undefined, null])
  assert.equal(queries.nextBootOf(prefix), undefined)
  const address = queries.addressesOf(b)[0]
  assert.ok(address)
  await store.commit(operator, (tx) => tx.emit({ type: 'address.removed', system: b, address }))
  assert.deepEqual([queries.nextBootOf(mac), queries.systemsWith(mac)], [undefined, []])
  const seen = () => [mac, otherMac].map((each) => queries.lastIpOf(each))
  const booted = (at: string, by: typeof mac) =>
    store.commit(machine, (tx) => tx.emit({ type: 'boot.address', ip: at, mac: by }), { plane: 'machine' })
  assert.deepEqual([seen(), queries.lastMacOf('10.0.0.1')], [[undefined, undefined], undefined])
  await booted('10.0.0.1', mac)
  assert.deepEqual([seen(), queries.lastMacOf('10.0.0.1')], [['10.0.0.1', undefined], mac])
  await booted('10.0.0.2', mac)
  assert.deepEqual(seen(), ['10.0.0.2', undefined])
  await booted('10.0.0.2', otherMac)
  assert.deepEqual([seen(), queries.lastMacOf('10.0.0.2')], [['10.0.0.1', '10.0.0.2'], otherMac])
})

test('a second daemon on the same directory is refused while the first lives', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir)
  await assert.rejects(open(t, dir), refusal('refused', /in use by another pxemngr/))
  await store.close()
  await (await open(t, dir)).close()
})

test('after close a command is refused, and closing twice is closing once', async (t) => {
  const store = await open(t, makeFolder(t))
  await Promise.all([store.close(), store.close()])
  await assert.rejects(
    store.commit(operator, (tx) => addSystem(tx, 'c1')),
    refusal('unavailable', /stopping/),
  )
})
