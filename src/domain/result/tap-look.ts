/**
 * A cheap look at the bytes of a line: whether it could say something as TAP or KTAP. Most lines of most logs do not.
 *
 * What such a line then says is `tap.ts`'s to read.
 */

const blank = 32
const bracket = 0x5b
const angle = 0x3c
/** Longest time stamp in brackets. */
const stampMax = 32
/** Where a level, `<6>` to `<191>`, ends at last. */
const levelMax = 4

const ascii = (text: string): readonly number[] => Array.from(text, (letter) => letter.charCodeAt(0))
/** How lines that say something begin, lower case, behind level, time stamp and indentation. */
const openers = ['tap version', 'ktap version', '1..'].map(ascii)
const early = ['ok ', 'not ok '].map(ascii)
const followers = ['ok', 'not ok', 'bail out!', '---', '...'].map(ascii)

/** What any of them begins with. */
const firsts = Array.from({ length: 256 }, (_, byte) =>
  [...openers, ...early, ...followers].some((start) => begins([byte], 0, start.slice(0, 1))),
)

/** Whether the line from `at` to `end` is none by its first byte alone, which most lines of a log are. */
export function isNeverTap(bytes: Uint8Array, at: number, end: number): boolean {
  let first = at
  while (first < end && bytes[first] === blank) first += 1
  const byte = first < end ? (bytes[first] ?? 0) : 0
  return byte !== bracket && byte !== angle && !firsts[byte]
}

/** Cheap look at the bytes. A reader that has read nothing else is not open, and the same as a new one. */
export function couldBeTap(bytes: Uint8Array, isOpen: boolean): boolean {
  let at = 0
  if (bytes[0] === angle) {
    const end = bytes.indexOf(0x3e)
    if (end < 0 || end > levelMax) return false
    at = end + 1
  }
  // One or two in brackets (time, processor), each with a blank behind it.
  while (bytes[at] === bracket) {
    const end = bytes.indexOf(0x5d, at)
    if (end < 0 || end - at > stampMax) return false
    at = end + 1
  }
  while (bytes[at] === blank) at += 1
  return beginsAny(bytes, at, openers) || beginsAny(bytes, at, isOpen ? followers : early)
}

function beginsAny(bytes: Uint8Array, at: number, starts: readonly (readonly number[])[]): boolean {
  for (const start of starts) if (begins(bytes, at, start)) return true
  return false
}

function begins(bytes: ArrayLike<number>, at: number, start: readonly number[]): boolean {
  for (let place = 0; place < start.length; place++) {
    const byte = bytes[at + place] ?? 0
    // Lower case, for letters only.
    if ((byte >= 65 && byte <= 90 ? byte | 32 : byte) !== start[place]) return false
  }
  return true
}
