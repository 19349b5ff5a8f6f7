/**
 * Which files a profile makes a machine fetch. Source: the syslinux wiki (KERNEL, INITRD, UI, "server::file").
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filesNeeded, initrdsOf } from '../../src/domain/boot-files.ts'
import { parseProfile } from '../../src/domain/profile.ts'
import { selectLabel } from '../../src/domain/selection.ts'

const url = 'http://10.0.0.1:8000'

function needed(...lines: string[]): (string | [string, string | undefined])[] {
  const profile = parseProfile(lines.join('\n'))
  return filesNeeded(profile, selectLabel(profile)?.label, url).map(({ name, path }) =>
    name === path ? name : [name, path],
  )
}

test('kernel and initrds of the entry that boots, and of no other', () => {
  const two = ['default b', 'label a', 'kernel ka', 'label b', 'kernel kb', 'append quiet initrd=i1,i2 ro']
  assert.deepEqual(needed(...two), ['kb', 'i1', 'i2'])
  assert.deepEqual(needed('label a', 'kernel k', 'initrd i1', 'append x initrd=i0 initrd=i2'), ['k', 'i2'])
  assert.deepEqual(needed('label a', 'linux k', 'initrd i1,i1'), ['k', 'i1'])
  assert.deepEqual(needed('label a', 'kernel k initrd=i', 'fdt board.dtb'), ['k', 'i', 'board.dtb'])
})

test('menu programs and included files are fetched too, a local boot fetches nothing', () => {
  const menu = ['default vesamenu.c32', 'menu include more.cfg', 'label a', 'menu default', 'kernel k']
  assert.deepEqual(needed(...menu), ['vesamenu.c32', 'more.cfg', 'k'])
  assert.deepEqual(needed('ui menu.c32 extra', 'include other.cfg', 'label a', 'kernel k'), [
    'menu.c32',
    'other.cfg',
    'k',
  ])
  assert.deepEqual(needed('default l', 'label l', 'localboot 0', 'kernel k'), [])
  assert.deepEqual(needed(''), [])
})

test('what another server has is no file of ours; our own URLs are', () => {
  assert.deepEqual(
    needed('label a', `kernel ${url}/boot/deb%20ian/linux?x=1`, 'initrd http://other/i,10.0.0.9::i,::j'),
    [
      [`${url}/boot/deb%20ian/linux?x=1`, 'deb ian/linux'],
      ['http://other/i', undefined],
      ['10.0.0.9::i', undefined],
      ['::j', 'j'],
    ],
  )
  assert.deepEqual(needed('label a', `kernel ${url}/boot/%zz`), [[`${url}/boot/%zz`, '%zz']])
  assert.deepEqual(needed('label a', `kernel ${url}/profile/`), [[`${url}/profile/`, undefined]])
})

test('the last initrd= counts, an empty one takes all away', () => {
  const initrds = (text: string) => {
    const [label] = parseProfile(text).labels
    assert.ok(label)
    return initrdsOf(label)
  }
  assert.deepEqual(initrds('label a\nkernel k\ninitrd i\nappend initrd='), [])
  assert.deepEqual(initrds('label a\nkernel k\nappend noinitrd=1 xinitrd=2'), [])
})
