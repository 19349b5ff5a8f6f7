/**
 * What a run says beyond its row: reason, cases, lines, notes, attachments, machine, measurements. Source: `schema-runs.ts`.
 */
import type { KeptLine } from '../domain/run.ts'
import { numberOf, type RunDetail, textOf } from './run-rows.ts'
import type { Database, SqlValue } from './sqlite.ts'

/** Everything empty or null for a run that is not there. */
export function readDetail(database: Database, run: number): RunDetail {
  const row = database.get(
    `SELECT d.reason, d.cases, l.lines, d.notes, d.attachments, d.waived, m.mac, m.ip, r.exit, r.size FROM run r
     LEFT JOIN run_detail d ON d.run = r.id LEFT JOIN run_line l ON l.run = r.id
     LEFT JOIN machine m ON m.id = r.machine WHERE r.id = ?`,
    [run],
  )
  const [reason, cases, lines, notes, attachments, waived, mac, ip, exit, size] = row ?? []
  const list = <T>(text: SqlValue | undefined): T[] => (typeof text === 'string' ? (JSON.parse(text) as T[]) : [])
  const [total = 0, pass = 0, fail = 0, skip = 0, todo = 0] = list<number>(cases)
  return {
    reason: textOf(reason),
    exit: numberOf(exit),
    cases: { total, pass, fail, skip, todo },
    lines: list<[KeptLine['kind'], number, string]>(lines).map(([kind, line, text]) => ({ kind, line, text })),
    notes: list<string>(notes),
    attachments: list<[string, number]>(attachments).map(([name, sizeBytes]) => ({ name, sizeBytes })),
    waived: textOf(waived),
    mac: textOf(mac) || null,
    ip: textOf(ip) || null,
    sizeBytes: numberOf(size),
    measurements: readMeasurements(database, run),
  }
}

/** In the order in which their names were first seen. */
function readMeasurements(database: Database, run: number): RunDetail['measurements'] {
  return database
    .all(
      `SELECT n.name, m.value, n.unit FROM measurement m JOIN measure n ON n.id = m.measure WHERE m.run = ? ORDER BY n.id`,
      [run],
    )
    .map(([name, value, unit]) => ({ name: String(name), value: Number(value), unit: String(unit) }))
}
