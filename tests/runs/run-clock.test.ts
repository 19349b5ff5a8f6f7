/**
 * The clock of the runs and retention, with a clock of the test's own: deadlines, reboots, machines that never asked, what
 * ages out. Sources: RUNS "Verdicts", "Times", "Life of a run", "Commands" (retention).
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { Mac } from '../../src/domain/address.ts'
import { silentLog } from '../../src/log.ts'
import { createLives } from '../../src/runs/life.ts'
import { recallBoots } from '../../src/runs/recall-boots.ts'
import { openRunClock } from '../../src/runs/run-clock.ts'
import type { Boot, BootQuery } from '../../src/store/boot-timeline.ts'
import type { RunRow } from '../../src/store/run-rows.ts'
import { openStateStore, type StateStore } from '../harness/state-store.ts'
import { openTestParts, type TestParts } from '../harness/test-parts.ts'

const person = { who: 'ann', from: 'socket', surface: 'cli' } as const
const mac = '52:54:00:12:34:56' as Mac
const other = '52:54:00:12:34:57' as Mac
const minute = 60_000

let store: StateStore
let parts: TestParts
let now: number

beforeEach(async () => {
  now = Date.parse('2026-11-23T08:00:00Z')
  store = await openStateStore()
  await open()
  await at(async () => {
    await store.commit(person, (tx) => {
      for (const [system, name, address] of [
        [tx.nextId('system'), 'web01', mac],
        [tx.nextId('system'), 'web02', other],
      ] as const) {
        tx.emit({ type: 'system.added', system, name })
        tx.emit({ type: 'address.added', system, address: { kind: 'mac', text: address } })
      }
    })
  })
})
afterEach(async () => {
  await parts.close()
  await store.close()
})

async function open(): Promise<void> {
  parts = await openTestParts(store, () => now)
  parts.file('smoke.test', '# pxemngr: timeout=30m grace=5m boot=20m retries=1\necho\n')
  await parts.tests.sync()
}

/** As after a restart of the daemon. */
async function reopen(): Promise<void> {
  await parts.close()
  await open()
}

/** Records of `work` have the test's time. */
async function at<T>(work: () => Promise<T>): Promise<T> {
  store.at = new Date(now).toISOString()
  return work()
}

const request = (system = 1) =>
  at(() =>
    store.commit(person, (tx) => {
      const run = tx.nextId('run')
      const test = tx.findTest('smoke')?.id ?? 0
      tx.emit({ type: 'run.requested', run, system, test, attempt: 1, group: run, version: null })
      return run
    }),
  )

const send = (run: number, to: Mac = mac) =>
  at(() =>
    store.commit(person, (tx) =>
      tx.emit({
        type: 'run.sent',
        run,
        hash: 'ab',
        mac: to,
        ip: '10.0.0.1',
        boot: null,
        timeoutMs: 30 * minute,
        graceMs: 5 * minute,
        retries: 1,
      }),
    ),
  )

const get = (run: number): RunRow => {
  const row = store.queries.getRun(run)
  assert.ok(row)
  return row
}
const standing = (run: number) => [get(run).state, get(run).verdict, store.queries.getDetail(run).reason]
const look = () => at(() => parts.clock.look())
const boot = (of: Mac, profile = 'local') =>
  parts.lives.booted({
    machine: { mac: of, ip: '10.0.0.1' },
    systemId: of === mac ? 1 : 2,
    read: { profile },
    atMs: now,
  })
/** Records are kept in order: once this one is, so is whatever a boot closed before it. */
const settle = () => store.commit(person, (tx) => tx.emit({ type: 'boot.address', ip: '10.0.0.9', mac }))

/** The run has been recorded as sent. */
const sentBefore = () => ({ isAsked: true, kept: Promise.resolve() })

test('a sent run is lost at timeout and grace, not before; its retry waits at the head', async () => {
  const run = await request()
  await request()
  await send(run)
  now += 35 * minute
  await look()
  assert.deepEqual(standing(run), ['sent', null, null])
  now += 1000
  await look()
  assert.deepEqual(standing(run), ['done', 'lost', 'silent'])
  const [next] = store.queries.requestedOf([1], 10)
  assert.deepEqual([next?.attempt, next?.group], [2, run])
})

