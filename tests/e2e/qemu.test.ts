/**
 * Real machines boot through the executable: SeaBIOS and OVMF in QEMU, real loaders, a real kernel, a local disk.
 *
 * Judged by each machine's serial console (the token on the kernel command line says which profile booted, the disk shows
 * a marker) and by the daemon's own record. No MAC is in any URL: the neighbour table tells machines apart.
 * Source: CONTRACT "TFTP", "What machines ask over HTTP"; QEMU.md for what firmware does.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { type BootLab, bootLabFault, type GuestFiles, makeGuestFiles, withBootLab } from '../harness/bootlab.ts'
import type { RunningDaemon } from '../harness/executable.ts'

/** MACs with letters: a server that answered upper-case names would pass with digits only. */
const bios = '52:54:00:ab:cd:e1'
const uefi = '52:54:00:ab:cd:e2'

interface System {
  readonly name: string
  readonly next: string | null
  readonly history: readonly { readonly profile: string; readonly by: string }[]
}

interface Transfer {
  readonly client: string
  readonly name: string
  readonly sizeBytes: number | null
  readonly sentBytes: number
  readonly outcome: string
  readonly options: Readonly<Record<string, number>>
}

const show = async (daemon: RunningDaemon, name: string): Promise<System> =>
  (await daemon.json('dpysystem', name)) as System

/** Oldest first. */
async function transfers(daemon: RunningDaemon): Promise<Transfer[]> {
  const status = (await daemon.json('status', '--transfers')) as { transfers: Transfer[] }
  return status.transfers.toReversed()
}

/** Names that were sent whole, in order, each once. */
function sent(list: readonly Transfer[]): string[] {
  const whole = list.filter(({ outcome, sizeBytes, sentBytes }) => outcome === 'done' && sentBytes === sizeBytes)
  return [...new Set(whole.map(({ name }) => name))]
}

const configName = (mac: string): string => `pxelinux.cfg/01-${mac.replaceAll(':', '-')}`

