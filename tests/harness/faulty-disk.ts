/**
 * A disk on which a test decides what works: every operation of `Disk`, failing, short, or held back.
 *
 * Under it is the real disk in a temporary folder, so that what a test reads afterwards is what was really written.
 */
import { type Disk, type OpenFile, realDisk } from '../../src/store/disk.ts'

export type Operation = 'open' | 'write' | 'sync' | 'truncate' | 'rename' | 'syncFolder' | 'freeBytes'

export interface FaultyDisk extends Disk {
  /** The operation fails with this code until `heal`; `path`: only for files whose path holds it. */
  fail(operation: Operation, code: string, path?: string): void
  /** Every write is cut to so many bytes, without an error. */
  shorten(bytes: number): void
  /** Bytes the disk still takes; then ENOSPC. Removing a file gives its written bytes back. */
  fill(bytes: number): void
  /** Operations of this kind wait until the returned function is called; `reached` resolves when the first waits. */
  hold(operation: Operation): { readonly reached: Promise<void>; release(): void }
  heal(): void
  /** Operations so far, as `sync journal/1.jsonl`. */
  readonly done: string[]
}

class DiskError extends Error {
  readonly code: string
  constructor(code: string, operation: string) {
    super(`${code}: injected, ${operation}`)
    this.code = code
  }
}

export function faultyDisk(): FaultyDisk {
  const faults = new Map<Operation, { code: string; path: string }>()
  const held = new Map<Operation, { wait: Promise<void>; reach: () => void }>()
  const sizes = new Map<string, number>()
  const done: string[] = []
  let short: number | undefined
  let room: number | undefined

  const before = async (operation: Operation, path: string): Promise<void> => {
    done.push(`${operation} ${path.split('/').slice(-2).join('/')}`)
    const hold = held.get(operation)
    if (hold) {
      hold.reach()
      await hold.wait
    }
    const fault = faults.get(operation)
    if (fault && path.includes(fault.path)) throw new DiskError(fault.code, `${operation} ${path}`)
  }
  const take = (path: string, bytes: number): void => {
    if (room !== undefined) {
      if (bytes > room) throw new DiskError('ENOSPC', `write ${path}`)
      room -= bytes
    }
    sizes.set(path, (sizes.get(path) ?? 0) + bytes)
  }
  const wrap = (file: OpenFile, path: string): OpenFile => ({
    async write(bytes, at) {
      await before('write', path)
      if (short !== undefined) return file.write(bytes.subarray(0, short), at)
      take(path, bytes.length)
      return file.write(bytes, at)
    },
    async sync() {
      await before('sync', path)
      return file.sync()
    },
    async truncate(sizeBytes) {
      await before('truncate', path)
      return file.truncate(sizeBytes)
    },
    isAt: (name) => file.isAt(name),
    handle: file.handle,
    close: () => file.close(),
  })
  return {
    done,
    fail: (operation, code, path = '') => void faults.set(operation, { code, path }),
    shorten(bytes) {
      short = bytes
    },
    fill(bytes) {
      room = bytes
    },
    hold(operation) {
      const gate = Promise.withResolvers<void>()
      const reached = Promise.withResolvers<void>()
      held.set(operation, { wait: gate.promise, reach: reached.resolve })
      return {
        reached: reached.promise,
        release() {
          held.delete(operation)
          gate.resolve()
        },
      }
    },
    heal() {
      faults.clear()
      short = undefined
      room = undefined
    },
    async open(path, how) {
      await before('open', path)
      return wrap(await realDisk.open(path, how), path)
    },
    async syncFolder(path) {
      await before('syncFolder', path)
      return realDisk.syncFolder(path)
    },
    async rename(from, to) {
      await before('rename', from)
      sizes.set(to, sizes.get(from) ?? 0)
      sizes.delete(from)
      return realDisk.rename(from, to)
    },
    async remove(path) {
      if (room !== undefined) room += sizes.get(path) ?? 0
      sizes.delete(path)
      return realDisk.remove(path)
    },
    async freeBytes(path) {
      await before('freeBytes', path)
      return room ?? realDisk.freeBytes(path)
    },
  }
}
