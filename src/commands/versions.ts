/**
 * `versions`: the versions of the system under test that results named, newest first. Source: CONTRACT "HTTP API".
 */
import * as v from 'valibot'
import { defineCommand } from './definition.ts'
import { id, nothing, time } from './schema.ts'

export const versions = defineCommand({
  name: 'versions',
  summary: 'List the versions that results name, newest first',
  usage: 'pxemngr versions',
  positionals: [],
  options: [],
  args: nothing,
  result: v.strictObject({
    versions: v.array(v.strictObject({ id, name: v.string(), first: time, kept: v.boolean() })),
  }),
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr versions', text: 'one a line, newest first' },
    { line: 'pxemngr versions --json', text: 'with when each was first heard of' },
  ],
  run: ({ daemon }) => ({
    versions: daemon.store.queries.listVersions().map((version) => ({
      id: version.id,
      name: version.name,
      first: new Date(version.atMs).toISOString(),
      kept: version.kept,
    })),
  }),
  print(result, out) {
    for (const { name } of result.versions) out.line(name)
    if (result.versions.length === 0 && out.terminal) out.note('no result has named a version yet (a line `V: 4.2`)')
  },
})
