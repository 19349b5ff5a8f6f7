/**
 * A Markdown document as far as a test asks: what stands in backticks, lines of its fenced blocks, links, headings, rows
 * of tables. Not a parser of Markdown: the project's own documents are written so that this much is enough.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const projectDir = join(import.meta.dirname, '..', '..')

export interface Placed {
  /** `README.md:12` */
  readonly at: string
  readonly text: string
}

export interface Document {
  /** Between single backticks, outside fences. */
  readonly spans: readonly Placed[]
  /** Lines of fenced blocks. */
  readonly code: readonly Placed[]
  /** Targets of `[text](target)`. */
  readonly links: readonly Placed[]
  /** Anchors of headings, as they are linked to. */
  readonly anchors: ReadonlySet<string>
  /** Cells of table rows, heads and rules left out, by the heading they stand below. */
  rows(heading: string): readonly (readonly string[])[]
}

export function readDocument(name: string): Document {
  const spans: Placed[] = []
  const code: Placed[] = []
  const links: Placed[] = []
  const anchors = new Set<string>()
  const tables = new Map<string, string[][]>()
  let fenced = false
  let heading = ''
  for (const [index, line] of readFileSync(join(projectDir, name), 'utf8').split('\n').entries()) {
    const at = `${name}:${index + 1}`
    if (line.trimStart().startsWith('```')) fenced = !fenced
    else if (fenced) code.push({ at, text: line.trim() })
    else {
      for (const [, text = ''] of line.matchAll(/`([^`]+)`/g)) spans.push({ at, text })
      for (const [, text = ''] of line.replace(/`[^`]*`/g, '').matchAll(/\]\(([^)]+)\)/g)) links.push({ at, text })
      if (line.startsWith('#')) {
        heading = line.replace(/^#+\s*/, '')
        anchors.add(
          heading
            .toLowerCase()
            .replace(/[^\w -]/g, '')
            .replaceAll(' ', '-'),
        )
      }
      if (/^\|/.test(line)) tables.set(heading, [...(tables.get(heading) ?? []), cellsOf(line)])
    }
  }
  return {
    ...{ spans, code, links, anchors },
    rows(asked) {
      // The first row is the head; the second a rule.
      return (tables.get(asked) ?? []).slice(2)
    },
  }
}

function cellsOf(row: string): string[] {
  return row
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim())
}
