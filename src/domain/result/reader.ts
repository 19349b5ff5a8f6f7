/**
 * Reads a result file as it passes: lines `I:` `W:` `E:` `V:` `X:` `M:`, TAP and KTAP, JUnit attachments → what is kept of
 * it, and its verdict.
 *
 * Counts are exact however large the result is; everything that is kept is bounded, and a cut leaves a note. Bytes are
 * looked at, not decoded: a line becomes text only if it is kept. Not here: files and uploads. Sources: RUNS "Verdicts",
 * "Results"; COMPATIBILITY 4.4 (line rules); TAP 13 and 14; Linux Documentation/dev-tools/ktap.rst.
 */
import { type CaseCounts, casesMax, type KeptLine, type ResultCase } from '../run.ts'
import { type Verdict, worstOf } from '../verdict.ts'
import type { JunitRead } from './junit.ts'
import { createTapReader, noTap, type TapReader } from './tap.ts'
import { couldBeTap, isNeverTap } from './tap-look.ts'
import { decodeText } from './text.ts'

export interface Measurement {
  readonly name: string
  readonly value: number
  /** '' for none. */
  readonly unit: string
}

export interface ResultSummary {
  readonly counts: { readonly info: number; readonly warning: number; readonly error: number }
  /** The first few of each kind, in the order of the file. */
  readonly lines: readonly KeptLine[]
  readonly version: string | null
  readonly exit: number | null
  readonly cases: CaseCounts
  /** At most `casesMax`, failing ones first. */
  readonly caseList: readonly ResultCase[]
  readonly measurements: readonly Measurement[]
  readonly notes: readonly string[]
  readonly sizeBytes: number
  /** Why the verdict, in a line; '' for a plain pass. */
  readonly reason: string
  readonly verdict: Verdict
}

export interface ResultReader {
  /** The next bytes of the log. */
  push(chunk: Uint8Array): void
  /** A JUnit attachment, once it is whole; one that cannot be read is a warning with a note. */
  addJunit(name: string, read: JunitRead): void
  /** As of now; the log may go on. */
  summary(): ResultSummary
}

/** Lines kept of each kind: what a list shows; a page reads the file. */
const linesKept = 5
/** Bytes of a line that are looked at. */
const lineBytesMax = 16 * 1024
/** Characters of a line that the database keeps. */
const keptLength = 500
const measurementsMax = 200
const notesMax = 50
/** A version is a name. */
const versionLength = 255
const kinds = { I: 'info', W: 'warning', E: 'error' } as const

const newline = 10
/** Most lines end within this. */
const nearBytes = 128
const colon = 58
const space = 32

