/**
 * Rows of a grid, made once and kept with their HTML for as long as what they are made of is the same: a new result costs
 * one row, not the 4,800 cells of 400 machines × 12 versions.
 *
 * What a row is made of are values that are replaced and never changed (`version-index.ts`). Source: DESIGN "Speed".
 */

/** Grids kept: what people look at at once; one of 500 rows takes some MB. */
const gridsKept = 4

export interface KeptRows<Row extends object> {
  /** Begins the grid that `scope` names (what all its rows have in common); asked for again, its rows are there. */
  grid(scope: string): Grid<Row>
  /** HTML of a row, made once. */
  html(row: Row, render: (row: Row) => string): string
}

export interface Grid<Row> {
  /** The row `key`: the one that is kept if it was made of the same `inputs`. */
  row(key: number, inputs: readonly unknown[], make: () => Row): Row
}

interface KeptRow<Row> {
  readonly inputs: readonly unknown[]
  readonly row: Row
}

export function createKeptRows<Row extends object>(): KeptRows<Row> {
  const grids = new Map<string, Map<number, KeptRow<Row>>>()
  const texts = new WeakMap<Row, string>()
  return {
    grid(scope) {
      const before = grids.get(scope)
      const now = new Map<number, KeptRow<Row>>()
      grids.delete(scope)
      grids.set(scope, now)
      const [oldest] = grids.keys()
      if (grids.size > gridsKept && oldest !== undefined) grids.delete(oldest)
      return {
        row(key, inputs, make) {
          const known = before?.get(key)
          const kept = known && isSame(known.inputs, inputs) ? known : { inputs, row: make() }
          now.set(key, kept)
          return kept.row
        },
      }
    },
    html(row, render) {
      const known = texts.get(row)
      if (known !== undefined) return known
      // In one piece: a template leaves thousands of parts, which would be put together again for each page.
      const text = Buffer.from(render(row)).toString()
      texts.set(row, text)
      return text
    },
  }
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((each, at) => Object.is(each, b[at]))
}
