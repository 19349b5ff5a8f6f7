/**
 * The configuration keys for people: the text of `pxemngr help serve` and the table of the documents, both generated.
 */
import { fields, keys, variableName } from './keys.ts'

/** One line a key for a terminal: flag, meaning, default. */
export function formatFlags(): string[] {
  return [
    '  --config FILE        configuration file, TOML with these keys (default: /etc/pxemngr/pxemngr.toml, if it exists)',
    '  --check              check the configuration and start nothing',
    ...fields.map((field) => {
      const { name, help, defaultText } = keys[field]
      return `  --${name.padEnd(18)} ${help} (default: ${defaultText})`
    }),
  ]
}

/** Markdown table of every key: name, variable, default, what is allowed, when a change takes effect. */
export function formatReference(): string {
  const cell = (text: string): string =>
    text.replaceAll('|', '\\|').replace(/[<>]/g, (c) => (c === '<' ? '&lt;' : '&gt;'))
  const rows = fields.map((field) => {
    const { name, help, defaultText, kind, list, reload } = keys[field]
    const allowed = `${kind.allowed}${list ? '; several' : ''}`
    const cells = [help, allowed, defaultText, reload ? 'at SIGHUP' : 'at the next start'].map(cell)
    return `| \`${name}\` | \`${variableName(name)}\` | ${cells.join(' | ')} |`
  })
  const head =
    '| key, flag | variable | meaning | allowed | default | a change takes effect |\n|---|---|---|---|---|---|'
  return `${head}\n${rows.join('\n')}\n`
}
