/**
 * All that the client touches of the process it runs in, so that it runs in a test without one.
 */

export interface Stream {
  readonly terminal: boolean
  /** false: nobody reads any more (`| head`), and there is no point in going on. Throws what else goes wrong. */
  write(text: string | Uint8Array): boolean
}

export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly uid: number
  /** Login name, told to the daemon; undefined if the account has none. */
  readonly user: string | undefined
  readonly cwd: string
  readonly version: string
  readonly commit: string
  readonly stdout: Stream
  readonly stderr: Stream
  /** Synchronous; throws Node's file errors. */
  readFile(path: string): Uint8Array
  readStandardInput(): Promise<Uint8Array>
  /** Text of an asset such as `NOTICES`. */
  readAsset(name: string): string
  /** Aborted by SIGINT: what runs is given up, half a file is removed. */
  readonly interrupted: AbortSignal
  /** `serve` (`typed.argv`: its flags), `repair` and `restore`: they run in this process, not in a daemon. Exit status. */
  runLocal(name: 'serve' | 'repair' | 'restore', typed: Readonly<Record<string, unknown>>): Promise<number>
}
