/** Types of `code-cache.mjs`, which is plain JavaScript because the build runs on the machine's own Node. */
export function makeCodeCaches(options: {
  readonly runtime: string
  readonly flags: readonly string[]
  readonly assets: Readonly<Record<string, string>>
  readonly dir: string
}): Promise<Record<string, string>>
