/**
 * What `explain` asks of the disk: looked at without end, it would wait for a dead mount once a file. Source: `preview.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPreviews, type PreviewOptions } from '../../src/daemon/preview.ts'
import type { OpenedFile } from '../../src/tftp/jail.ts'

const options = {
  queries: {},
  profiles: {},
  url: () => '',
  places: () => ({ root: '/srv/tftp', linkTargets: [] }),
  findLoader: (name: string) => (name === 'pxelinux.0' ? new Uint8Array(7) : undefined),
} as unknown as PreviewOptions

test('a mount that hangs is waited for twice, not once a file; when it answers again, files are looked at again', async () => {
  let asked = 0
  const letGo: (() => void)[] = []
  let hanging = true
  const reader = {
    async openInside() {
      asked += 1
      if (hanging) await new Promise<void>((resolve) => letGo.push(resolve))
      return { fd: -1, sizeBytes: 5 } as unknown as OpenedFile
    },
    close: async () => {},
  }
  const { findFile } = createPreviews({ ...options, reader, lookMs: 20 })
  const whyOf = async (path: string) => {
    const file = await findFile(path)
    return file.found ? 'found' : file.why
  }
  assert.match(await whyOf('a'), /hangs$/)
  assert.match(await whyOf('b'), /hangs$/)
  for (let number = 0; number < 1000; number++) assert.match(await whyOf(`c${number}`), /hangs$/)
  assert.equal(asked, 2)
  hanging = false
  for (const resolve of letGo) resolve()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(await whyOf('a'), 'found')
})

test('a profile that names thousands of files asks the disk for some at once', async () => {
  let most = 0
  let now = 0
  const reader = {
    async openInside() {
      now += 1
      most = Math.max(most, now)
      await new Promise((resolve) => setImmediate(resolve))
      now -= 1
      return { why: 'missing', detail: 'is not there' } as const
    },
    close: async () => {},
  }
  const { findFile } = createPreviews({ ...options, reader })
  const found = await Promise.all(Array.from({ length: 5000 }, (_, number) => findFile(`initrd.${number}`)))
  assert.equal(found.filter((file) => !file.found).length, 5000)
  assert.ok(most <= 256, `${most} at once`)
  assert.deepEqual(await findFile('pxelinux.0'), { found: true, sizeBytes: 7 })
})
