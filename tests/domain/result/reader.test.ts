/**
 * Result files: what counts as evidence of what, and that no file, however large or strange, is read wrongly or for ever.
 * Sources: RUNS "Verdicts", "Results"; COMPATIBILITY 4.4 (line rules), 5 (bug ids); TAP 14; KTAP.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createJunitReader, type JunitRead } from '../../../src/domain/result/junit.ts'
import { createResultReader, type ResultSummary } from '../../../src/domain/result/reader.ts'

function read(text: string | Uint8Array, ...junit: string[]): ResultSummary {
  const reader = createResultReader()
  reader.push(typeof text === 'string' ? Buffer.from(text) : text)
  for (const [at, xml] of junit.entries()) reader.addJunit(`${at}.xml`, junitOf(Buffer.from(xml)))
  return reader.summary()
}

/** Read in one piece, and the same in any pieces. */
function junitOf(bytes: Uint8Array): JunitRead {
  const [whole, ...others] = [bytes.length, 1, 7].map((size) => {
    const reader = createJunitReader()
    for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
    return reader.finish()
  })
  for (const other of others) assert.deepEqual(other, whole)
  return whole ?? { fault: 'nothing' }
}

const verdictOf = (text: string, ...junit: string[]) => read(text, ...junit).verdict

test('each piece of evidence gives its verdict, the worst wins', () => {
  const table: readonly (readonly [string, string])[] = [
    ['', 'pass'],
    ['anything\n', 'pass'],
    ['I: fine\n', 'pass'],
    ['W: careful\n', 'warn'],
    ['E: broken\n', 'fail'],
    ['W: careful\nE: broken\n', 'fail'],
    ['X: 0\n', 'pass'],
    ['1..1000000000\nok 1\n', 'fail'],
    [`1..${'9'.repeat(400)}\nok 1\n`, 'fail'],
    ['1..00000000001\nok 1\n', 'pass'],
    ['X: 1\n', 'fail'],
    ['X: 3221225477\n', 'fail'],
    ['X: 99999999999999999999\n', 'fail'],
    ['X: 77\n', 'skip'],
    ['X: 77\nW: x\n', 'warn'],
    ['X: 77\nE: x\n', 'fail'],
    ['1..2\nok 1\nok 2\n', 'pass'],
    ['1..2\nok 1\nnot ok 2\n', 'fail'],
    ['1..3\nok 1\nok 2\n', 'fail'],
    ['1..1\nok 1\nok 2\n', 'fail'],
    ['1..1\nok 1\nBail out! no disk\n', 'fail'],
    ['1..0 # SKIP no such hardware\n', 'skip'],
    ['1..0 # SKIP a\nTAP version 14\n1..1\nok 1\n', 'pass'],
    ['1..0 # SKIP a\nok 1\n', 'fail'],
    ['1..2\nok 1 # SKIP a\nok 2 # skip b\n', 'skip'],
    ['1..2\nok 1 # SKIP a\nok 2\n', 'pass'],
    ['1..2\nok 1\nnot ok 2 # TODO later\n', 'pass'],
    ['1..2\nok 1\nok 2 # TODO later\n', 'pass'],
  ]
  for (const [text, verdict] of table) assert.equal(verdictOf(text), verdict, JSON.stringify(text))
})

test('lines are exact: one of the letters, colon, blank, at the very beginning', () => {
  const { counts } = read('I:x\n I: x\ni: x\nI: \nI: a\r\nS: x\nT: x\nxE: y\n\ufeffE: bom\n')
  assert.deepEqual(counts, { info: 2, warning: 0, error: 0 })
})

test('the text is kept in order, without CR, with NUL and TAB; the last V: counts; a lone CR ends no line', () => {
  const summary = read('V: 1\r\nE: a\tb\0c\r\nW: mac\rI: second\nV: 2.0\r\n')
  assert.deepEqual(
    summary.lines.map(({ kind, text, line }) => [kind, text, line]),
    [
      ['E', 'a\tb\0c', 2],
      ['W', 'mac\rI: second', 3],
    ],
  )
  assert.equal(summary.version, '2.0')
})

test('L3: a Latin-1 line counts, and its text can be read', () => {
  const summary = read(Buffer.from('I: ok\nI: caf\xe9\nE: x\nV: \xe91\n', 'latin1'))
  assert.deepEqual(summary.counts, { info: 2, warning: 0, error: 1 })
  assert.equal(summary.lines[1]?.text, 'café')
  assert.equal(summary.version, 'é1')
})

