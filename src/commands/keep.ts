/**
 * `keep`: retention leaves a version's logs and results alone from now on. Source: RUNS "Commands" (retention).
 */
import * as v from 'valibot'
import { defineCommand } from './definition.ts'
import { getVersion } from './results.ts'
import { nothing } from './schema.ts'

export const keep = defineCommand({
  name: 'keep',
  summary: 'Keep a version from retention, with its logs and results',
  usage: 'pxemngr keep <version>',
  positionals: [{ key: 'version', usage: '<version>', required: true, complete: ['version'] }],
  options: [],
  args: v.strictObject({ version: v.string() }),
  result: nothing,
  role: 'operator',
  changes: true,
  examples: [
    { line: 'pxemngr keep 4.2', text: 'a release that has to stay' },
    { line: 'pxemngr keep 4.2 --json', text: 'prints {}' },
  ],
  async run({ actor, daemon }, { version }) {
    await daemon.store.commit(actor, (tx) => {
      // Also one of which nothing is left: that it stays is asked for before its next result comes.
      const { id } = getVersion(tx, version)
      if (!tx.getVersion(id)?.kept) tx.emit({ type: 'version.kept', version: id })
    })
    return {}
  },
})
