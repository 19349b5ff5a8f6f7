import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Mac } from '../../../src/domain/address.ts'
import { dialects } from '../../../src/domain/loaders/index.ts'
import { renderIpxe } from '../../../src/domain/loaders/ipxe.ts'

const context = { profile: 'install', url: 'http://10.0.0.1:8000', mac: '52:54:00:ab:cd:ef' as Mac }
const render = (text: string, mac: Mac | undefined = context.mac) => renderIpxe(text, { ...context, mac })
/** Lines after `#!ipxe` and the empty one. */
const body = (text: string) => render(text).split('\n').slice(2, -1)

it('a profile that is an iPXE script itself stays as it is', () => {
  const script = '#!ipxe\ndhcp\nchain http://10.0.0.9/menu.ipxe || shell\n'
  assert.equal(render(script), script)
  assert.match(render('#!ipxes\n'), /it has no LABEL/)
})

describe('M7: iPXE scripts of ordinary profiles', () => {
  it('kernel and initrd by /boot/, the initrd named on the kernel line for EFI', () => {
    assert.equal(
      render('default i\nlabel i\nkernel debian/vmlinuz\nappend initrd=debian/initrd.gz quiet\n'),
      '#!ipxe\n\n' +
        'kernel http://10.0.0.1:8000/boot/debian/vmlinuz initrd=initrd.gz quiet\n' +
        'initrd http://10.0.0.1:8000/boot/debian/initrd.gz\n' +
        'boot\n',
    )
  })

  it('initrd= may stand anywhere in APPEND, and a value with = before it is no initrd', () => {
    assert.deepEqual(body('default i\nlabel i\nkernel k\nappend root=/dev/sda initrd=i.img quiet'), [
      'kernel http://10.0.0.1:8000/boot/k initrd=i.img root=/dev/sda quiet',
      'initrd http://10.0.0.1:8000/boot/i.img',
      'boot',
    ])
  })

  it('APPEND without initrd, with nothing behind it, LINUX, tabs and no APPEND at all', () => {
    assert.deepEqual(body('default i\nlabel i\n\tlinux\tk'), ['kernel http://10.0.0.1:8000/boot/k', 'boot'])
    assert.equal(body('default i\nlabel i\nkernel  k\nappend quiet')[0], 'kernel http://10.0.0.1:8000/boot/k quiet')
    assert.equal(body('default i\nlabel i\nkernel k\nappend initrd=i')[1], 'initrd http://10.0.0.1:8000/boot/i')
  })

  it('an INITRD line and several initrds, each with a name of its own', () => {
    assert.deepEqual(body('default i\nlabel i\nkernel k\ninitrd a/i.img,b/i.img,c/d e.img\nappend q'), [
      'kernel http://10.0.0.1:8000/boot/k initrd=i.img initrd=initrd1.img initrd=initrd2.img q',
      'initrd http://10.0.0.1:8000/boot/a/i.img',
      'initrd --name initrd1.img http://10.0.0.1:8000/boot/b/i.img',
      'initrd --name initrd2.img http://10.0.0.1:8000/boot/c/d%20e.img',
      'boot',
    ])
  })

  it('absolute URLs are kept, other servers by TFTP, leading slashes dropped', () => {
    assert.equal(body('default i\nlabel i\nkernel https://x.example/k?a=1')[0], 'kernel https://x.example/k?a=1')
    assert.equal(body('default i\nlabel i\nkernel 10.0.0.9::dir/k')[0], 'kernel tftp://10.0.0.9/dir/k')
    assert.equal(body('default i\nlabel i\nkernel ::/dir//k')[0], 'kernel http://10.0.0.1:8000/boot/dir/k')
    assert.equal(body('default i\nlabel i\nkernel \\Boot\\k')[0], 'kernel http://10.0.0.1:8000/boot/Boot/k')
  })

  it('two labels and one empty line: the right kernel', () => {
    const text = 'default b\nlabel a\nkernel ka\nappend initrd=ia\n\nlabel b\nkernel kb\nappend initrd=ib\n'
    assert.match(render(text), /boot\/kb initrd=ib\n/)
    assert.doesNotMatch(render(text), /ka|ia/)
  })

  it('the global APPEND counts, APPEND - is none', () => {
    assert.equal(body('append q\ndefault i\nlabel i\nkernel k')[0], 'kernel http://10.0.0.1:8000/boot/k q')
    assert.equal(body('append q\ndefault i\nlabel i\nkernel k\nappend -')[0], 'kernel http://10.0.0.1:8000/boot/k')
  })

  it('IPAPPEND 2 gives BOOTIF by the known MAC, else by iPXE’s own', () => {
    const text = 'default i\nlabel i\nkernel k\nipappend 2'
    assert.match(render(text), /boot\/k BOOTIF=01-52-54-00-ab-cd-ef\n/)
    assert.ok(renderIpxe(text, { ...context, mac: undefined }).includes('BOOTIF=01-$' + '{net0/mac:hexhyp}\n'))
    assert.match(
      render('default i\nlabel i\nkernel k\nsysappend 11'),
      /echo pxemngr: .*SYSAPPEND.*\nkernel .* ip=.* BOOTIF=/,
    )
  })
})