test('how the bytes are cut into chunks makes no difference', () => {
  const text = Buffer.from('I: é\r\nTAP version 14\n1..2\n    1..1\n    ok 1 - child\nok 1 - parent\nnot ok 2\nE: last')
  const whole = read(text)
  fc.assert(
    fc.property(fc.array(fc.nat({ max: text.length }), { maxLength: 6 }), (cuts) => {
      const reader = createResultReader()
      let from = 0
      for (const cut of [...cuts].sort((a, b) => a - b)) {
        reader.push(text.subarray(from, cut))
        if (cut % 2 === 0) reader.summary() // looking changes nothing
        from = cut
      }
      reader.push(text.subarray(from))
      assert.deepEqual(reader.summary(), whole)
    }),
  )
})

test('measurements: name, number, unit; the last of a name counts; what is none leaves a note', () => {
  const { measurements, notes, verdict } = read(
    'M: boot 12.5 s\nM: disk 1e3 MB/s\nM: temp -4\nM: boot 13 s\nM: x y\nM: inf 1e999\n',
  )
  assert.deepEqual(measurements, [
    { name: 'boot', value: 13, unit: 's' },
    { name: 'disk', value: 1000, unit: 'MB/s' },
    { name: 'temp', value: -4, unit: '' },
  ])
  assert.equal(notes.length, 2)
  assert.equal(verdict, 'pass')
})

test('TAP is read only after a version line or a plan', () => {
  assert.deepEqual(read('ok 1\nnot ok 2\n').cases.total, 0)
  assert.equal(verdictOf('not ok - just words\n'), 'pass')
  assert.equal(read('TAP version 13\nok 1\nnot ok 2\n').cases.total, 2)
  assert.equal(read('KTAP version 1\nok 1\n').cases.total, 1)
})

test('a plan at the end makes the numbered cases before it count, and nothing else does', () => {
  const good = read('words\nok 1 - a\n# diagnostics\nok 2 - b # SKIP\n1..2\n')
  assert.deepEqual([good.verdict, good.cases.pass, good.cases.skip], ['pass', 1, 1])
  const bad = read('ok 1 - a\nnot ok 2 - b\n1..2\n')
  assert.deepEqual([bad.verdict, bad.reason], ['fail', '1 of 2 cases failed: b'])
  const nested = read('# Subtest: foo\n    ok 1 - a\n    not ok 2 - b # TODO\n    1..2\nok 1 - foo\n1..1\n')
  assert.deepEqual([nested.verdict, nested.cases.total, nested.caseList[0]?.name], ['pass', 2, 'foo > a'])
  // Words that look like cases, and then a document with its plan in front.
  assert.deepEqual(read('not ok 1 - words\n1..2\nok 1\nok 2\n').cases, {
    total: 2,
    pass: 2,
    fail: 0,
    skip: 0,
    todo: 0,
  })
  assert.equal(verdictOf('not ok 1 - words\nTAP version 13\n1..1\nok 1\n'), 'pass')
  assert.equal(verdictOf('ok 1\nok 2\n1..3\n'), 'fail')
  assert.equal(verdictOf('ok 1\nnot ok 3\n1..2\n'), 'fail')
  assert.equal(verdictOf('ok 1\nnot ok 2\n'), 'pass')
})

test('several documents in one result: each keeps its own plan', () => {
  for (const head of ['TAP version 13\n', '']) {
    const both = read(`${head}1..1\nok 1 - a\n${head}1..2\nok 1 - b\nok 2 - c\n`)
    assert.deepEqual([both.verdict, both.cases.total], ['pass', 3], head)
    const second = read(`${head}1..2\nok 1\nok 2\n${head}1..3\nok 1\n`)
    assert.deepEqual([second.verdict, second.reason], ['fail', '3 cases planned, 1 came'], head)
    const first = read(`${head}1..2\nok 1\n${head}1..2\nok 1\nok 2\n`)
    assert.deepEqual([first.verdict, first.reason], ['fail', '2 cases planned, 1 came'], head)
  }
  assert.equal(verdictOf('TAP version 13\nok 1\n1..1\nTAP version 13\nok 1\nok 2\n1..2\n'), 'pass')
  const inner = '  KTAP version 1\n  1..2\n  ok 1\n  KTAP version 1\n  1..1\n  ok 1\nok 1 - suite\n'
  assert.equal(read(`KTAP version 1\n1..1\n${inner}`).reason, '2 cases planned, 1 came')
})