test('after a restart every open run has its grace once more', async () => {
  const run = await request()
  await send(run)
  now += 60 * minute
  await reopen()
  await look()
  assert.equal(get(run).state, 'sent')
  assert.equal(parts.clock.deadlineMs(run), now + 5 * minute)
  now += 5 * minute + 1
  await look()
  assert.equal(get(run).verdict, 'lost')
})

test('a boot of its machine loses a run, of another machine or before it was sent it does not', async () => {
  now += minute
  boot(mac)
  const run = await request()
  now += 1000
  await send(run)
  now += minute
  boot(other)
  await settle()
  assert.equal(get(run).state, 'sent')
  boot(mac)
  await settle()
  assert.deepEqual(standing(run), ['done', 'lost', 'rebooted'])
})

test('what a run had sent is kept when it is lost: counts, first lines, version; a late upload replaces it', async () => {
  const run = await request()
  await send(run)
  await at(() => store.commit(person, (tx) => tx.emit({ type: 'run.running', run })))
  await parts.progress.append(run, 0, Buffer.from('I: a\nE: b\nV: zz\n'))
  now += 40 * minute
  await look()
  assert.deepEqual(standing(run), ['done', 'lost', 'silent'])
  assert.deepEqual([get(run).counts, get(run).version?.name], [{ info: 1, warning: 0, error: 1 }, 'zz'])
  assert.deepEqual(
    store.queries.getDetail(run).lines.map(({ kind, line, text }) => [kind, line, text]),
    [
      ['I', 1, 'a'],
      ['E', 2, 'b'],
    ],
  )
  const upload = await parts.uploads.begin(run)
  const sink = await upload.beginLog()
  await sink.write(Buffer.from('I: whole\n'))
  await at(() => upload.keep(person, sentBefore))
  assert.deepEqual([get(run).verdict, get(run).late, get(run).counts.error], ['pass', true, 0])
})

test('a loader that reads its configuration again is no second boot', async () => {
  boot(mac)
  now += 2000
  const run = await request()
  await send(run)
  now += 2000
  boot(mac)
  await settle()
  assert.equal(get(run).state, 'sent')
})

test('a boot right after one that came to nothing is another failure: three of them make the machine sick', async () => {
  parts.file('smoke.test', '# pxemngr: boot=4s\necho\n')
  await parts.tests.sync()
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const run = await request()
    now += 2000
    boot(mac)
    now += 2000
    boot(mac)
    now += 4001
    await look()
    assert.deepEqual(standing(run).slice(0, 2), ['done', 'infra'], `boot ${attempt + 1}`)
  }
  assert.match(String(store.queries.sickOf(1)), /infra/)
})

test('a machine with two interfaces is one: it boots from one, and speaks from the other', async () => {
  const second = '52:54:00:12:34:58' as Mac
  await at(() =>
    store.commit(person, (tx) => tx.emit({ type: 'address.added', system: 1, address: { kind: 'mac', text: second } })),
  )
  const [run, waiting] = [await request(), await request()]
  now += minute
  boot(mac)
  now += minute
  await send(run, second)
  for (let passed = 0; passed < 30; passed += 5) {
    now += 5 * minute
    parts.lives.sign({ mac: second, ip: undefined }, '/profile/', now)
    await look()
  }
  assert.deepEqual([get(run).state, get(waiting).state], ['sent', 'requested'])
  boot(mac)
  await settle()
  assert.deepEqual(standing(run), ['done', 'lost', 'rebooted'])
})

test('a clock that is set forward, or a host that slept, closes nothing before its grace', async () => {
  const run = await request()
  await send(run)
  const { lives, progress, uploads, tests } = parts
  let up = 0
  const clock = openRunClock({
    ...{ store, lives, tests, progress, uploads, log: silentLog, manual: true },
    ...{ nowMs: () => now, upMs: () => up },
  })
  now += 120 * minute
  up += 1000
  await at(() => clock.look())
  assert.equal(get(run).state, 'sent')
  now += 5 * minute + 1
  up += 5 * minute + 1
  await at(() => clock.look())
  assert.deepEqual(standing(run), ['done', 'lost', 'silent'])
  clock.close()
})

