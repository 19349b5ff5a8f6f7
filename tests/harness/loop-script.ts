/**
 * A script that waits for its test, and what tests of the shipped loop on a bad day look at: how it ends, what it says, how
 * often it uploaded, what is left of it. Not here: the machine and the daemon (loop.ts).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { kindFault, type LoopKind, type LoopLab, openLoopLab, stepMs } from './loop.ts'
import { type Finished, type Running, until, within } from './process.ts'

/** What `tries_max` tries of run.sh take, with their pauses, on a busy machine. */
export const onceMs = 240_000

/** A script that says that it has started, waits for its gate, and ends. */
export interface Gated {
  readonly run: number
  started(): Promise<true>
  open(): void
  /** How often it was started. */
  starts(): number
}

export async function gated(lab: LoopLab, name = 'gated'): Promise<Gated> {
  const [starts, gate] = [join(lab.dir, `${name} starts`), join(lab.dir, `${name} gate`)]
  await lab.script(
    name,
    `echo "I: started"\necho >> "${starts}"\nuntil [ -e "${gate}" ]; do sleep 0.2; done\necho "I: finished"\n`,
  )
  const count = () => (existsSync(starts) ? readFileSync(starts, 'utf8').length : 0)
  return {
    run: await lab.request(name),
    started: () =>
      until(
        () => count() > 0 || undefined,
        stepMs,
        () => 'the script does not start',
      ),
    open: () => writeFileSync(gate, ''),
    starts: count,
  }
}

export const whole = 'I: started\nI: finished\nX: 0\n'

export function finished(loop: Running): Promise<Finished> {
  return within(loop.ended, onceMs, () => `the loop does not end:\n${loop.written.stderr}`)
}

export function says(loop: Running, pattern: RegExp): Promise<true> {
  return until(
    () => pattern.test(loop.written.stderr) || undefined,
    onceMs,
    () => `${pattern}:\n${loop.written.stderr}`,
  )
}

/** The logs of a run in the results folder: one for each upload. */
export const logs = (lab: LoopLab, run: number): string[] => lab.files(run).filter((name) => name.endsWith('.log'))

/** Until nothing of the lab's loops and scripts is a process any more. */
export const nothingLives = (lab: LoopLab): Promise<true> =>
  until(
    () => lab.living().length === 0 || undefined,
    stepMs,
    () => `these still live:\n${lab.living().join('\n')}`,
  )

/** Ends everything of the loop and its scripts at once. */
export function powerCut(lab: LoopLab): Promise<true> {
  lab.powerCut()
  return nothingLives(lab)
}

/** A test with a lab of its own, for each kind of machine; skipped by name where there is none. */
export function inLab(
  title: string,
  kinds: readonly LoopKind[],
  run: (lab: LoopLab, kind: LoopKind) => Promise<void>,
): void {
  for (const kind of kinds) {
    test(`${title} (${kind})`, { skip: kindFault(kind) ?? false }, async () => {
      const lab = await openLoopLab()
      try {
        await run(lab, kind)
      } finally {
        await lab.close()
      }
    })
  }
}
