/**
 * How an ordinary user runs the tests that need root: in a user namespace, where that user is root over mounts and networks
 * of its own and over nothing else. Becoming another account is not possible there, nor are devices of the machine.
 *
 * Plain JavaScript with nothing but Node's own modules, as the runner that uses it. Source: user_namespaces(7),
 * unshare(1).
 */
import { findProgram } from '../tests/harness/debian.mjs'

/** Test files that mount file systems or lay networks; everything else in them runs there as well as outside. */
export const rootFiles = [
  'tests/e2e/durability.test.ts',
  'tests/e2e/loop-netns.test.ts',
  'tests/e2e/netns.test.ts',
  'tests/e2e/qemu.test.ts',
  'tests/e2e/uploads.test.ts',
  'tests/harness/harness.test.ts',
  'tests/store/full-disk.test.ts',
]

/** `/run` is hidden because names of network namespaces are kept there; loopback is down in a new network. */
const setUp = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'

/**
 * What to put in front of a command; undefined where the caller is root already, or user namespaces are not allowed.
 *
 * @param {(file: string, words: string[]) => Promise<unknown>} run rejects if the program fails
 * @returns {Promise<string[] | undefined>}
 */
export async function namespaceWords(run) {
  if (process.getuid?.() === 0 || !findProgram('unshare') || !findProgram('ip')) return undefined
  const words = ['unshare', '--user', '--map-root-user', '--mount', '--net', 'sh', '-c', setUp, 'sh']
  try {
    const [file = '', ...rest] = [...words, 'true']
    await run(file, rest)
    return words
  } catch {
    return undefined
  }
}