test('a parent that is not ok fails, also where nothing below it does, and is counted as no case', () => {
  const child = '# Subtest: foo\n    1..1\n    ok 1 - a\n'
  const summary = read(`TAP version 14\n1..1\n${child}not ok 1 - foo\n`)
  assert.deepEqual([summary.verdict, summary.reason], ['fail', 'foo: not ok, though nothing below it failed'])
  assert.deepEqual([summary.cases.total, summary.cases.fail], [1, 0])
  assert.equal(verdictOf(`TAP version 14\n1..1\n${child}not ok 1 - foo # TODO later\n`), 'pass')
  const failing = 'KTAP version 1\n1..1\n  1..1\n    1..1\n    not ok 1 a\n  not ok 1 b\nnot ok 1 c\n'
  assert.equal(read(failing).reason, '1 of 1 cases failed: c > b > a')
  const unplanned = 'KTAP version 1\n1..1\n    1..2\n    ok 1 a\nnot ok 1 c\n'
  assert.equal(read(unplanned).reason, 'c: 2 cases planned, 1 came')
})

test('leaves count, parents do not; names are parent > child, also three levels deep', () => {
  const summary = read(`TAP version 14
1..2
# Subtest: outer
    1..2
    # Subtest: inner
        1..2
        ok 1 - a
        not ok 2 - b
    not ok 1 - inner
    ok 2 - leaf
not ok 1 - outer
ok 2 - alone
`)
  assert.deepEqual(summary.cases, { total: 4, pass: 3, fail: 1, skip: 0, todo: 0 })
  assert.deepEqual(
    summary.caseList.map(({ name, outcome }) => [name, outcome]),
    [
      ['outer > inner > b', 'fail'],
      ['outer > inner > a', 'pass'],
      ['outer > leaf', 'pass'],
      ['alone', 'pass'],
    ],
  )
})

test('a subtest that does not keep its plan fails', () => {
  assert.equal(verdictOf('1..1\n    1..3\n    ok 1\nok 1 - p\n'), 'fail')
})

test('KTAP: time stamps of the kernel are ignored', () => {
  const { cases } = read(
    '[    1.234567] KTAP version 1\n[    1.2] 1..1\n[    1.3]   KTAP version 1\n[    1.4]   1..2\n[    1.5]   ok 1 a\n[    1.6]   ok 2 b # SKIP\n[    1.7] ok 1 suite\n',
  )
  assert.deepEqual(cases, { total: 2, pass: 1, fail: 0, skip: 1, todo: 0 })
})

test('KTAP: levels of the kernel as dmesg -r has them are ignored, with and without a time stamp', () => {
  const raw = (level: number) =>
    `<${level}>[    1.234567] KTAP version 1\n<${level}>[    1.2] 1..1\n<${level}>[    1.3][    T1]   KTAP version 1\n<${level}>[    1.4]   1..2\n<${level}>[    1.5]   ok 1 a\n<${level}>[    1.6]   not ok 2 b\n<${level}>[    1.7] not ok 1 suite\n`
  for (const level of [6, 14, 191]) {
    const { cases, caseList, verdict } = read(raw(level))
    assert.deepEqual(cases, { total: 2, pass: 1, fail: 1, skip: 0, todo: 0 })
    assert.deepEqual([verdict, caseList[0]?.name], ['fail', 'suite > b'])
  }
  assert.equal(read('<6>TAP version 13\n<6>1..1\n<6>not ok 1\n').verdict, 'fail')
  for (const other of ['<6', '<>', '<b>', '<6666>', '<6> <6>', '< 6>']) {
    assert.equal(read(`${other}TAP version 13\n${other}1..1\n${other}not ok 1\n`).verdict, 'pass', other)
  }
})

test('YAML blocks hold no cases; an escaped # is no directive', () => {
  const summary = read(
    'TAP version 14\n1..2\nnot ok 1 - a \\# SKIP\n  ---\n  message: ok 9\n  ok 7 - trap\n  ...\nok 2\n',
  )
  assert.deepEqual(summary.cases, { total: 2, pass: 1, fail: 1, skip: 0, todo: 0 })
  assert.equal(summary.caseList[0]?.name, 'a # SKIP')
  const text = '1..1\nok 1 - a\n  ---\n  output: |\n    not ok 2 - b\n  ok: 1\n  ...\n'
  assert.deepEqual([verdictOf(text), read(text).cases.total], ['pass', 1])
  // One that was cut off ends at the next line that is not part of it.
  assert.equal(read('1..2\nok 1\n  ---\n  at: x\nnot ok 2 - b\n').reason, '1 of 2 cases failed: b')
})

