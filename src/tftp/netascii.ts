/**
 * Netascii, the text mode of RFC 1350 (from RFC 764): a line ends in CR LF and a lone CR is CR NUL. Only reading is needed.
 *
 * Conversion comes before the cutting into blocks, so a pair may lie across two blocks: the second byte that did not fit
 * is carried over as `pending`. It knows nothing of blocks, files or packets.
 */

const NUL = 0
const LF = 10
const CR = 13

/** Where a conversion stands: bytes of input used, and the second byte of a pair still to be put out (-1: none). */
export interface NetasciiPosition {
  used: number
  pending: number
}

/**
 * Converts `input` from `position.used` on into `output[from..to)` and moves `position` along. Returns the offset after
 * the last byte written: below `to` only when the input is used up and nothing is pending.
 */
export function convertNetascii(
  input: Uint8Array,
  position: NetasciiPosition,
  output: Uint8Array,
  from: number,
  to: number,
): number {
  let { used, pending } = position
  let at = from
  while (at < to) {
    if (pending >= 0) {
      output[at++] = pending
      pending = -1
      continue
    }
    if (used >= input.length) break
    const byte = input[used++] as number
    if (byte === LF) {
      output[at++] = CR
      pending = LF
    } else {
      output[at++] = byte
      if (byte === CR) pending = NUL
    }
  }
  position.used = used
  position.pending = pending
  return at
}

/** The whole of a small answer, converted. */
export function toNetascii(input: Uint8Array): Uint8Array {
  let pairs = 0
  for (const byte of input) if (byte === LF || byte === CR) pairs++
  if (pairs === 0) return input
  const output = new Uint8Array(input.length + pairs)
  convertNetascii(input, { used: 0, pending: -1 }, output, 0, output.length)
  return output
}
