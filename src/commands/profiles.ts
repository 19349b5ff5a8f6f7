/**
 * `profiles`: the profiles that can be given to `nextboot`, and what is wrong with those that cannot be served.
 * Source: CONTRACT "Command line".
 */
import * as v from 'valibot'
import { defineCommand } from './definition.ts'

export const profiles = defineCommand({
  name: 'profiles',
  summary: 'List the profiles',
  usage: 'pxemngr profiles',
  positionals: [],
  options: [],
  args: v.strictObject({}),
  result: v.strictObject({
    profiles: v.array(
      v.strictObject({
        name: v.string(),
        /** Whether its file is there. */
        available: v.boolean(),
        /** Why it cannot be served (machines get `local`), with file and line; null if it can. */
        fault: v.nullable(v.string()),
      }),
    ),
    /** Files that may be no profiles, and why: the reserved name, a link out of the folder. */
    refused: v.array(v.strictObject({ name: v.string(), why: v.string() })),
  }),
  role: 'viewer',
  changes: false,
  examples: [
    { line: 'pxemngr profiles', text: 'one name a line; what is wrong with one on stderr' },
    { line: 'pxemngr profiles --json', text: 'with those whose file is gone' },
  ],
  run({ daemon }) {
    const present = new Set(daemon.profiles.names())
    return {
      profiles: daemon.store.queries.listProfiles().map(({ name }) => ({
        name,
        available: present.has(name),
        fault: daemon.profiles.fault(name) ?? null,
      })),
      refused: daemon.profiles.refused(),
    }
  },
  print(result, out) {
    for (const { name, available, fault } of result.profiles) {
      if (available) out.line(name)
      if (available && fault !== null) out.note(`${name}: ${fault}`)
    }
    for (const { name, why } of result.refused) out.note(`${name}: ${why}`)
  },
})
