/**
 * The shipped loop (`/script/run.sh`) against the built executable, on machines with curl, with GNU's wget and with busybox
 * alone: what a script wrote, and how it ended, is the result, whatever the script does.
 *
 * Away servers, kills and full disks are in loop-faults.test.ts. Source: RUNS "Machine URLs" (`/script/run.sh`), "Times"
 * (watchdog).
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { kindFault, type LoopKind, type LoopLab, loopKinds, openLoopLab, stepMs } from '../harness/loop.ts'
import { nothingLives } from '../harness/loop-script.ts'
import { until, within } from '../harness/process.ts'

/** Blanks, quotes, what shells, curl's forms and wget take for their own. */
const hostileSpool = ` it's a "spool"; $(false) [a-b]*,\\n;type=x & é `

/** A script as there were before the loop: it sends its result itself, here with what the machine has. */
function ownUpload(kind: LoopKind): string {
  const head = 'Content-Disposition: form-data; name="file"; filename="out"'
  const send =
    kind === 'curl'
      ? 'curl -s -f -F "file=@out" "<%= upload_url %>"'
      : `printf -- '--xyz\\r\\n${head}\\r\\n\\r\\n%s\\r\\n--xyz--\\r\\n' "$(cat out; echo .)" > form
wget -q -O - --header 'Content-Type: multipart/form-data; boundary=xyz' --post-file form '<%= upload_url %>'`
  return `echo "I: my own" > out\n${send}\n`
}

