/**
 * Bytes of a machine → text: UTF-8, and where that fails Latin-1, so that a line never gets lost over its encoding (bug
 * L3 of pxemngr 0.8). Source: CONTRACT "Result files" (any bytes are accepted).
 */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const latin1 = new TextDecoder('latin1')

/** `isCut`: the bytes may end within a character, which is then left out. */
export function decodeText(bytes: Uint8Array, isCut = false): string {
  try {
    return utf8.decode(bytes)
  } catch {
    for (let cut = 1; isCut && cut <= 3 && cut < bytes.length; cut++) {
      try {
        if (((bytes[bytes.length - cut] ?? 0) & 0xc0) === 0xc0) return utf8.decode(bytes.subarray(0, -cut))
      } catch {
        break
      }
    }
    return latin1.decode(bytes)
  }
}