test('a clock that is set back does not keep a failed boot for as long as it was set', async () => {
  const { lives, progress, uploads, tests } = parts
  let up = 0
  const clock = openRunClock({
    ...{ store, lives, tests, progress, uploads, log: silentLog, manual: true },
    ...{ nowMs: () => now, upMs: () => up },
  })
  now -= 24 * 60 * minute
  const run = await request()
  for (const [passedMs, verdict] of [
    [1000, null],
    [20 * minute - 1, null],
    [2, 'infra'],
  ] as const) {
    now += passedMs
    up += passedMs
    if (passedMs === 1000) boot(mac)
    await at(() => clock.look())
    assert.equal(get(run).verdict, verdict)
  }
  clock.close()
})

test('a machine that booted and was not heard of again: infra on the oldest run, with how far it got', async () => {
  const [first, second] = [await request(), await request()]
  now += minute
  boot(mac, 'install')
  parts.lives.sign({ mac, ip: undefined }, 'vmlinuz', now)
  now += 20 * minute - 1
  await look()
  assert.equal(get(first).state, 'requested')
  now += 2
  await look()
  const [state, verdict, reason] = standing(first)
  assert.deepEqual([state, verdict], ['done', 'infra'])
  assert.match(String(reason), /as far as vmlinuz/)
  await look()
  assert.equal(get(second).state, 'requested', 'one boot is one failure')
})

test('a look that fails is followed by others', async () => {
  const run = await request()
  now += minute
  boot(mac)
  now += 20 * minute
  const { lives, progress, uploads } = parts
  let fails = true
  const times = (test: string) => {
    if (fails) throw new Error('the folder fails')
    return parts.tests.times(test)
  }
  const options = { store, lives, tests: { times }, progress, uploads, log: silentLog, manual: true }
  const clock = openRunClock({ ...options, nowMs: () => now })
  now += 20 * minute
  await assert.rejects(clock.look(), /the folder fails/)
  fails = false
  await clock.look()
  assert.equal(get(run).verdict, 'infra')
  clock.close()
})

test('a machine that came for one run, and is silent while that runs, is no failure of the next one', async () => {
  const [first, second] = [await request(), await request()]
  now += minute
  boot(mac)
  now += minute
  parts.lives.sign({ mac, ip: undefined }, '/nexttest/', now)
  await send(first)
  now += 25 * minute
  await look()
  assert.deepEqual([get(first).state, get(second).state], ['sent', 'requested'])
  now += 15 * minute
  await look()
  await look()
  assert.deepEqual([get(first).verdict, get(second).state], ['lost', 'requested'], 'its retry is the next to be given')
  const [retry] = store.queries.requestedOf([1], 1)
  assert.deepEqual([retry?.attempt, retry?.state], [2, 'requested'])
})

test('infra is for the oldest requested run, also where a retry of another waits before it', async () => {
  const [first, second] = [await request(), await request()]
  await send(first)
  now += minute
  boot(mac)
  await settle()
  assert.deepEqual(standing(first), ['done', 'lost', 'rebooted'])
  const [retry] = store.queries.requestedOf([1], 1)
  assert.equal(retry?.attempt, 2, 'it is at the head, and was asked for when the machine had booted')
  now += 21 * minute
  await look()
  assert.deepEqual([get(second).verdict, get(retry?.id ?? 0).state], ['infra', 'requested'])
  boot(mac)
  now += 21 * minute
  await look()
  const verdicts = store.queries.attemptsOf(second).map(({ verdict }) => verdict)
  assert.deepEqual(
    [get(retry?.id ?? 0).verdict, verdicts],
    ['infra', ['infra', null]],
    'the retry is older than that of the other',
  )
})

