import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Refusal } from '../../src/domain/errors.ts'
import { silentLog } from '../../src/log.ts'
import { openProfiles, type Profiles, populateProfiles } from '../../src/profiles/registry.ts'
import { createMemoryStore, type MemoryStore } from '../harness/memory-store.ts'

let top: string
let dir: string
let store: MemoryStore
let profiles: Profiles | undefined
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'pxemngr-registry-'))
  dir = join(top, 'profiles')
  mkdirSync(dir)
  store = createMemoryStore()
})
afterEach(() => {
  profiles?.close()
  rmSync(top, { recursive: true, force: true })
})

const embeddedLocal = Buffer.from('embedded\n')
const open = async () => {
  profiles = await openProfiles({ dir, store, log: silentLog, embeddedLocal, watchMs: 20 })
  return profiles
}
const write = (name: string) => writeFileSync(join(dir, `${name}.prof`), 'x')
const available = () =>
  store.queries
    .listProfiles()
    .filter((p) => p.available)
    .map((p) => p.name)

async function until(condition: () => boolean): Promise<void> {
  for (let waitedMs = 0; waitedMs < 10_000 && !condition(); waitedMs += 10) await sleep(10)
  assert.ok(condition())
}

describe('the profile registry', () => {
  it('registers what is there at start, in one record, and nothing again', async () => {
    write('b')
    write('a')
    await open()
    assert.equal(store.records.length, 1)
    assert.deepEqual(available().sort(), ['a', 'b'])
    profiles?.close()
    await open()
    assert.equal(store.records.length, 1)
  })

  it('sync names every profile that is there, and says that local is missing', async () => {
    write('a')
    const opened = await open()
    assert.deepEqual(await opened.sync(), { registered: ['a'], missing: ['local'] })
    write('local')
    const [one, two] = await Promise.all([opened.sync(), opened.sync()])
    assert.deepEqual(one, { registered: ['a', 'local'], missing: [] })
    assert.deepEqual(two, one)
    assert.equal(store.queries.listProfiles().length, 2)
  })

  it('a file that goes is missing, and the same profile when it returns', async () => {
    write('a')
    const opened = await open()
    unlinkSync(join(dir, 'a.prof'))
    await opened.sync()
    assert.deepEqual(store.queries.findProfile('a'), { id: 1, name: 'a', available: false })
    write('a')
    await opened.sync()
    assert.deepEqual(store.queries.findProfile('a'), { id: 1, name: 'a', available: true })
  })

  it('notices new and removed files, and a folder that is replaced, by itself', async () => {
    await open()
    write('new')
    await until(() => available().includes('new'))
    unlinkSync(join(dir, 'new.prof'))
    await until(() => !available().includes('new'))
    renameSync(dir, join(top, 'old'))
    await sleep(60)
    mkdirSync(dir)
    write('other')
    await until(() => available().includes('other'))
  })

  it('a FIFO or a folder of that name is not registered and blocks nothing', async () => {
    execFileSync('mkfifo', [join(dir, 'fifo.prof')])
    mkdirSync(join(dir, 'folder.prof'))
    const opened = await open()
    assert.deepEqual((await opened.sync()).registered, [])
  })

  it('starts where changes are refused, and registers later', async () => {
    write('a')
    store.fail = new Refusal('unavailable', 'the disk is full')
    const opened = await open()
    assert.deepEqual(available(), [])
    await assert.rejects(opened.sync(), /the disk is full/)
    store.fail = undefined
    await opened.sync()
    assert.deepEqual(available(), ['a'])
  })

  it('sync fails with the reason where the folder cannot be read', async () => {
    const opened = await open()
    rmSync(dir, { recursive: true })
    const message = `the profile folder ${dir} cannot be read: it is not there`
    await assert.rejects(opened.sync(), { name: 'Refusal', kind: 'refused', message })
    assert.equal(opened.folderFault(), message)
    assert.deepEqual(opened.names(), [])
    mkdirSync(dir)
    assert.equal(opened.folderFault(), undefined)
    assert.deepEqual(await opened.sync(), { registered: [], missing: ['local'] })
  })
})

describe('the first start', () => {
  it('makes the folder and puts local.prof in, and never touches one that is there', async () => {
    const fresh = join(top, 'data', 'profiles')
    await populateProfiles(fresh, embeddedLocal)
    assert.equal(readFileSync(join(fresh, 'local.prof'), 'utf8'), 'embedded\n')
    assert.equal(statSync(join(fresh, 'local.prof')).mode & 0o022, 0)
    writeFileSync(join(fresh, 'local.prof'), 'mine')
    await populateProfiles(fresh, embeddedLocal)
    assert.equal(readFileSync(join(fresh, 'local.prof'), 'utf8'), 'mine')
  })

  it('the local.prof that ships has 0.8’s text', () => {
    assert.equal(
      readFileSync(join(import.meta.dirname, '../../profiles/local.prof'), 'utf8'),
      'prompt 0\ntimeout 0\ndefault 0\n\nlabel 0\n  LOCALBOOT 0\n',
    )
  })
})
