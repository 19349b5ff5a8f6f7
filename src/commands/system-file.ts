/**
 * The file that `addsystem --from` reads: one system a line, all or nothing.
 *
 *     # rack 12                      comment, alone or behind a blank
 *     web01 52:54:00:12:34:56        name, then one or more addresses, separated by blanks or tabs
 *     web01 10.0.3.7                 the same name again: more addresses
 *
 * UTF-8, LF or CRLF, empty lines allowed. A fault names file and line, and the whole file is refused.
 */
import { quote } from '../domain/address.ts'
import { Refusal } from '../domain/errors.ts'

export interface NewSystem {
  readonly name: string
  readonly addresses: string[]
}

/** Bytes of the file → systems in its order. `source` is its name in messages; `check` refuses a bad system. */
export function parseSystemFile(bytes: Uint8Array, source: string, check: (system: NewSystem) => unknown): NewSystem[] {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new Refusal('invalid', `${source} is not UTF-8 text`, { cause: error })
  }
  const systems: NewSystem[] = []
  let number = 0
  for (const line of text.split('\n')) {
    number += 1
    const system = parseLine(line)
    if (!system) continue
    try {
      if (system.addresses.length === 0) {
        throw new Refusal('invalid', `${quote(system.name)} has no address: one \`name address…\` a line`)
      }
      check(system)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      throw new Refusal(error.kind, `${source}:${number}: ${error.message}`, { cause: error })
    }
    systems.push(system)
  }
  return systems
}

function parseLine(line: string): NewSystem | undefined {
  const [name, ...addresses] = line
    .replace(/(^|[ \t])#[^\n]*$/, '')
    .split(/[ \t\r]+/)
    .filter((word) => word !== '')
  return name === undefined ? undefined : { name, addresses }
}
