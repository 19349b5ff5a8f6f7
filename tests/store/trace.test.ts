/**
 * The boot timeline: which steps are one boot, what is kept, and that losing it harms nothing.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { type Log, silentLog } from '../../src/log.ts'
import { createBootLog, pauseMs, stepsPerBoot } from '../../src/store/boot-log.ts'
import { bootsPerMachine, createBootTables, createTraceSchema } from '../../src/store/boot-tables.ts'
import type { BootsChanged, TraceStep } from '../../src/store/boot-timeline.ts'
import { type Database, openDatabase } from '../../src/store/sqlite.ts'
import { openTrace, type Trace } from '../../src/store/trace.ts'
import { readBatch, type StepBatch, StepBatchWriter } from '../../src/store/trace-batch.ts'
import { until } from '../harness/process.ts'
import { makeFolder } from '../harness/store-folder.ts'

// The worker keeps no process alive, and here nothing else does.
const awake = setInterval(() => {}, 1000)
after(() => clearInterval(awake))

const mac = '52:54:00:00:00:01'

function step(name: string, more: Partial<TraceStep> = {}): TraceStep {
  const kind = name.startsWith('/') ? 'http' : 'tftp'
  return {
    at: 0,
    mac,
    ip: '10.0.0.1',
    kind,
    name,
    sizeBytes: 9,
    sentBytes: 9,
    durationMs: 1,
    outcome: 'done',
    detail: '',
    ...more,
  }
}

/** Adds the steps 1 s apart; gives the names of each boot, oldest first. */
async function boots(t: TestContext, steps: readonly TraceStep[]): Promise<string[][]> {
  const database = await openDatabase()
  t.after(() => database.close())
  createTraceSchema(database)
  const log = createBootLog(createBootTables(database))
  log.add(steps.map((one, index) => ({ ...one, at: one.at || index * 1000 })))
  return log
    .boots({ limit: 100 })
    .reverse()
    .map((boot) => boot.steps.map(({ name }) => name))
}

const pxelinux = [
  step('pxelinux.0', { outcome: 'probe', mac: undefined }),
  step('pxelinux.0', { mac: undefined }),
  step('ldlinux.c32'),
  step('pxelinux.cfg/01-52-54-00-00-00-01', { profile: 'install', systemId: 7 }),
]
const installed = [step('vmlinuz'), step('initrd.gz'), step('/localboot/')]

test('probe, loader, configuration, kernel, initrd and report are one boot; asking again is the next', async (t) => {
  const all = [...pxelinux, ...installed, ...pxelinux]
  const found = await boots(t, all)
  assert.deepEqual(found, [[...pxelinux, ...installed].map(({ name }) => name), pxelinux.map(({ name }) => name)])
})

test('a machine that boots from its disk and comes back has begun anew, though it got no kernel', async (t) => {
  assert.equal((await boots(t, [...pxelinux, ...pxelinux])).length, 2)
})

test('a chain of loaders is one boot: ROM, iPXE, its script; shim, GRUB, its configuration', async (t) => {
  const ipxe = [...pxelinux, step('undionly.kpxe'), step('/ipxe/'), step('/boot/vmlinuz')]
  assert.equal((await boots(t, ipxe)).length, 1)
  const grub = [
    step('shimx64.efi'),
    step('grubx64.efi'),
    step('grub/grub.cfg'),
    step('grub/x86_64-efi/normal.mod'),
    step('vmlinuz'),
  ]
  assert.equal((await boots(t, grub)).length, 1)
})

test('a menu that shows a picture and reads its configuration again is one boot', async (t) => {
  const menu = [...pxelinux, step('vesamenu.c32'), step('splash.png'), step('pxelinux.cfg/01-52-54-00-00-00-01')]
  assert.equal((await boots(t, menu)).length, 1)
})

test('what a person may have downloaded joins the boot that is under way, and begins none', async (t) => {
  const joins = { joins: true, mac: undefined }
  const preseed = step('/boot/preseed.cfg', joins)
  assert.deepEqual(await boots(t, [preseed]), [])
  const script = [...pxelinux, step('/boot/vmlinuz'), preseed, step('/boot/grub/grub.cfg', joins)]
  assert.deepEqual(await boots(t, script), [script.map(({ name }) => name)], 'also a configuration after the kernel')
  const late = step('/boot/preseed.cfg', { ...joins, at: pauseMs + 10_000 })
  assert.deepEqual(await boots(t, [...pxelinux, late]), [pxelinux.map(({ name }) => name)])
})

