/**
 * Parts of names that nobody else has, for files on their way.
 */
import { randomBytes } from 'node:crypto'

const tagBytes = 6
const tagsInAll = 2 ** (8 * tagBytes)
let nextTag = randomBytes(tagBytes).readUIntBE(0, tagBytes)

/** One that no other file of this process gets, and hardly one that a process before it left: 12 hex digits. */
export function uniqueTag(): string {
  nextTag = (nextTag + 1) % tagsInAll
  return nextTag.toString(16).padStart(2 * tagBytes, '0')
}
