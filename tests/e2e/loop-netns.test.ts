/**
 * The test loops of the README on machines with real neighbour tables: real shell scripts, with real curl and with busybox's
 * wget, get the tests of their own machine, run them and upload.
 *
 * No MAC is in any URL and no token is used, but by the shipped loop: who is asking is told by the neighbour table. Sources:
 * README "Tests", COMPATIBILITY section 6 (a 0.8 client's loop), RUNS "Machine URLs" (who may upload).
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram } from '../harness/debian.mjs'
import type { RunningDaemon } from '../harness/executable.ts'
import { type LoopKind, makeTools } from '../harness/loop.ts'
import { httpGet } from '../harness/netclient.ts'
import type { Namespace } from '../harness/netns.ts'
import { until } from '../harness/process.ts'
import { base, inWorld, macs } from '../harness/world.ts'

const untilMs = 60_000

/** A runner as there always were: fetches a script, runs it, asks again. `get` prints what a URL answers. */
const runner = (get: string): string => `url=$1
until [ -e stop ]; do
  ${get} "$url/nexttest/" > script && sh script || sleep 1
done
`
const clients = {
  curl: {
    get: 'curl --retry 0 -s -f',
    upload: `curl --retry 0 -s -f -F "file=@$output" "<%= url %>/upload/<%= log.id %>/"`,
  },
  // A form by hand, and its fixed boundary: busybox's wget makes none.
  busybox: {
    get: 'wget -q -O -',
    upload: `{ printf -- '--xyz\\r\\nContent-Disposition: form-data; name="file"; filename="x"\\r\\n\\r\\n'
  cat "$output"; printf '\\r\\n--xyz--\\r\\n'; } > form
wget -q -O - --header 'Content-Type: multipart/form-data; boundary=xyz' --post-file form "<%= url %>/upload/<%= log.id %>/"`,
  },
} as const

type Client = keyof typeof clients

/** A test as its author writes it: it sends its own result. */
const uploading = (client: Client): string => `#!/bin/sh
output=$PWD/out
{ echo "V: 4.2"; echo "I: <%= testname %> on <%= system %>, <%= mac %>"; echo "W: warm"; } > "$output"
${clients[client].upload} > answer
`

interface Shown {
  readonly state: string
  readonly verdict: string | null
  readonly version: string | null
  readonly counts: { readonly info: number; readonly warning: number }
}

async function request(daemon: RunningDaemon, system: string, ...tests: string[]): Promise<number[]> {
  const { runs } = (await daemon.json('nexttest', system, ...tests)) as { runs: { id: number }[] }
  return runs.map(({ id }) => id)
}

const show = async (daemon: RunningDaemon, run: number): Promise<Shown> =>
  (await daemon.json('show', String(run))) as Shown

/** Runs a shell script inside a machine that has these tools and no others. */
function inMachine(space: Namespace, tools: string, dir: string, script: string, ...words: string[]) {
  const env = [findProgram('env') ?? 'env', '-i', `PATH=${tools}`]
  return space.run(...env, join(tools, 'sh'), '-c', `cd "$1" && shift && ${script}`, 'sh', dir, ...words)
}

/** Folders of a test: one for each machine, and one of tools for each kind. */
function makeFolders() {
  const dir = mkdtempSync(join(tmpdir(), 'pxemngr-loop-netns-'))
  return {
    dir: (name: string) => mkdtempSync(join(dir, `${name}-`)),
    tools(kind: LoopKind) {
      const path = join(dir, kind)
      makeTools(kind, path)
      return path
    },
    close: () => rmSync(dir, { recursive: true, force: true }),
  }
}