describe('a real machine', { concurrency: 2 }, () => {
  let dir: string
  let guest: GuestFiles | undefined
  let fault: string | undefined

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'pxemngr-guest-'))
    fault = bootLabFault()
    if (fault) return
    try {
      guest = await makeGuestFiles(dir)
    } catch (error) {
      fault = `needs Debian's cloud kernel: ${error instanceof Error ? error.message : String(error)}`
    }
  })
  after(() => rmSync(dir, { recursive: true, force: true }))

  const inLab = async (t: TestContext, use: (lab: BootLab) => Promise<void>): Promise<void> => {
    if (guest) await withBootLab(guest, use)
    else t.skip(fault ?? 'no guest')
  }

  it('boots by SeaBIOS and pxelinux.0 into its profile, reports, and boots its local disk', (t) =>
    inLab(t, async (lab) => {
      const { daemon } = lab
      const install = await lab.profile('install')
      const other = await lab.profile('other')
      await daemon.must('addsystem', 'web01', bios)
      await daemon.must('nextboot', 'web01', 'install')
      await daemon.must('nextboot', 'default', 'other')
      const machine = lab.machine(bios, 'bios')
      const [, bootif] = await machine.expect(new RegExp(`guest: token=${install.token} bootif=(\\S+)`))
      assert.equal(bootif, '01-52-54-00-ab-cd-e1')
      await machine.expect(/guest: profile=install\r?\n/)
      await machine.expect(/guest: report=Next boot set to local tries=1\r?\n/)
      await machine.expect(new RegExp(`disk: ${machine.marker}`))
      assert.ok(!machine.serial().includes(other.token), 'it booted the default profile in between')

      const system = await show(daemon, 'web01')
      assert.equal(system.next, 'local')
      assert.deepEqual(
        system.history.map(({ profile }) => profile),
        ['local', 'install'],
      )
      const names = sent(await transfers(daemon))
      assert.deepEqual(names, ['pxelinux.0', 'ldlinux.c32', configName(bios), 'vmlinuz', 'initrd.gz'])
      assert.match(await daemon.must('history', 'web01'), /next boot install\n(.*\n)*.*next boot local/)
    }))

  it('boots by OVMF and syslinux.efi into its profile, reports, and goes on to its local disk', (t) =>
    inLab(t, async (lab) => {
      const { daemon } = lab
      const install = await lab.profile('install')
      await daemon.must('addsystem', 'web02', uefi)
      await daemon.must('nextboot', 'web02', 'install')
      const machine = lab.machine(uefi, 'uefi')
      const [, bootif] = await machine.expect(new RegExp(`guest: token=${install.token} bootif=(\\S+)`))
      assert.equal(bootif, '01-52-54-00-ab-cd-e2')
      await machine.expect(/guest: profile=install\r?\n/)
      await machine.expect(/guest: report=Next boot set to local tries=1\r?\n/)
      await machine.expect(new RegExp(`disk: ${machine.marker}`))

      assert.equal((await show(daemon, 'web02')).next, 'local')
      const list = await transfers(daemon)
      assert.deepEqual(sent(list), ['syslinux.efi', 'ldlinux.e64', configName(uefi), 'vmlinuz', 'initrd.gz'])
      const [probe] = list
      assert.equal(probe?.outcome, 'probe', "the firmware's first request only asks the size, and is no error")
      const loader = list.find(({ name, outcome }) => name === 'syslinux.efi' && outcome === 'done')
      assert.equal(loader?.options['windowsize'], 4, 'OVMF asks for windows of 4')
    }))

  it('that no system has gets the default profile, and after its report its local disk', (t) =>
    inLab(t, async (lab) => {
      const { daemon } = lab
      const rescue = await lab.profile('rescue')
      await daemon.must('nextboot', 'default', 'rescue')
      const machine = lab.machine(bios, 'bios')
      await machine.expect(new RegExp(`guest: token=${rescue.token} `))
      await machine.expect(/guest: profile=rescue\r?\n/)
      await machine.expect(/guest: report=Next boot set to local tries=1\r?\n/)
      await machine.expect(new RegExp(`disk: ${machine.marker}`))

      assert.equal((await show(daemon, 'default')).next, 'rescue', "its report is its own, not everybody's")
      const list = await transfers(daemon)
      const asked = list.map(({ name }) => name).filter((name) => name.startsWith('pxelinux.cfg/'))
      assert.equal(asked[0], configName(bios))
      assert.ok(asked.includes('pxelinux.cfg/default'), asked.join(' '))
      assert.equal(asked.at(-1), configName(bios), 'the second boot is answered by its MAC: what it reported')
      const refusal = list.find(({ name }) => name === configName(bios))
      assert.equal(refusal?.outcome, 'refused')
    }))

  it('asks for its test once it has reported, runs it by the shipped loop, uploads, and its result is on the page', (t) =>
    inLab(t, async (lab) => {
      const { daemon } = lab
      await lab.profile('install', { tests: true })
      await daemon.must('addsystem', 'web04', bios)
      await daemon.must('nextboot', 'web04', 'install')
      const secret = randomBytes(6).toString('hex')
      writeFileSync(
        join(daemon.dataDir, 'tests', 'burnin.test'),
        `# pxemngr: timeout=5m
echo "V: 4.2"
echo "I: ${secret} on <%= system %> <%= mac %>, kernel $(uname -s)"
printf 'W: a NUL \\000 in between\\n'
echo "M: boot 12.5 s"
exit 3
`,
      )
      await daemon.must('synctestnames')
      const { runs } = (await daemon.json('nexttest', 'web04', 'burnin')) as { runs: { id: number }[] }
      const run = runs[0]?.id ?? 0
      const machine = lab.machine(bios, 'bios')
      await machine.expect(/guest: report=Next boot set to local tries=1\r?\n/)
      await machine.expect(new RegExp(`run\\.sh: run ${run}: uploaded, X: 3\\r?\\n`))
      await machine.expect(/guest: loop=0 left=\r?\n/)
      await machine.expect(new RegExp(`disk: ${machine.marker}`))

      const line = `${secret} on web04 ${bios}, kernel Linux`
      assert.match(await daemon.must('log', String(run)), new RegExp(`^V: 4\\.2\nI: ${line}\n(.*\n)*X: 3\n$`))
      const shown = await daemon.json('results', 'web04', '--version', '4.2')
      const [result, ...more] = (shown as { runs: Record<string, unknown>[] }).runs
      assert.deepEqual([more.length, result?.['id'], result?.['test'], result?.['verdict']], [0, run, 'burnin', 'fail'])
      assert.deepEqual([result?.['exit'], result?.['late'], result?.['attempt']], [3, false, 1])
      assert.deepEqual(result?.['counts'], { info: 2, warning: 1, error: 0 })
      const page = await lab.page(`/test/${run}/`)
      assert.equal(page.status, 200)
      for (const text of [line, 'burnin', 'web04', '4.2', 'fail']) assert.ok(page.text.includes(text), `no ${text}`)
      assert.ok((await lab.page(`/testcontent/${run}/`)).text.includes(line))
    }))

  it('keeps to its own profile while another boots at the same time', (t) =>
    inLab(t, async (lab) => {
      const { daemon } = lab
      const profiles = [await lab.profile('one'), await lab.profile('two')]
      const macs = ['52:54:00:ab:cd:a1', '52:54:00:ab:cd:a2']
      for (const [index, mac] of macs.entries()) {
        await daemon.must('addsystem', `m${index}`, mac)
        await daemon.must('nextboot', `m${index}`, profiles[index]?.name ?? '')
      }
      const machines = macs.map((mac) => lab.machine(mac, 'bios'))
      await Promise.all(
        machines.map(async (machine, index) => {
          const { name, token } = profiles[index] ?? assert.fail()
          await machine.expect(new RegExp(`guest: token=${token} `))
          await machine.expect(new RegExp(`guest: profile=${name}\\r?\\n`))
          await machine.expect(/guest: report=Next boot set to local tries=1\r?\n/)
          await machine.expect(new RegExp(`disk: ${machine.marker}`))
        }),
      )
      for (const index of [0, 1]) {
        const { next, history } = await show(daemon, `m${index}`)
        assert.equal(next, 'local')
        assert.equal(history.length, 2, 'one decision by hand, one by its own report')
      }
    }))

  it('is not forgotten by a server killed before its report and again before its next boot', (t) =>
    inLab(t, async (lab) => {
      const install = await lab.profile('install', { gate: true })
      await lab.daemon.must('addsystem', 'web03', bios)
      await lab.daemon.must('nextboot', 'web03', 'install')
      const machine = lab.machine(bios, 'bios')
      await machine.expect(new RegExp(`guest: token=${install.token} `))
      await machine.expect(/guest: may it report\?\r?\n/)

      await lab.daemon.kill()
      machine.send('report')
      await machine.expect(/guest: report failed, try 1\r?\n/)
      await lab.start()
      assert.equal((await show(lab.daemon, 'web03')).next, 'install', 'what was decided before the kill holds')
      const [, tries] = await machine.expect(/guest: report=Next boot set to local tries=(\d+)\r?\n/)
      assert.ok(Number(tries) > 1, 'the report came through on a later try')
      await machine.expect(/guest: may it reboot\?\r?\n/)

      await lab.daemon.kill()
      await lab.start()
      assert.equal((await show(lab.daemon, 'web03')).next, 'local', 'an acknowledged report survives the kill')
      machine.send('reboot')
      await machine.expect(new RegExp(`disk: ${machine.marker}`))
      assert.deepEqual(sent(await transfers(lab.daemon)), ['pxelinux.0', 'ldlinux.c32', configName(bios)])
    }))
})
