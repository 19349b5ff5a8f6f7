/**
 * TAP 13/14 and KTAP, line by line: leaves count, parents do not, a case's name is `parent > child`.
 *
 * Nothing is read before a version line or a plan `1..N`, so that ordinary output is never taken for cases; only a plan at
 * the end (TAP 12) makes the cases before it count, where they are numbered from 1 and as many as it says. A result may hold
 * several documents, one after the other: each has to keep its own plan, and a TAP document without any is noted, since its
 * output may have been cut before the plan at its end (KTAP's outermost level may have none). Subtests are told by their indentation (TAP 14:
 * 4 blanks; KTAP: 2); their parent's own line comes after them, and fails by itself only where nothing below it did. Time
 * stamps and levels (`dmesg -r`: `<6>[    1.234567] `) of the kernel's log in front of KTAP lines are ignored. Memory is bounded: counts, `casesMax` names, a few levels.
 * Sources: testanything.org (versions 13, 14), Linux Documentation/dev-tools/ktap.rst, RUNS "Results".
 */
import { type CaseCounts, casesMax, type ResultCase } from '../run.ts'
import { couldBeTap } from './tap-look.ts'
import { decodeText } from './text.ts'

export interface TapSummary {
  readonly cases: CaseCounts
  readonly caseList: readonly ResultCase[]
  /** What makes it fail beside failing cases: `Bail out!`, a plan that was not kept. */
  readonly failures: readonly string[]
  readonly notes: readonly string[]
  /** `1..0 # SKIP`: the reason, '' without one. */
  readonly skipAll: string | undefined
}

export interface TapReader {
  line(bytes: Uint8Array): void
  summary(): TapSummary
  /** `save` before a line that is not complete, `restore` afterwards. */
  save(): void
  restore(): void
}

const depthMax = 16
const nameLength = 200
const failuresMax = 20
/** Bytes of a line that matter. */
const looked = 2048
/** Level, time and processor or thread, as the kernel's log has them in front of a line. */
const kernelPrefix = /^(?:<\d{1,3}>)?(?:\[ *\d+\.\d+\](?:\[[^\]]{1,12}\])? )?/

const noPlan = 'TAP without a plan (1..N): where its output was cut, cases are missing'

/** A plan of more cases than this is one of so many. */
const plannedMax = Number.MAX_SAFE_INTEGER

/** One level of subtests. */
interface Level {
  readonly indent: number
  readonly plan: number | undefined
  /** Its own lines under this plan, those of its children not counted. Counted in place: there may be millions. */
  seen: number
  /** The same under the plans before, where several followed each other. */
  readonly earlier: number
  /** What had failed when it began. */
  readonly trouble: number
  /** Places in `pending` from which on cases belong to this level's current parent. */
  readonly from: number
}

interface State {
  readonly isOpen: boolean
  /** A version line of TAP opened the document, and no outermost plan has come: it needs one. */
  readonly lacksPlan: boolean
  readonly levels: readonly Level[]
  readonly skipAll: string | undefined
  readonly yaml: number
}

/** Of a log without any. */
export const noTap: TapSummary = {
  cases: { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 },
  caseList: [],
  failures: [],
  notes: [],
  skipAll: undefined,
}

const start: State = { isOpen: false, lacksPlan: false, levels: [], skipAll: undefined, yaml: -1 }

