/**
 * The bench from its arguments to its exit status: 0 all that was chosen has been measured, 1 some of it could not be
 * (a missing peer alone does not count), 2 wrong usage. A missed target is a result, not a failure.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Bench, openBench, projectDir } from './bench.ts'
import { cells } from './cells/index.ts'
import { formatOutcome, toJson } from './report.ts'
import { type Outcome, runCell } from './rounds.ts'

const usage = 'usage: npm run bench [-- [--only CELL]… [--rounds N] [--quick] [--json FILE] [--list]]'
const roundsDefault = 5
const roundsQuick = 2
/** 128 + SIGINT, as shells have it. */
const interruptedStatus = 130

interface Choice {
  readonly only: readonly string[]
  readonly rounds: number
  readonly quick: boolean
  readonly json: string | undefined
  readonly list: boolean
}

/** Throws with a line that names what is wrong. */
function parseChoice(args: string[]): Choice {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      list: { type: 'boolean', default: false },
    },
  })
  const only = (values.only ?? []).flatMap((names) => names.split(','))
  for (const name of only) {
    if (!cells.some((cell) => cell.name === name)) {
      throw new Error(`no cell ${name}: there are ${cells.map((cell) => cell.name).join(', ')}`)
    }
  }
  const rounds = Number(values.rounds ?? (values.quick ? roundsQuick : roundsDefault))
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds}: a whole number from 1`)
  return { only, rounds, quick: values.quick, json: values.json, list: values.list }
}

export async function main(args: string[]): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(interruptedStatus))
  let choice: Choice
  try {
    choice = parseChoice(args)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n${usage}\n`)
    process.exitCode = 2
    return
  }
  if (choice.list) {
    for (const { name, title } of cells) process.stdout.write(`${name}: ${title}\n`)
    return
  }
  const { PXEMNGR_EXECUTABLE: chosen } = process.env
  const executable = chosen ?? join(projectDir, 'dist', 'pxemngr')
  const bench = await openBench({ executable, quick: choice.quick, progress })
  try {
    const outcomes = await runCells(bench, choice)
    if (choice.json)
      writeFileSync(choice.json, `${JSON.stringify(toJson(outcomes, choice.rounds, choice.quick), null, 2)}\n`)
    if (!outcomes.every(isMeasured)) process.exitCode = 1
  } finally {
    bench.close()
  }
}

async function runCells(bench: Bench, { only, rounds }: Choice): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const cell of cells.filter(({ name }) => only.length === 0 || only.includes(name))) {
    const outcome = await runCell(cell, bench, rounds)
    process.stdout.write(`${formatOutcome(outcome).join('\n')}\n`)
    outcomes.push(outcome)
  }
  const verdicts = outcomes.flatMap((outcome) => outcome.verdicts)
  const reached = verdicts.filter((verdict) => verdict.reached).length
  process.stdout.write(
    `${reached} of ${verdicts.length} targets reached; medians of ${rounds} rounds (lowest–highest)\n`,
  )
  return outcomes
}

/** Whether each who was there has figures, pxemngr above all. */
function isMeasured({ cell, samples, failed }: Outcome): boolean {
  return failed.length === 0 && cell.targets.every(({ subject }) => samples.has(subject))
}

let shown = 0

/** One line on a terminal that is written over; nothing where stderr is none. */
function progress(text: string): void {
  if (!process.stderr.isTTY) return
  process.stderr.write(`\r${text.padEnd(shown)}${text === '' ? '\r' : ''}`)
  shown = text.length
}
