/**
 * The shipped loop (`/script/run.sh`) on this machine, with curl, against the built executable: what a script wrote, and how
 * it ended, is the result. Source: RUNS "Machine URLs" (`/script/run.sh`), "Times" (watchdog).
 */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { lacking } from '../harness/debian.mjs'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { start } from '../harness/process.ts'

const missing = lacking(['curl'])

describe('run.sh', { skip: missing.length > 0 ? `needs ${missing.join(' ')}` : false }, () => {
  let daemon: RunningDaemon
  let dir: string
  let loop: string

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'pxemngr-loop-'))
    daemon = await serve()
    await daemon.must('addsystem', 'here', '127.0.0.1')
    script('plain', 'echo "V: 7"\necho "I: $PXEMNGR_RUN"\nprintf "a\\000b\\n"\nexit 3\n')
    script('skipped', 'exit 77\n')
    script('late', `# pxemngr: timeout=2s\nsleep 600\n`)
    await daemon.must('synctestnames')
    loop = join(dir, 'run.sh')
    writeFileSync(loop, await (await fetch(`${daemon.url}/script/run.sh`)).text())
    chmodSync(loop, 0o755)
  })
  after(async () => {
    await daemon.close()
    rmSync(dir, { recursive: true, force: true })
  })

  function script(name: string, text: string): void {
    writeFileSync(join(daemon.dataDir, 'tests', `${name}.test`), `#!/bin/sh\n${text}`)
  }

  const request = async (name: string): Promise<number> => {
    const { runs } = JSON.parse(await daemon.must('nexttest', 'here', name, '--json')) as { runs: { id: number }[] }
    return runs[0]?.id ?? 0
  }
  const show = async (run: number) =>
    JSON.parse(await daemon.must('show', String(run), '--json')) as {
      state: string
      verdict: string
      version: string
      exit: number
      reason: string
      late: boolean
      counts: { info: number }
    }

  const once = (spool: string) =>
    start(['/bin/sh', loop, '--once', '--spool', join(dir, spool), daemon.url], {
      env: { PATH: process.env['PATH'] ?? '' },
    })

  test('what a script wrote and how it ended is the result', async () => {
    const [plain, skipped] = [await request('plain'), await request('skipped')]
    for (let each = 0; each < 2; each++) await once('a').ended
    const { state, verdict, version, exit, counts } = await show(plain)
    assert.deepEqual([state, verdict, version, exit, counts.info], ['done', 'fail', '7', 3, 1])
    assert.match(await daemon.must('log', String(plain)), new RegExp(`^I: ${plain}$`, 'm'))
    assert.equal((await show(skipped)).verdict, 'skip')
  })

  test('the watchdog ends a script that takes too long', async () => {
    const run = await request('late')
    await once('b').ended
    const { verdict } = await show(run)
    assert.equal(verdict, 'fail')
  })
})
