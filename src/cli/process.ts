/**
 * The process as the client sees it: environment, standard streams, interrupt.
 *
 * Output is written synchronously to the descriptors: `process.stdout` takes longer to make than a command to run, and
 * loses what is not yet written when the process ends. Source: CONTRACT "Command line" (start time), pipe(7) (EPIPE).
 */
import { readFileSync, readSync, writeSync } from 'node:fs'
import { userInfo } from 'node:os'
import { resolve } from 'node:path'
import { isatty } from 'node:tty'
import { commit, version } from '../version.ts'
import type { Io, Stream } from './io.ts'

/** Pause before writing again to a pipe that is full and set not to block. */
const fullPipeMs = 5

export function processIo(doors: Pick<Io, 'readAsset' | 'runLocal'>): Io {
  const interrupted = new AbortController()
  // The first interrupt lets what runs clean up; a second one ends the process as ever.
  process.once('SIGINT', () => interrupted.abort())
  const cwd = process.cwd()
  return {
    ...doors,
    env: process.env,
    uid: process.getuid?.() ?? -1,
    get user() {
      try {
        return userInfo().username
      } catch {
        return undefined // the account has no entry
      }
    },
    cwd,
    version,
    commit,
    stdout: stream(1),
    stderr: stream(2),
    readFile: (path) => readFileSync(resolve(cwd, path)),
    readStandardInput: async () => readDescriptor(0),
    interrupted: interrupted.signal,
  }
}

/** A descriptor of this process, written synchronously; `write` is false once nobody reads it, and throws what else is wrong. */
export function stream(descriptor: number): Stream {
  return {
    get terminal() {
      return isatty(descriptor)
    },
    write(text) {
      const bytes = typeof text === 'string' ? Buffer.from(text) : text
      for (let at = 0; at < bytes.length; ) {
        try {
          at += writeSync(descriptor, bytes, at)
        } catch (error) {
          if (hasCode(error, 'EPIPE')) return false
          if (!hasCode(error, 'EAGAIN')) throw error
          pause()
        }
      }
      return true
    },
  }
}

function readDescriptor(descriptor: number): Uint8Array {
  const pieces: Buffer[] = []
  const piece = Buffer.allocUnsafe(64 * 1024)
  for (;;) {
    try {
      const count = readSync(descriptor, piece)
      if (count === 0) return Buffer.concat(pieces)
      pieces.push(Buffer.from(piece.subarray(0, count)))
    } catch (error) {
      if (hasCode(error, 'EOF')) return Buffer.concat(pieces)
      if (!hasCode(error, 'EAGAIN')) throw error
      pause()
    }
  }
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, fullPipeMs)
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
