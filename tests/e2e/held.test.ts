/**
 * Questions that say that they can wait (`Prefer: wait=…`), against the built executable: held until there is a test, given
 * it at once, and never the reason why one is lost: machines that vanish, several at once, a daemon that ends.
 * Sources: RFC 7240 §4.3, CONTRACT "What machines ask over HTTP" (`/nexttest/`), RUNS "Life of a run".
 */
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ask, call, readSmall } from '../harness/api.ts'
import { type RunningDaemon, serve } from '../harness/executable.ts'
import { until } from '../harness/process.ts'

const machines = 200
/** A busy machine does each of these in well under this; what is held is held for longer than that. */
const patienceMs = 15_000
const long = 'wait=60'
/** As long as it takes to be sure that an answer does not come at once. */
const quietMs = 400

const macOf = (n: number): string => `52:54:00:03:00:${n.toString(16).padStart(2, '0')}`

interface Asked {
  readonly socket: Socket
  /** Everything that has come. */
  text(): string
  /** The answer's status, headers and body; rejects where it does not come. */
  readonly answer: Promise<{ readonly run: string; readonly waited: string | undefined; readonly text: string }>
}

let daemon: RunningDaemon
let nextSystem = 0

/** A question as curl asks it, on a connection of its own, which is closed after the answer. */
function question(mac: string, prefer = long, { keep = false, method = 'GET', more = '' } = {}): Asked {
  const { hostname, port } = new URL(daemon.url)
  const socket = connect(Number(port), hostname)
  socket.setEncoding('latin1')
  let text = ''
  const answer = new Promise<Awaited<Asked['answer']>>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`no answer: ${text}`)))
    socket.on('data', (part: string) => {
      text += part
      const head = text.indexOf('\r\n\r\n')
      const length = Number(/^content-length: (\d+)/im.exec(text)?.[1])
      if (head < 0 || text.length < head + 4 + (method === 'HEAD' ? 0 : length)) return
      resolve({
        run: /^x-pxemngr-run: (\d+)/im.exec(text)?.[1] ?? '',
        waited: /^preference-applied: (.*)\r/im.exec(text)?.[1],
        text: text.slice(head + 4),
      })
      if (!keep) socket.end()
    })
  })
  answer.catch(() => undefined)
  socket.write(
    `${method} /nexttest/${mac}/ HTTP/1.1\r\nHost: x\r\n${prefer === '' ? '' : `Prefer: ${prefer}\r\n`}${more}\r\n`,
  )
  return { socket, text: () => text, answer }
}

/** A system of its own for a test; its MAC. */
async function newSystem(): Promise<{ readonly name: string; readonly mac: string }> {
  const n = nextSystem++
  await daemon.must('addsystem', `one${n}`, `52:54:00:04:00:${n.toString(16).padStart(2, '0')}`)
  return { name: `one${n}`, mac: `52:54:00:04:00:${n.toString(16).padStart(2, '0')}` }
}

async function request(name: string, ...tests: string[]): Promise<number[]> {
  const { json, text } = await call(daemon.ready.socket, 'nexttest', { name, tests })
  assert.ok(json, text)
  return (json as { runs: { id: number }[] }).runs.map(({ id }) => id)
}

const stateOf = async (run: number): Promise<string> =>
  ((await call(daemon.ready.socket, 'show', { run })).json as { state: string }).state

const untilState = (run: number, state: string) =>
  until(
    async () => ((await stateOf(run)) === state ? true : undefined),
    patienceMs,
    () => `run ${run} is not ${state}`,
  )

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** It is held: nothing comes, and the connection stays. */
async function isHeld(...asked: Asked[]): Promise<void> {
  await pause(quietMs)
  for (const each of asked) assert.deepEqual([each.text(), each.socket.closed], ['', false])
}

const within = <T>(answer: Promise<T>): Promise<T> =>
  Promise.race([answer, pause(patienceMs).then(() => Promise.reject(new Error('no answer in time')))])

before(async () => {
  daemon = await serve({ flags: ['--trusted-networks', '127.0.0.0/8'] })
  writeFileSync(join(daemon.dataDir, 'tests', 'who.test'), 'for <%= system %> run <%= log.id %>\n')
  await daemon.must('synctestnames')
  const systems = Array.from({ length: machines }, (_, n) => ({ name: `h${n}`, addresses: [macOf(n)] }))
  assert.equal((await call(daemon.ready.socket, 'addsystem', { systems })).status, 200)
})
after(() => daemon.close())

