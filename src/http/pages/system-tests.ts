/**
 * The tests of one machine on its page: how they are, and the forms to ask for one, to take back what is open and to
 * release a sick machine. What the forms do is `changes.ts`. Sources: WEB.md, RUNS "Commands".
 */
import type { Daemon } from '../../commands/daemon.ts'
import type { Verdict } from '../../domain/verdict.ts'
import type { RunRow } from '../../store/run-rows.ts'
import type { SystemRow } from '../../store/store.ts'
import { type FormFault, formatSpan, type RunSpan } from './changes.ts'
import { listChoices } from './test-choice.ts'
import { formatCount, plural, visible } from './words.ts'

/** In words: how its latest results are. */
export function testsLine(runs: readonly RunRow[]): string {
  const verdicts = runs.flatMap(({ verdict }) => verdict ?? [])
  if (verdicts.length === 0) return ''
  const count = (wanted: Verdict) => verdicts.filter((verdict) => verdict === wanted).length
  const inconclusive = count('infra') + count('lost')
  return `Of the last ${plural(verdicts.length, 'result')} ${formatCount(count('fail'))} failed and ${formatCount(inconclusive)} ${inconclusive === 1 ? 'was' : 'were'} lost.`
}

/** What has just been asked for, and how to take it back. */
export function viewAsked(daemon: Daemon, span: RunSpan): object {
  const count = span.last - span.first + 1
  const run = daemon.store.queries.getRun(span.first)
  return {
    text: count === 1 ? `Run ${span.first}` : `${plural(count, 'run')}, ${span.first} to ${span.last}`,
    href: `/test/${span.first}/`,
    waits: count === 1 ? 'waits' : 'wait',
    what: count === 1 && run ? visible(run.test.name) : '',
    value: formatSpan(span),
  }
}

/** The forms about tests: asking for them, taking back what is open, and that a sick machine has been seen to. */
export function viewTestForms(daemon: Daemon, system: SystemRow, refused: FormFault | undefined): object {
  const { queries } = daemon.store
  const fault = (form: string) => (refused?.form === form ? refused : undefined)
  const open = queries.countRuns({ system: system.id, states: ['requested', 'sent', 'running'] })
  const version = queries.versionOf(system.id)
  return {
    choices: listChoices(daemon, fault('nexttest')?.typed ?? ''),
    version: version === undefined ? '' : visible(version.name),
    open: open === 0 ? undefined : plural(open, 'run'),
    faults: { nexttest: fault('nexttest'), cancel: fault('cancel'), release: fault('release') },
  }
}