inWorld(
  'the loop of the README by curl and by busybox runs the tests of its own machine, and no other',
  async (world) => {
    const { attach, serve } = world()
    const machines = [
      { client: 'curl', mac: macs.one, space: attach('one', macs.one, '10.77.0.11/24') },
      { client: 'busybox', mac: macs.two, space: attach('two', macs.two, '10.77.0.12/24') },
    ] as const
    const folders = makeFolders()
    try {
      const daemon = await serve()
      const test = (name: string, text: string) => writeFileSync(join(daemon.dataDir, 'tests', `${name}.test`), text)
      test('stop', ': > stop\n')
      for (const { client } of machines) test(client, uploading(client))
      await daemon.must('synctestnames')
      for (const { client, mac } of machines) await daemon.must('addsystem', `with-${client}`, mac)
      // In turns, so that a server that mixed machines up would give each the other's.
      const runs = new Map<Client, number>()
      for (const { client } of machines)
        runs.set(client, (await request(daemon, `with-${client}`, client, 'stop'))[0] ?? 0)

      const stranger = ['--form', 'file=@/etc/hostname']
      const of = (client: Client) => runs.get(client) ?? 0
      const [one] = machines
      assert.equal((await httpGet(one.space, `${base}/upload/${of('busybox')}/`, ...stranger)).status, 403)

      await Promise.all(
        machines.map(async ({ client, space }) => {
          const dir = folders.dir(client)
          writeFileSync(join(dir, 'loop'), runner(clients[client].get))
          const tools = folders.tools(client)
          const done = await inMachine(space, tools, dir, 'exec sh ./loop "$@"', base)
          assert.equal(done.status, 0, done.stderr)
          assert.equal(readFileSync(join(dir, 'answer'), 'utf8'), 'uploaded')
        }),
      )
      for (const { client, mac } of machines) {
        const run = of(client)
        const { state, verdict, version, counts } = await show(daemon, run)
        assert.deepEqual([state, verdict, version, counts.info, counts.warning], ['done', 'warn', '4.2', 1, 1])
        const text = `V: 4.2\nI: ${client} on with-${client}, ${mac}\nW: warm\n`
        assert.equal(await daemon.must('log', String(run)), text)
        const { runs: found } = (await daemon.json('results', `with-${client}`, '--verdict', 'warn')) as {
          runs: { id: number }[]
        }
        assert.deepEqual(
          found.map(({ id }) => id),
          [run],
          'the one that has a result',
        )
      }
    } finally {
      folders.close()
    }
  },
)

/** The README's own line, for a machine that has this. */
function readmeLine(fetch: string, spool: string): string {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8')
  const [line] = /^wget -qO- \S+\/script\/run\.sh \| sh -s -- \S+$/m.exec(text) ?? []
  assert.ok(line, 'the README has a line that starts the loop')
  const once = line.replace('sh -s -- ', `sh -s -- --once --spool '${spool}' `).replace('wget -qO-', fetch)
  return once.replaceAll('http://BOOTSERVER:8000', base)
}

inWorld(
  "the README's line starts the shipped loop, with curl, GNU's wget and busybox; it runs and uploads",
  async (world) => {
    const { attach, serve } = world()
    const space = attach('one', macs.one, '10.77.0.11/24')
    const folders = makeFolders()
    try {
      const daemon = await serve()
      writeFileSync(
        join(daemon.dataDir, 'tests', 'who.test'),
        'echo "I: <%= system %> <%= ip %> $PXEMNGR_URL"; exit 77\n',
      )
      await daemon.must('synctestnames')
      await daemon.must('addsystem', 'one', macs.one)
      for (const [kind, fetch] of [
        ['curl', 'curl -s'],
        ['GNU wget', 'wget -qO-'],
        ['busybox', 'wget -qO-'],
      ] as const) {
        const [run = 0] = await request(daemon, 'one', 'who')
        const dir = folders.dir('machine')
        const { status, stderr } = await inMachine(
          space,
          folders.tools(kind),
          dir,
          readmeLine(fetch, join(dir, 'spool')),
        )
        assert.equal(status, 0, stderr)
        await until(
          async () => (await show(daemon, run)).state === 'done' || undefined,
          untilMs,
          () => stderr,
        )
        assert.equal(await daemon.must('log', String(run)), `I: one 10.77.0.11 ${base}\nX: 77\n`)
        assert.equal((await show(daemon, run)).verdict, 'skip')
      }
    } finally {
      folders.close()
    }
  },
)
