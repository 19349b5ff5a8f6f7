/**
 * The load generators: compiled from the C sources beside this file when they have changed, run with a list of what to
 * ask for, their one line of JSON read. A run with a single wrong byte, refusal or silence is no measurement: it throws.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from './processes.ts'

const sources = join(import.meta.dirname, 'load')
const programs = ['tftp-load', 'http-load', 'cycle-load'] as const

/** What a generator counted; times in µs, `cpuMs` the generator's own. */
export interface Load {
  readonly reads: number
  readonly bytes: number
  readonly errors: number
  readonly firstError: string
  readonly retransmissions: number
  readonly elapsedMs: number
  readonly p50Us: number
  readonly p99Us: number
  readonly maxUs: number
  readonly cpuMs: number
}

export interface Address {
  readonly host: string
  readonly port: number
}

export interface Generators {
  /** `options` as the program's usage line has them, such as `clients=64`. */
  tftp(at: Address, list: string, options: readonly string[]): Promise<Load>
  http(at: Address, list: string, options: readonly string[]): Promise<Load>
  /** Machines under test; `list` has what each asks for its next test, and the log that it uploads. */
  cycles(at: Address, list: string, options: readonly string[]): Promise<Load>
}

/** Compiles into `dir`. Throws where there is no C compiler (`cc`). */
export async function compileGenerators(dir: string): Promise<Generators> {
  mkdirSync(dir, { recursive: true })
  const header = readFileSync(join(sources, 'load.h'))
  const paths = new Map<string, string>()
  for (const name of programs) {
    const source = join(sources, `${name}.c`)
    const hash = createHash('sha256').update(header).update(readFileSync(source)).digest('hex').slice(0, 16)
    const program = join(dir, `${name}-${hash}`)
    if (!existsSync(program)) await runProgram(['cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source])
    paths.set(name, program)
  }
  const run =
    (name: (typeof programs)[number]) =>
    async ({ host, port }: Address, list: string, options: readonly string[]): Promise<Load> =>
      parse(await runProgram([paths.get(name) ?? name, host, String(port), list, ...options]))
  return { tftp: run('tftp-load'), http: run('http-load'), cycles: run('cycle-load') }
}

function parse(line: string): Load {
  const load: Load = JSON.parse(line)
  if (load.errors > 0) throw new Error(`${load.errors} errors, the first: ${load.firstError}`)
  return load
}