describe('iPXE scripts of local boot', () => {
  const local = (drive: string) => [
    'iseq $' + '{platform} efi && goto efi ||',
    `sanboot --no-describe --drive ${drive}`,
    ':efi',
    'exit 1',
  ]

  it('LOCALBOOT is the first disk on BIOS and an error exit on EFI', () => {
    assert.deepEqual(body('default 0\nlabel 0\nLOCALBOOT 0'), local('0x80'))
    for (const same of ['4', '5', '0x80', '', 'x'])
      assert.deepEqual(body(`default 0\nlabel 0\nlocalboot ${same}`), local('0x80'))
    assert.deepEqual(body('default 0\nlabel 0\nlocalboot 1'), local('0x81'))
  })

  it('LOCALBOOT -1 asks the firmware for its next device', () => {
    assert.deepEqual(body('default 0\nlabel 0\nlocalboot -1'), ['exit 1'])
  })

  it('chain.c32 hd1 is the second disk', () => {
    assert.deepEqual(body('default c\nlabel c\ncom32 chain.c32\nappend hd1'), local('0x81'))
  })
})

describe('what cannot be put into iPXE', () => {
  it('is said in an echo, and the script fails where nothing boots', () => {
    for (const text of [
      '',
      'default x',
      'label a',
      'default a\nlabel a\nkernel mboot.c32',
      'default a\nlabel a\nconfig x',
    ]) {
      const script = render(text)
      if (text === 'default x') assert.match(script, /kernel http:\/\/10.0.0.1:8000\/boot\/x\n/)
      else assert.match(script, /^#!ipxe\n\n(echo pxemngr: profile install: .*\n)+exit 1\n$/)
    }
  })

  it('words that iPXE takes for its own are left out, and said', () => {
    const lines = body('default i\nlabel i\nkernel k\nappend a || b #c ; d#e')
    assert.equal(lines.at(-2), 'kernel http://10.0.0.1:8000/boot/k a b d#e')
    assert.equal(lines.filter((line) => line.startsWith('echo ')).length, 3)
  })

  it('file names with blanks, dollars and signs cannot start a command or a setting', () => {
    const hostile = 'default i\nlabel i\nkernel $' + "{net0/mac}'&&reboot;(x)\nappend q"
    assert.equal(body(hostile)[0], 'kernel http://10.0.0.1:8000/boot/%24%7Bnet0/mac%7D%27%26%26reboot%3B%28x%29 q')
  })

  it('any text gives a script of known commands only, each echo plain', () => {
    const known =
      /^(#!ipxe|kernel \S+( \S+)*|initrd( --name \S+)? \S+|boot|exit 1|chain \S+|reboot|poweroff|echo pxemngr: [A-Za-z0-9 ._:/=,+@?-]*|iseq .*|sanboot .*|:efi|)$/
    const keyword = fc.constantFrom(
      'label a',
      'default a',
      'kernel',
      'append',
      'initrd',
      'ipappend 3',
      'localboot',
      'fdt',
    )
    const line = fc
      .tuple(keyword, fc.string({ unit: 'binary', maxLength: 30 }))
      .map(([k, v]) => `${k} ${v.replaceAll('\n', '')}`)
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        for (const written of render(`default a\n${lines.join('\n')}`).split('\n')) assert.match(written, known)
      }),
    )
  })
})

describe('the PXELINUX dialect', () => {
  it('leaves the bytes as they are, whatever they hold', () => {
    const bytes = Uint8Array.of(0, 255, 10, 13, 60, 37)
    assert.equal(dialects.pxelinux.render(bytes, context), bytes)
  })
})
