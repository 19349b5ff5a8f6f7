/**
 * Long work in short pieces: everything that computes for long on the main loop asks for turns, and gets them one after the
 * other, one each time round the loop, so that boots are answered in between, however many uploads are read at once.
 */

/** One piece of work is no longer than about this. */
const pieceMs = 4

export interface Turns {
  /** A piece of work that has just begun; ask it often. */
  begin(): Piece
}

export interface Piece {
  /** Whether others should have their turn first: then `await next()`. */
  readonly isLong: boolean
  /** Resolves when it is this one's turn again. */
  next(): Promise<void>
}

/** Results are read in pieces of this before the clock is looked at. Bytes. */
const readBytes = 2048

/** Gives `chunk` to `push` in turns with everybody else. */
export async function readInTurns(turns: Turns, chunk: Uint8Array, push: (piece: Uint8Array) => void): Promise<void> {
  const piece = turns.begin()
  for (let at = 0; at < chunk.length; at += readBytes) {
    push(chunk.subarray(at, at + readBytes))
    if (piece.isLong) await piece.next()
  }
}

export function createTurns(): Turns {
  const waiting: (() => void)[] = []
  const round = (): void => {
    waiting.shift()?.()
    if (waiting.length > 0) setImmediate(round)
  }
  return {
    begin() {
      let begun = performance.now()
      return {
        get isLong() {
          return performance.now() - begun > pieceMs
        },
        async next() {
          await new Promise<void>((resolve) => {
            if (waiting.push(resolve) === 1) setImmediate(round)
          })
          begun = performance.now()
        },
      }
    },
  }
}
