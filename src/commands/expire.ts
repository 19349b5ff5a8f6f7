/**
 * `expire`: does now what retention does by itself, or with `--dry-run` says what that would be.
 * Source: RUNS "Commands" (retention).
 */
import * as v from 'valibot'
import { defineCommand } from './definition.ts'
import { id } from './schema.ts'

const count = v.pipe(v.number(), v.integer(), v.minValue(0))

export const expire = defineCommand({
  name: 'expire',
  summary: 'Remove what keep-logs and keep-results no longer keep',
  usage: 'pxemngr expire [--dry-run]',
  positionals: [],
  options: [{ name: 'dry-run', summary: 'only say what would be removed' }],
  args: v.strictObject({ 'dry-run': v.exactOptional(v.boolean()) }),
  result: v.strictObject({
    expired: v.array(
      v.strictObject({ run: id, what: v.picklist(['log', 'run', 'request']), bytes: count, why: v.string() }),
    ),
  }),
  role: 'admin',
  changes: true,
  examples: [
    { line: 'pxemngr expire --dry-run', text: 'what would go, and why' },
    { line: 'pxemngr expire', text: 'removes it' },
  ],
  async run({ daemon }, args) {
    const expired = await daemon.runs.expire(args['dry-run'] === true)
    return { expired: expired.map(({ run, what, sizeBytes, why }) => ({ run, what, bytes: sizeBytes, why })) }
  },
  print({ expired }, out) {
    for (const { run, what, bytes, why } of expired) out.line([run, what, `${bytes} bytes`, why].join('\t'))
  },
})
