/**
 * The outcome of `nexttest --wait` as JUnit XML: a testsuite a system, a testcase a run.
 *
 * fail is a failure; infra, lost and what timed out or never ran is an error; skip is skipped; warnings pass. Characters
 * that XML 1.0 (§2.2) does not have are written as U+FFFD. Source: RUNS "Commands" (`--junit`).
 */

export interface JunitRun {
  readonly system: string
  readonly test: string
  /** A verdict, or what became of it instead: `timed out`, `cancelled`, `expired`. */
  readonly outcome: string
  readonly reason: string
  readonly sentMs: number | null
  readonly doneMs: number | null
}

export function formatJunit(runs: readonly JunitRun[]): string {
  const suites = new Map<string, JunitRun[]>()
  for (const run of runs) {
    const suite = suites.get(run.system)
    if (suite) suite.push(run)
    else suites.set(run.system, [run])
  }
  const lines = ['<?xml version="1.0" encoding="UTF-8"?>', `<testsuites${countsOf(runs)}>`]
  for (const [system, own] of suites) {
    lines.push(`  <testsuite name="${escapeXml(system)}"${countsOf(own)}>`)
    for (const run of own) lines.push(...testcase(run))
    lines.push('  </testsuite>')
  }
  return `${[...lines, '</testsuites>'].join('\n')}\n`
}

function kindOf(outcome: string): 'pass' | 'failure' | 'error' | 'skipped' {
  switch (outcome) {
    case 'pass':
    case 'warn':
      return 'pass'
    case 'fail':
      return 'failure'
    case 'skip':
      return 'skipped'
    default:
      return 'error'
  }
}

function countsOf(runs: readonly JunitRun[]): string {
  const count = (kind: string) => runs.filter(({ outcome }) => kindOf(outcome) === kind).length
  return ` tests="${runs.length}" failures="${count('failure')}" errors="${count('error')}" skipped="${count('skipped')}"`
}

function testcase(run: JunitRun): string[] {
  const seconds = run.sentMs === null || run.doneMs === null ? 0 : Math.max(0, run.doneMs - run.sentMs) / 1000
  const head = `    <testcase classname="${escapeXml(run.system)}" name="${escapeXml(run.test)}" time="${seconds.toFixed(3)}"`
  const kind = kindOf(run.outcome)
  if (kind === 'pass') return [`${head}/>`]
  const message = run.reason === '' ? run.outcome : `${run.outcome}: ${run.reason}`
  const type = kind === 'skipped' ? '' : ` type="${escapeXml(run.outcome)}"`
  return [`${head}>`, `      <${kind} message="${escapeXml(message)}"${type}/>`, '    </testcase>']
}

function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"'\t\n\r]/g, (char) => `&#${char.charCodeAt(0)};`)
}
