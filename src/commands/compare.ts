/**
 * `compare`: what changed from one version to another, worst first. What each word means is `domain/compare.ts`, for
 * command, API and page alike. Source: RUNS "Results" (compare).
 */
import * as v from 'valibot'
import { type ChangeKind, changeKinds, compareVersions } from '../domain/compare.ts'
import type { Queries } from '../store/store.ts'
import { defineCommand } from './definition.ts'
import { getListedVersion } from './results.ts'
import { runVerdict } from './run-view.ts'
import { id } from './schema.ts'

const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const kindNames = Object.keys(changeKinds) as [ChangeKind, ...ChangeKind[]]
const side = v.nullable(v.strictObject({ run: id, verdict: runVerdict, waived: v.boolean() }))

export const compare = defineCommand({
  name: 'compare',
  summary: 'Show what changed from one version to another',
  usage: 'pxemngr compare <version> <version>',
  positionals: [
    { key: 'a', usage: '<version>', required: true, complete: ['version'] },
    { key: 'b', usage: '<version>', required: true, complete: ['version'] },
  ],
  options: [],
  args: v.strictObject({ a: v.string(), b: v.string() }),
  result: v.strictObject({
    a: v.string(),
    b: v.string(),
    counts: v.strictObject(
      Object.fromEntries(kindNames.map((kind) => [kind, count])) as Record<ChangeKind, typeof count>,
    ),
    changes: v.array(
      v.strictObject({ kind: v.picklist(kindNames), system: v.string(), test: v.string(), before: side, after: side }),
    ),
  }),
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr compare 4.1 4.2', text: 'regressions and fixed first' },
    { line: 'pxemngr compare 4.1 4.2 --json', text: 'the same for programs' },
  ],
  run: ({ daemon }, { a, b }) => compareNamed(daemon.store.queries, a, b),
  print({ changes }, out) {
    const verdictOf = (given: (typeof changes)[number]['before']) =>
      given === null ? '-' : `${given.verdict}${given.waived ? ' (waived)' : ''}`
    for (const { kind, system, test, before, after } of changes) {
      out.line([kind, system, test, `${verdictOf(before)} → ${verdictOf(after)}`].join('\t'))
    }
  },
})

function compareNamed(queries: Queries, a: string, b: string) {
  const before = queries.latestOf(getListedVersion(queries, a).id)
  const after = queries.latestOf(getListedVersion(queries, b).id)
  const changes = compareVersions(before, after)
  const counts = Object.fromEntries(kindNames.map((kind) => [kind, 0])) as Record<ChangeKind, number>
  for (const { kind } of changes) counts[kind] += 1
  return { a, b, counts, changes }
}
