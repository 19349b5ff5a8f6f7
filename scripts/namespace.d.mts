/** Types of `namespace.mjs`, which is plain JavaScript because the test runner reads it before anything is installed. */
export const rootFiles: readonly string[]
export function namespaceWords(run: (file: string, words: string[]) => Promise<unknown>): Promise<string[] | undefined>
