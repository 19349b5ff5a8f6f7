/**
 * Repair, backup, restore and history: what a person does when something is wrong, or before.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Refusal } from '../../src/domain/errors.ts'
import { restoreDataDir } from '../../src/store/backup.ts'
import { type Disk, realDisk } from '../../src/store/disk.ts'
import { repairDataDir } from '../../src/store/repair.ts'
import type { Store } from '../../src/store/store.ts'
import {
  addSystem,
  contentFromNothing,
  copyFolder,
  decide,
  makeFolder,
  open,
  operator,
} from '../harness/store-folder.ts'

function names(store: Store): string[] {
  return store.queries.listSystems().map(({ name }) => name)
}

async function filled(t: TestContext): Promise<string> {
  const dir = makeFolder(t)
  const store = await open(t, dir, { segmentMaxBytes: 500 })
  const id = await store.commit(operator, (tx) => addSystem(tx, 'a', '52:54:00:00:00:01'))
  for (const name of ['b', 'c', 'd', 'e']) await store.commit(operator, (tx) => addSystem(tx, name))
  await store.commit(operator, (tx) => decide(tx, id, 'local'))
  await store.close()
  return dir
}

/** Flips a bit in the line of the record. */
function damage(dir: string, seq: number): string {
  for (const folder of ['journal', 'archive']) {
    for (const name of readdirSync(join(dir, folder))) {
      const path = join(dir, folder, name)
      const bytes = readFileSync(path)
      const at = bytes.indexOf(`{"seq":${seq},`)
      if (at < 0) continue
      bytes[at + 30] = (bytes[at + 30] ?? 0) ^ 1
      writeFileSync(path, bytes)
      return path
    }
  }
  throw new Error(`no record ${seq}`)
}

async function backupTo(store: Store, file: string): Promise<void> {
  const chunks: Uint8Array[] = []
  await store.backup(async (chunk) => void chunks.push(chunk))
  writeFileSync(file, Buffer.concat(chunks))
}

const refused = (text: RegExp) => (error: unknown) => error instanceof Refusal && text.test(error.message)

test('repair of a damaged record keeps every other one, says which is lost, and keeps the old file aside', async (t) => {
  const dir = await filled(t)
  const path = damage(dir, 3)
  const old = readFileSync(path)
  await assert.rejects(open(t, dir), refused(/record 3: .*pxemngr repair/))
  const dry = await repairDataDir(dir, { dryRun: true })
  assert.equal(dry.lostAcknowledged, true)
  assert.match(dry.lines.join('\n'), /jsonl:\d+: record 3: its checksum does not match: "\{\\"seq\\":3,/)
  assert.deepEqual(readFileSync(path), old)
  const done = await repairDataDir(dir, { dryRun: false })
  assert.equal(done.lostAcknowledged, true)
  const aside = readdirSync(dir).find((name) => name.startsWith('repair-'))
  assert.ok(aside)
  assert.deepEqual(
    readdirSync(join(dir, aside)).map((name) => readFileSync(join(dir, aside, name))),
    [old],
  )
  const store = await open(t, dir)
  assert.deepEqual(names(store), ['a', 'b', 'd', 'e'])
  assert.deepEqual(
    store.degradations().map(({ code }) => code),
    ['records-lost'],
  )
  assert.equal((await store.history({ after: 2, limit: 100 }))[0]?.events[0]?.type, 'record.lost')
  assert.equal(await store.commit(operator, (tx) => addSystem(tx, 'f')), 6)
  await store.close()
  assert.deepEqual(await repairDataDir(dir, { dryRun: false }), {
    lines: ['nothing to repair'],
    lostAcknowledged: false,
  })
})

test('a record that rests on a lost one is lost with it, and repair says so', async (t) => {
  const dir = await filled(t)
  damage(dir, 1)
  const { lines } = await repairDataDir(dir, { dryRun: false })
  assert.match(lines.join('\n'), /record 6 is lost as well: .*boot\.decided/)
  const store = await open(t, dir)
  assert.deepEqual(names(store), ['b', 'c', 'd', 'e'])
})

test('a missing segment is filled with lost records, and numbers go on after it', async (t) => {
  const dir = await filled(t)
  const [, second, third] = readdirSync(join(dir, 'journal')).sort(
    (a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10),
  )
  assert.ok(second && third)
  rmSync(join(dir, 'journal', second))
  const { lines, lostAcknowledged } = await repairDataDir(dir, { dryRun: false })
  assert.equal(lostAcknowledged, true)
  assert.match(lines[0] ?? '', /records 3 to \d: it ends before record \d/)
  const store = await open(t, dir)
  assert.equal(store.seq, 7)
  assert.ok(names(store).includes('a'))
})

test('damage behind the snapshot costs history only: after repair the state is still whole', async (t) => {
  const dir = await filled(t)
  let store = await open(t, dir)
  for (const name of ['x', 'y', 'z']) {
    await store.commit(operator, (tx) => addSystem(tx, name))
    assert.equal(await store.snapshot(), true)
  }
  const before = names(store)
  await store.close()
  damage(dir, 2)
  const { lines, lostAcknowledged } = await repairDataDir(dir, { dryRun: false })
  assert.equal(lostAcknowledged, true)
  assert.match(lines.join('\n'), /record 2: .*lost for history only/)
  store = await open(t, dir)
  assert.deepEqual(names(store), before)
  assert.equal((await store.history({ limit: 1000 }))[1]?.events[0]?.type, 'record.lost')
  await store.close()
  // Without any snapshot the state cannot be had from these records: said, not served wrong.
  for (const name of ['snapshot.sqlite', 'snapshot.before.sqlite']) rmSync(join(dir, name))
  await assert.rejects(open(t, dir), refused(/record 2 is lost, and only a snapshot/))
})

test('an unsynced tail is no damage: repair leaves it to the next start', async (t) => {
  const dir = await filled(t)
  const last =
    readdirSync(join(dir, 'journal')).sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10))[0] ?? ''
  writeFileSync(join(dir, 'journal', last), '{"seq":8,"kept"', { flag: 'a' })
  const report = await repairDataDir(dir, { dryRun: false })
  assert.equal(report.lostAcknowledged, false)
  assert.match(report.lines[0] ?? '', /unsynced tail/)
  const store = await open(t, dir)
  assert.deepEqual(
    store.degradations().map(({ code, weight }) => [code, weight]),
    [['torn-tail', 'notice']],
  )
})

