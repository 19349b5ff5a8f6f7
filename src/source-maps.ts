/**
 * Stack traces that name the sources of a bundle, for whoever reads a log.
 *
 * Node's own way (`--enable-source-maps`) reads the map of every bundle when it is loaded, a tenth of a start, for
 * errors that a run may never have. Here the map is read when the first stack is. Source: V8, "Stack trace API".
 */
import type { SourceMap } from 'node:module'

/** From now on positions in the script `path` are given by its map (JSON, Source Map v3), which `readMap` is asked for once. */
export function mapStacks(path: string, readMap: () => string): void {
  let map: SourceMap | undefined
  const position = new RegExp(`${path.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')}:(\\d+):(\\d+)`)
  const name = (site: string): string =>
    site.replace(position, (there: string, line: string, column: string) => {
      if (!map) {
        // Loaded with the map: a command that meets no error does not pay for it.
        const { SourceMap } = process.getBuiltinModule('node:module')
        map = new SourceMap(JSON.parse(readMap()))
      }
      const entry = map.findEntry(Number(line) - 1, Number(column) - 1)
      if (!('originalSource' in entry)) return there
      const source = entry.originalSource.replace(/^(?:\.\.\/)+/, '')
      return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
    })
  Error.prepareStackTrace = (error, sites) =>
    [String(error), ...sites.map((site) => `    at ${name(String(site))}`)].join('\n')
}
