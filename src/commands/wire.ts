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
 * Header in which the socket's client says who types: the login name, percent-encoded (`encodeURIComponent`) because
 * header values are Latin-1. Stored as said, not proven; believed on the socket only; `unknown` without it.
 */
export const userHeader = 'pxemngr-user'