test('repair takes the lock, and refuses a directory without a journal', async (t) => {
  const dir = makeFolder(t)
  await assert.rejects(repairDataDir(dir, { dryRun: true }), refused(/holds no journal/))
  await open(t, dir)
  await assert.rejects(repairDataDir(dir, { dryRun: true }), refused(/in use by another pxemngr/))
})

test('a backup restored into an empty directory has the same content and history', async (t) => {
  const dir = await filled(t)
  const store = await open(t, dir, { segmentMaxBytes: 900 })
  await store.snapshot()
  await store.commit(operator, (tx) => addSystem(tx, 'late'))
  await store.snapshot()
  await store.commit(operator, (tx) => addSystem(tx, 'later'))
  const { seq } = store
  const file = join(dir, 'backup.jsonl')
  await backupTo(store, file)
  const to = makeFolder(t)
  assert.deepEqual(await restoreDataDir(file, to), { records: seq })
  assert.equal(await contentFromNothing(to, seq), await contentFromNothing(dir, seq))
  const restored = await open(t, to)
  assert.deepEqual(await restored.history({}), await store.history({}))
  assert.deepEqual(restored.degradations(), [])
})

test('a backup of an empty store restores to an empty store', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir)
  const file = join(dir, 'backup.jsonl')
  await backupTo(store, file)
  const to = join(makeFolder(t), 'new', 'folder')
  await restoreDataDir(file, to)
  const restored = await open(t, to)
  assert.equal(await restored.commit(operator, (tx) => addSystem(tx, 'a')), 1)
})

test('a backup that is cut or changed anywhere is refused, and nothing is left behind', async (t) => {
  const dir = await filled(t)
  const store = await open(t, dir)
  const file = join(dir, 'backup.jsonl')
  await backupTo(store, file)
  const bytes = readFileSync(file)
  const broken = join(dir, 'broken.jsonl')
  const to = makeFolder(t)
  const hostile = [Buffer.alloc(0), Buffer.from('no backup\n'), Buffer.concat([bytes, bytes])]
  for (let at = 1; at < bytes.length; at += 71) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ 2
    hostile.push(flipped, bytes.subarray(0, at))
  }
  for (const content of hostile) {
    writeFileSync(broken, content)
    await assert.rejects(restoreDataDir(broken, to), refused(/not a whole backup/))
    assert.equal(existsSync(join(to, 'journal')), false)
  }
})

