/**
 * What every loader dialect is: a function from a profile's own bytes to what one boot program reads.
 *
 * A dialect does no I/O and never fails: what it cannot put into its language it says in that language, so that whoever
 * stands in front of the screen reads it. The table of all of them is `index.ts`.
 */
import type { Mac } from '../address.ts'

export interface LoaderContext {
  /** Name of the profile, for messages. */
  readonly profile: string
  /** Base URL of this server as the machine reaches it, no slash at its end. */
  readonly url: string
  /** The machine's MAC where it is known for certain. */
  readonly mac: Mac | undefined
}

/** `bytes`: the profile file, rendered if it is a template. */
export type RenderProfile = (bytes: Uint8Array, context: LoaderContext) => Uint8Array

export interface Dialect {
  readonly render: RenderProfile
  /** Content type of the result over HTTP. */
  readonly contentType: string
}
