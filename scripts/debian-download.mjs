/**
 * Downloads Debian packages without root and without touching the machine's own package lists: into a work folder, with
 * lists and cache of its own; apt checks signatures and sums as ever. Nothing is installed and no script is run.
 *
 * Plain JavaScript with nothing but Node's own modules: the build uses it before anything is installed. Who runs programs,
 * and how long that may take, is the caller's. Source: apt.conf(5), apt-get(8) `download`.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/**
 * @param {string} work folder that the caller made and removes
 * @param {(words: string[], cwd: string) => Promise<string>} run runs a program to its end in a folder and gives what it
 *   printed; rejects if it fails
 * @param {{ architecture?: string }} [wanted] another architecture than the machine's
 */
export async function openDebian(work, run, { architecture } = {}) {
  const debs = join(work, 'debs')
  for (const dir of ['state/lists/partial', 'cache/archives/partial', 'debs']) {
    mkdirSync(join(work, dir), { recursive: true })
  }
  const options = [
    `Dir::State=${work}/state`,
    'Dir::State::status=/var/lib/dpkg/status',
    `Dir::Cache=${work}/cache`,
    'APT::Sandbox::User=',
    ...(architecture ? [`APT::Architecture=${architecture}`, `APT::Architectures::=${architecture}`] : []),
    'Acquire::Languages=none',
    'Acquire::Retries=2',
  ].flatMap((option) => ['-o', option])
  await run(['apt-get', ...options, '-qq', 'update'], work)
  return {
    /** What `apt-cache depends` prints. */
    depends: (words) => run(['apt-cache', ...options, 'depends', ...words], work),
    /** Unpacks each package into the folder that `rootOf` gives for its name and version. */
    async unpack(names, rootOf) {
      await run(['apt-get', ...options, '-qq', 'download', ...names], debs)
      for (const deb of readdirSync(debs)) {
        const [name = '', version = ''] = deb.split('_')
        const root = rootOf(name, decodeURIComponent(version))
        mkdirSync(root, { recursive: true })
        await run(['dpkg', '-x', join(debs, deb), root], work)
        rmSync(join(debs, deb))
      }
    },
  }
}