test('a file read over HTTP part by part is one step with all its bytes', async (t) => {
  const database = await openDatabase()
  t.after(() => database.close())
  createTraceSchema(database)
  const log = createBootLog(createBootTables(database))
  const part = (at: number): TraceStep =>
    step('/boot/live.iso', { at, detail: 'in parts', sizeBytes: 1000, sentBytes: 100, durationMs: 5 })
  log.add([step('/ipxe/'), part(10), part(20), part(30), step('/boot/other'), part(50)])
  const [boot] = log.boots({ limit: 1 })
  assert.deepEqual(
    boot?.steps.map(({ name, sentBytes, durationMs }) => [name, sentBytes, durationMs]),
    [
      ['/ipxe/', 9, 1],
      ['/boot/live.iso', 300, 25],
      ['/boot/other', 9, 1],
      ['/boot/live.iso', 100, 5],
    ],
  )
})

test('silence longer than the pause ends a boot', async (t) => {
  const late = step('vmlinuz', { at: pauseMs + 10_000 })
  assert.equal((await boots(t, [...pxelinux, late])).length, 2)
})

test('two machines that boot at once are two boots, also where an address changes hands', async (t) => {
  const other = (one: TraceStep): TraceStep => ({ ...one, mac: '52:54:00:00:00:02', ip: '10.0.0.2' })
  const both = pxelinux.slice(2).flatMap((one) => [one, other(one)])
  assert.equal((await boots(t, both)).length, 2)
  const moved = [...pxelinux.slice(2), ...pxelinux.slice(2).map((one) => ({ ...one, mac: '52:54:00:00:00:02' }))]
  assert.equal((await boots(t, moved)).length, 2)
})

test('boots of a machine and steps of a boot are bounded, and what was not kept is counted', async (t) => {
  const database = await openDatabase()
  t.after(() => database.close())
  createTraceSchema(database)
  const log = createBootLog(createBootTables(database))
  for (let boot = 0; boot < bootsPerMachine + 5; boot += 1) {
    log.add([...pxelinux, step('vmlinuz')].map((one) => ({ ...one, at: boot * 2 * pauseMs })))
  }
  assert.equal(log.boots({ mac, limit: 1000 }).length, bootsPerMachine)
  log.add(
    Array.from({ length: stepsPerBoot + 50 }, () => step('initrd.gz', { at: (bootsPerMachine + 4) * 2 * pauseMs })),
  )
  const [newest] = log.boots({ mac, limit: 1 })
  assert.deepEqual(
    [newest?.steps.length, newest?.more, newest?.systemId, newest?.profile],
    [stepsPerBoot, 55, 7, 'install'],
  )
  assert.equal(log.boots({ system: 7, limit: 3 }).length, 3)
  assert.equal(log.boots({ mac: '52:54:00:00:00:09', limit: 3 }).length, 0)
})

test('when steps go to the tables makes no difference to the boots that are found', async (t) => {
  const machine = fc.record({
    mac: fc.constantFrom(undefined, mac, '52:54:00:00:00:02'),
    ip: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'),
    name: fc.constantFrom('pxelinux.0', 'pxelinux.cfg/01-52-54-00-00-00-01', 'vmlinuz', '/localboot/', 'grubx64.efi'),
    profile: fc.constantFrom(undefined, 'install', 'local'),
    systemId: fc.constantFrom(undefined, 1, 2),
    restart: fc.nat(3),
  })
  const databases = new Set<Database>()
  t.after(() => {
    for (const database of databases) database.close()
  })
  await fc.assert(
    fc.asyncProperty(fc.array(machine, { maxLength: 60 }), async (machines) => {
      const seen: unknown[] = []
      for (const eager of [true, false]) {
        const database = await openDatabase()
        databases.add(database)
        createTraceSchema(database)
        let log = createBootLog(createBootTables(database))
        for (const [index, { restart, ...one }] of machines.entries()) {
          log.add([step(one.name, { ...one, at: index * 1000 })])
          if (eager) log.save()
          if (eager && restart === 0) log = createBootLog(createBootTables(database))
        }
        seen.push(log.boots({ limit: 100 }), log.boots({ mac, limit: 9 }), log.boots({ system: 1, limit: 9 }))
        databases.delete(database)
        database.close()
      }
      assert.deepEqual(seen.slice(0, 3), seen.slice(3))
    }),
    { numRuns: 100 },
  )
})

/** A batch as the worker gets it. */
function sent(batch: StepBatchWriter): StepBatch {
  const written = batch.end()
  return structuredClone(written, { transfer: [written.bytes] })
}