test('restore reads the named file and no other, and a failed one leaves nothing behind', async (t) => {
  const dir = await filled(t)
  const store = await open(t, dir)
  const work = makeFolder(t)
  mkdirSync(join(work, 'archive'))
  mkdirSync(join(work, 'sub'))
  await backupTo(store, join(work, 'archive', 'monday'))
  const to = join(work, 'new', 'deep', 'er')
  const absent = refused(/^cannot read "[^"\n]+monday": no such file or directory$/)
  await assert.rejects(restoreDataDir(join(work, 'sub', 'monday'), to), absent)
  await assert.rejects(restoreDataDir(join(work, 'sub'), to), refused(/^cannot read "[^"\n]+": it is no regular file$/))
  writeFileSync(join(work, 'broken'), 'no backup\n')
  await assert.rejects(restoreDataDir(join(work, 'broken'), to), refused(/not a whole backup/))
  await assert.rejects(
    restoreDataDir(join(work, 'archive', 'monday'), join(work, 'broken')),
    refused(/^data-dir "[^"\n]+broken" is not a folder$/),
  )
  const full: Disk = {
    ...realDisk,
    rename: () =>
      Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })),
  }
  await assert.rejects(
    restoreDataDir(join(work, 'archive', 'monday'), to, full),
    refused(/^cannot restore "[^"\n]+monday" into [^\n]+: no space left on device$/),
  )
  mkdirSync(join(work, 'kept'))
  writeFileSync(join(work, 'kept', 'boot.img'), '')
  await assert.rejects(
    restoreDataDir(join(work, 'archive', 'monday'), join(work, 'kept'), full),
    refused(/no space left/),
  )
  assert.deepEqual(readdirSync(join(work, 'kept')), ['boot.img'])
  assert.deepEqual(readdirSync(work).sort(), ['archive', 'broken', 'kept', 'sub'])
})

test('restore refuses a directory that holds state, not one that holds boot files', async (t) => {
  const dir = await filled(t)
  const copy = copyFolder(t, dir)
  const store = await open(t, dir)
  const file = join(dir, 'backup.jsonl')
  await backupTo(store, file)
  await assert.rejects(restoreDataDir(file, copy), refused(/not empty: it holds (archive|journal)/))
  const profiles = makeFolder(t)
  mkdirSync(join(profiles, 'profiles'))
  await restoreDataDir(file, profiles)
  assert.deepEqual(names(await open(t, profiles)), names(store))
})

test('history gives the newest that fit, in ascending order, through all segments', async (t) => {
  const dir = makeFolder(t)
  const store = await open(t, dir, { segmentMaxBytes: 400 })
  const a = await store.commit(operator, (tx) => addSystem(tx, 'a'))
  for (let i = 0; i < 30; i += 1) {
    await store.commit(operator, (tx) => decide(tx, i % 3 === 0 ? a : addSystem(tx, `c${i}`), 'local'))
    if (i % 10 === 9) await store.snapshot()
  }
  const all = await store.history({})
  assert.deepEqual(
    all.map(({ seq }) => seq),
    Array.from({ length: store.seq }, (_, i) => i + 1),
  )
  const own = all.filter(({ events }) => events.some((event) => 'system' in event && event.system === a))
  assert.equal(own.length, 11)
  assert.deepEqual(await store.history({ systems: [a] }), own)
  assert.deepEqual(await store.history({ systems: [a], limit: 3 }), own.slice(-3))
  assert.deepEqual(await store.history({ after: 12, limit: 5 }), all.slice(-5))
  assert.deepEqual(await store.history({ after: 12 }), all.slice(12))
  assert.deepEqual(await store.history({ limit: 0 }), [])
  assert.deepEqual(await store.history({ after: 1e9 }), [])
})

test('a journal that is gone or empty is no new beginning: the start refuses, repair says so, nothing is written', async (t) => {
  const empty = (dir: string): void => writeFileSync(join(dir, 'journal', '1.jsonl'), '')
  const remove = (dir: string): void => rmSync(join(dir, 'journal'), { recursive: true })
  for (const lose of [empty, remove]) {
    const emptied = makeFolder(t)
    const store = await open(t, emptied)
    await store.commit(operator, (tx) => addSystem(tx, 'a'))
    await store.close()
    lose(emptied)
    mkdirSync(join(emptied, 'journal'), { recursive: true })
    const files = () =>
      readdirSync(join(emptied, 'journal')).map((name) => readFileSync(join(emptied, 'journal', name), 'utf8'))
    const before = files()
    await assert.rejects(
      open(t, emptied),
      (error) => error instanceof Refusal && /is gone or empty/.test(error.message),
    )
    assert.deepEqual(files(), before)
    const report = await repairDataDir(emptied, { dryRun: true })
    assert.equal(report.lostAcknowledged, true)
    assert.match(report.lines.join('\n'), /has no records, though it had/)
    rmSync(join(emptied, 'lock'))
    assert.deepEqual(names(await open(t, emptied)), [])
  }
})

test('a first start that was cut off before its first record is still a first start', async (t) => {
  const dir = makeFolder(t)
  await (await open(t, dir)).close()
  for (const name of readdirSync(join(dir, 'journal'))) assert.equal(name, '1.jsonl')
  const fresh = makeFolder(t)
  mkdirSync(join(fresh, 'journal'), { recursive: true })
  writeFileSync(join(fresh, 'journal', '1.jsonl'), '')
  assert.deepEqual(names(await open(t, fresh)), [])
})