describe('run.sh', { concurrency: loopKinds.length }, () => {
  for (const kind of loopKinds) {
    describe(`with ${kind}`, { skip: kindFault(kind) ?? false, concurrency: 1 }, () => {
      let lab: LoopLab
      before(async () => {
        lab = await openLoopLab()
      })
      after(() => lab.close())

      /** One script by one loop; its run, and what the loop said. */
      const runOnce = async (name: string, text: string, spool = 'spool') => {
        await lab.script(name, text)
        const run = await lab.request(name)
        const loop = lab.loop(kind, { spool })
        const { status, stderr } = await within(
          loop.ended,
          stepMs,
          () => `the loop does not end:\n${loop.written.stderr}`,
        )
        assert.equal(status, 0, stderr)
        return { run, shown: await lab.show(run), text: lab.log(run).toString('latin1'), said: stderr }
      }

      test('what a script wrote, both streams, and its exit status are the result', async () => {
        const words = 'echo "V: 7"; echo "I: $PXEMNGR_LOOP $PXEMNGR_RUN $PXEMNGR_URL"; echo "W: err" >&2; exit 3\n'
        const { run, shown, text } = await runOnce('plain', `#!/bin/sh\n${words}`)
        assert.equal(text, `V: 7\nI: 1 ${run} ${lab.daemon.url}\nW: err\nX: 3\n`)
        const { state, verdict, version, exit, counts } = shown
        assert.deepEqual([state, verdict, version, exit, counts.warning], ['done', 'fail', '7', 3, 1])
        assert.equal((await runOnce('skipped', 'exit 77\n')).shown.verdict, 'skip')
        assert.equal((await runOnce('silent', ':\n')).text, 'X: 0\n', 'a script that writes nothing has a result too')
      })

      test('a last line without its end, CR and bytes above 127 come as they are', async () => {
        const { text } = await runOnce('bytes', "printf 'a\\r\\n\\377\\376 caf\\351\\n--x\\r\\n-- end'\n")
        assert.equal(text, 'a\r\n\xff\xfe caf\xe9\n--x\r\n-- end\nX: 0\n')
      })

      test('NUL bytes come as they are, where only busybox can send as text with a note, and the lines after them', async () => {
        const { text, shown } = await runOnce('nul', "printf 'a\\000b\\000\\000\\nW: after\\n'\n")
        if (kind === 'busybox') {
          assert.match(text, /^a\\x00b\\x00\\x00\nW: after\nI: .*NUL.*\nX: 0\n$/)
        } else assert.equal(text, 'a\0b\0\0\nW: after\nX: 0\n')
        assert.deepEqual([shown.verdict, shown.counts.warning], ['warn', 1])
      })

      test('a large result comes whole', async () => {
        const lines = 60_000
        const loop = `n=0; while [ $n -lt ${lines} ]; do echo "I: line $n of the result"; n=$((n + 1)); done\n`
        const { text, shown } = await runOnce('large', loop)
        assert.equal(
          text.length,
          Array.from({ length: lines }, (_, n) => `I: line ${n} of the result\n`).join('').length + 5,
        )
        assert.equal(shown.counts.info, lines)
      })

      test('a spool whose name holds blanks, quotes and what programs take for their own', async () => {
        const { text, shown } = await runOnce('spooled', `echo "$PWD" > cwd; cat cwd; exec 3< cwd\n`, hostileSpool)
        assert.ok(text.startsWith(`${lab.dir}/`) && text.endsWith('/work\nX: 0\n'), text)
        assert.equal(shown.verdict, 'pass')
      })

      test('a script that reads its input gets none, and does not wait', async () => {
        assert.equal((await runOnce('reads', 'read -r line || echo none; cat; echo end\n')).text, 'none\nend\nX: 0\n')
      })

      test('what a script leaves running is ended with it, and does not hold up the result', async () => {
        const { text } = await runOnce(
          'leaves',
          '(trap "" TERM; while :; do sleep 1; done) &\nsleep 600 &\necho "I: $!"\n',
        )
        assert.match(text, /^I: \d+\nX: 0\n$/)
        await nothingLives(lab)
      })

      test('the watchdog ends a script that ignores TERM, with all it has started', async () => {
        const ignores = `trap '' TERM HUP INT\nsetsid sh -c 'trap "" TERM; while :; do sleep 1; done' &\n`
        const { text, shown } = await runOnce(
          'stubborn',
          `# pxemngr: timeout=2s\n${ignores}echo "I: before"\nwhile :; do sleep 1; done\n`,
        )
        assert.match(text, /^I: before\n(.*\n)*E: ended by the watchdog after 2s\n$/)
        assert.deepEqual([shown.verdict, shown.counts.error], ['fail', 1])
        await nothingLives(lab)
      })

      test('a script that has asked for more time gets it from the watchdog too', async () => {
        const post = kind === 'curl' ? 'curl -s -f -X POST' : "wget -q -O - --post-data ''"
        const { text, shown } = await runOnce(
          'longer',
          `# pxemngr: timeout=3s\n${post} '<%= extend_url %>&for=1h' > deadline || echo "E: refused"\nsleep 6\necho "I: end"\n`,
        )
        assert.equal(text, 'I: end\nX: 0\n')
        assert.equal(shown.verdict, 'pass')
      })

      test('a script that ends its own process group and parent still has a result', async () => {
        const { text, shown } = await runOnce('suicide', 'echo "I: before"; kill -9 $PPID; kill -9 $$\n')
        assert.match(text, /^I: before\n(.*\n)?E: ended: the script was killed together with what ran it\n$/)
        assert.equal(shown.verdict, 'fail')
      })

      test('a script that has uploaded its result itself is not overruled by the loop', async () => {
        const { run, text, said } = await runOnce('own', ownUpload(kind))
        assert.match(text, /^I: my own\n\.?$/)
        assert.match(said, /its script has uploaded the result itself/)
        assert.deepEqual(
          lab.files(run).filter((name) => /\.log$/.test(name)),
          [`${run}.log`],
        )
      })

      test('a program that is no shell script is run by what it names', async () => {
        const { text } = await runOnce('sed', `#!${process.execPath} --no-warnings\nconsole.log(process.argv.length)\n`)
        assert.equal(text, '2\nX: 0\n')
        const none = await runOnce('nosuch', '#!/no/such/program\n')
        assert.match(none.text, /\nX: 127\n$/)
        assert.equal(none.shown.verdict, 'fail')
      })

      test('a second loop on the same spool is refused while the first runs', async () => {
        const first = lab.loop(kind, { spool: 'shared', forever: true })
        const lock = join(lab.dir, 'shared/lock/owner')
        await until(
          () => existsSync(lock) || undefined,
          stepMs,
          () => `no lock:\n${first.written.stderr}`,
        )
        const { status, stderr } = await lab.loop(kind, { spool: 'shared' }).ended
        assert.equal(status, 1)
        assert.match(stderr, /^run\.sh: another loop uses .*\n$/)
        assert.equal((await first.end('SIGTERM')).status, 143)
        await nothingLives(lab)
      })
    })
  }
})