test('a TODO that passes leaves a note', () => {
  const { notes, cases } = read('1..1\nok 1 - a # TODO later\n')
  assert.deepEqual(cases, { total: 1, pass: 1, fail: 0, skip: 0, todo: 0 })
  assert.equal(notes.length, 1)
})

test('JUnit: failures and errors fail, skipped skips, suites and classes name the cases', () => {
  const xml = `<?xml version="1.0"?><testsuites><testsuite name="s&amp;t">
    <testcase name="a" classname="C" time="0.25"/><testcase name="b"><failure message="x &lt; y"/></testcase>
    <testcase name="c"><skipped/></testcase><testcase name="d"><error type="E"><![CDATA[<testcase>]]></error></testcase>
  </testsuite></testsuites>`
  const summary = read('', xml)
  assert.equal(summary.verdict, 'fail')
  assert.deepEqual(summary.cases, { total: 4, pass: 1, fail: 2, skip: 1, todo: 0 })
  assert.deepEqual(summary.caseList[0], { name: 's&t > b', outcome: 'fail', note: 'x < y', durationMs: null })
  assert.deepEqual(summary.caseList.find(({ outcome }) => outcome === 'pass')?.durationMs, 250)
})

test('JUnit: what fails a suite beside its cases, or is counted in its attributes alone, fails', () => {
  const setUp = '<testsuite name="s"><error message="no disk"/><testcase name="a"/></testsuite>'
  assert.deepEqual(read('', setUp).caseList[0], { name: 's', outcome: 'fail', note: 'no disk', durationMs: null })
  assert.deepEqual(read('', setUp).cases, { total: 2, pass: 1, fail: 1, skip: 0, todo: 0 })
  const counted =
    '<testsuites><testsuite name="s" failures="2" errors="0"><testcase name="a"/></testsuite></testsuites>'
  assert.deepEqual([read('', counted).verdict, read('', counted).reason], ['fail', '1 of 2 cases failed: s'])
  assert.match(read('', counted).caseList[0]?.note ?? '', /failures="2"/)
  const both = '<testsuite failures="1" errors="1"><testcase name="a"><failure/></testcase></testsuite>'
  assert.deepEqual(read('', both).cases, { total: 1, pass: 0, fail: 1, skip: 0, todo: 0 })
  // Words of the program are none.
  assert.equal(verdictOf('', '<testsuite failures="0" errors=""><system-out><error/></system-out></testsuite>'), 'pass')
})

test('JUnit that cannot be read is a warning with a note: a DTD, no XML, cut off, another document, too deep', () => {
  const laughs = `<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]><testsuite>&lol2;</testsuite>`
  for (const xml of [
    laughs,
    '',
    'text',
    '<testsuite><testcase',
    '<html></html>',
    '<testsuite>',
    '<testsuite></x></testsuite>',
    `${'<testsuite>'.repeat(200)}`,
  ]) {
    const summary = read('', xml)
    assert.deepEqual([summary.verdict, summary.notes.length, summary.cases.total], ['warn', 1, 0], xml.slice(0, 40))
  }
})

test('a million cases are counted, a thousand kept, failing ones first', () => {
  const reader = createResultReader()
  reader.push(Buffer.from('TAP version 13\n'))
  for (let each = 0; each < 1000; each++)
    reader.push(Buffer.from(`${'ok 1 - fine\n'.repeat(999)}not ok 2 - bad${each}\n`))
  const { cases, caseList, notes, verdict } = reader.summary()
  assert.deepEqual([cases.total, cases.fail, verdict], [1_000_000, 1000, 'fail'])
  assert.equal(caseList.length, 1000)
  assert.ok(caseList.every(({ outcome }) => outcome === 'fail'))
  assert.match(notes.join(), /1000 of 1000000 cases are kept/)
})

test('a line without an end is looked at in bounded memory, counted once, and noted', () => {
  const reader = createResultReader()
  reader.push(Buffer.from('E: '))
  const chunk = Buffer.alloc(1024 * 1024, 0x78)
  for (let each = 0; each < 100; each++) reader.push(chunk)
  const { counts, lines, notes, sizeBytes } = reader.summary()
  assert.equal(counts.error, 1)
  assert.ok((lines[0]?.text.length ?? 0) <= 500)
  assert.match(notes.join(), /longer than 16384 bytes/)
  assert.equal(sizeBytes, 3 + 100 * chunk.length)
})

