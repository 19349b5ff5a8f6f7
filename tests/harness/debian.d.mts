/** Types of `debian.mjs`, which is plain JavaScript because it runs before anything is installed. */
export const debianPackages: readonly { readonly name: string; readonly shows: readonly string[] }[]
export function findProgram(name: string): string | undefined
export function lacking(names?: readonly string[]): string[]
