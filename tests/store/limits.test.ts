/**
 * What anybody on the wire can make the store remember has an end, and what follows from records alone is in `apply`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Ip4, Mac } from '../../src/domain/address.ts'
import type { Event, JournalRecord } from '../../src/domain/event.ts'
import { ApplyError, applyRecord } from '../../src/store/apply.ts'
import { createQueries } from '../../src/store/queries.ts'
import { emptyState } from '../../src/store/replay.ts'
import { bootAddressesKept, decisionsKept, dumpContent, remembersKept } from '../../src/store/schema.ts'
import { machine } from '../harness/store-folder.ts'

function record(seq: number, ...events: Event[]): JournalRecord {
  return { seq, at: '2026-11-24T00:00:00.000Z', actor: machine, events }
}

function macOf(number: number): Mac {
  const hex = number.toString(16).padStart(12, '0')
  return (hex.match(/../g) ?? []).join(':') as Mac
}

test(`of unknown MACs ${remembersKept} are remembered, the oldest report is dropped, a repeated one counts once`, async (t) => {
  const state = await emptyState()
  t.after(() => state.close())
  const queries = createQueries(state)
  const report = (number: number): Event => ({
    type: 'report.remembered',
    mac: macOf(number),
    ip: null,
    system: null,
    profile: 'local',
  })
  applyRecord(state, record(1, ...Array.from({ length: remembersKept }, (_, i) => report(i))))
  applyRecord(state, record(2, report(0)))
  assert.equal(queries.rememberedFor(macOf(1))?.profile, 'local', 'a repeated report pushes nobody out')
  applyRecord(state, record(3, report(remembersKept)))
  const seen = [0, 1, 2, remembersKept].map((number) => queries.rememberedFor(macOf(number))?.seq)
  assert.deepEqual(seen, [2, undefined, 1, 3])
  assert.equal(state.get('SELECT count(*) FROM remembered')?.[0], remembersKept)
})

test(`of addresses that machines booted from ${bootAddressesKept} are kept`, async (t) => {
  const state = await emptyState()
  t.after(() => state.close())
  const queries = createQueries(state)
  const ipOf = (number: number) => `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`
  const events = Array.from(
    { length: bootAddressesKept + 10 },
    (_, i): Event => ({ type: 'boot.address', ip: ipOf(i), mac: macOf(i) }),
  )
  applyRecord(state, record(1, ...events))
  assert.deepEqual([queries.lastMacOf(ipOf(9)), queries.lastMacOf(ipOf(10))], [undefined, macOf(10)])
  assert.equal(state.get('SELECT count(*) FROM boot_address')?.[0], bootAddressesKept)
})

test('the newest decisions of a system are kept, and a decision overrules what was remembered for its machines', async (t) => {
  const state = await emptyState()
  t.after(() => state.close())
  const queries = createQueries(state)
  const [mac, ip] = [macOf(1), '10.34.0.9' as Ip4]
  const decided = (decision: number): Event => ({ type: 'boot.decided', decision, system: 1, profile: `p${decision}` })
  applyRecord(
    state,
    record(
      1,
      { type: 'system.added', system: 1, name: 'a' },
      { type: 'address.added', system: 1, address: { kind: 'mac', text: mac } },
      { type: 'report.remembered', mac, ip, system: 1, profile: 'local' },
    ),
  )
  assert.equal(queries.rememberedFor(ip)?.system?.name, 'a')
  for (let number = 1; number <= decisionsKept + 5; number += 1) applyRecord(state, record(number + 1, decided(number)))
  assert.deepEqual([queries.rememberedFor(mac), queries.rememberedFor(ip)], [undefined, undefined])
  const ids = queries.decisionsOf(1, 1000).map(({ id }) => id)
  assert.deepEqual([ids.length, ids[0], ids.at(-1)], [decisionsKept, decisionsKept + 5, 6])
})

test('a record that does not follow from the state is an error, never a guess', async (t) => {
  const state = await emptyState()
  t.after(() => state.close())
  const before = dumpContent(state)
  const wrong: readonly JournalRecord[] = [
    record(2),
    record(0),
    record(1, { type: 'system.removed', system: 7, name: 'x' }),
    record(1, { type: 'system.renamed', system: 7, name: 'x', was: 'y' }),
    record(1, { type: 'boot.decided', decision: 1, system: 7, profile: 'local' }),
    record(1, { type: 'address.added', system: 7, address: { kind: 'mac', text: macOf(1) } }),
    record(1, { type: 'profile.missing', profile: 7 }),
    record(1, { type: 'token.revoked', token: 7 }),
    record(1, { type: 'system.added', system: 1, name: 'a' }, { type: 'system.added', system: 2, name: 'a' }),
    record(1, { type: 'record.lost', effect: 'in-snapshot', reason: '' }),
    record(1, { type: 'of.the.future' } as unknown as Event),
  ]
  for (const one of wrong) {
    state.run('BEGIN')
    assert.throws(() => applyRecord(state, one), ApplyError, JSON.stringify(one))
    state.run('ROLLBACK')
    assert.equal(dumpContent(state), before)
  }
})
