/**
 * What is said of a boot from the requests that were seen: how far it came, where it stopped, what that means.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type JudgedStep, judgeBoot, trackOf } from '../../src/domain/boot-outcome.ts'

/** `name`, or `name outcome detail…`. */
function steps(...lines: string[]): JudgedStep[] {
  return lines.map((line, at) => {
    const [name = '', outcome = 'done', ...detail] = line.split(' ')
    return { at: at * 1000, name, outcome, detail: detail.join(' '), sizeBytes: 1024, sentBytes: 512 }
  })
}

const config = 'pxelinux.cfg/01-52-54-00-00-00-01'
const cases: readonly [string, readonly JudgedStep[], string | undefined, string, string, RegExp][] = [
  ['it reported', steps('pxelinux.0', config, 'linux', '/localboot/'), 'install', 'pass', 'reported', /^$/],
  ['it was sent to its disk', steps('pxelinux.0', config), 'local', 'pass', 'local disk', /^$/],
  [
    'a transfer broke off',
    steps(config, 'linux timeout no ACK'),
    'install',
    'fail',
    'broke off',
    /^linux stopped after 512 B of 1\.0 KiB: no ACK\. The machine was switched off/,
  ],
  [
    'it got a kernel and was silent',
    steps(config, 'linux'),
    'install',
    'pass',
    'kernel sent',
    /has not reported.*each start boots install again/,
  ],
  [
    'its kernel is not here',
    steps(config, 'a refused', 'a.cbt refused', 'b refused', 'd refused'),
    'x',
    'fail',
    'kernel not found',
    /asked for a, a\.cbt, b and 1 more, which is not here/,
  ],
  [
    'it asked for no kernel',
    steps(config),
    'install',
    'fail',
    'asked for no kernel',
    /got the configuration install and asked for nothing more/,
  ],
  [
    'no system has it',
    steps(`${config} refused no system has it: pxemngr addsystem`),
    undefined,
    'skip',
    'got no answer',
    /default has no next boot.*pxemngr addsystem/,
  ],
  [
    'its loader did not go on',
    steps('pxelinux.0'),
    undefined,
    'fail',
    'asked for no configuration',
    /not for its firmware/,
  ],
  [
    'its loader never arrived',
    steps('pxelinux.0 replaced'),
    undefined,
    'fail',
    'asked for no configuration',
    /never took it/,
  ],
  [
    'DHCP names a file that is not here',
    steps('grub.0 refused no file'),
    undefined,
    'fail',
    'file not found',
    /asked for grub\.0.*DHCP/,
  ],
  ['a file only', steps('vmlinuz'), undefined, 'skip', 'took a file only', /./],
  ['nothing was kept', [], undefined, 'lost', 'not kept', /./],
]

describe('how a boot ended', () => {
  for (const [title, given, profile, verdict, outcome, clue] of cases) {
    test(title, () => {
      const judged = judgeBoot(given, profile, true)
      assert.deepEqual([judged.verdict, judged.outcome], [verdict, outcome])
      assert.match(judged.clue, clue)
    })
  }

  test('while it may go on it is booting, but what is over is over', () => {
    for (const [, given, profile, , outcome] of cases) {
      const over = ['reported', 'local disk', 'broke off', 'not kept'].includes(outcome)
      assert.equal(judgeBoot(given, profile, false).outcome, over ? outcome : 'booting')
    }
  })

  test('names that a machine sent are made visible in the clue', () => {
    const { clue } = judgeBoot(steps('\u202egnp.0 refused'), undefined, true)
    assert.match(clue, /‹U\+202E›gnp\.0/)
  })
})

describe('the stages of a boot', () => {
  const said = (given: readonly JudgedStep[], profile?: string) =>
    trackOf(given, profile).map(({ name, atMs, reached }) => (reached ? `${name} ${atMs}` : `no ${name}`))

  test('each stage by its first request that was answered', () => {
    const all = steps('pxelinux.0 probe', 'pxelinux.0', 'ldlinux.c32', config, 'linux', 'initrd.gz', '/localboot/')
    assert.deepEqual(said(all, 'install'), [
      ...['loader 1000', 'configuration 3000', 'kernel 4000', 'initrd 5000', 'report 6000'],
    ])
  })

  test('the stage that is missing is named: a kernel after a configuration, unless it was for the disk', () => {
    assert.deepEqual(said(steps('pxelinux.0')), ['loader 0', 'no configuration'])
    assert.deepEqual(said(steps('pxelinux.0', config), 'install'), ['loader 0', 'configuration 1000', 'no kernel'])
    assert.deepEqual(said(steps('pxelinux.0', config), 'local'), ['loader 0', 'configuration 1000'])
    assert.deepEqual(said([]), ['no configuration'])
  })

  test('an image that is read alone is the kernel', () => {
    assert.deepEqual(said(steps(config, 'live.img'), 'live'), ['configuration 0', 'kernel 1000'])
  })
})
