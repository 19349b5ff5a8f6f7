/**
 * The table of loader dialects: a new one is a file here and a row. What a dialect is, `dialect.ts` says; which one a
 * request gets follows from its URL or name, never from guessing at the loader.
 */
import type { Dialect } from './dialect.ts'
import { ipxe } from './ipxe.ts'
import { pxelinux } from './pxelinux.ts'

export const dialects = { pxelinux, ipxe } as const satisfies Record<string, Dialect>