describe('a question that can wait', () => {
  test('is answered when a test is asked for, and that is sent', async () => {
    const { name, mac } = await newSystem()
    const asked = question(mac)
    await isHeld(asked)
    const [run = 0] = await request(name, 'who')
    const { run: given, waited, text } = await within(asked.answer)
    assert.deepEqual([given, waited, text], [String(run), undefined, `for ${name} run ${run}\n`])
    await untilState(run, 'sent')
  })

  test('is answered at once where a test waits already, by HEAD, by a prefetch, and without the preference', async () => {
    const { name, mac } = await newSystem()
    for (const asked of [
      question(mac, ''),
      question(mac, long, { method: 'HEAD' }),
      question(mac, long, { more: 'Sec-Purpose: prefetch\r\n' }),
    ]) {
      assert.deepEqual([(await within(asked.answer)).run, (await asked.answer).waited], ['0', undefined])
    }
    const [run = 0] = await request(name, 'who')
    assert.equal((await within(question(mac).answer)).run, String(run))
  })

  test('is answered by wait.test when its time is over, which the answer says', async () => {
    const { mac } = await newSystem()
    for (const prefer of ['wait=2', 'respond-async, WAIT = "2"; x=y', 'a=b,wait=2']) {
      const begun = performance.now()
      const { run, waited, text } = await within(question(mac, prefer).answer)
      const tookMs = performance.now() - begun
      assert.deepEqual([run, waited], ['0', 'wait=2'])
      assert.match(text, /^#!\/bin\/sh\n[\s\S]*sleep/)
      assert.ok(tookMs > 1400, `${tookMs} ms`)
    }
  })

  test('with a preference that is none, or none for waiting, is not held', async () => {
    const { mac } = await newSystem()
    for (const prefer of [
      'wait=0',
      'wait',
      'wait=',
      'wait=-5',
      'wait=1e3',
      'await=5',
      'wait=5s',
      'return=minimal',
      ',,;=',
    ]) {
      const { run, waited } = await within(question(mac, prefer).answer)
      assert.deepEqual([run, waited], ['0', undefined], prefer)
    }
  })

  test('of a machine that no system has, or that may not be named so, is refused at once', async () => {
    assert.match((await within(question('52:54:00:99:99:99').answer)).text, /^no system has 52:54:00:99:99:99/)
    assert.match((await within(question('nonsense').answer)).text, /is no MAC/)
  })

  test('gets a wait.test of the site itself at once, as ever', async () => {
    const { mac } = await newSystem()
    const path = join(daemon.dataDir, 'tests', 'wait.test')
    const held = question(mac, 'wait=3')
    await isHeld(held)
    writeFileSync(path, 'poweroff\n')
    assert.deepEqual(await within(question(mac).answer), { run: '0', waited: undefined, text: 'poweroff\n' })
    // Whoever was held is told to run it, too.
    assert.deepEqual(await within(held.answer), { run: '0', waited: undefined, text: 'poweroff\n' })
    rmSync(path)
    const without = question(mac)
    await isHeld(without)
    without.socket.destroy()
  })

  test('is held on when its test is cancelled in the same moment, and is given the next', async () => {
    const { name, mac } = await newSystem()
    const asked = question(mac, 'wait=20')
    await isHeld(asked)
    const bad = join(daemon.dataDir, 'tests', 'gone.test')
    writeFileSync(bad, 'echo gone\n')
    await daemon.must('synctestnames')
    const { socket } = daemon.ready
    const [gone] = await Promise.all([
      call(socket, 'nexttest', { name, tests: ['who'] }),
      call(socket, 'cancel', { runs: [name] }),
    ])
    assert.equal(gone.status, 200)
    const first = (await Promise.race([asked.answer, pause(1000)])) ?? undefined
    if (first) {
      // The machine was quicker than the cancel: it has the run, once.
      assert.equal(first.run, String((gone.json as { runs: { id: number }[] }).runs[0]?.id))
      return
    }
    const [run = 0] = await request(name, 'who')
    assert.equal((await within(asked.answer)).run, String(run))
  })
})

describe('no test is lost by a machine that is gone', () => {
  for (const [how, leave] of [
    ['resets its connection', (socket: Socket) => socket.resetAndDestroy()],
    ['closes its connection', (socket: Socket) => socket.end()],
  ] as const) {
    test(`one that ${how} while it is held: the run waits for who asks next`, async () => {
      const { name, mac } = await newSystem()
      const asked = question(mac)
      await isHeld(asked)
      leave(asked.socket)
      await pause(100)
      const [run = 0] = await request(name, 'who')
      await pause(quietMs)
      assert.equal(await stateOf(run), 'requested')
      assert.equal((await within(question(mac).answer)).run, String(run))
    })

    test(`one that ${how} in the moment in which its test is asked for: given once more, or recorded`, async () => {
      const { name, mac } = await newSystem()
      for (let time = 0; time < 10; time++) {
        const asked = question(mac)
        await pause(50)
        const requested = request(name, 'who')
        leave(asked.socket)
        const [run = 0] = await requested
        const had = await asked.answer.then(
          (answer) => answer.run,
          () => '0',
        )
        if (had === '0') assert.equal((await within(question(mac).answer)).run, String(run))
        await untilState(run, 'sent')
      }
    })
  }

  test('of two questions of one machine the later one is given its only run, the other goes on as ever', async () => {
    const { name, mac } = await newSystem()
    const earlier = question(mac)
    await isHeld(earlier)
    const later = question(mac)
    await isHeld(earlier, later)
    const [run = 0] = await request(name, 'who')
    assert.equal((await within(later.answer)).run, String(run))
    assert.deepEqual([(await within(earlier.answer)).run, (await earlier.answer).waited], ['0', undefined])
  })

  test('two runs for two questions of one machine: each is given once', async () => {
    const { name, mac } = await newSystem()
    const asked = [question(mac), question(mac)]
    await isHeld(...asked)
    const runs = await request(name, 'who', 'who')
    const given = await Promise.all(asked.map((each) => within(each.answer)))
    assert.deepEqual(
      given.map(({ run }) => Number(run)).sort((a, b) => a - b),
      runs,
    )
  })

  test('a machine of two names has the test of either; who boots is not held any longer', async () => {
    const { name, mac } = await newSystem()
    await daemon.must('addsystem', `${name}-alias`, mac)
    const asked = question(mac)
    await isHeld(asked)
    const [run = 0] = await request(`${name}-alias`, 'who')
    assert.equal((await within(asked.answer)).run, String(run))
    await untilState(run, 'sent')
    await daemon.must('cancel', String(run))
    await daemon.must('nextboot', name, 'local')
    const before = question(mac)
    await isHeld(before)
    await readSmall(daemon.tftpPort, `pxelinux.cfg/01-${mac.replaceAll(':', '-')}`)
    assert.equal((await within(before.answer)).run, '0')
    assert.match(before.text(), /^connection: close\r/im)
  })

  test('a request behind one that is held is answered after it, on the same connection', async () => {
    const { name, mac } = await newSystem()
    const asked = question(mac, long, { keep: true })
    asked.socket.write(`GET /profile/${mac}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
    await isHeld(asked)
    const [run = 0] = await request(name, 'who')
    assert.equal((await within(asked.answer)).run, String(run))
    await until(
      () => (asked.text().split('HTTP/1.1 ').length === 3 ? true : undefined),
      patienceMs,
      () => asked.text(),
    )
    asked.socket.end()
    await untilState(run, 'sent')
  })

  test(`${machines} machines are held, one command gives each its own run at once, a third of them being gone`, async () => {
    const everybody = Array.from({ length: machines }, (_, n) => n)
    const asked = everybody.map((n) => question(macOf(n)))
    await isHeld(...asked)
    for (const n of everybody) if (n % 3 === 0) asked[n]?.socket.resetAndDestroy()
    await pause(200)
    const { status } = await call(daemon.ready.socket, 'nexttest', { name: 'h*', tests: ['who'] })
    assert.equal(status, 200)
    const given = await Promise.all(
      everybody.map((n) => within((n % 3 === 0 ? question(macOf(n)) : (asked[n] ?? question(macOf(n)))).answer)),
    )
    for (const [n, { text, run }] of given.entries()) assert.equal(text, `for h${n} run ${run}\n`)
    assert.equal(new Set(given.map(({ run }) => run)).size, machines)
  })
})

test('a daemon that ends answers who is held; the next one holds again', async () => {
  const { name, mac } = await newSystem()
  const asked = [question(mac), question(macOf(1)), question(macOf(2), long, { keep: true })]
  await isHeld(...asked)
  assert.equal((await daemon.stop()).status, 0)
  for (const each of asked) {
    const { run, waited, text } = await within(each.answer)
    assert.deepEqual([run, waited], ['0', undefined])
    assert.match(text, /sleep/)
  }
  daemon = await serve({ dataDir: daemon.dataDir })
  const again = question(mac)
  await isHeld(again)
  const [run = 0] = await request(name, 'who')
  assert.equal((await within(again.answer)).run, String(run))
})

test('a daemon that is killed takes nothing with it: the run is given to who asks the next one', async () => {
  const { name, mac } = await newSystem()
  const asked = question(mac)
  await isHeld(asked)
  await daemon.kill()
  await assert.rejects(asked.answer)
  daemon = await serve({ dataDir: daemon.dataDir })
  const [run = 0] = await request(name, 'who')
  assert.equal(
    (await ask({ url: daemon.url }, `/nexttest/${mac}/`, { headers: { prefer: long } })).headers['x-pxemngr-run'],
    String(run),
  )
})