test('a batch for the worker holds each step as it was', () => {
  const steps: TraceStep[] = [
    { ...step('pxelinux.cfg/01-52-54-00-00-00-01'), profile: 'install', systemId: 0, at: 1_790_000_000_000 },
    {
      ...step('pxelinux.cfg/default'),
      profile: 'local',
      decision: { by: 'default', instead: 'gone', seq: 7 },
      systemId: 3,
    },
    { ...step('missing'), mac: undefined, profile: undefined, systemId: undefined, sizeBytes: null, detail: 'no file' },
    { ...step('/ipxe/'), ip: '2001:db8::1', profile: undefined, systemId: undefined, sizeBytes: 0, durationMs: 0.5 },
    { ...step('/boot/preseed.cfg'), profile: undefined, systemId: undefined, joins: true },
  ]
  const batch = new StepBatchWriter()
  for (const one of steps) batch.add(one)
  assert.equal(batch.count, steps.length)
  assert.deepEqual(readBatch(sent(batch)), steps)
})

test('a batch takes texts of any characters and length, and as many steps as come', () => {
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ maxLength: 80 }))
  const number = fc.oneof(fc.nat(), fc.constant(2 ** 40 + 0.5))
  const any = fc.record({ mac: text, ip: text, name: text, outcome: text, detail: text, sizeBytes: fc.option(number) })
  fc.assert(
    fc.property(fc.array(any, { maxLength: 40 }), (values) => {
      const steps = values.map((each) => step('', { ...each, profile: undefined, systemId: undefined }))
      const batch = new StepBatchWriter()
      for (const one of steps) batch.add(one)
      const expected = steps.map((one) => ({ ...one, mac: one.mac || undefined }))
      assert.deepEqual(readBatch(sent(batch)), expected)
    }),
  )
  const batch = new StepBatchWriter()
  for (let i = 0; i < 2048; i++) batch.add(step(`/boot/${i}`, { detail: `${i}`, at: i }))
  const read = readBatch(sent(batch))
  assert.deepEqual(
    read.map(({ name, detail, at }) => [name, detail, at]),
    Array.from({ length: 2048 }, (_, i) => [`/boot/${i}`, `${i}`, i]),
  )
})

test('a boot keeps what decided it last, and is found by its id', async (t) => {
  const database = await openDatabase()
  t.after(() => database.close())
  createTraceSchema(database)
  const log = createBootLog(createBootTables(database))
  const config = (at: number, seq: number, by: 'mac' | 'default', instead = '') =>
    step('pxelinux.cfg/default', { at, profile: 'local', decision: { by, instead, seq } })
  log.add([step('pxelinux.0'), config(1, 3, 'default'), config(2, 9, 'mac', 'install'), step('vmlinuz', { at: 3 })])
  log.add([step('pxelinux.0', { mac: '52:54:00:00:00:02', ip: '10.0.0.2', at: 4 })])
  const [other, boot] = log.boots({ limit: 5 })
  assert.deepEqual(boot?.decision, { by: 'mac', instead: 'install', seq: 9 })
  assert.equal(other?.decision, null)
  assert.deepEqual(log.boots({ id: boot?.id, limit: 5 }), [boot])
  assert.deepEqual(log.boots({ id: 99, limit: 5 }), [])
  log.add(
    [8, 9, 8].map((systemId, at) => step('pxelinux.0', { ip: `10.0.1.${at}`, mac: undefined, at: 10 + at, systemId })),
  )
  assert.deepEqual(
    log.boots({ latestOf: [9, 7777, 8], limit: 1 }).map(({ systemId, ip }) => [systemId, ip]),
    [
      [9, '10.0.1.1'],
      [8, '10.0.1.2'],
    ],
  )
  const again = createBootLog(createBootTables(database))
  again.add([step('initrd.gz', { at: 5 })])
  assert.deepEqual(again.boots({ id: boot?.id, limit: 5 })[0]?.decision, boot?.decision, 'also when it goes on later')
})

