/**
 * Resident memory of a daemon under test, from /proc: now, and at its highest since it was last asked to forget.
 * Source: proc_pid_status(5), proc_pid_clear_refs(5).
 */
import { readFileSync, writeFileSync } from 'node:fs'

const field = (pid: number, name: 'VmRSS' | 'VmHWM'): number =>
  1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)

/** Bytes by which its resident memory grew at most during `work`. */
export async function growthDuring(pid: number, work: () => Promise<unknown>): Promise<number> {
  const before = field(pid, 'VmRSS')
  writeFileSync(`/proc/${pid}/clear_refs`, '5') // the highest is the present one again
  await work()
  return field(pid, 'VmHWM') - before
}
