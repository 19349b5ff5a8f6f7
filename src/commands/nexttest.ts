/**
 * `nexttest`: asks for tests on a system, or several; with `--wait` stays until they are done.
 *
 * What is asked for is checked whole before anything changes, and is one record. Silent as 0.8 was; `--json` tells the
 * runs. Source: COMPATIBILITY 3.9, RUNS "Commands" (`nexttest … --wait`, selectors), "Results" (suites, `--version`).
 */
import * as v from 'valibot'
import { durationAllowed, parseDuration } from '../domain/duration.ts'
import { Refusal } from '../domain/errors.ts'
import { formatJunit } from '../domain/junit-report.ts'
import { defaultSystem } from '../domain/name.ts'
import type { AskedRun, WaitNote } from './daemon.ts'
import { type CallContext, defineCommand, linesType } from './definition.ts'
import { expandTests, requestTests } from './run-request.ts'
import { type RunView, runIds, standingOf } from './run-view.ts'
import { exitOf, formatStaying, isOpen, type WaitedView, waitedPart, waitedView } from './run-wait.ts'
import { selectSystems } from './selection.ts'

/** As long as a name may be; versions are names that machines give. */
const versionMaxLength = 255

const args = v.strictObject({
  name: v.string(),
  tests: v.pipe(v.array(v.string()), v.minLength(1)),
  version: v.exactOptional(v.string()),
  wait: v.exactOptional(v.boolean()),
  timeout: v.exactOptional(v.string()),
})
type Args = v.InferOutput<typeof args>

export const nexttest = defineCommand({
  name: 'nexttest',
  summary: 'Ask for tests on a system',
  usage: 'pxemngr nexttest <system name> <test name> [<test name2>...]',
  positionals: [
    { key: 'name', usage: '<system name>', required: true, complete: ['system'] },
    { key: 'tests', usage: '<test name>', required: true, variadic: true, complete: ['requested'] },
  ],
  options: [
    {
      name: 'version',
      value: 'VERSION',
      complete: ['version'],
      summary: 'what the runs count for, where no result says',
    },
    {
      name: 'wait',
      summary: 'stay until they are done; exit status 1 failed, 3 daemon gone, 4 lost or not run, 5 timed out',
    },
    { name: 'timeout', value: 'TIME', summary: 'with --wait: how long at most, such as 2h; the runs stay' },
    { name: 'junit', value: 'FILE', summary: 'with --wait: write the outcome as JUnit XML' },
  ],
  args,
  result: v.union([waitedView, runIds]),
  role: 'operator',
  changes: true,
  clientOnly: ['junit'],
  examples: [
    { line: 'pxemngr nexttest web01 smoke', text: 'web01 gets smoke when it asks next' },
    {
      line: "pxemngr nexttest 'web[01-40]' @burnin tag:disk",
      text: 'a suite and all tests with a tag, on forty machines',
    },
    { line: 'pxemngr nexttest web01 @release --wait --timeout 4h --junit out.xml', text: 'from a pipeline' },
  ],
  async prepare(typed, client) {
    const lone = ['timeout', 'junit'].find((key) => typed[key] !== undefined && typed['wait'] === undefined)
    if (lone !== undefined) throw new Refusal('usage', `--${lone} goes with --wait`)
    if (typeof typed['junit'] === 'string') client.refuseUnwritable(typed['junit'])
    return typed
  },
  async run(context, given) {
    return { runs: (await request(context, given)).map(({ id }) => ({ id })) }
  },
  stream: {
    contentType: linesType,
    when: ({ wait }) => wait === true,
    async send(context, given, write, signal) {
      const timeoutMs = given.timeout === undefined ? undefined : parseTimeout(given.timeout)
      const runs = await request(context, given)
      const encoder = new TextEncoder()
      const line = (value: unknown) => write(encoder.encode(`${JSON.stringify(value)}\n`))
      const note: WaitNote = (text, part) =>
        text === undefined ? write(encoder.encode('\n')) : line({ note: text, part })
      const waited = await context.daemon.waitForRuns(runs, timeoutMs, note, signal)
      if (!signal.aborted) await line(waited)
    },
  },
  async keep(result, typed, client) {
    const { junit } = typed
    if (typeof junit !== 'string' || !isWaited(result)) return
    await client.writeFile(junit, new TextEncoder().encode(junitOf(result.runs, ['timed out', ''])))
  },
  async cutOff(parts, why, { junit }, client) {
    const last = new Map(parts.flatMap((part) => v.parse(waitedPart, part)).map(({ group, run }) => [group, run]))
    const runs = [...last.values()]
    if (typeof junit === 'string' && runs.length > 0)
      await client.writeFile(junit, new TextEncoder().encode(junitOf(runs, ['unknown', why])))
    return formatStaying(runs)
  },
  exitStatus: (result) => (isWaited(result) ? exitOf(result) : 0),
})

function isWaited(result: object): result is WaitedView {
  return 'timedOut' in result
}

/** Refuses before anything changed; the runs in the order asked for, system by system. */
async function request({ actor, daemon }: CallContext, given: Args): Promise<AskedRun[]> {
  const { queries } = daemon.store
  const { version = null } = given
  if (version !== null) checkVersion(version)
  if (given.timeout !== undefined) {
    if (given.wait !== true) throw new Refusal('usage', '--timeout goes with --wait')
    parseTimeout(given.timeout)
  }
  if (given.name === defaultSystem) {
    throw new Refusal(
      'refused',
      'default is no machine: it stands for those that no system has, and nobody would run the test',
    )
  }
  selectSystems(queries, given.name)
  const wanted = expandTests(daemon, given.tests)
  const all = new Set([...wanted.tests, ...wanted.suites.flatMap(({ expected }) => expected)])
  if ([...all].some((test) => !queries.findTest(test))) await daemon.tests.sync()
  return daemon.store.commit(actor, (tx) =>
    selectSystems(tx, given.name).flatMap((system) =>
      requestTests(tx, system.id, wanted, version).map((run) => ({ ...run, system: system.name })),
    ),
  )
}

function checkVersion(version: string): void {
  if (version.trim() === '' || version.length > versionMaxLength || /[\u0000-\u001f\u007f-\u009f]/.test(version)) {
    throw new Refusal(
      'usage',
      `--version has to be a text of 1 to ${versionMaxLength} characters, none a control character`,
    )
  }
}

function parseTimeout(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined)
    throw new Refusal('usage', `--timeout ${JSON.stringify(text)} is not allowed: ${durationAllowed}`)
  return ms
}

/** `open`: outcome and reason of runs that are not over. */
function junitOf(runs: readonly RunView[], [outcome, why]: readonly [string, string]): string {
  return formatJunit(
    runs.map((run) => ({
      system: run.system,
      test: run.test,
      outcome: isOpen(run) ? outcome : standingOf(run),
      reason: (isOpen(run) ? why : null) || (run.reason ?? ''),
      sentMs: run.sent === null ? null : Date.parse(run.sent),
      doneMs: run.done === null ? null : Date.parse(run.done),
    })),
  )
}
