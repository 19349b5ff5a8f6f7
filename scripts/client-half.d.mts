/** Types of `client-half.mjs`, which is plain JavaScript because the build runs on the machine's own Node. */
import type { Plugin } from 'esbuild'

export function clientHalf(code: string): string
export const clientHalfPlugin: Plugin