export function createTapReader(): TapReader {
  let state: State = start
  let cases = { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 }
  let failing: ResultCase[] = []
  let others: ResultCase[] = []
  /** Cases whose parents have not been named yet, as places in the two lists. */
  let pending: { list: 'failing' | 'others'; at: number }[] = []
  let failures: string[] = []
  let notes: string[] = []
  /** Failing cases and other failures, those that are not kept too. */
  let trouble = 0
  let saved: (() => void) | undefined

  const fail = (text: string) => {
    trouble += 1
    if (failures.length < failuresMax && !failures.includes(text)) failures = [...failures, text]
  }

  const line = (bytes: Uint8Array): void => {
    if (!couldBeTap(bytes, state.isOpen)) return
    const whole = decodeText(bytes.subarray(0, looked))
    const text = bytes[0] === 0x5b || bytes[0] === 0x3c ? whole.replace(kernelPrefix, '') : whole
    const indent = /^ */.exec(text)?.[0].length ?? 0
    const body = text.slice(indent)
    if (state.yaml >= 0) {
      // What is indented as the block is part of it; a line further left ends one that was cut off.
      const isEnd = body === '...' && indent === state.yaml
      if (indent >= state.yaml && !isEnd) return
      state = { ...state, yaml: -1 }
      if (isEnd) return
    }
    if (/^K?TAP version \d+\s*$/.test(body)) {
      if (!state.isOpen) forget()
      else if (indent === 0) endDocument()
      state = { ...state, isOpen: true, lacksPlan: indent === 0 ? body.startsWith('T') : state.lacksPlan }
      return
    }
    const plan = /^1\.\.(\d+)\s*(?:#\s*(.*))?$/.exec(body)
    if (plan) {
      const count = Math.min(Number(plan[1]), plannedMax)
      const isKept = !state.isOpen && count > 0 && levelAt(indent).seen === count
      if (!state.isOpen && !isKept) forget()
      // One below cases of a parent that has not come: the plan of that parent's level opens the document.
      state = { ...state, isOpen: state.isOpen || !isKept || indent === 0 }
      readPlan(indent, count, plan[2])
      return
    }
    if (!state.isOpen) {
      readEarly(indent, body)
      return
    }
    if (/^Bail out!/i.test(body)) {
      // It says itself that nothing more comes.
      state = { ...state, lacksPlan: false }
      fail(body.slice(0, nameLength).trim())
      return
    }
    if (body === '---' && indent > 0) {
      state = { ...state, yaml: indent }
      return
    }
    const test = /^(not )?ok\b\s*(\d{1,9})?\s*(?:- )?(.*)$/.exec(body)
    if (test) readTest(indent, test[1] === undefined, test[2] ?? '', test[3] ?? '')
  }

  const readPlan = (indent: number, count: number, directive: string | undefined): void => {
    const level = levelAt(indent)
    if (indent === 0) state = { ...state, lacksPlan: false }
    if (level.plan === undefined) setLevel({ ...level, plan: count })
    else {
      // Another document without a version line of its own.
      checkPlan(level, '')
      setLevel({ ...level, plan: count, seen: 0, earlier: level.earlier + level.seen })
    }
    if (count === 0 && indent === 0 && /^skip/i.test(directive ?? '')) {
      state = { ...state, skipAll: (directive ?? '').replace(/^skip\S*\s*/i, '').slice(0, nameLength) }
    }
  }

  /** The level of that indentation; deeper ones are over when a shallower line comes. */
  const levelAt = (indent: number): Level => {
    const known = state.levels.find((level) => level.indent === indent)
    if (known) return known
    return { indent, plan: undefined, seen: 0, earlier: 0, trouble, from: pending.length }
  }

  /** Before anything said that this is TAP: cases that a plan at the end may make count. */
  const readEarly = (indent: number, body: string): void => {
    const test = /^(not )?ok (\d{1,9})(?: (?:- )?(.*))?$/.exec(body)
    if (!test) return
    if (Number(test[2]) !== levelAt(indent).seen + 1) forget()
    if (Number(test[2]) === levelAt(indent).seen + 1)
      readTest(indent, test[1] === undefined, test[2] ?? '', test[3] ?? '')
  }

  /** What came so far was no TAP. */
  const forget = (): void => {
    state = start
    cases = { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 }
    failing = []
    others = []
    pending = []
    failures = []
    notes = []
    trouble = 0
  }

  /** With what is to be said of the document as it stands. */
  const allNotes = (): string[] =>
    state.lacksPlan && !notes.includes(noPlan) && notes.length < failuresMax ? [...notes, noPlan] : notes

  /** Another one begins: nothing more comes for this one. */
  const endDocument = (): void => {
    for (const level of state.levels) checkPlan(level, '')
    notes = allNotes()
    state = { ...state, lacksPlan: false, levels: [] }
    pending = []
  }

  const setLevel = (level: Level): void => {
    const others = state.levels.filter(({ indent }) => indent !== level.indent)
    const levels = [...others, level].sort((a, b) => a.indent - b.indent).slice(0, depthMax)
    state = { ...state, levels }
  }

  const readTest = (indent: number, ok: boolean, number: string, rest: string): void => {
    const { description, directive, reason } = splitDirective(rest)
    const name = (description || `case ${number || '?'}`).slice(0, nameLength)
    const deepest = state.levels.at(-1)
    if (deepest?.indent === indent) {
      deepest.seen += 1
      addOutcome(name, ok, directive, reason, indent)
      return
    }
    const deeper = state.levels.filter((level) => level.indent > indent)
    const children = deeper.reduce((sum, level) => sum + level.seen + level.earlier, 0)
    const before = Math.min(...deeper.map((level) => level.trouble))
    for (const level of deeper) checkPlan(level, name)
    const own = levelAt(indent)
    const firstChild = deeper.length > 0 ? Math.min(...deeper.map(({ from }) => from)) : pending.length
    state = { ...state, levels: state.levels.filter((level) => level.indent <= indent) }
    setLevel({ ...own, seen: own.seen + 1 })
    if (children > 0) {
      if (!ok && directive === undefined && trouble === before) fail(`${name}: not ok, though nothing below it failed`)
      nameParent(name, firstChild)
      return
    }
    addOutcome(name, ok, directive, reason, indent)
  }

  const addOutcome = (
    name: string,
    ok: boolean,
    directive: 'skip' | 'todo' | undefined,
    reason: string,
    indent: number,
  ): void => {
    const outcome = directive === 'skip' ? 'skip' : ok ? 'pass' : directive === 'todo' ? 'todo' : 'fail'
    if (directive === 'todo' && ok && notes.length < failuresMax) notes = [...notes, `${name}: a TODO that passes`]
    addCase({ name, outcome, note: reason, durationMs: null }, indent)
  }

  const addCase = (found: ResultCase, indent: number): void => {
    cases.total += 1
    cases[found.outcome] += 1
    if (found.outcome === 'fail') trouble += 1
    const list = found.outcome === 'fail' ? 'failing' : 'others'
    const target = list === 'failing' ? failing : others
    if (target.length >= casesMax) return
    target.push(found)
    if (indent > 0) pending.push({ list, at: target.length - 1 })
  }

  const nameParent = (name: string, from: number): void => {
    for (const { list, at } of pending.slice(from)) {
      const target = list === 'failing' ? failing : others
      const child = target[at]
      if (child) target[at] = { ...child, name: `${name} > ${child.name}`.slice(0, 2 * nameLength) }
    }
    if (!state.levels.some((level) => level.indent > 0)) pending = []
  }

  /** `name`: of its parent, '' where that is not known. */
  const checkPlan = (level: Level, name: string): void => {
    if (isBroken(level)) fail(`${name === '' ? '' : `${name}: `}${brokenPlan(level)}`)
  }

  return {
    line,
    summary() {
      if (!state.isOpen) return noTap
      const said = [...failures]
      for (const level of state.levels) {
        if (isBroken(level)) said.push(`${brokenPlan(level)}${level.indent > 0 ? ' in a subtest' : ''}`)
      }
      return {
        cases: { ...cases },
        caseList: [...failing, ...others].slice(0, casesMax),
        failures: said,
        notes: allNotes(),
        skipAll: state.skipAll,
      }
    },
    save() {
      const levels = state.levels.map((level) => ({ ...level }))
      const copy = {
        state: { ...state, levels },
        cases: { ...cases },
        failing: [...failing],
        others: [...others],
        pending: [...pending],
        failures,
        notes,
        trouble,
      }
      saved = () => {
        ;({ state, cases, failing, others, pending, failures, notes, trouble } = copy)
      }
    },
    restore: () => saved?.(),
  }
}

const isBroken = ({ plan, seen }: Level): boolean => plan !== undefined && plan !== seen
const brokenPlan = ({ plan, seen }: Level): string => `${plan} cases planned, ${seen} came`

/** The description and what stands behind an unescaped ` #`. */
function splitDirective(text: string): { description: string; directive: 'skip' | 'todo' | undefined; reason: string } {
  const hash = text.includes('#') ? /(?:^|[^\\])#\s*(skip|todo)\S*\s*(.*)$/i.exec(text) : null
  const plain = (part: string) => part.replace(/\\([#\\])/g, '$1').trim()
  if (!hash) return { description: plain(text), directive: undefined, reason: '' }
  const end = hash.index + (text[hash.index] === '#' ? 0 : 1)
  return {
    description: plain(text.slice(0, end)),
    directive: hash[1]?.toLowerCase() === 'skip' ? 'skip' : 'todo',
    reason: plain(hash[2] ?? '').slice(0, nameLength),
  }
}
