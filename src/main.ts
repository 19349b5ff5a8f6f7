/**
 * What the executable does with its arguments: a client command, the daemon (an asset that only `serve`, `repair` and
 * `restore` evaluate), or one of the programs that the daemon starts as child processes (`@name`).
 *
 * Nothing else: a client command must not pay for more. Sources: DESIGN "Speed" (small main), PACKAGING 3.
 */
import { evaluateAsset, getAssetText, isProgram } from './assets.ts'
import { processIo } from './cli/process.ts'
import { runCli } from './cli/program.ts'

/**
 * libuv's pool is shared by all threads of the daemon: with its 4 threads, four opens on a dead mount would stop the
 * journal. Read at the pool's first use, so it has to be set before anything else runs.
 */
const threadPoolSize = '16'

process.env['UV_THREADPOOL_SIZE'] ??= threadPoolSize

const program = process.argv[2]?.startsWith('@') ? process.argv[2].slice(1) : undefined
if (program !== undefined && isProgram(program)) {
  // The program finds its own arguments where it expects them, as if it had been started by itself.
  process.argv.splice(2, 1)
  evaluateAsset(`${program}.cjs`)
} else {
  const io = processIo({
    readAsset: getAssetText,
    async runLocal(name, typed) {
      const daemon = evaluateAsset('daemon.cjs') as typeof import('./daemon.ts')
      return daemon.runLocal(name, typed)
    },
  })
  runCli(process.argv.slice(2), io).then(
    (status) => process.exit(status),
    (error: unknown) => {
      process.stderr.write(`pxemngr: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
      process.exit(1)
    },
  )
}