const boot1 = `
  CREATE TABLE boot (
    id INTEGER PRIMARY KEY, mac TEXT, ip TEXT NOT NULL, system INTEGER, profile TEXT, started INTEGER NOT NULL,
    ended INTEGER NOT NULL, steps INTEGER NOT NULL, more INTEGER NOT NULL, configured INTEGER NOT NULL,
    kernel INTEGER NOT NULL) STRICT;
  CREATE INDEX boot_mac ON boot (mac, id);
  CREATE INDEX boot_ip ON boot (ip, id);
  CREATE INDEX boot_system ON boot (system, id);
  CREATE TABLE step (
    boot INTEGER NOT NULL REFERENCES boot (id) ON DELETE CASCADE, place INTEGER NOT NULL, at INTEGER NOT NULL,
    kind TEXT NOT NULL, name TEXT NOT NULL, size INTEGER, sent INTEGER NOT NULL, duration INTEGER NOT NULL,
    outcome TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (boot, place)) STRICT, WITHOUT ROWID;
  INSERT INTO boot VALUES (4, '${mac}', '10.0.0.1', 7, 'install', 1000, 2000, 3, 0, 1, 0);
  INSERT INTO step VALUES (4, 2, 1900, 'http', '/ipxe/', NULL, 0, 0, 'done', '');
  INSERT INTO step VALUES (4, 0, 1000, 'tftp', 'pxelinux.0', 9, 8, 7, 'aborted', 'client: "no" \\');
  INSERT INTO step VALUES (4, 1, 1500, 'tftp', 'größe/☃', 9, 9, 1, 'done', '');
  INSERT INTO boot VALUES (5, NULL, '10.0.0.5', NULL, NULL, 1000, 1000, 0, 0, 0, 0);`
const boot2 = `
  ALTER TABLE boot ADD COLUMN decided_by TEXT;
  ALTER TABLE boot ADD COLUMN instead TEXT;
  ALTER TABLE boot ADD COLUMN decision INTEGER;
  UPDATE boot SET decided_by = 'mac', instead = '', decision = 3 WHERE id = 4;`
for (const [version, script, decision] of [
  [1, boot1, null],
  [2, boot1 + boot2, { by: 'mac', instead: '', seq: 3 }],
] as const) {
  test(`a timeline of version ${version} is taken over, and its boots go on`, async (t) => {
    const dir = makeFolder(t)
    const database = await openDatabase()
    database.script(`PRAGMA user_version = ${version}; ${script}`)
    writeFileSync(join(dir, 'trace.sqlite'), database.export())
    database.close()
    const warnings: string[] = []
    const log = { ...silentLog, warn: (text: string) => void warnings.push(text) }
    let trace = start(t, dir, log)
    const kept = [
      {
        ...{ at: 1000, kind: 'tftp', name: 'pxelinux.0', sizeBytes: 9, sentBytes: 8, durationMs: 7 },
        ...{ outcome: 'aborted', detail: 'client: "no" \\' },
      },
      {
        ...{ at: 1500, kind: 'tftp', name: 'größe/☃', sizeBytes: 9, sentBytes: 9, durationMs: 1 },
        ...{ outcome: 'done', detail: '' },
      },
      {
        ...{ at: 1900, kind: 'http', name: '/ipxe/', sizeBytes: null, sentBytes: 0, durationMs: 0 },
        ...{ outcome: 'done', detail: '' },
      },
    ]
    trace.step(step('vmlinuz', { at: 3000 }))
    trace.step(step('vmlinuz', { at: pauseMs * 3, decision: { by: 'mac', instead: '', seq: 5 } }))
    for (const again of [false, true]) {
      const [fresh, silent, old] = await trace.boots({ limit: 5 })
      assert.deepEqual([fresh?.id, fresh?.decision?.seq], [6, 5])
      assert.deepEqual([silent?.id, silent?.steps], [5, []])
      assert.deepEqual([old?.id, old?.profile, old?.decision], [4, 'install', decision])
      assert.deepEqual(old?.steps.slice(0, 3), kept)
      assert.deepEqual(
        old?.steps.map(({ name }) => name),
        ['pxelinux.0', 'größe/☃', '/ipxe/', 'vmlinuz'],
      )
      await trace.close()
      if (!again) trace = start(t, dir, log)
    }
    assert.deepEqual(warnings, [])
  })
}

test('whoever follows hears of boots that changed, and not of questions', async (t) => {
  const trace = start(t, makeFolder(t))
  let heard = 0
  let last: BootsChanged | undefined
  const stop = trace.onChange((changed) => {
    heard += 1
    last = changed
  })
  trace.step(step('pxelinux.0'))
  trace.step(step('pxelinux.cfg/default', { mac: undefined, ip: '10.9.9.9', systemId: 7 }))
  await trace.boots({ limit: 1 })
  assert.equal(heard, 1)
  assert.deepEqual(last, { systems: [7], addresses: [mac, '10.0.0.1', '10.9.9.9'] })
  await trace.boots({ limit: 1 })
  assert.equal(heard, 1, 'a page that reads boots does not call itself')
  stop()
  trace.step(step('vmlinuz'))
  await trace.boots({ limit: 1 })
  assert.equal(heard, 1)
})

