/**
 * Writes the file of an empty state, which is an asset of the executable: `node scripts/empty-state.mjs FILE`.
 *
 * Runs on the pinned runtime, which reads the sources as they are.
 */
import { writeFileSync } from 'node:fs'
import { emptyImage } from '../src/store/replay.ts'

writeFileSync(process.argv[2], await emptyImage())
