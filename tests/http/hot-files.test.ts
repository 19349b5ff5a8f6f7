import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import { HotFiles, hotChunkBytes, type ReadPart } from '../../src/http/hot-files.ts'

const MiB = 1024 * 1024
const old = (): number => Date.now() - 3600_000

/** What a part of a file holds: a byte that says which chunk it is. */
let reads: number[]
const read: ReadPart = async (at, length) => {
  reads.push(at)
  return Buffer.alloc(length, at / hotChunkBytes)
}

const file = (identity: string, sizeBytes: number) => ({ identity, sizeBytes, modifiedMs: old() })

beforeEach(() => {
  reads = []
})

describe('boot files in memory', () => {
  it('a file is kept from its second download on, and read once', async () => {
    const files = new HotFiles(8 * MiB)
    const first = files.use(file('a', 3 * MiB + 5))
    assert.equal(first.hot, undefined)
    assert.equal(files.keptBytes, 0)
    const { hot, end } = files.use(file('a', 3 * MiB + 5))
    assert.ok(hot)
    assert.equal(files.keptBytes, 3 * MiB + 5)
    const [one, same] = await Promise.all([hot.chunk(MiB + 7, read), hot.chunk(2 * MiB - 1, read)])
    assert.equal(one, same)
    assert.deepEqual(one, Buffer.alloc(MiB, 1))
    assert.deepEqual(await hot.chunk(3 * MiB, read), Buffer.alloc(5, 3))
    first.end()
    end()
    const again = files.use(file('a', 3 * MiB + 5))
    assert.equal(await again.hot?.chunk(MiB, read), one)
    assert.deepEqual(reads, [MiB, 3 * MiB])
  })

  it('changed, it is another file', async () => {
    const files = new HotFiles(8 * MiB)
    for (let i = 0; i < 2; i++) files.use(file('a', MiB)).end()
    assert.equal(files.use(file('b', MiB)).hot, undefined)
  })

  it('a file changed just now, or in the future, is never kept', () => {
    const files = new HotFiles(8 * MiB)
    for (const modifiedMs of [Date.now(), Date.now() + 3600_000]) {
      for (let i = 0; i < 3; i++) assert.equal(files.use({ identity: 'a', sizeBytes: 1, modifiedMs }).hot, undefined)
    }
  })

  it('a read that fails is not remembered, and fails everybody who waits for it', async () => {
    const files = new HotFiles(8 * MiB)
    files.use(file('a', MiB))
    const { hot } = files.use(file('a', MiB))
    assert.ok(hot)
    const broken: ReadPart = async () => {
      throw new Error('the file has become shorter while it was sent')
    }
    const waiting = [hot.chunk(0, broken), hot.chunk(0, read)]
    for (const each of waiting) await assert.rejects(async () => each, /shorter/)
    assert.deepEqual(await hot.chunk(0, read), Buffer.alloc(MiB, 0))
  })

  it('what is kept is bounded: the oldest that nobody fetches goes, one that is fetched stays', async () => {
    const files = new HotFiles(8 * MiB)
    const twice = (identity: string, sizeBytes: number) => {
      files.use(file(identity, sizeBytes)).end()
      return files.use(file(identity, sizeBytes))
    }
    assert.equal(twice('too large', 8 * MiB + 1).hot, undefined)
    const a = twice('a', 4 * MiB)
    const b = twice('b', 4 * MiB)
    assert.ok(a.hot && b.hot)
    const chunk = await a.hot.chunk(0, read)
    assert.equal(twice('c', 1).hot, undefined)
    assert.equal(files.keptBytes, 8 * MiB)
    a.end()
    assert.ok(twice('d', 4 * MiB).hot)
    assert.equal(files.keptBytes, 8 * MiB)
    assert.equal(chunk.length, 0, 'its memory is given back at once')
    assert.equal(b.hot.kept, true)
  })

  it('memory is given back when nobody has fetched the file for a while', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const now = mock.method(performance, 'now', () => 0)
    try {
      const files = new HotFiles(8 * MiB)
      files.use(file('a', MiB)).end()
      const { hot, end } = files.use(file('a', MiB))
      const chunk = await hot?.chunk(0, read)
      now.mock.mockImplementation(() => 60_000)
      mock.timers.tick(60_000)
      assert.equal(files.keptBytes, MiB, 'not while it is being sent')
      end()
      now.mock.mockImplementation(() => 80_000)
      mock.timers.tick(20_000)
      assert.equal(files.keptBytes, 0)
      assert.equal(chunk?.length, 0)
      assert.equal(files.use(file('a', MiB)).hot, undefined, 'forgotten')
    } finally {
      mock.timers.reset()
      now.mock.restore()
    }
  })

  it('names of files are remembered up to a limit, the latest', () => {
    const files = new HotFiles(8 * MiB)
    const running = Array.from({ length: 200 }, (_, i) => files.use(file(`running ${i}`, 1)))
    for (let i = 0; i < 1000; i++) files.use(file(`${i}`, 1)).end()
    for (let i = 0; i < 1000; i++) files.use(file(`${i}`, 1)).end()
    assert.equal(files.keptBytes, 0, 'forgotten before they came again')
    assert.ok(files.use(file('999', 1)).hot)
    assert.ok(files.use(file('running 7', 1)).hot)
    for (const { end } of running) end()
    const more = Array.from({ length: 300 }, (_, i) => files.use(file(`more ${i}`, 1)))
    assert.equal(files.use(file('one too many', 1)).hot, undefined)
    assert.equal(files.use(file('one too many', 1)).hot, undefined)
    for (const { end } of more) end()
  })
})
