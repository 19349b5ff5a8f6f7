/**
 * Reporter of the test run: a line for each test file as it ends, failures and skips in full, and the counts as JSON in
 * the file that TEST_SUMMARY names. Source: Node's `node:test` custom reporters.
 */
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'

/** @param {AsyncIterable<{ type: string, data: any }>} source */
export default async function* report(source) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const started = Date.now()
  const files = new Map()
  const nameOf = (data) => (data.file ? relative(process.cwd(), data.file) : '')
  for await (const { type, data } of source) {
    if (type === 'test:pass' || type === 'test:fail') {
      const isSuite = data.details?.type === 'suite'
      const isFile = data.nesting === 0 && data.name === nameOf(data)
      if (type === 'test:fail' && data.details?.error?.failureType !== 'subtestsFailed') {
        counts.failed++
        yield `FAIL  ${nameOf(data)}:${data.line ?? ''} ${data.name}\n${indent(describe(data.details.error))}\n`
      } else if (data.skip !== undefined && type === 'test:pass') {
        counts.skipped++
        yield `skip  ${nameOf(data)} ${data.name}: ${data.skip === true ? 'no reason given' : data.skip}\n`
      } else if (type === 'test:pass' && !isSuite && !isFile) {
        counts.passed++
        const file = nameOf(data)
        files.set(file, (files.get(file) ?? 0) + 1)
      }
    } else if (type === 'test:summary' && data.file) {
      const file = nameOf(data)
      const at = ((Date.now() - started) / 1000).toFixed(0)
      const mark = data.success ? 'ok   ' : 'FAIL '
      // Tests that a harness declares for a file count for the harness.
      const passed = files.has(file) ? `${files.get(file)} passed` : data.success ? 'passed' : 'not passed'
      yield `${mark} ${file}: ${passed} in ${(data.duration_ms / 1000).toFixed(1)} s (at ${at} s)\n`
    }
  }
  if (process.env.TEST_SUMMARY) writeFileSync(process.env.TEST_SUMMARY, JSON.stringify(counts))
}

function describe(error) {
  const cause = error?.cause ?? error
  return String(cause?.stack ?? cause?.message ?? cause)
}

function indent(text) {
  return text.replace(/^/gm, '      ')
}