test('any bytes are read without a throw, and the counts are those of a plain reading', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.constantFrom('E: x\n', 'W: \n', '1..2\n', 'ok\n', '  ok\n', '\n')),
      (bytes, words) => {
        const text = Buffer.concat([bytes, Buffer.from('\n'), Buffer.from(words.join(''))])
        const lines = text.toString('latin1').split('\n')
        const { counts } = read(text)
        assert.equal(counts.error, lines.filter((line) => line.startsWith('E: ')).length)
        assert.equal(counts.warning, lines.filter((line) => line.startsWith('W: ')).length)
      },
    ),
  )
})

test('JUnit: comments, CDATA and instructions with tags inside, byte order mark, Latin-1, values cut to what is kept', () => {
  const odd = `\ufeff<?xml version="1.0"?><!-- <testsuite> -- > --><testsuite name="s"><![CDATA[<testcase ]] ]>]]><?x <a?>
    <testcase name='a&lt;b&#65;&nosuch;'/><system-out>${'long > text '.repeat(1000)}</system-out></testsuite>`
  assert.deepEqual(junitOf(Buffer.from(odd)), {
    counts: { total: 1, pass: 1, fail: 0, skip: 0, todo: 0 },
    cases: [{ name: 's > a<bA&nosuch;', outcome: 'pass', note: '', durationMs: null }],
  })
  const wide = Buffer.from(
    '\ufeff<?xml version="1.0" encoding="UTF-16"?><testsuite><testcase name="caf\xe9 😀"/></testsuite>',
    'utf16le',
  )
  for (const bytes of [wide, Buffer.from(wide).swap16()]) {
    const utf16 = junitOf(bytes)
    assert.ok('cases' in utf16 && utf16.cases[0]?.name === 'café 😀', JSON.stringify(utf16))
  }
  const latin = junitOf(Buffer.from('<testsuite><testcase name="caf\xe9"/></testsuite>', 'latin1'))
  assert.ok('cases' in latin && latin.cases[0]?.name === 'café')
  const long = junitOf(Buffer.from(`<testsuite><testcase name="${'&amp;'.repeat(20_000)}"/></testsuite>`))
  assert.ok('cases' in long && long.cases[0]?.name === '&'.repeat(300))
  for (const [xml, fault] of [
    [`<testsuite><a b="${'x'.repeat(300_000)}"/></testsuite>`, /<a … is not closed/],
    ['<testsuite><!-- x', /comment has no end/],
    ['<testsuite><![CDATA[ x ]>', /CDATA section has no end/],
    ['<testsuite><', /begins no element/],
    ['<testsuite><!ELEMENT', /DTD/],
    ['<testsuite></testsuite><testsuite/>', /begins with <testsuite>/],
    ['just text', /no XML/],
  ] as const) {
    const reader = createJunitReader()
    reader.push(Buffer.from(xml))
    const read = reader.finish()
    assert.ok('fault' in read)
    assert.match(read.fault, fault)
  }
})

test('a TAP document whose plan never came is noted, and nothing else: it may have been cut', () => {
  const noted = /^TAP without a plan/
  const notesOf = (text: string) => read(text).notes.filter((note) => noted.test(note)).length
  const cut = read('TAP version 13\nok 1\nok 2\n')
  assert.deepEqual([cut.verdict, cut.notes.length, cut.cases.total], ['pass', 1, 2])
  assert.match(cut.notes[0] ?? '', noted)
  assert.equal(notesOf('TAP version 14\n'), 1, 'before its first case')
  assert.equal(
    notesOf('TAP version 14\n    1..1\n    ok 1\nok 1 - sub\n'),
    1,
    'the plan of a subtest is none of its own',
  )
  assert.equal(notesOf('TAP version 13\nok 1\nTAP version 13\nok 1\n1..1\n'), 1, 'one of several documents')
  assert.equal(notesOf('TAP version 13\nok 1\nTAP version 13\nok 1\n'), 1, 'said once')
  for (const whole of [
    'TAP version 13\n1..1\nok 1\n',
    'TAP version 13\nok 1\n1..1\n',
    'TAP version 13\n1..0 # SKIP no disk\n',
    'TAP version 13\nok 1\nBail out! no disk\n',
    'KTAP version 1\nok 1 - suite\n',
    'KTAP version 1\n  KTAP version 1\n  1..1\n  ok 1\nok 1 - suite\n',
    'KTAP version 1\n  TAP version 14\n  1..1\n  ok 1\nok 1 - suite\n',
    'ok 1\nok 2\n',
  ]) {
    assert.equal(notesOf(whole), 0, whole)
  }
})
