/**
 * Names of systems, profiles and tests: what may be one. Source: CONTRACT "Command line" (names).
 */
import { quote } from './address.ts'
import { Refusal } from './errors.ts'

/** The reserved name whose next boot serves machines that no system has. */
export const defaultSystem = 'default'

const controlCharacters = /[\u0000-\u001f\u007f-\u009f]/

/** Why `name` cannot be a name, or undefined if it can. Says nothing about reserved names. */
export function nameFault(name: string): string | undefined {
  if (name === '') return 'it is empty'
  // Bytes that are no UTF-8 arrive as U+FFFD, many names as one and the same.
  if (!name.isWellFormed() || name.includes('\ufffd')) return 'it is not valid UTF-8'
  // A UTF-16 unit takes three bytes of UTF-8 at most: nearly no name has to be encoded.
  if (name.length > 85 && new TextEncoder().encode(name).length > 255) return 'it is longer than 255 bytes'
  if (controlCharacters.test(name)) return 'it holds a control character'
  if (name.includes('/') || name.includes('\\')) return 'it holds a / or \\'
  if (name === '.' || name === '..') return 'it is a folder name'
  if (name.startsWith('-')) return 'it starts with -'
  return undefined
}

/** Refuses (`invalid`) what cannot be a name. `what` is the noun of the message, such as `system name`. */
export function checkName(name: string, what: string): string {
  const fault = nameFault(name)
  if (fault) throw new Refusal('invalid', `${what} ${quote(name)} is not allowed: ${fault}`)
  return name
}
