/** Types of `debian-download.mjs`, which is plain JavaScript because the build runs it before anything is installed. */
export interface Debian {
  /** What `apt-cache depends` prints. */
  depends(words: readonly string[]): Promise<string>
  /** Unpacks each package into the folder that `rootOf` gives for its name and version. */
  unpack(names: readonly string[], rootOf: (name: string, version: string) => string): Promise<void>
}
export function openDebian(
  work: string,
  run: (words: readonly string[], cwd: string) => Promise<string>,
  wanted?: { readonly architecture?: string },
): Promise<Debian>
