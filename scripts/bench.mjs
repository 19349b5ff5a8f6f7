/**
 * `npm run bench`: builds the executable and measures it against its peers; see bench/main.ts for what can be chosen.
 *
 * Started on the machine's Node, it starts itself once more on the pinned runtime, which is the one in the executable.
 * PXEMNGR_EXECUTABLE names another build to measure.
 */
import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from '../build.mjs'
import { install, runtime } from './setup.mjs'

const isPinned = existsSync(runtime) && realpathSync(process.execPath) === realpathSync(runtime)

if (isPinned) {
  const { main } = await import('./bench/main.ts')
  await main(process.argv.slice(2))
} else {
  const say = (line) => process.stderr.write(`${line}\n`)
  try {
    await install(say)
    const { PXEMNGR_EXECUTABLE: chosen = await build({ say }) } = process.env
    const words = [fileURLToPath(import.meta.url), ...process.argv.slice(2)]
    const child = spawn(runtime, words, { stdio: 'inherit', env: { ...process.env, PXEMNGR_EXECUTABLE: chosen } })
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
    child.on('exit', (status) => {
      process.exitCode = status ?? 1
    })
  } catch (error) {
    say(`npm run bench: ${error.message}`)
    process.exitCode = 1
  }
}
