/**
 * `syncbootnames`: registers the profiles of the folder now, which else happens by itself; `syncsystems`: has had nothing
 * to do since answers are computed, and says so. Source: COMPATIBILITY 3.7, 3.8.
 */
import * as v from 'valibot'
import { localProfile } from '../domain/boot.ts'
import { defineCommand } from './definition.ts'
import { nothing } from './schema.ts'

/** What 0.8 printed where `local` is missing, the empty line at its end included. */
const localMissing = `error local profile not present. Add it with a content like this:

prompt 0
timeout 0
default 0

label 0
  LOCALBOOT 0
`

export const syncbootnames = defineCommand({
  name: 'syncbootnames',
  summary: 'Register the profiles of the folder now',
  usage: 'pxemngr syncbootnames',
  positionals: [],
  options: [],
  args: nothing,
  result: v.strictObject({ registered: v.array(v.string()), missing: v.array(v.string()) }),
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr syncbootnames', text: 'prints the name of every profile' },
    { line: 'pxemngr syncbootnames --json', text: 'the same for programs' },
  ],
  async run({ daemon }) {
    const { missing } = await daemon.profiles.sync()
    return { registered: daemon.profiles.names(), missing }
  },
  print({ registered, missing }, out) {
    if (missing.includes(localProfile)) for (const line of localMissing.split('\n')) out.line(line)
    for (const name of registered) out.line(`registering ${name}`)
  },
})

export const syncsystems = defineCommand({
  name: 'syncsystems',
  summary: 'Nothing to do any more: answers are computed when a machine asks',
  usage: 'pxemngr syncsystems',
  positionals: [],
  options: [],
  args: nothing,
  result: nothing,
  role: 'operator',
  changes: false,
  examples: [
    { line: 'pxemngr syncsystems', text: 'says that there is nothing to do' },
    { line: 'pxemngr syncsystems --json', text: 'prints {}' },
  ],
  run: () => ({}),
  print(_result, out) {
    out.line('nothing to sync: every answer is computed when a machine asks')
  },
})
