/**
 * The search through what the newest runs said: errors, warnings and reasons.
 * Source: WEB.md "Voice and layout" (the search field).
 */
import type { RunRow } from './run-rows.ts'
import { lineRunsKept } from './schema-runs.ts'
import type { Database } from './sqlite.ts'

/** Runs by their ids, both ends included. */
export interface RunSpan {
  readonly first: number
  readonly last: number
}

export interface RunSearch {
  /** Runs that `searchLines` looks through: the newest, a bounded number. */
  searchSpan(): RunSpan
  /** Errors, warnings and reasons of these runs (default: all of `searchSpan`) that hold the words; newest first. */
  searchLines(words: string, limit: number, span?: RunSpan): { readonly run: RunRow; readonly text: string }[]
}

export function createRunSearch({ get, all }: Database, getRun: (id: number) => RunRow | undefined): RunSearch {
  const searchSpan = (): RunSpan => {
    const last = Number(get('SELECT max(id) FROM run')?.[0] ?? 0)
    return { first: Math.max(1, last - lineRunsKept + 1), last }
  }
  return {
    searchSpan,
    searchLines(words, limit, { first, last } = searchSpan()) {
      // LIKE is what looks at letters of either case without a copy of the text.
      const escaped = (text: string) => text.replace(/[\\%_]/g, '\\$&')
      const like = `%${escaped(words)}%`
      // Lines are kept as JSON: what that escapes is escaped in what is looked for, and an error has to come before it.
      const inLines = (kind: string) => `%["${kind}",%${escaped(JSON.stringify(words).slice(1, -1))}%`
      const texts = new Map<number, string>()
      const candidates = (below: number) =>
        all(
          `SELECT run, lines FROM run_line WHERE run BETWEEN ? AND ?
           AND (lines LIKE ? ESCAPE '\\' OR lines LIKE ? ESCAPE '\\') ORDER BY run DESC LIMIT ?`,
          [first, below, inLines('E'), inLines('W'), limit],
        )
      // Some have the words only behind an error, in what is information: they take nobody's place.
      let rows = candidates(last)
      for (;;) {
        for (const [run, lines] of rows) {
          const kept = JSON.parse(String(lines)) as [string, number, string][]
          const line = kept.find(([kind, , text]) => kind !== 'I' && text.toLowerCase().includes(words))?.[2]
          if (line !== undefined) texts.set(Number(run), line)
        }
        if (rows.length < limit || texts.size >= limit) break
        rows = candidates(Number(rows.at(-1)?.[0]) - 1)
      }
      for (const [run, reason] of all(
        `SELECT run, reason FROM run_detail WHERE run BETWEEN ? AND ? AND reason LIKE ? ESCAPE '\\' ORDER BY run DESC LIMIT ?`,
        [first, last, like, limit],
      )) {
        if (!texts.has(Number(run))) texts.set(Number(run), String(reason))
      }
      return [...texts]
        .sort(([a], [b]) => b - a)
        .slice(0, limit)
        .flatMap(([id, text]) => {
          const run = getRun(id)
          return run ? [{ run, text }] : []
        })
    },
  }
}