test('a waiver is for the result that was looked at: another one counts again, the same does not', async () => {
  const run = await request()
  await send(run)
  const result = async (text: string) => {
    const upload = await parts.uploads.begin(run)
    const sink = await upload.beginLog()
    await sink.write(Buffer.from(text))
    await at(() => upload.keep(person, sentBefore))
  }
  const waive = (why: string) => at(() => store.commit(person, (tx) => tx.emit({ type: 'run.waived', run, why })))
  const marks = () => [get(run).verdict, get(run).waived, store.queries.getDetail(run).waived]
  await result('E: fan\n')
  await waive('the fan is known')
  await result('I: once more\nE: fan\n')
  assert.deepEqual(marks(), ['fail', true, 'the fan is known'])
  await result('E: disk\n')
  assert.deepEqual(marks(), ['fail', false, null])
  await waive('the disk too')
  await result('I: all is well\n')
  assert.deepEqual(marks(), ['pass', false, null])
})

test('a kernel without a configuration of this server is a boot; modules of a loader are one boot with it', async () => {
  const run = await request()
  now += minute
  parts.lives.sign({ mac, ip: undefined }, 'vmlinuz', now)
  now += 20 * minute
  await look()
  assert.equal(get(run).state, 'requested', 'what runs on a machine may read a file')
  parts.lives.sign({ mac, ip: undefined }, 'vmlinuz', now, true)
  now += 20 * minute + 1
  await look()
  assert.deepEqual(standing(run).slice(0, 2), ['done', 'infra'])
  boot(other)
  parts.lives.sign({ mac: other, ip: undefined }, 'grub/x86_64-efi/linux.mod', now + 1000)
  const began = parts.lives.find({ mac: other, ip: undefined })?.bootMs
  now += 5000
  boot(other)
  assert.equal(parts.lives.find({ mac: other, ip: undefined })?.bootMs, began)
})

test('a boot from before a restart is judged, once its machine had its time again; one that has been heard of since is not', async () => {
  const [run, alive] = [await request(1), await request(2)]
  now += minute
  const bootOf = (id: number, of: Mac, system: number | null, name: string): Boot => ({
    ...{ id, mac: of, ip: '10.0.0.1', systemId: system, profile: system === null ? null : 'install', more: 0 },
    ...{ startedMs: now - 9 * minute, endedMs: now + 1000, decision: null },
    // An earlier start of the machine that the timeline keeps as the same boot.
    steps: [now - 9 * minute, now].map((startedMs) => ({
      ...{ at: startedMs, kind: 'tftp', name, sizeBytes: 9, sentBytes: 9, durationMs: 1, outcome: 'done', detail: '' },
    })),
  })
  // It was seen without its MAC before.
  const nameless = { ...bootOf(0, mac, 1, 'vmlinuz'), mac: null, startedMs: 0, endedMs: 0 }
  const steps = nameless.steps.map((step) => ({ ...step, at: step.at - 60 * minute }))
  const known = [
    bootOf(1, mac, 1, 'pxelinux.cfg/default'),
    { ...nameless, steps },
    { ...bootOf(2, other, null, 'grub/grub.cfg'), ip: '10.0.0.2' },
  ]
  const boots = async ({ system, mac: of }: BootQuery) =>
    known.filter((boot) => (system === undefined ? boot.mac === of : boot.systemId === system))
  now += 60 * minute
  await reopen()
  parts.lives.sign({ mac: other, ip: undefined }, '/profile/', now)
  await recallBoots({ store, lives: parts.lives, boots })
  now += 20 * minute - 1
  await look()
  assert.deepEqual([get(run).state, get(alive).state], ['requested', 'requested'])
  now += 2
  await look()
  assert.deepEqual([get(run).verdict, get(alive).state], ['infra', 'requested'])
  assert.match(String(standing(run)[2]), /booted at 2026-11-23T08:01:00.000Z and got as far as the profile install/)
  // What another question finds of a machine, older than what is known, changes nothing.
  const lives = createLives()
  const older = { ...bootOf(3, mac, 2, 'pxelinux.cfg/default'), profile: 'older' }
  const olderSteps = older.steps.map((step) => ({ ...step, at: step.at - 200 * minute }))
  known.push({ ...older, steps: olderSteps })
  await request(1)
  await recallBoots({ store, lives, boots })
  assert.equal(lives.find({ mac, ip: undefined })?.reached, 'the profile install')
  const over = createLives()
  await recallBoots({ store, lives: over, boots, isOver: () => true })
  assert.deepEqual([...over.all()], [])
  // Not heard of since, and booted by GRUB.
  await reopen()
  await recallBoots({ store, lives: parts.lives, boots })
  now += 20 * minute + 1
  await look()
  assert.match(String(standing(alive)[2]), /as far as grub\/grub\.cfg/)
})