export function createResultReader(): ResultReader {
  const counts = { info: 0, warning: 0, error: 0 }
  const lines: KeptLine[] = []
  const kept = { I: 0, W: 0, E: 0 }
  const notes: string[] = []
  const measurements = new Map<string, Measurement>()
  /** From the first line on that could be TAP: most logs have none. */
  let tap: TapReader | undefined
  const junitCases: ResultCase[] = []
  const junitCounts = { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 }
  let version: string | null = null
  let exit: number | null = null
  let sizeBytes = 0
  let lineNumber = 0
  let faults = 0
  let longLines = 0
  let badMeasurements = 0
  let droppedMeasurements = 0
  /** A line that goes on in the next chunk, as far as it is looked at. */
  let rest: Uint8Array = new Uint8Array()
  let restLength = 0

  const note = (text: string) => {
    if (notes.length < notesMax && !notes.includes(text)) notes.push(text)
  }

  /** `length`: of the whole line; `line` holds at most `lineBytesMax` of it. */
  const readLine = (given: Uint8Array, length: number): void => {
    lineNumber += 1
    if (length > lineBytesMax) longLines += 1
    const line = given[given.length - 1] === 13 && length <= lineBytesMax ? given.subarray(0, -1) : given
    if (line.length >= 3 && line[1] === colon && line[2] === space) {
      switch (line[0]) {
        case 0x49:
          keep('I', line)
          return
        case 0x57:
          keep('W', line)
          return
        case 0x45:
          keep('E', line)
          return
        case 0x56:
          version = decodeText(line.subarray(3)).slice(0, versionLength).trim() || version
          return
        case 0x58:
          readExit(line)
          return
        case 0x4d:
          readMeasurement(line)
          return
        default:
      }
    }
    if (!tap && couldBeTap(line, false)) tap = createTapReader()
    tap?.line(line)
  }

  const keep = (kind: 'I' | 'W' | 'E', line: Uint8Array): void => {
    counts[kinds[kind]] += 1
    if (kept[kind] >= linesKept) return
    kept[kind] += 1
    const textEnd = 3 + 4 * keptLength
    lines.push({
      kind,
      line: lineNumber,
      text: decodeText(line.subarray(3, textEnd), line.length > textEnd).slice(0, keptLength),
    })
  }

  const readExit = (line: Uint8Array): void => {
    const text = decodeText(line.subarray(3, 64)).trim()
    // Windows has statuses of ten digits; one that no number holds is none the less not 0.
    if (/^-?\d+$/.test(text)) exit = Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number(text), Number.MAX_SAFE_INTEGER))
    else note(`line ${lineNumber}: the exit status ${JSON.stringify(text.slice(0, 40))} is no number`)
  }

  const readMeasurement = (line: Uint8Array): void => {
    const text = decodeText(line.subarray(3)).trim()
    const parts = /^(\S{1,100})\s+([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)(?:\s+(\S.{0,30}))?$/.exec(text)
    const value = Number(parts?.[2])
    if (!parts || !Number.isFinite(value)) {
      badMeasurements += 1
      if (badMeasurements === 1) note(`line ${lineNumber}: no measurement: M: <name> <value> [unit]`)
      return
    }
    const name = parts[1] ?? ''
    if (measurements.size >= measurementsMax && !measurements.has(name)) {
      droppedMeasurements += 1
      return
    }
    measurements.set(name, { name, value, unit: parts[3] ?? '' })
  }

  const finishLine = (line: Uint8Array): void => {
    if (restLength === 0) {
      readLine(line.length > lineBytesMax ? line.subarray(0, lineBytesMax) : line, line.length)
      return
    }
    const room = Math.max(0, lineBytesMax - rest.length)
    const whole = new Uint8Array(rest.length + Math.min(room, line.length))
    whole.set(rest)
    whole.set(line.subarray(0, room), rest.length)
    const length = restLength + line.length
    rest = new Uint8Array()
    restLength = 0
    readLine(whole, length)
  }

  const carry = (part: Uint8Array): void => {
    if (part.length === 0) return
    const room = Math.max(0, lineBytesMax - rest.length)
    if (room > 0) {
      const more = part.subarray(0, room)
      const joined = new Uint8Array(rest.length + more.length)
      joined.set(rest)
      joined.set(more, rest.length)
      rest = joined
    }
    restLength += part.length
  }

  const summary = (): ResultSummary => {
    const found = tap?.summary() ?? noTap
    const cases = addCounts(found.cases, junitCounts)
    const failing = (list: readonly ResultCase[]) => list.filter(({ outcome }) => outcome === 'fail')
    const all = [...found.caseList, ...junitCases]
    const caseList = [...failing(all), ...all.filter(({ outcome }) => outcome !== 'fail')].slice(0, casesMax)
    const said = [...notes, ...found.notes]
    if (longLines > 0) said.push(`${longLines} lines are longer than ${lineBytesMax} bytes and cut in what is shown`)
    if (badMeasurements > 1) said.push(`${badMeasurements} lines are no measurements`)
    if (droppedMeasurements > 0) said.push(`${measurementsMax} measurements are kept, ${droppedMeasurements} were not`)
    if (cases.total > caseList.length)
      said.push(`${caseList.length} of ${cases.total} cases are kept, failing ones first`)
    const firstError = lines.find(({ kind }) => kind === 'E')
    const evidence: (readonly [Verdict, string])[] = []
    if (counts.error > 0) evidence.push(['fail', firstError?.text ?? ''])
    const failingCase = caseList.find(({ outcome }) => outcome === 'fail')
    if (cases.fail > 0)
      evidence.push(['fail', `${cases.fail} of ${cases.total} cases failed: ${failingCase?.name ?? ''}`])
    for (const fault of found.failures) evidence.push(['fail', fault])
    if (exit !== null && exit !== 0 && exit !== 77) evidence.push(['fail', `exit status ${exit}`])
    if (counts.warning > 0) evidence.push(['warn', lines.find(({ kind }) => kind === 'W')?.text ?? ''])
    if (faults > 0) evidence.push(['warn', notes[0] ?? 'an attachment cannot be read'])
    const skipped = cases.total > 0 && cases.skip === cases.total
    if (exit === 77) evidence.push(['skip', 'exit status 77'])
    else if (found.skipAll !== undefined && cases.total === cases.skip)
      evidence.push(['skip', found.skipAll || 'skipped whole'])
    else if (skipped) evidence.push(['skip', 'all cases skipped'])
    const verdict = worstOf(evidence.map(([each]) => each)) ?? 'pass'
    return {
      counts: { ...counts },
      lines: [...lines],
      version,
      exit,
      cases,
      caseList,
      measurements: [...measurements.values()],
      notes: said.slice(0, notesMax),
      sizeBytes,
      reason: evidence.find(([each]) => each === verdict)?.[1] ?? '',
      verdict,
    }
  }

  return {
    push(chunk) {
      sizeBytes += chunk.length
      let from = 0
      for (let end = lineEnd(chunk, 0); end >= 0; end = lineEnd(chunk, from)) {
        if (restLength === 0 && end - from <= lineBytesMax && isPlain(chunk, from, end)) lineNumber += 1
        else finishLine(chunk.subarray(from, end))
        from = end + 1
      }
      carry(chunk.subarray(from))
    },
    addJunit(name, read) {
      if ('fault' in read) {
        faults += 1
        note(`${name}: ${read.fault}`)
        return
      }
      Object.assign(junitCounts, addCounts(junitCounts, read.counts))
      // Failing ones first, so that passing ones of a long list push none of them out.
      for (const each of [...read.cases].sort((a, b) => Number(b.outcome === 'fail') - Number(a.outcome === 'fail'))) {
        if (junitCases.length < casesMax) junitCases.push(each)
      }
    },
    summary() {
      if (restLength === 0) return summary()
      // The last line without its LF counts; reading it for good would count it again when it goes on.
      return summaryWith(rest, restLength)
    },
  }

  function summaryWith(line: Uint8Array, length: number): ResultSummary {
    const before = {
      counts: { ...counts },
      kept: { ...kept },
      version,
      exit,
      lineNumber,
      longLines,
      badMeasurements,
      droppedMeasurements,
    }
    const sizes = { lines: lines.length, notes: notes.length }
    const measured = new Map(measurements)
    const tapBefore = tap
    tap?.save()
    readLine(line, length)
    const result = summary()
    tap = tapBefore
    tap?.restore()
    Object.assign(counts, before.counts)
    Object.assign(kept, before.kept)
    lines.length = sizes.lines
    notes.length = sizes.notes
    version = before.version
    exit = before.exit
    lineNumber = before.lineNumber
    longLines = before.longLines
    badMeasurements = before.badMeasurements
    droppedMeasurements = before.droppedMeasurements
    measurements.clear()
    for (const [name, value] of measured) measurements.set(name, value)
    return result
  }
}

/** Whether the line from `from` to `end` says nothing that is looked for here. */
function isPlain(chunk: Uint8Array, from: number, end: number): boolean {
  if (end - from >= 3 && chunk[from + 1] === colon && chunk[from + 2] === space) return false
  return isNeverTap(chunk, from, end)
}

/** Where the line that begins at `from` ends; -1: not in this chunk. A call for each short line costs more than the look. */
function lineEnd(chunk: Uint8Array, from: number): number {
  const near = Math.min(chunk.length, from + nearBytes)
  for (let at = from; at < near; at++) if (chunk[at] === newline) return at
  return near < chunk.length ? chunk.indexOf(newline, near) : -1
}

function addCounts(a: CaseCounts, b: CaseCounts): CaseCounts {
  return {
    total: a.total + b.total,
    pass: a.pass + b.pass,
    fail: a.fail + b.fail,
    skip: a.skip + b.skip,
    todo: a.todo + b.todo,
  }
}
