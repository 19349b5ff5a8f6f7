/**
 * A row of verdicts as small bars, tallest for a failure: its shape is seen before anything is read. Data for a template
 * that draws SVG. Source: WEB.md "Look".
 */
import type { Verdict } from '../../domain/verdict.ts'

export interface Spark {
  readonly width: number
  readonly bars: readonly { readonly x: number; readonly y: number; readonly height: number; readonly tone: string }[]
}

const heights = { fail: 12, lost: 9, infra: 9, warn: 6, pass: 3, skip: 2, missing: 1 } as const
/** Of a bar and the gap behind it. */
const stepPx = 5

/** undefined: a gap. */
export function sparkOf(verdicts: readonly (Verdict | 'missing' | undefined)[]): Spark {
  return {
    width: verdicts.length * stepPx,
    bars: verdicts.flatMap((verdict, at) =>
      verdict === undefined
        ? []
        : [{ x: at * stepPx, y: heights.fail - heights[verdict], height: heights[verdict], tone: verdict }],
    ),
  }
}
