/**
 * The first code of the executable: evaluates the `main` bundle with what the build has compiled of it.
 *
 * Nothing else: what the runtime itself keeps of its first script is no more than that script's outermost function.
 */
import { evaluateBundle } from './evaluate.ts'

evaluateBundle('main.cjs')