test('a machine whose MAC was not known at first is one machine', async () => {
  const run = await request()
  now += minute
  parts.lives.booted({
    machine: { mac: undefined, ip: '10.0.0.7' },
    systemId: 1,
    read: { profile: 'local' },
    atMs: now,
  })
  now += minute
  parts.lives.sign({ mac, ip: '10.0.0.7' }, '/profile/', now)
  assert.equal([...parts.lives.all()].length, 1)
  now += 20 * minute - 1000
  parts.lives.sign({ mac, ip: '10.0.0.7' }, '/profile/', now)
  await look()
  assert.equal(get(run).state, 'requested')
})

test('a machine that says something within the time is alive; a run asked for after the boot is not its failure', async () => {
  const run = await request()
  now += minute
  boot(mac)
  now += 15 * minute
  parts.lives.sign({ mac, ip: undefined }, '/nexttest/', now)
  now += 15 * minute
  await look()
  assert.equal(get(run).state, 'requested')
  const later = await request(2)
  boot(other)
  now += 60 * minute
  await look()
  assert.equal(get(later).state, 'requested', 'asked for in the instant of the boot, not before')
})

test('retention: logs, rows and requests age apart, kept versions stay, a dry run changes nothing', async () => {
  const done = async (version: string) => {
    const run = await request()
    const upload = await parts.uploads.begin(run)
    const sink = await upload.beginLog()
    await sink.write(Buffer.from(`V: ${version}\n`))
    await (await upload.beginAttachment('dmesg', 'text/plain')).write(Buffer.from('kernel\n'))
    await at(() => upload.keep(person, sentBefore))
    return run
  }
  const attachment = async (run: number) => {
    const file = await parts.folder.openAttachment(run, 0)
    await file?.close()
    return file?.sizeBytes
  }
  const [old, kept] = [await done('1'), await done('2')]
  const waiting = await request()
  await at(() => store.commit(person, (tx) => tx.emit({ type: 'version.kept', version: tx.findVersion('2')?.id ?? 0 })))
  now += 10 * 24 * 60 * minute
  parts.keep.logsMs = 7 * 24 * 60 * minute
  const { expire } = parts.parts.runs
  assert.deepEqual(
    (await expire(true)).map(({ run, what }) => [run, what]),
    [[old, 'log']],
  )
  assert.ok(get(old).logKept)
  const [dry] = await expire(true)
  const [real] = await at(() => expire(false))
  assert.deepEqual(real, dry, 'a dry run says what will happen')
  assert.equal(get(old).logKept, false)
  assert.equal(await parts.folder.openLog(old), undefined)
  assert.equal(await attachment(old), 7, 'keep-logs is of logs; what was attached is part of the result')
  const log = await parts.folder.openLog(kept)
  assert.ok(log)
  await log.close()
  parts.keep.resultsMs = 9 * 24 * 60 * minute
  await at(() => expire(false))
  assert.equal(store.queries.getRun(old), undefined)
  assert.deepEqual([await attachment(old), await attachment(kept)], [undefined, 7])
  assert.equal(get(waiting).state, 'expired')
  assert.equal(get(kept).state, 'done')
})

test('retention: a request that is fetched while others are removed is not expired', async () => {
  const [first, second] = [await request(), await request()]
  now += 10 * 24 * 60 * minute
  parts.keep.resultsMs = 9 * 24 * 60 * minute
  const expiring = at(() => parts.parts.runs.expire(false))
  await send(second)
  assert.deepEqual(
    (await expiring).map(({ run }) => run),
    [first],
  )
  assert.deepEqual([get(first).state, get(second).state], ['expired', 'sent'])
})
