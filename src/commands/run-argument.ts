/**
 * Runs as they are typed: numbers, which the API takes as numbers. Source: RUNS "Commands".
 */
import * as v from 'valibot'
import type { Positional } from './definition.ts'
import { id } from './schema.ts'

export const runNumber = id
export const runNumbers = v.pipe(v.array(id), v.minLength(1))

export const runArgument: Positional = { key: 'run', usage: '<run>', required: true, complete: ['run'] }
export const runArguments: Positional = {
  key: 'runs',
  usage: '<run>',
  required: true,
  variadic: true,
  complete: ['run'],
}

/** Ids as JavaScript holds them exactly. */
const idText = /^[1-9]\d{0,14}$/

export function parseRunId(text: unknown): number | undefined {
  return typeof text === 'string' && idText.test(text) ? Number(text) : undefined
}

/** `run` as a number; what is none stays as it was typed, for the daemon to refuse. */
export async function typedRun(typed: Record<string, unknown>): Promise<Record<string, unknown>> {
  return { ...typed, run: parseRunId(typed['run']) ?? typed['run'] }
}

export async function typedRuns(typed: Record<string, unknown>): Promise<Record<string, unknown>> {
  const { runs } = typed
  return { ...typed, runs: Array.isArray(runs) ? runs.map((each) => parseRunId(each) ?? each) : runs }
}
