/**
 * What the client and the API agree on beyond the definitions: where a command is called and which header says who calls.
 * Source: CONTRACT "HTTP API".
 */
import type { Command } from './definition.ts'

export const apiPrefix = '/api/v1'

/** Path of a command's call: `/api/v1/addsystem`, `/api/v1/token/add`. */
export function commandPath(command: Pick<Command, 'name'>): string {
  return `${apiPrefix}/${command.name.replaceAll(' ', '/')}`
}

/**
 * Header of the socket's client: the caller's login name, percent-encoded (`encodeURIComponent`) because header values
 * are Latin-1. Stored as said; without it the record says `unknown`.
 */
export const userHeader = 'pxemngr-user'
