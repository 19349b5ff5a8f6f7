/**
 * The worker thread that holds the boot timeline: in memory, then in its own database, which is saved to `trace.sqlite` now
 * and then and at the end.
 *
 * Losing it harms nobody, so there is no sync; a file that cannot be read is set aside and a new one begun. Messages:
 * `TraceRequest` in, `TraceAnswer` out, in order. Source: DESIGN "State" (trace).
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { createBootLog } from './boot-log.ts'
import { createBootTables, createTraceSchema, traceSchemaVersion, upgradeTraceSchema } from './boot-tables.ts'
import type { Boot, BootQuery } from './boot-timeline.ts'
import { reasonOf } from './disk.ts'
import { fileTime } from './folder.ts'
import { type Database, openDatabase } from './sqlite.ts'
import { readBatch, type StepBatch } from './trace-batch.ts'

export type TraceRequest =
  | { readonly kind: 'steps'; readonly steps: StepBatch }
  | { readonly kind: 'boots'; readonly id: number; readonly query: BootQuery }
  | { readonly kind: 'close' }

export type TraceAnswer =
  /** The file has been read: what comes now is answered. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'taken'; readonly count: number }
  | { readonly kind: 'boots'; readonly id: number; readonly boots: readonly Boot[] }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'closed' }

/** What a crash loses at most. */
const saveEveryMs = 60_000

async function openTraceFile(path: string, warn: (text: string) => void): Promise<Database> {
  if (existsSync(path)) {
    try {
      const database = await openDatabase(readFileSync(path))
      const version = database.get('PRAGMA user_version')?.[0]
      const check = database.get('PRAGMA quick_check')?.[0]
      if (check === 'ok' && upgradeTraceSchema(database, version)) return database
      database.close()
      throw new Error(check === 'ok' ? `its schema is ${version}, not ${traceSchemaVersion}` : String(check))
    } catch (error) {
      const aside = `${path}.damaged-${fileTime(new Date())}`
      renameSync(path, aside)
      warn(`the boot timeline ${path} was moved to ${aside}: ${reasonOf(error)}`)
    }
  }
  const database = await openDatabase()
  createTraceSchema(database)
  return database
}

async function main(path: string): Promise<void> {
  const port = parentPort
  if (!port) throw new Error('trace-worker is a worker thread')
  const say = (answer: TraceAnswer) => port.postMessage(answer)
  const warn = (text: string) => say({ kind: 'warning', text })
  const database = await openTraceFile(path, warn)
  const log = createBootLog(createBootTables(database))
  say({ kind: 'ready' })
  let changed = false
  const save = () => {
    if (!changed) return
    changed = false
    try {
      log.save()
      writeFileSync(`${path}.tmp`, database.export(), { mode: 0o600 })
      renameSync(`${path}.tmp`, path)
    } catch (error) {
      warn(`the boot timeline cannot be saved: ${reasonOf(error)}`)
    }
  }
  setInterval(save, saveEveryMs).unref()
  port.on('message', (request: TraceRequest) => {
    switch (request.kind) {
      case 'steps': {
        const steps = readBatch(request.steps)
        log.add(steps)
        changed = true
        return say({ kind: 'taken', count: steps.length })
      }
      case 'boots':
        return say({ kind: 'boots', id: request.id, boots: log.boots(request.query) })
      case 'close':
        save()
        database.close()
        say({ kind: 'closed' })
        return port.close()
      default:
        return request satisfies never
    }
  })
}

void main(String(workerData))
