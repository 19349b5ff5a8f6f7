/**
 * What the client and the API agree on beyond the definitions: where a command is called (the header that says who
 * calls is `userHeader` of the definitions).
 * Source: CONTRACT "HTTP API".
 */
import type { Command } from './definition.ts'

export const apiPrefix = '/api/v1'

/** Path of a command's call: `/api/v1/addsystem`, `/api/v1/token/add`. */
export function commandPath(command: Pick<Command, 'name'>): string {
  return `${apiPrefix}/${command.name.replaceAll(' ', '/')}`
}
