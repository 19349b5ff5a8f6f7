/**
 * Version and commit this program was built from; the build puts them in, the sources alone do not know them.
 */
declare const BUILD_VERSION: string | undefined
declare const BUILD_COMMIT: string | undefined

export const version: string = typeof BUILD_VERSION === 'string' ? BUILD_VERSION : '0.0.0'
/** Short commit, with `+` if there were other changes; `sources` where the sources run directly. */
export const commit: string = typeof BUILD_COMMIT === 'string' ? BUILD_COMMIT : 'sources'