function start(t: TestContext, dataDir: string, log: Log = silentLog): Trace {
  const trace = openTrace({ dataDir, log })
  t.after(() => trace.close())
  return trace
}

test('steps reach the worker in batches, are saved at close and found after a restart', async (t) => {
  const dir = makeFolder(t)
  let trace = start(t, dir)
  for (const [index, one] of [...pxelinux, ...installed].entries()) trace.step({ ...one, at: index })
  const seen = await trace.boots({ mac, limit: 5 })
  assert.deepEqual(
    seen[0]?.steps.map(({ name }) => name),
    [...pxelinux, ...installed].map(({ name }) => name),
  )
  await trace.close()
  assert.equal(statSync(join(dir, 'trace.sqlite')).mode & 0o777, 0o600)
  trace = start(t, dir)
  assert.deepEqual(await trace.boots({ limit: 5 }), seen)
  assert.equal(trace.dropped(), 0)
})

test('when the worker lags steps are dropped and counted, never waited for', async (t) => {
  const trace = start(t, makeFolder(t))
  const posted = 40_000
  for (let i = 0; i < posted; i += 1) trace.step(step('vmlinuz', { at: i }))
  assert.ok(trace.dropped() > 0 && trace.dropped() < posted, `${trace.dropped()}`)
  const [boot] = await trace.boots({ limit: 1 })
  assert.equal((boot?.steps.length ?? 0) + (boot?.more ?? 0), posted - trace.dropped())
})

test('a damaged timeline is set aside with a warning, and a new one is begun', async (t) => {
  const dir = makeFolder(t)
  writeFileSync(join(dir, 'trace.sqlite'), 'this is no database, but it is long enough to look like one'.repeat(100))
  const warnings: string[] = []
  const trace = start(t, dir, { ...silentLog, warn: (text) => void warnings.push(text) })
  trace.step(step('pxelinux.0'))
  assert.equal((await trace.boots({ limit: 5 })).length, 1)
  await trace.close()
  assert.match(warnings.join(), /trace\.sqlite was moved to .*damaged-/)
  assert.ok(readdirSync(dir).some((name) => name.startsWith('trace.sqlite.damaged-')))
  assert.equal(readFileSync(join(dir, 'trace.sqlite')).subarray(0, 15).toString(), 'SQLite format 3')
})

test('without a step no worker is started and nothing is written', async (t) => {
  const dir = makeFolder(t)
  await start(t, dir).close()
  assert.deepEqual(readdirSync(dir), [])
})

test('a worker that fails says so, refuses questions, and is started again with what it had saved', async (t) => {
  const dir = makeFolder(t)
  const saved = start(t, dir)
  saved.step(step('pxelinux.0'))
  await saved.close()

  const errors: string[] = []
  const restartMs = 300
  const trace = openTrace({ dataDir: dir, log: { ...silentLog, error: (text) => void errors.push(text) }, restartMs })
  t.after(() => trace.close())
  assert.equal((await trace.boots({ limit: 5 })).length, 1)
  assert.deepEqual(trace.faults(), [])
  // No step has such a time: the worker's database refuses it, and the thread ends by that.
  trace.step(step('vmlinuz', { at: Number.NaN, ip: '10.0.0.9', mac: undefined }))
  const line = /^the boot timeline is not available: .*constraint failed.*; it is started again in 1 s$/
  await assert.rejects(trace.boots({ limit: 5 }), { name: 'Refusal', kind: 'unavailable', message: line })
  assert.match(trace.faults().join(), line)
  assert.equal(errors.length, 1, 'one line')
  await assert.rejects(trace.boots({ limit: 5 }), { message: line }, 'at once, as long as it is not there')
  const again = await until(
    () => (trace.faults().length === 0 ? true : undefined),
    20_000,
    () => errors.join(),
  )
  assert.ok(again)
  const [boot] = await trace.boots({ limit: 5 })
  assert.deepEqual(
    boot?.steps.map(({ name }) => name),
    ['pxelinux.0'],
  )
  trace.step(step('vmlinuz', { at: 2000 }))
  assert.equal((await trace.boots({ limit: 5 }))[0]?.steps.length, 2, 'it goes on')
  assert.equal(errors.length, 1)
})
