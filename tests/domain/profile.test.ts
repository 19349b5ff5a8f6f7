import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseProfile } from '../../src/domain/profile.ts'
import { selectLabel } from '../../src/domain/selection.ts'

const ordinary = `# install
prompt 0
timeout 0
default install

label install
  kernel debian/vmlinuz
  append initrd=debian/initrd.gz quiet

LABEL rescue
\tLINUX\trescue/vmlinuz
\tINITRD a.img,b.img
\tIPAPPEND 2
`

describe('a PXELINUX profile read into labels', () => {
  it('reads keywords in any case, with blanks or tabs, and skips comments', () => {
    const profile = parseProfile(ordinary)
    assert.deepEqual(profile.faults, [])
    assert.equal(profile.defaultLine, 'install')
    assert.equal(profile.prompt, false)
    const [install, rescue] = profile.labels
    assert.deepEqual(install?.kernel, { kind: 'linux', file: 'debian/vmlinuz', args: '' })
    assert.equal(install?.append, 'initrd=debian/initrd.gz quiet')
    assert.equal(rescue?.kernel?.file, 'rescue/vmlinuz')
    assert.deepEqual(rescue?.initrds, ['a.img', 'b.img'])
    assert.equal(rescue?.sysappend, 2)
    assert.equal(rescue?.line, 10)
  })

  it('CR LF, a byte order mark and no newline at the end make no difference', () => {
    const crlf = parseProfile(`\ufeff${ordinary.replaceAll('\n', '\r\n').trimEnd()}`)
    assert.deepEqual(crlf, parseProfile(ordinary))
  })

  it('a label’s APPEND replaces the global one, APPEND - means none', () => {
    const profile = parseProfile(
      'append quiet\nipappend 2\nlabel a\nlabel b\nappend x=1\nsysappend 0\nlabel c\nappend -\n',
    )
    assert.deepEqual(
      profile.labels.map((label) => [label.append, label.sysappend]),
      [
        ['quiet', 2],
        ['x=1', 0],
        ['', 2],
      ],
    )
  })

  it('TEXT HELP is skipped up to ENDTEXT, even where it looks like directives', () => {
    const profile = parseProfile('label a\nkernel k\ntext help\n  label evil\n  kernel evil\nendtext\nappend q\n')
    assert.equal(profile.labels.length, 1)
    assert.equal(profile.labels[0]?.append, 'q')
  })

  it('LOCALBOOT takes decimal, hex, minus and nothing', () => {
    const of = (value: string) => parseProfile(`label a\nlocalboot ${value}`).labels[0]?.localboot
    assert.deepEqual([of('0'), of('-1'), of('0x80'), of('')], [0, -1, 0x80, 0])
  })

  it('FDT, UI, MENU DEFAULT, ONTIMEOUT and INCLUDE are noted', () => {
    const profile = parseProfile(
      'UI menu.c32\nTIMEOUT 50\nONTIMEOUT b\nINCLUDE more.cfg\nMENU INCLUDE look.cfg\nlabel b\nMENU DEFAULT\nFDT x.dtb\n',
    )
    assert.equal(profile.ui, 'menu.c32')
    assert.equal(profile.timeout, 50)
    assert.equal(profile.onTimeout, 'b')
    assert.deepEqual(profile.includes, [
      { line: 4, text: 'more.cfg' },
      { line: 5, text: 'look.cfg' },
    ])
    assert.equal(profile.labels[0]?.menuDefault, true)
    assert.equal(profile.labels[0]?.deviceTree, 'x.dtb')
  })

  it('what is not understood is noted with its line', () => {
    const profile = parseProfile('kernel early\nlabel a\nfrobnicate 1\nlocalboot one\nlabel a\ntext help\nno end')
    assert.deepEqual(
      profile.faults.map((fault) => fault.line),
      [1, 3, 4, 5, 6],
    )
    assert.match(profile.faults[1]?.text ?? '', /unknown keyword frobnicate/)
    assert.match(profile.faults[4]?.text ?? '', /TEXT without ENDTEXT/)
  })

  it('never throws, whatever the text, and is done in time on a line of blanks', () => {
    const word = fc.constantFrom(
      'label',
      'APPEND',
      'default',
      'text help',
      'endtext',
      '-',
      '\r',
      '\t',
      '\n',
      '#',
      '0x',
      'ui',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string({ unit: 'binary' })), { maxLength: 40 }), (parts) => {
        const profile = parseProfile(parts.join(' '))
        selectLabel(profile)
        for (const fault of profile.faults) assert.ok(fault.line >= 1)
      }),
    )
    const before = process.cpuUsage()
    parseProfile(`append ${' '.repeat(1_000_000)}x`)
    assert.ok(process.cpuUsage(before).user < 2_000_000)
  })
})

describe('the entry that boots by itself', () => {
  const select = (text: string) => selectLabel(parseProfile(text))
  const two = 'label a\nkernel ka\n\nlabel b\nkernel kb\n'

  it('M7: two labels and one empty line: the one named by DEFAULT', () => {
    assert.equal(select(`default a\n${two}`)?.label.kernel?.file, 'ka')
    assert.equal(select(`default b\n${two}`)?.label.kernel?.file, 'kb')
    assert.deepEqual(select(`default b\n${two}`)?.remarks, [])
  })

  it('labels are matched by exact case, words after a label are added to its arguments', () => {
    assert.equal(select(`default B\n${two}`)?.label.kernel?.file, 'B')
    assert.equal(select(`default b single\n${two}append q\n`)?.label.append, 'q single')
  })

  it('labels may contain blanks, and be called path, kernel or default', () => {
    assert.equal(select('default my os\nlabel my os\nkernel k')?.label.kernel?.file, 'k')
    for (const name of ['path', 'kernel', 'default', '__proto__', 'constructor']) {
      assert.equal(select(`default ${name}\nlabel ${name}\nkernel k`)?.label.kernel?.file, 'k')
    }
  })

  it('DEFAULT may be a command line, which gets the global APPEND', () => {
    const selection = select('append console=ttyS0\ndefault vmlinuz root=/dev/sda1')
    assert.equal(selection?.label.kernel?.file, 'vmlinuz')
    assert.equal(selection?.label.append, 'console=ttyS0 root=/dev/sda1')
  })

  it('a menu boots MENU DEFAULT, and ONTIMEOUT where it has a time to wait', () => {
    assert.equal(select(`ui vesamenu.c32\n${two}menu default\n`)?.label.name, 'b')
    assert.equal(select(`default menu.c32\n${two}menu default\n`)?.label.name, 'b')
    assert.equal(select(`default menu.c32\ntimeout 50\nontimeout a\n${two}menu default\n`)?.label.name, 'a')
    assert.equal(select(`default menu.c32\nontimeout a\n${two}menu default\n`)?.label.name, 'b')
    assert.match(select(`ui menu.c32\n${two}`)?.remarks.join() ?? '', /menu is not shown/)
  })

  it('without DEFAULT the first label, with a remark; without labels none', () => {
    assert.equal(select(two)?.label.name, 'a')
    assert.match(select(two)?.remarks.join() ?? '', /no DEFAULT/)
    assert.equal(select('prompt 0\n'), undefined)
  })
})
