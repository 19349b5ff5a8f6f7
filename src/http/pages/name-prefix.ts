/**
 * Machines are grouped by what their names begin with: `rack1-node07` and `rack1-node08` are of `rack1-node`. A name
 * that is nothing but a number is a group of its own. Source: WEB.md (grouping).
 */
export function prefixOf(name: string): string {
  return name.replace(/[\d._-]*\d[\d._-]*$/, '') || name
}
