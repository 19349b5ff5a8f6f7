/**
 * A `.suite` file: one test a line, then optionally `expect` (the default) or `optional`; `#` comments.
 * Source: RUNS "Results" (suites).
 */
import { quote } from './address.ts'
import { nameFault } from './name.ts'
import type { SettingsFault } from './test-settings.ts'

export interface SuiteTest {
  readonly name: string
  /** Whether a version that was given the suite lacks something without it. */
  readonly expected: boolean
  /** From 1. */
  readonly line: number
}

/** More tests than any machine runs in a day. */
const testsMax = 10_000

export function parseSuite(text: string): readonly SuiteTest[] | SettingsFault {
  const tests: SuiteTest[] = []
  const seen = new Set<string>()
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1
    const words = raw.replace(/\r$/, '').trim()
    if (words === '' || words.startsWith('#')) continue
    const [, name = '', expected, rest] = /^(.*?)(?:\s+(expect|optional))?(?:\s+(#.*))?$/.exec(words) ?? []
    const fault = nameFault(name)
    if (fault !== undefined) return { line, text: `the test name ${quote(name)} is not allowed: ${fault}` }
    if (rest === undefined && /\s/.test(name) && /\s(expect|optional)\S+$/.test(name)) {
      return { line, text: `${quote(words)} is not understood: a test, then expect or optional` }
    }
    if (seen.has(name)) return { line, text: `the test ${quote(name)} stands there twice` }
    if (tests.length >= testsMax) return { line, text: `there are more than ${testsMax} tests` }
    seen.add(name)
    tests.push({ name, expected: expected !== 'optional', line })
  }
  return tests
}
